"""Scene changes, duplicate frames and held drawings: what is measured of two frames, and the rules that decide.

No VapourSynth and no network: frames are tensors or signatures here.
"""
