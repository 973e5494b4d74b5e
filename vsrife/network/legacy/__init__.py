"""The networks before 4.0: the paper's (RIFE, RIFE-m, RIFE-Large) and the 3.x line."""
