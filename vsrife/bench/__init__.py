"""`vsrife bench`: how fast the engine and the filter are here, beside the machine's own limits and beside vs-rife."""
