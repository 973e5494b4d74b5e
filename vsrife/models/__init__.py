"""Checkpoint files: the catalogue of the official ones, the cache folder, downloads, and loading a network from one.

`catalogue` and `store` import no torch; `checkpoint` does.
"""
