"""`vsrife bench`: speed and memory of the engine and the filter, beside the limits of the machine."""
