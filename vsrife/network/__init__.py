"""The mathematics of RIFE, in plain torch: two frames and a time in, a flow and a mask out.

It knows nothing of files, devices' memory, colour or VapourSynth. The networks before 4.0 are in `paper`.
"""

from vsrife.network.architecture import USER_SCALES, Architecture, Head, Trunk
from vsrife.network.flow_and_mask import Motion
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy import (
    HDArchitecture,
    HDFusionNet,
    HDNet,
    HDVersion,
    PairNetwork,
    PaperArchitecture,
    PaperNet,
    Prediction,
    halvings,
)
from vsrife.network.teacher import Taught
from vsrife.network.training_output import Lesson, Stage
from vsrife.network.warp import backward_warp

__all__ = [
    "USER_SCALES",
    "Architecture",
    "HDArchitecture",
    "HDFusionNet",
    "HDNet",
    "HDVersion",
    "Head",
    "IFNet",
    "Lesson",
    "Motion",
    "PairNetwork",
    "PaperArchitecture",
    "PaperNet",
    "Prediction",
    "Stage",
    "Taught",
    "Trunk",
    "backward_warp",
    "halvings",
]
