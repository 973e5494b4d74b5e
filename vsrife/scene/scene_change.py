"""Scene cuts, decided from the signatures of two frames and, where these leave a doubt, by a network's motion.

The question is whether the one frame can be matched with the other. Both are brought to one contrast and brightness,
parted into blocks, and each block with texture is correlated with its like: as it lies (`in_place`); if that does not
match, moved as the whole picture moves (`shifted`); and if that does not either, after both frames were warped to the
middle between them by the motion that the network finds (`warped`).
The share of blocks that do not match, of those that do not simply stand still, is what a cut is decided by: a caption
or a panel that stays over a cut shows nothing about the rest.

Two lines of text look alike to a plain correlation, since the lines and the gaps between them agree. So each block is
also correlated without the means of its rows and columns, which leaves the letters; the worse of the two counts.

`in_place` is on integers and correctly rounded IEEE operations alone, so every machine finds the same number;
vsrife/plugin/native/measures.c computes the very same. `shifted` is float32 in host memory, `warped` on the network's
device.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vsrife.scene.signature import PEAK, Signature

__all__ = ["DEFAULT_CUT_THRESHOLD", "Prepared", "in_place", "prepare", "score_of", "shifted", "warped"]

DEFAULT_CUT_THRESHOLD = 0.5
"""A pair is a cut when its score is at least this. Scores are below 1, so a threshold of 1 never finds a cut."""

_BLOCK = 16  # cells along a block's side
_CONTRAST = 0.18  # standard deviation that pictures are brought to, of a peak of 1
_MOST_GAIN = 16.0  # by which contrast may be raised for that
_MOST_LIGHT = 2.5  # and of one frame beside the other, as light changes
_RELATIVE_FLOOR = 3e-4  # variance at that contrast from which a block has texture
_FLOOR = 2e-6  # the same in the frame itself, of a peak of 1: rounding to 8 bits is below it
_LONE_FLOOR = 1e-3  # the same of a block whose like is flat: the first step of a fade from black is no cut
_NOISE_FLOOR = 16.0  # times the noise that is left is no texture either
_NOISE = 1e-4  # variance of noise at that contrast above which frames are smoothed
_MOST_NOISE = 6.4e-3  # variance, of a peak of 1, above which it is fine texture, such as letters in every block
_GRAIN = 3.8e-6  # variance of noise, of a peak of 1, from which a picture is grainy: half a code value of 8 bits
_GRAIN_FLOOR = 2.5  # times the variance of its smoothest blocks is no texture: grain is rarely white
_MOST_GRAIN = 5.5e-4  # of what smooth blocks may vary for that
_LEFT = (1.0, 36 / 256, 4900 / 65536)  # of white noise's variance after each smoothing
_INNER = 0.2  # share of a block's energy beside its rows' and columns' means above which that is correlated too
_STILL = 0.9  # a correlation above this as the frames lie: the block does not move
_MATCHED, _LOST = 0.65, 0.3  # correlations from which a block is fully matched, and below which not at all
_LEAST_MOVING = 0.5  # of the blocks with texture: a cut changes so much of a picture
_FLAT_SHARE = 0.002  # of all blocks: so that one lone block does not decide
_REACH = 2  # cells by which a warped block may miss its like
_SHIFTS = 2  # motions of the picture as a whole that are tried: of the scenery, and of what is in front of it
_UNIT = 1 << 20  # in which shares of blocks are summed, exactly
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Side:
    """One frame of a pair. cells: smoothed where frames are noisy. gain: squared, of its contrast.

    floor, lone: variances at the common contrast from which its blocks have texture; lone: beside a flat one.
    """

    cells: Tensor
    gain: float
    floor: float
    lone: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """A pair that is to be matched by motion: two pictures of one contrast, and what in them counts.

    left, right: float32 [rows, columns] in 0..1. still: bool [H, W], the blocks that match as they lie. moving: how
    many other blocks have texture. floors, lone: see `_Side`, of left and right.
    """

    left: Tensor
    right: Tensor
    still: Tensor
    moving: float
    floors: tuple[float, float]
    lone: tuple[float, float]


def score_of(share: float) -> float:
    """The score, 0 to below 1, of a share of blocks without their like. Squared, so that 0.5 is where cuts begin."""
    return share * share


def in_place(left: Signature, right: Signature) -> float:
    """The share of blocks that do not match as the frames lie, of those that do not stand still: 0 to below 1.

    Both signatures must come from frames of one size (else ValueError). Symmetric except for rounding; 0 where neither
    has any texture. No share that motion leaves unexplained counts for more than this one.
    """
    a, b = _sides(left, right)
    alike, texture = _compare_in_place(a, b)
    return _share(alike, texture, alike > _STILL)


def prepare(left: Signature, right: Signature) -> Prepared:
    """What `shifted`, a network and `warped` are given of a pair."""
    a, b = _sides(left, right)
    alike, texture = _compare_in_place(a, b)
    still = alike > _STILL
    return Prepared(
        left=_picture(a),
        right=_picture(b),
        still=still,
        moving=float((texture & ~still).sum()),
        floors=(a.floor, b.floor),
        lone=(a.lone, b.lone),
    )


def shifted(pair: Prepared) -> float:
    """As `in_place`, of pictures that move as a whole, by half their size at most: the least share of few such motions.

    The motions are the peaks of the pictures' phase correlation (Kuglin and Hines, "The phase correlation image
    alignment method", 1975).
    """
    a, b = _Blocks(pair.left), _Blocks(pair.right)
    own_a, own_b = _energy(a, a), _energy(b, b)
    shares = []
    for down, across in _shifts(pair.left, pair.right):
        forth = _best_alike(a, own_a, _shift(pair.right, down, across), 0)
        back = _best_alike(b, own_b, _shift(pair.left, -down, -across), 0)
        shares.append(_share_of_moved(pair, a, own_a, own_b, (forth + back) / 2))
    return min(shares)


def warped(pair: Prepared, left: Tensor, right: Tensor) -> float:
    """As `in_place`, of both pictures [rows, columns] warped to the middle between them, on any device.

    A block may miss its like by two cells. Waits for the device.
    """
    a, b = _Blocks(left), _Blocks(right)
    own_a, own_b = _energy(a, a), _energy(b, b)
    alike = (_best_alike(a, own_a, right, _REACH) + _best_alike(b, own_b, left, _REACH)) / 2
    return _share_of_moved(pair, a, own_a, own_b, alike)


def _share_of_moved(pair: Prepared, blocks: "_Blocks", left: "_Energy", right: "_Energy", alike: Tensor) -> float:
    """The share of blocks without a match, of pictures at the common contrast.

    A motion may also take away what it cannot match, by bringing plain ground there. So at least half as many blocks
    must match as moved before: one thing that moves has two places then, and one in the middle between the frames.
    """
    square = blocks.area**2
    both, one = _textures(left.whole / square, right.whole / square, pair.floors, pair.lone)
    alike, texture = torch.where(both, alike, 0.0).cpu().double(), (both | one).cpu()
    found = float((1.0 - _lost(alike))[texture & ~pair.still].sum())
    gone = (pair.moving - 2.0 * found) / (pair.moving + _FLAT_SHARE * texture.numel())
    return max(_share(alike, texture, pair.still), gone)


def _share(alike: Tensor, texture: Tensor, still: Tensor) -> float:
    """Of the blocks with texture that are not still, how many have no like; part of one where it matches in part."""
    moving = texture & ~still
    total = float((_lost(alike) * _UNIT).round()[moving].sum()) / _UNIT
    least = max(float(moving.sum()), _LEAST_MOVING * float(texture.sum()))
    return total / (least + _FLAT_SHARE * texture.numel())


def _lost(alike: Tensor) -> Tensor:
    """How far each block is from a match, 0 to 1."""
    return ((_MATCHED - alike) / (_MATCHED - _LOST)).clamp(0.0, 1.0)


class _Blocks:
    """Sums over the blocks of pictures [..., rows, columns]: of all cells, of each row and column of a block, and how
    many cells there are. Blocks at the right and bottom edge have fewer.
    """

    def __init__(self, cells: Tensor) -> None:
        self.cells = cells
        tiles = _tiles(cells)
        self.of_rows, self.of_columns = tiles.sum(-1), tiles.sum(-3)
        self.total = self.of_columns.sum(-1)
        rows, columns = cells.shape[-2:]
        self.height = _sides_of(rows, cells)[:, None]
        self.width = _sides_of(columns, cells)
        self.area = self.height * self.width


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Energy:
    """Of two pictures, how their blocks vary together, times the blocks' area squared.

    whole: about the blocks' means. inner: about the means of their rows and columns too.
    """

    whole: Tensor
    inner: Tensor


def _energy(a: _Blocks, b: _Blocks) -> _Energy:
    product = a.area * _tiles(a.cells * b.cells).sum((-3, -1))
    total = a.total * b.total
    rows = a.height * (a.of_rows * b.of_rows).sum(-2)
    columns = a.width * (a.of_columns * b.of_columns).sum(-1)
    whole, inner = product - total, product - rows - columns + total
    exact = not whole.is_floating_point()  # integers below 2^53
    return _Energy(whole=whole.double() if exact else whole, inner=inner.double() if exact else inner)


def _alike(a: _Energy, b: _Energy, ab: _Energy, gain_a: float = 1.0, gain_b: float = 1.0) -> Tensor:
    """The correlation of blocks, -1 to 1, which depends on their strength too; the gains are squared, of contrast."""
    gain = 2.0 * (sqrt(gain_a) * sqrt(gain_b))
    power = gain_a * a.whole + gain_b * b.whole
    inner_power = gain_a * a.inner + gain_b * b.inner
    whole = gain * ab.whole / power.clamp_min(_TINY)
    inner = gain * ab.inner / inner_power.clamp_min(_TINY)
    return torch.where(inner_power > _INNER * power, torch.minimum(whole, inner), whole)


def _best_alike(blocks: _Blocks, own: _Energy, source: Tensor, reach: int) -> Tensor:
    """Each block's best correlation with the source within ``reach`` cells of its place."""
    rows, columns = source.shape
    wide = functional.pad(source[None, None], (reach,) * 4, mode="replicate")[0, 0]
    steps = range(2 * reach + 1)
    near = _Blocks(torch.stack([wide[y : y + rows, x : x + columns] for y in steps for x in steps]))
    return _alike(own, _energy(near, near), _energy(blocks, near)).amax(0)


def _shifts(left: Tensor, right: Tensor) -> list[tuple[int, int]]:
    """By how many cells, down and across, the left picture has moved in the right one: the likeliest motions."""
    rows, columns = left.shape
    window = torch.hann_window(rows)[:, None] * torch.hann_window(columns)
    product = torch.fft.rfft2((left - 0.5) * window).conj() * torch.fft.rfft2((right - 0.5) * window)
    peaks = torch.fft.irfft2(product / (product.abs() + 1e-6), s=(rows, columns))
    near = torch.arange(-_REACH, _REACH + 1)
    found = []
    for _ in range(_SHIFTS):
        down, across = divmod(int(peaks.argmax()), columns)
        peaks[((near + down) % rows)[:, None], (near + across) % columns] = -1.0
        found.append((down - rows * (down > rows // 2), across - columns * (across > columns // 2)))
    return found


def _shift(picture: Tensor, down: int, across: int) -> Tensor:
    """What lies so far down and across of each cell; beyond the picture its border."""
    rows, columns = picture.shape
    y = (torch.arange(rows) + down).clamp(0, rows - 1)
    x = (torch.arange(columns) + across).clamp(0, columns - 1)
    return picture[y][:, x]


def _compare_in_place(a: _Side, b: _Side) -> tuple[Tensor, Tensor]:
    """The correlation of each block, 0 where one is flat, and whether it has texture on either side."""
    blocks_a, blocks_b = _Blocks(a.cells), _Blocks(b.cells)
    own_a, own_b, shared = _energy(blocks_a, blocks_a), _energy(blocks_b, blocks_b), _energy(blocks_a, blocks_b)
    square = (blocks_a.area * blocks_a.area).double()
    both, one = _textures(
        a.gain / (PEAK * PEAK) * own_a.whole / square,
        b.gain / (PEAK * PEAK) * own_b.whole / square,
        (a.floor, b.floor),
        (a.lone, b.lone),
    )
    return torch.where(both, _alike(own_a, own_b, shared, a.gain, b.gain), 0.0), both | one


def _textures(a: Tensor, b: Tensor, floors: tuple[float, float], lone: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Of the variances of blocks: whether both sides have texture; whether one has so much that it counts alone."""
    both = (a > floors[0]) & (b > floors[1])
    return both, ((a > lone[0]) | (b > lone[1])) & ~both


def _sides(left: Signature, right: Signature) -> tuple[_Side, _Side]:
    """Both frames at one contrast, smoothed as often as their noise requires."""
    if left.shape != right.shape:
        raise ValueError(f"signatures of one size are needed, not {left.shape} and {right.shape}")
    cells = [torch.from_numpy(np.ascontiguousarray(side)) for side in (left, right)]
    noises = [_noise(side) for side in cells]
    gains, remaining = [1.0, 1.0], [0.0, 0.0]
    for passes, share in enumerate(_LEFT):
        gains = _gains(*(_variance(side) for side in cells))
        remaining = [noise * share * gain / (PEAK * PEAK) for noise, gain in zip(noises, gains, strict=True)]
        if min(remaining) < _NOISE or passes == len(_LEFT) - 1:
            break
        cells = [_smoothed(side) for side in cells]
    floors = [
        max(_RELATIVE_FLOOR, _FLOOR * gain) + _NOISE_FLOOR * left + _GRAIN_FLOOR * _grain(side, noise) * gain
        for side, gain, left, noise in zip(cells, gains, remaining, noises, strict=True)
    ]
    a, b = (
        _Side(cells=side, gain=gain, floor=floor, lone=max(floor, _LONE_FLOOR * gain))
        for side, gain, floor in zip(cells, gains, floors, strict=True)
    )
    return a, b


def _grain(cells: Tensor, noise: float) -> float:
    """The variance of the smoothest blocks of a grainy picture, the tenth part, of a peak of 1; 0 of any other."""
    if noise < _GRAIN * (PEAK * PEAK):
        return 0.0
    blocks = _Blocks(cells)
    variances = (_energy(blocks, blocks).whole / (blocks.area * blocks.area)).flatten().sort().values
    return min(float(variances[(len(variances) - 1) // 10]) / (PEAK * PEAK), _MOST_GRAIN)


def _gains(a: float, b: float) -> list[float]:
    """Squared gains that bring pictures of these variances to one contrast, as far as light may change between them."""
    most = max(a, b, _TINY)
    common = min(max((_CONTRAST * _CONTRAST) * (PEAK * PEAK) / most, 1.0), _MOST_GAIN * _MOST_GAIN)
    return [common * min(max(most / max(each, _TINY), 1.0), _MOST_LIGHT * _MOST_LIGHT) for each in (a, b)]


def _variance(cells: Tensor) -> float:
    total, count = float(cells.sum()), float(cells.numel())
    return max((float((cells * cells).sum()) - total * total / count) / count, 0.0)


def _noise(cells: Tensor) -> float:
    """The variance of white noise in a picture, by what a Laplacian leaves of its smoothest blocks: the tenth part.

    After Immerkaer, "Fast noise variance estimation" (1996), there over all of the picture.
    """
    if min(cells.shape) < 3:
        return 0.0
    rows = cells[:-2] - 2 * cells[1:-1] + cells[2:]
    left = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    blocks = _Blocks(left * left)
    means = (blocks.total.double() / blocks.area).flatten().sort().values
    found = float(means[(len(means) - 1) // 10]) / 36.0
    return found if found <= _MOST_NOISE * (PEAK * PEAK) else 0.0


def _smoothed(cells: Tensor) -> Tensor:
    """Through a 1-2-1 filter each way, in integers."""
    p = functional.pad(cells[None, None].double(), (1, 1, 1, 1), mode="replicate")[0, 0].long()
    p = p[:-2] + 2 * p[1:-1] + p[2:]
    p = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    return p // 16


def _picture(side: _Side) -> Tensor:
    """The frame at the common contrast, about a mean of 0.5: what the network sees."""
    cells = side.cells.double()
    return ((cells - cells.mean()) * (sqrt(side.gain) / PEAK) + 0.5).clamp(0.0, 1.0).float()


def _tiles(cells: Tensor) -> Tensor:
    """[..., rows, columns] as blocks [..., H, 16, W, 16], with zeros beyond the right and bottom edge."""
    rows, columns = cells.shape[-2:]
    padded = functional.pad(cells, (0, -columns % _BLOCK, 0, -rows % _BLOCK))
    *lead, height, width = padded.shape
    return padded.view(*lead, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)


def _sides_of(length: int, like: Tensor) -> Tensor:
    """The lengths of the blocks along a side."""
    starts = torch.arange(0, length, _BLOCK, device=like.device)
    return (length - starts).clamp_max(_BLOCK).to(like.dtype)
