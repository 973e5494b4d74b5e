"""core.rife.RIFE on a CUDA device: against the float32 CPU path, and with itself."""

import numpy as np
import pytest
import vapoursynth as vs

from tests.plugin.clips import samples, textured

from .near import psnr

core = vs.core


def rife(clip, model, device, **options):
    return core.rife.RIFE(clip, model=model, device=device, sc=0, skip=0, **options)


@pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.RGB24, vs.GRAY8, vs.YUV444P8])
@pytest.mark.parametrize("size", [(96, 64), (641, 361), (34, 18), (2, 2)])
def test_float32_is_the_cpu_s_answer(cuda, moving_model, fmt, size):
    if fmt == vs.YUV420P8 and size[0] % 2:
        size = (size[0] + 1, size[1] + 1)
    clip = textured(3, *size, fmt)
    here = rife(clip, moving_model, "cpu", multi=3)
    there = rife(clip, moving_model, "cuda", precision="float32", multi=3)
    for n in (1, 2, 4):
        a, b = samples(here.get_frame(n)), samples(there.get_frame(n))
        difference = np.concatenate([np.abs(x.astype(int) - y.astype(int)).ravel() for x, y in zip(a, b, strict=True)])
        # Sums of other orders move a flow by 1e-4 pixels, and so a sample that lies at a half by one code value.
        assert difference.max() <= 2
        assert (difference > 1).mean() < 1e-3


@pytest.mark.parametrize(("precision", "least"), [("float16", 45.0), ("bfloat16", 30.0)])
def test_half_precision_stays_near(cuda, moving_model, precision, least):
    clip = textured(2, 640, 360)
    exact = samples(rife(clip, moving_model, "cuda", precision="float32").get_frame(1))
    half = samples(rife(clip, moving_model, "cuda", precision=precision).get_frame(1))
    assert psnr(half, exact, 255) > least


def test_source_frames_do_not_pass_through_the_device(cuda, moving_model):
    clip = textured(3, format=vs.YUV444P16)
    out = rife(clip, moving_model, "cuda")
    for n in range(3):
        pairs = zip(samples(clip.get_frame(n)), samples(out.get_frame(2 * n)), strict=True)
        assert all(np.array_equal(x, y) for x, y in pairs)
