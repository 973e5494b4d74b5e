"""The arithmetic of the engine on a device: plain torch, which defines it, and CUDA kernels."""
