"""The mathematics of RIFE, in plain torch: two frames and a time in, a flow and a mask out.

It depends on torch alone: no files, no colour, no VapourSynth. `families` lists the networks and imports no torch.
"""
