"""Planes in host memory, and in GPU memory of another API, to tensors and back."""
