"""Training samples: synthetic motion, clips, Vimeo90K; packed pictures; the mixture that the training loop reads.

Every source yields `Batch`; `Samples` mixes sources. docs/data.md shows how the parts are put together.
"""

from vsrife.training.data.bank import Bank, make_bank
from vsrife.training.data.batch import Batch, Source
from vsrife.training.data.clips import find_clips, read_clip, split_shots
from vsrife.training.data.packing import Pack, PackSettings, open_pack, write_pack
from vsrife.training.data.samples import Part, Samples, SamplesState, Stage
from vsrife.training.data.shots import ResidentShots, ShotSettings, Windows
from vsrife.training.data.synthetic import Synthetic, SyntheticSettings
from vsrife.training.data.vimeo import Vimeo

__all__ = [
    "Bank",
    "Batch",
    "Pack",
    "PackSettings",
    "Part",
    "ResidentShots",
    "Samples",
    "SamplesState",
    "ShotSettings",
    "Source",
    "Stage",
    "Synthetic",
    "SyntheticSettings",
    "Vimeo",
    "Windows",
    "find_clips",
    "make_bank",
    "open_pack",
    "read_clip",
    "split_shots",
    "write_pack",
]
