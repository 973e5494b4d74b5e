"""Training a network: what is learnt from, what is minimised, and how it is judged."""
