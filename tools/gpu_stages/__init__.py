"""The stages of tools/check_gpu.py: what they are, how they are run and recorded, and the ones that measure."""
