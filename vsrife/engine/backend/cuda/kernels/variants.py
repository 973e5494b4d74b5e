"""Which kernels there are, and the text that a compiler gets for each of their variants.

One source makes every variant of a kernel: what it should unroll is defined from outside, and each variant is compiled
when it is first needed. Plain text and numbers; no GPU, no compiler.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

__all__ = ["KERNELS", "Blocks", "Variant"]

KERNELS: Final = {
    "convert": ("convert",),
    "epilogue": ("epilogue",),
    "gather": ("gather",),
    "measures": ("signature_sums", "still"),
    "pair": ("set_pair",),
    "synthesis": ("synthesize",),
}
"""Every source with its kernels."""

NUMBERS: Final = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "float"}
"""What a network computes in, as the sources name it."""

SAMPLES: Final = {
    torch.uint8: "u8",
    torch.uint16: "u16",
    torch.float16: "f16",
    torch.float32: "float",
}
"""What a plane holds, as the sources name it."""

_FOLDER: Final = Path(__file__).resolve().parent
_INCLUDE: Final = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """The layout of the outputs of a network's blocks.

    scales: canvas pixels per pixel of each output, coarse to fine, powers of two; none before the first block.
    shuffled: whether an output's channels hold four pixels (groups C and later) or one.
    adds_masks: whether the mask so far is the sum of the outputs' (groups A to D) or the last one's.
    hidden: channels that the last of these outputs hands on, 0 or 8.
    """

    scales: tuple[int, ...]
    shuffled: bool
    adds_masks: bool
    hidden: int

    def __post_init__(self) -> None:
        """Raises ValueError for scales that the kernels cannot divide by."""
        if any(scale < 1 or scale & (scale - 1) for scale in self.scales):
            raise ValueError(f"scales ({self.scales}) must be powers of two")

    @property
    def defines(self) -> dict[str, object]:
        """The macros that `levels.cuh` needs."""
        return {
            "LEVELS": len(self.scales),
            "SCALES": ",".join(map(str, self.scales)),
            "SHUFFLED": int(self.shuffled),
            "ADDS_MASKS": int(self.adds_masks),
            "HIDDEN": self.hidden,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to compile one source. defines: macros and their values, which the text that is compiled begins with.

    They are no options of the compiler: cupy compiles an empty file for each set of options that it has not met.
    The methods that make variants are called at every launch, and remember their results.
    """

    source: str
    defines: tuple[tuple[str, str], ...] = ()

    @classmethod
    def _of(cls, source: str, **defines: object) -> "Variant":
        return cls(source=source, defines=tuple((name, str(value)) for name, value in sorted(defines.items())))

    @classmethod
    @functools.cache
    def convert(cls, sample: torch.dtype, number: torch.dtype, channels: int) -> "Variant":
        """channels: of a packed source, a multiple of 4."""
        return cls._of("convert", SAMPLE=SAMPLES[sample], NUMBER=NUMBERS[number], CHANNELS=channels)

    @classmethod
    @functools.cache
    def epilogue(
        cls, number: torch.dtype, channels: int, *, residual: bool, slopes: bool, joins: bool = False
    ) -> "Variant":
        """channels: of the tensor; they decide how many numbers are moved at once. joins: from parts."""
        most = 16 // number.itemsize
        vector = next(size for size in (8, 4, 2, 1) if size <= most and channels % size == 0)
        return cls._of(
            "epilogue", NUMBER=NUMBERS[number], VECTOR=vector, RESIDUAL=int(residual), SLOPES=int(slopes),
            JOINS=int(joins),
        )  # fmt: skip

    @classmethod
    @functools.cache
    def gather(cls, number: torch.dtype, channels: int, scale: int, blocks: Blocks) -> "Variant":
        """scale: canvas pixels per cell of the block that reads; with levels, at most half of their finest, or 1."""
        if scale < 1 or scale & (scale - 1) or (scale > 1 and any(each < 2 * scale for each in blocks.scales)):
            raise ValueError(
                f"scale ({scale}) must be a power of two, 1 or at most half of the levels' {blocks.scales}"
            )
        return cls._of("gather", NUMBER=NUMBERS[number], CHANNELS=channels, SCALE=scale, **blocks.defines)

    @classmethod
    @functools.cache
    def measures(cls, sample: torch.dtype) -> "Variant":
        """Both measures, for one type of samples."""
        return cls._of("measures", SAMPLE=SAMPLES[sample])

    @classmethod
    @functools.cache
    def pair(cls) -> "Variant":
        """There is but one."""
        return cls._of("pair")

    @classmethod
    @functools.cache
    def synthesis(
        cls, number: torch.dtype, sample: torch.dtype, planes: int, subsampling: tuple[int, int], blocks: Blocks
    ) -> "Variant":
        """subsampling: log2, across and down."""
        across, down = subsampling
        return cls._of(
            "synthesis", NUMBER=NUMBERS[number], SAMPLE=SAMPLES[sample], PLANES=planes, SUBSAMPLING_W=across,
            SUBSAMPLING_H=down, **blocks.defines,
        )  # fmt: skip

    @property
    def code(self) -> str:
        """The whole source, headers in their places: what is cached under its text must change with them."""
        return "".join(f"#define {name} {value}\n" for name, value in self.defines) + _whole(f"{self.source}.cu")

    @property
    def functions(self) -> tuple[str, ...]:
        """The kernels in it."""
        return KERNELS[self.source]


@functools.cache
def _whole(name: str) -> str:
    seen: set[str] = set()

    def spliced(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        text = (_FOLDER / file).read_text(encoding="utf-8").replace("#pragma once\n", "")
        return _INCLUDE.sub(lambda found: spliced(found[1]), text)

    return spliced(name)
