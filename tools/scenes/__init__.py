"""Cases for scene detectors, the detectors, and what they are worth on them: the parts of tools/measure_scenes.py."""
