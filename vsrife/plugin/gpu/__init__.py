"""Frames in GPU memory: VapourSynth's Vulkan device, its frames, and their lease to CUDA."""
