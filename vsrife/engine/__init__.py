"""Running a network on source frames: devices, the cache, synthesis on native planes. No VapourSynth."""
