"""Training samples: synthetic motion, clips, Vimeo90K; packs of pictures and clips; the data loader that mixes them.

Every source yields `Batch`; `MixedDataLoader` mixes sources. docs/data.md has an example.
"""

from vsrife.datasets.bank import Bank, make_bank
from vsrife.datasets.batch import Batch, Source
from vsrife.datasets.clips import find_clips, read_clip, split_shots
from vsrife.datasets.loader import BatchSpec, LoaderState, MixedDataLoader, MixPhase
from vsrife.datasets.packing import Pack, PackSettings, open_pack, write_pack
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotSettings
from vsrife.datasets.synthetic import Synthetic, SyntheticSettings
from vsrife.datasets.vimeo import Vimeo

__all__ = [
    "Bank",
    "Batch",
    "BatchSpec",
    "ClipWindowDataset",
    "InMemoryShots",
    "LoaderState",
    "MixPhase",
    "MixedDataLoader",
    "Pack",
    "PackSettings",
    "ShotSettings",
    "Source",
    "Synthetic",
    "SyntheticSettings",
    "Vimeo",
    "find_clips",
    "make_bank",
    "open_pack",
    "read_clip",
    "split_shots",
    "write_pack",
]
