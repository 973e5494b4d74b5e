"""The mathematics of RIFE, in plain torch: two frames and a time in, a flow and a mask out.

It knows nothing of files, devices' memory, colour or VapourSynth. The networks before 4.0 are in `paper`.
"""

from vsrife.network.architecture import USER_SCALES, Architecture, Head, Trunk
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy import (
    LegacyNetwork,
    PaperArchitecture,
    PaperNet,
    Prediction,
    V3Architecture,
    V3FusionNet,
    V3Net,
    V3Version,
    bisections,
)
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.network.training_output import StageOutput, TrainingOutput
from vsrife.network.warp import backward_warp

__all__ = [
    "USER_SCALES",
    "Architecture",
    "FlowAndMask",
    "Head",
    "IFNet",
    "IFNetWithTeacher",
    "LegacyNetwork",
    "PaperArchitecture",
    "PaperNet",
    "Prediction",
    "StageOutput",
    "TrainingOutput",
    "Trunk",
    "V3Architecture",
    "V3FusionNet",
    "V3Net",
    "V3Version",
    "backward_warp",
    "bisections",
]
