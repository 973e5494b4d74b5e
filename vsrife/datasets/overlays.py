"""What lies over a synthetic scene and stands still, whatever moves: black bars, logos, subtitles."""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from vsrife.datasets.bank import Bank
from vsrife.datasets.layer_motion import pixel_places
from vsrife.datasets.layers import draw_pictures
from vsrife.datasets.lettering import bright_colours
from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.text import LETTER, Text

__all__ = ["draw_overlays"]

_PITCH: Final = 1.2  # from one line of a subtitle to the next, of the size of its letters
_NARROW: Final = 0.94  # share of the frame's width that a subtitle fills at most, unless it is cut by a crop
_WIDE: Final = 1.5


def draw_overlays(
    rng: SceneRng, bank: Bank, count: int, size: tuple[int, int], titled: float, marked: float, barred: float
) -> Tensor:
    """[count, 4, height, width], R, G, B times alpha, then alpha; nothing on most. Shares as in `SyntheticSettings`."""
    bar = rng.uniform(count, 1, 1, 1, low=0.04, high=0.16) * rng.chance(count, 1, 1, 1, of=barred)
    overlay = _bars(bar, *size)
    for share, draw in ((marked, _logos), (titled, _subtitles)):
        chosen = rng.chosen(count, of=share)
        if len(chosen):
            overlay[chosen] = _over(draw(rng, bank, len(chosen), size), overlay[chosen])
    return overlay


def _over(front: Tensor, back: Tensor) -> Tensor:
    return front + back * (1 - front[:, 3:])


def _bars(share: Tensor, height: int, width: int) -> Tensor:
    """Above and below, each of a share [N, 1, 1, 1] of the height."""
    row = torch.arange(height, device=share.device).view(1, 1, height, 1)
    nearest = torch.minimum(row, height - 1 - row)
    bars = share.new_zeros((len(share), 4, height, width))
    bars[:, 3:] = (nearest < (share * height).round()).float()
    return bars


def _logos(rng: SceneRng, bank: Bank, count: int, size: tuple[int, int]) -> Tensor:
    """A small picture or word in a corner, half of them translucent, some of those white."""
    picture, _ = draw_pictures(rng, bank, count, 0.5)
    opacity = torch.where(rng.chance(count, 1, 1, 1, of=0.5), rng.uniform(count, 1, 1, 1, low=0.3, high=0.8), 1.0)
    white = rng.chance(count, 1, 1, 1, of=0.4) & (opacity < 1)
    picture = torch.where(white, picture[:, 3:].expand(-1, 4, -1, -1), picture) * opacity
    extent = _extent(picture[:, 3])
    longest = min(size) / 2 * torch.exp(rng.uniform(count, low=math.log(0.1), high=math.log(0.35)))
    scale = extent.amax(1) / longest
    corner = torch.where(rng.chance(count, 2, of=0.5), 1.0, -1.0)
    margin = rng.uniform(count, 1, low=0.02, high=0.1) * min(size)
    room = extent / scale[:, None] + margin
    centre = corner * torch.stack((size[1] / 2 - room[:, 0], size[0] / 2 - room[:, 1]), dim=1)
    return _placed(picture, centre, scale, *size)


def _extent(alpha: Tensor) -> Tensor:
    """How far [n, 2] what is to be seen of [n, T, T] reaches from the middle, across and down, texels."""
    along = (torch.arange(alpha.shape[-1], device=alpha.device) - (alpha.shape[-1] - 1) / 2).abs() + 0.5
    across, down = ((alpha.amax(axis) > 0.1) * along for axis in (1, 2))
    return torch.stack((across.amax(1), down.amax(1)), dim=1).clamp(min=4.0)


def _subtitles(rng: SceneRng, bank: Bank, count: int, size: tuple[int, int]) -> Tensor:
    """One or two centred lines below, above or, as titles do, in the middle: bright, with a dark outline or on a dark
    translucent box or both.
    """
    shape = (count, 1, 1, 1)
    height, width = size
    text = bank.text
    chosen = rng.integers(count, 2, high=len(text.lines))
    lines = torch.stack((torch.ones(count, device=rng.device), rng.chance(count, of=0.45).float()), dim=1)
    widest = (text.widths[chosen] * lines).amax(1) / LETTER
    letter = math.sqrt(height * width) * torch.exp(rng.uniform(count, low=math.log(0.055), high=math.log(0.12)))
    fit = torch.where(rng.chance(count, of=0.15), _WIDE, _NARROW) * width
    letter = torch.minimum(letter, fit / widest).clamp(max=0.16 * height)
    half_width, half_height = widest * letter / 2, letter * (1 + _PITCH * (lines[:, 1])) / 2
    room = height / 2 - half_height - rng.uniform(count, low=0.02, high=0.1) * height
    place = rng.uniform(count)
    middle = torch.where(place < 0.75, 1.0, torch.where(place < 0.88, -1.0, 2 * (place - 0.88) / 0.12 - 1)) * room
    letters, edged = _written(text, chosen, lines, middle, letter, size)
    boxed = rng.chance(*shape, of=0.25)
    outlined = ~boxed | rng.chance(*shape, of=0.3)
    colour = bright_colours(rng, count)
    padding = rng.uniform(count, low=0.2, high=0.5) * letter
    centre = torch.stack((torch.zeros_like(middle), middle), dim=1)
    box = _box(centre, torch.stack((half_width, half_height), dim=1) + padding[:, None], size) * boxed
    box = box * rng.uniform(*shape, low=0.35, high=0.85)
    outline = edged * outlined * rng.uniform(*shape, low=0.7, high=1.0)
    dark = _over(_black(outline), _black(box))
    return _over(torch.cat((colour * letters, letters), dim=1), dark)


def _black(alpha: Tensor) -> Tensor:
    return torch.cat((torch.zeros_like(alpha).expand(-1, 3, -1, -1), alpha), dim=1)


def _written(
    text: Text, chosen: Tensor, lines: Tensor, middle: Tensor, letter: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Alpha of letters and of letters with an outline, [n, 1, *size] each; `lines` [n, 2]: 1 for those there are."""
    step = _PITCH * letter * lines[:, 1] / 2
    down = torch.stack((middle - step, middle + step), dim=1).flatten()
    tiles = text.lines[chosen.flatten()].float() / 255 * lines.flatten().view(-1, 1, 1, 1)
    scale = (LETTER / letter).repeat_interleave(2, output_size=len(down))
    seen = _placed(tiles, torch.stack((torch.zeros_like(down), down), dim=1), scale, *size)
    both = seen.view(len(chosen), 2, 2, *size).amax(1)
    return both[:, :1], both[:, 1:]


def _box(centre: Tensor, half: Tensor, size: tuple[int, int]) -> Tensor:
    """Alpha [n, 1, *size] of rectangles about a centre [n, 2], of half the size [n, 2]."""
    away = (pixel_places(*size, centre.device) - centre[:, :, None, None]).abs() - half[:, :, None, None]
    return (0.5 - away.amax(1, keepdim=True)).clamp(0.0, 1.0)


def _placed(tiles: Tensor, centre: Tensor, scale: Tensor, height: int, width: int) -> Tensor:
    """Tiles [n, c, h, w] in frames, their middle at `centre` [n, 2] from the frame's, `scale` [n] texels to a pixel,
    each pixel the mean of four points: [n, c, height, width].
    """
    points = pixel_places(2 * height, 2 * width, tiles.device) / 2
    texels = (points - centre[:, :, None, None]) * (2 * scale).view(-1, 1, 1, 1)
    grid = torch.stack((texels[:, 0] / tiles.shape[-1], texels[:, 1] / tiles.shape[-2]), dim=3)
    return avg_pool2d(grid_sample(tiles, grid, mode="bilinear", padding_mode="zeros", align_corners=False), 2)
