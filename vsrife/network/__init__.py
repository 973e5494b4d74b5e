"""The mathematics of RIFE, in plain torch: two frames and a time in, a flow and a mask out.

It knows nothing of files, devices' memory, colour or VapourSynth.
"""

from vsrife.network.architecture import USER_SCALES, Architecture, Head, Trunk
from vsrife.network.ifnet import IFNet
from vsrife.network.motion import Motion
from vsrife.network.warp import backward_warp

__all__ = ["USER_SCALES", "Architecture", "Head", "IFNet", "Motion", "Trunk", "backward_warp"]
