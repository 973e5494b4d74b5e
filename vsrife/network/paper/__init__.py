"""The networks before 4.0: the paper's (RIFE, RIFE-m, RIFE-Large) and the 3.x line."""

from vsrife.network.paper.architecture import HDArchitecture, HDVersion, PaperArchitecture
from vsrife.network.paper.hd import HDFusionNet, HDNet, build
from vsrife.network.paper.pair import PairNetwork, Prediction
from vsrife.network.paper.papernet import PaperNet
from vsrife.network.paper.recursion import NEAR_ENOUGH, Halving, halvings

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
