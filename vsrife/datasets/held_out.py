"""Shots of a pack that are excluded from training, as a second validation set."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from vsrife.datasets.packing import CLIPS, Pack
from vsrife.errors import ArgumentError

__all__ = ["Triplet", "held_out_triplets", "names_of", "without"]

_SPAN: Final = 2  # frames from left to right


class Triplet(NamedTuple):
    """shot: its name in the configuration. left, truth, right: uint8 [3, h, w], R, G, B; the true frame is halfway."""

    shot: str
    left: Tensor
    truth: Tensor
    right: Tensor


def names_of(pack: Pack, shots: Sequence[str]) -> dict[str, list[str]]:
    """The names in the pack of all versions of each shot; a large one has two.

    shots: as "big-buck-bunny-trailer.mp4/0003". Raises ArgumentError for a shot that is not in the pack.
    """
    there = pack.shot_names()
    found = {}
    for shot in shots:
        name = f"{CLIPS}/{shot}"
        found[shot] = [each for each in there if each == name or each.startswith(f"{name} ")]
        if not found[shot]:
            some = ", ".join(each.removeprefix(f"{CLIPS}/") for each in there[:3])
            raise ArgumentError(f"data.held_out ({shot}) must be a shot of the pack, such as {some}")
    return found


def without(pack: Pack, shots: Sequence[str]) -> Iterator[Tensor]:
    """`Pack.shots`, with held-out shots without frames, so that the others keep their numbers.

    Raises ArgumentError as `names_of`.
    """
    held_out = {name for names in names_of(pack, shots).values() for name in names}
    for name, frames in zip(pack.shot_names(), pack.shots(), strict=True):
        # A copy: a view would keep all frames in memory.
        yield torch.zeros((0, *frames.shape[1:]), dtype=frames.dtype) if name in held_out else frames


def held_out_triplets(pack: Pack, shots: Sequence[str], samples: int) -> Iterator[Triplet]:
    """At most `samples` triplets of each shot, evenly spread and without common frames: whole frames, those of a large
    clip at half their size.

    Raises ArgumentError as `names_of`, and for a shot that is too short.
    """
    for shot, names in names_of(pack, shots).items():
        name = next((each for each in names if not each.endswith(" cut")), names[0])
        frames = pack.shot(name)
        if len(frames) <= _SPAN:
            raise ArgumentError(
                f"data.held_out ({shot}) must have {_SPAN + 1} frames or more, not {len(frames)}; leave it out"
            )
        most = min(samples, len(frames) // (_SPAN + 1))
        for number in range(most):
            first = number * (len(frames) - _SPAN - 1) // max(1, most - 1)
            left, truth, right = frames[first : first + _SPAN + 1]
            yield Triplet(shot=shot, left=left, truth=truth, right=right)
