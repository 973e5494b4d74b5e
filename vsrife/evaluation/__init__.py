"""How near made frames come to the true ones: published protocols, and skip-frame on any clips."""
