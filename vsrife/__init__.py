"""Being built."""
__version__ = "0.1.0"
