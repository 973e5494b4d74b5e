"""Frames as tensors: formats, colour, and planes in host memory. Nothing here knows of a network."""
