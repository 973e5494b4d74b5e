"""The networks before 4.0: the paper's (RIFE, RIFE-m, RIFE-Large) and the 3.x line."""

from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version
from vsrife.network.legacy.base import LegacyNetwork, Prediction
from vsrife.network.legacy.bisection import TIME_TOLERANCE, Bisection, bisections
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.legacy.v3 import V3FusionNet, V3Net, build

__all__ = [
    "TIME_TOLERANCE",
    "Bisection",
    "LegacyNetwork",
    "PaperArchitecture",
    "PaperNet",
    "Prediction",
    "V3Architecture",
    "V3FusionNet",
    "V3Net",
    "V3Version",
    "bisections",
    "build",
]
