"""Cuts between frames of clips to train on, by the thumbnails of two frames alone, without a network.

`cut_score` asks one thing: can the one frame be made from the other by moving pieces of it and changing its brightness?
Each block of 8 x 8 cells looks for its like in the other frame, up to a third of the picture away, at a free offset and
a gain close to that of the whole picture. Moving as the whole picture moves, or not at all, is free; a block that goes
its own way pays for it. What is left unexplained, taken both ways round, is the score; it is lowered where the two
frames agree as they lie. Shots that are parted once too often cost a few samples; that is why this is enough here, and
the filter asks more (`vsrife.scene.scene_change`).

Every sum is over integers (those in float64 stay below 2^53) and every other operation is one correctly rounded IEEE
operation per element, so the score of a pair is the same on every device and machine, with any number of threads.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vsrife.scene.signature import Signature

__all__ = ["CELLS", "CUT", "cut_score"]

type _Reals = NDArray[np.float64]
type _Indices = NDArray[np.intp]

CUT = 0.5
"""A pair is a cut when its score is at least this."""

CELLS = 64
"""Of a thumbnail, along the longer side: a `vsrife.scene.signature` of that size."""

_BLOCK = 8  # cells along a block's side
_REACH = 21  # cells that a block may have moved, each way: a third of the picture's longer side
_NEAR = 2  # cells around no motion and around the picture's own motion that cost nothing
_STRAY_COST = 0.3  # share of a block's texture that moving any other way costs
_LEVEL_WEIGHT = 0.05  # of a block's mean against its texture: light changes more freely than structure
_PICTURE_GAIN = (0.4, 2.5)  # brightness change of the whole picture that is taken for the same structure
_BLOCK_GAIN = (0.7, 1.4)  # and of a block beside that
_FLOOR = 1000.0  # standard deviation (of 65535) below which a block has no texture worth explaining
_FLAT_SHARE = 0.05  # texture that a picture must have before it can be a cut, as a share of its blocks
_BAR_TOLERANCE = 400  # spread of a row of cells that is still a black bar
_SETTLED = 0.1  # a pair that scores less without any motion is no cut, and is not searched
_FIXED_POINT = 1 << 20  # unit in which shares are summed, exactly


def cut_score(left: Signature, right: Signature) -> float:
    """How far either frame is from being the other one moved and changed in light: 0 (explained) to below 1 (a cut).

    Both signatures must come from frames of one size (else ValueError). A pure function of the two, symmetric, the same
    on every machine. Two flat pictures of any level score 0; a flat picture against a textured one scores near 0.9.
    Below 0.1 a score is an upper bound: pairs that hardly move are not searched for motion.
    """
    if left.shape != right.shape:
        raise ValueError(f"signatures of one size are needed, not {left.shape} and {right.shape}")
    left, right = _without_bars(left, right)
    a, b = _centred(_smoothed(left)), _centred(_smoothed(right))
    energy_a, energy_b = int((a * a).sum()), int((b * b).sum())
    # Frames that agree as they lie are no cut, however poor their blocks' matches (clipped light, chaotic motion).
    agreement = int((a * b).sum()) / float(np.sqrt(np.float64(max(energy_a, 1)) * np.float64(max(energy_b, 1))))
    disagreement = 0.5 + min(0.5, 1.0 - agreement)
    gained_a, gained_b = _with_gain(a, energy_a, energy_b), _with_gain(b, energy_b, energy_a)
    score = 0.0
    for reach in (0, _REACH):
        search = _search(*a.shape, reach)
        missing_b, texture_b = _unexplained(gained_a, b, search)
        missing_a, texture_a = _unexplained(gained_b, a, search)
        flat = 2 * len(search.windows) * _FLAT_SHARE
        score = (missing_a + missing_b) / (texture_a + texture_b + flat) * disagreement
        if score < _SETTLED:
            break
    return score


def _without_bars(left: Signature, right: Signature) -> tuple[Signature, Signature]:
    """Both thumbnails without the flat borders that they share: their hard edges stand still over every cut."""
    for _ in range(2):
        rows = slice(_bar(left, right), len(left) - _bar(left[::-1], right[::-1]))
        left, right = left[rows].T, right[rows].T
    return left, right


def _bar(left: Signature, right: Signature) -> int:
    """Rows from the top that are flat and alike in both, with the one after them, which the bar's edge may cross."""
    rows = max(0, len(left) // 2 - 2)
    low = np.minimum(left[:rows].min(1), right[:rows].min(1))
    high = np.maximum(left[:rows].max(1), right[:rows].max(1))
    flat = int(np.append(high - low > _BAR_TOLERANCE, True).argmax())
    return flat + 1 if flat else 0


def _smoothed(thumbnail: Signature) -> Signature:
    """Through a 1-2-1 filter each way: motion by half a cell must not look like other texture."""
    p = np.pad(thumbnail, 1, mode="edge")
    p = p[:-2] + 2 * p[1:-1] + p[2:]
    p = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    return p // 16


def _centred(thumbnail: Signature) -> Signature:
    return thumbnail - int(thumbnail.sum()) // thumbnail.size


def _with_gain(source: Signature, energy: int, target_energy: int) -> _Reals:
    """The centred thumbnail with the target's contrast, as far as a change of light may go; still integers."""
    low, high = _PICTURE_GAIN
    gain = min(high, max(low, float(np.sqrt(target_energy / max(energy, 1)))))
    scaled: _Reals = np.rint(source * gain)
    return scaled


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Where blocks lie and where they may have come from, for thumbnails of one size."""

    block: tuple[int, int]  # rows and columns of a block
    windows: _Indices  # [blocks]: each block's place among all windows of that size
    places: _Indices  # [blocks, motions]: into a [blocks, windows + 1] table; its last column: out of the picture
    down: _Indices  # [motions]
    across: _Indices  # [motions]


@lru_cache(maxsize=16)
def _search(rows: int, columns: int, reach: int) -> _Search:
    height, width = min(_BLOCK, rows), min(_BLOCK, columns)
    lowest, rightmost = rows - height, columns - width
    y, x = (g.reshape(-1, 1) for g in np.meshgrid(_starts(lowest), _starts(rightmost), indexing="ij"))
    reach_y, reach_x = min(reach, lowest), min(reach, rightmost)
    steps = np.meshgrid(np.arange(-reach_y, reach_y + 1), np.arange(-reach_x, reach_x + 1), indexing="ij")
    down, across = (g.ravel() for g in steps)
    inside = (y + down >= 0) & (y + down <= lowest) & (x + across >= 0) & (x + across <= rightmost)
    windows = (y * (rightmost + 1) + x).ravel()
    outside = (lowest + 1) * (rightmost + 1)
    places = np.where(inside, (y + down) * (rightmost + 1) + x + across, outside)
    places += np.arange(len(windows)).reshape(-1, 1) * (outside + 1)
    return _Search(block=(height, width), windows=windows, places=places, down=down, across=across)


def _starts(last: int) -> _Indices:
    """Side by side, with one flush with the far edge."""
    return np.unique(np.append(np.arange(0, last + 1, _BLOCK), last))


def _unexplained(source: _Reals, target: Signature, search: _Search) -> tuple[float, float]:
    """Texture of the target that no moved block of the source resembles, and the target's texture; both in blocks.

    Centred thumbnails are integers of at most 18 bits, so a block's sums are exact in float64, whatever their order.
    """
    area = search.block[0] * search.block[1]
    pieces: _Reals = sliding_window_view(source, search.block).reshape(-1, area)
    blocks: _Reals = sliding_window_view(target.astype(np.float64), search.block).reshape(-1, area)[search.windows]
    block_sum, block_energy = _moments(blocks)
    whole = block_energy + _LEVEL_WEIGHT * (block_sum * block_sum)
    reference = whole + (_FLOOR * area) ** 2
    texture = whole / reference
    if len(search.down) == 1:  # no motion: each block against its own place
        pieces = pieces[search.windows]
        product = np.einsum("ij,ij->i", blocks, pieces) * area
        best = _rest(product, block_sum, block_energy, *_moments(pieces)) / reference
    else:
        product = (blocks @ pieces.T) * area
        rest = _rest(product, block_sum[:, None], block_energy[:, None], *_moments(pieces))
        best = _best_motion(rest / reference[:, None], texture, search)
    return _exact_sum(np.clip(best, 0.0, texture)), _exact_sum(texture)


def _moments(windows: _Reals) -> tuple[_Reals, _Reals]:
    """Sum of each window, and its energy about the mean times its area squared."""
    total: _Reals = windows.sum(1)
    energy: _Reals = np.einsum("ij,ij->i", windows, windows) * windows.shape[1] - total * total
    return total, energy


def _rest(product: _Reals, block_sum: _Reals, block_energy: _Reals, piece_sum: _Reals, piece_energy: _Reals) -> _Reals:
    """|block - g * piece|^2 about their means at the best gain g allowed, plus a part of what their means differ by."""
    covariance = product - block_sum * piece_sum
    gain = np.clip(covariance / np.maximum(piece_energy, 1.0), *_BLOCK_GAIN)
    step = block_sum - piece_sum
    rest: _Reals = block_energy - gain * (2.0 * covariance - gain * piece_energy) + _LEVEL_WEIGHT * (step * step)
    return rest


def _best_motion(shares: _Reals, texture: _Reals, search: _Search) -> _Reals:
    """Each block's least share [blocks] out of [blocks, windows], with the cost of straying from the common motion."""
    table = np.column_stack((shares, texture))  # out of the picture, nothing is explained
    np.clip(table, 0.0, texture[:, None], out=table)
    moved = table.ravel().take(search.places)
    common = int(np.rint(moved * _FIXED_POINT).sum(0).argmin())
    free = _close(search, 0, 0) | _close(search, int(search.down[common]), int(search.across[common]))
    best: _Reals = np.minimum(moved[:, free].min(1), moved.min(1) + _STRAY_COST * texture)
    return best


def _close(search: _Search, down: int, across: int) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = (abs(search.down - down) <= _NEAR) & (abs(search.across - across) <= _NEAR)
    return near


def _exact_sum(shares: _Reals) -> float:
    return float(np.rint(shares * _FIXED_POINT).sum()) / _FIXED_POINT
