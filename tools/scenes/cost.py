"""What looking for cuts and still pairs costs, for a frame or pair of 1920 x 1080 on one core."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn.functional import interpolate

from vsrife.scene.duplicates import DEFAULT_STILL_THRESHOLD, is_still
from vsrife.scene.scene_change import in_place, prepare, shifted
from vsrife.scene.signature import signature

__all__ = ["timings"]


def _milliseconds(work: Callable[..., object], *arguments: object) -> float:
    """Least time of 40 runs."""
    least = np.inf
    for _ in range(40):
        start = time.perf_counter()
        work(*arguments)
        least = min(least, time.perf_counter() - start)
    return float(least) * 1000


def timings() -> Iterator[str]:
    """A table of the definitions in vsrife.scene."""
    yield "| work | ms |\n|---|---:|"
    coarse = torch.randint(0, 256, (1, 1, 27, 48), generator=torch.Generator().manual_seed(1)).float()
    base = interpolate(coarse, (1080, 1920), mode="bicubic").clamp(0, 255)[0, 0]
    kinds = (("8 bit", 8, 1.0, torch.uint8), ("10 bit", 10, 4.0, torch.uint16), ("half", 16, 1 / 255, torch.float16))
    for name, bits, scale, dtype in kinds:
        left, other = (base * scale).to(dtype), (base.roll(100, 1) * scale).to(dtype)
        yield f"| `signature`, {name} | {_milliseconds(signature, [left], bits):.2f} |"
        cases = (("identical", left.clone(), DEFAULT_STILL_THRESHOLD), ("every block measured", other, 0.0))
        for case, right, threshold in (*cases, ("moving", other, DEFAULT_STILL_THRESHOLD)):
            took = _milliseconds(is_still, [left], [right], bits, threshold)
            yield f"| `is_still`, {name}, {case} | {took:.2f} |"
    one, two = signature([base.to(torch.uint8)], 8), signature([base.roll(100, 1).to(torch.uint8)], 8)
    yield f"| `in_place` | {_milliseconds(in_place, one, two):.2f} |"
    yield f"| `prepare` and `shifted` | {_milliseconds(lambda: shifted(prepare(one, two))):.2f} |"
