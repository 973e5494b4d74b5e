"""What the kernels' functions refuse, before anything is launched."""

from collections.abc import Callable

import pytest
import torch

from vsrife.engine.backend.cuda.kernels import Kernels, new_pair
from vsrife.engine.backend.cuda.kernels.launch import Launch, plane_of
from vsrife.engine.backend.level import Level
from vsrife.formats.colour import ChromaLocation, Colour, Matrix

from .inputs import channels_last, gray, yuv

CPU = torch.device("cpu")
COLOUR = Colour(matrix=Matrix.BT709, full_range=False, chroma=ChromaLocation.LEFT)


def never(launch: Launch) -> None:
    raise AssertionError("launched")


KERNELS = Kernels(never)


def source(channels: int = 8, height: int = 16, width: int = 16) -> torch.Tensor:
    return channels_last(channels, height, width, torch.float32, CPU)


def level(scale: int, size: int = 16, stride: int = 8) -> Level:
    return Level(raw=source(4 * stride, size // scale // 2, size // scale // 2), scale=scale, side=2, channels=5)


def gather(levels: list[Level], scale: int, out: torch.Tensor, **changed: object) -> None:
    options = {"canvas": (16, 16), "channels": 8, "adds_masks": False, "hidden": 0, **changed}
    KERNELS.gather(new_pair(CPU), levels, scale, out, **options)


def synthesize(levels: list[Level], width: int, height: int, **changed: list[torch.Tensor]) -> None:
    planes = [torch.zeros((height, width), dtype=torch.uint8)]
    chosen = {"left": planes, "right": planes, "out": planes, **changed}
    KERNELS.synthesize(
        levels, chosen["left"], chosen["right"], gray(), width=width, height=height, adds_masks=False, out=chosen["out"]
    )


def convert(planes: list[torch.Tensor], out: torch.Tensor) -> None:
    KERNELS.convert(planes, yuv(1, 1), COLOUR, width=4, height=4, out=out)


def yuv_planes(dtype: torch.dtype = torch.uint8) -> list[torch.Tensor]:
    return [torch.zeros(size, dtype=dtype) for size in ((4, 4), (2, 2), (2, 2))]


BAD: dict[str, tuple[Callable[[], None], str]] = {
    "planar": (lambda: convert(yuv_planes(), torch.zeros((1, 4, 8, 8))), "channels-last"),
    "small canvas": (lambda: convert(yuv_planes(), source(4, 2, 8)), "within the canvas"),
    "channels": (lambda: convert(yuv_planes(), source(18, 8, 8)), r"channels \(18\)"),
    "type": (lambda: convert(yuv_planes(torch.float32), source(4, 8, 8)), "own type"),
    "planes": (lambda: convert(yuv_planes()[:2], source(4, 8, 8)), "planes must be"),
    "sources": (lambda: KERNELS.set_pair(new_pair(CPU), source(), source(4), 0.5), "one shape"),
    "rows": (lambda: gather([], 4, source(24, 4, 4), first_row=1), "rows of the block"),
    "outputs": (lambda: gather([], 4, source(16, 4, 4)), "24 channels"),
    "canvas": (lambda: gather([], 4, source(24, 4, 4), canvas=(18, 16)), "multiples of 4"),
    "level's size": (lambda: gather([level(8, 32)], 2, source(24, 8, 8)), "covers"),
    "level's scale": (lambda: gather([level(4)], 4, source(24, 4, 4)), r"scale \(4\)"),
    "level's type": (lambda: gather([level(8)], 2, source(24, 8, 8).half()), "float16"),
    "hidden": (lambda: gather([level(8)], 2, source(32, 8, 8), hidden=8), "no hidden"),
    "stride": (lambda: gather([level(8, stride=6)], 2, source(24, 8, 8)), r"channels \(24\)"),
    "no levels": (lambda: synthesize([], 4, 4), "must not be empty"),
    "large picture": (lambda: synthesize([level(1)], 17, 16), "within the canvas"),
    "out": (lambda: synthesize([level(1)], 4, 4, out=[torch.zeros((4, 5), dtype=torch.uint8)]), "planes must be"),
    "bias": (lambda: KERNELS.epilogue(source(), torch.zeros(7)), r"\[8\]"),
    "residual": (lambda: KERNELS.epilogue(source(), torch.zeros(8), source(8, 4, 4)), "residual"),
    "parts": (lambda: KERNELS.epilogue(source(), torch.zeros(8), parts=[source(8, 8), source(8, 9)]), "must be 8"),
    "too few parts": (lambda: KERNELS.epilogue(source(), torch.zeros(8), parts=[source(8, 8)]), "parts must be 2"),
    "sums": (lambda: KERNELS.signature_sums(yuv_planes()[:1], 2, torch.zeros((2, 2))), "int64"),
    "moved": (lambda: KERNELS.still(yuv_planes(), yuv_planes(), [(0, 0, 0, 0)] * 3, torch.zeros(1)), "int32"),
    "columns": (lambda: plane_of(torch.zeros((4, 4)).T), "adjacent"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_the_kernels_would_misread_is_refused(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        call()
