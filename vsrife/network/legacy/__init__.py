"""The networks before 4.0: the paper's (RIFE, RIFE-m, RIFE-Large) and the 3.x line."""

from vsrife.network.legacy.architecture import HDArchitecture, HDVersion, PaperArchitecture
from vsrife.network.legacy.bisection import NEAR_ENOUGH, Halving, halvings
from vsrife.network.legacy.hd import HDFusionNet, HDNet, build
from vsrife.network.legacy.pair import PairNetwork, Prediction
from vsrife.network.legacy.paper import PaperNet

__all__ = [
    "NEAR_ENOUGH",
    "HDArchitecture",
    "HDFusionNet",
    "HDNet",
    "HDVersion",
    "Halving",
    "PairNetwork",
    "PaperArchitecture",
    "PaperNet",
    "Prediction",
    "build",
    "halvings",
]
