"""The backend of NVIDIA GPUs: CUDA kernels, each with a torch definition, and CUDA graphs."""
