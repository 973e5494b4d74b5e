"""Checkpoints as files: which there are, where they lie, how they are fetched, and how one becomes a network.

`catalogue` and `store` need no torch; `checkpoint` does.
"""
