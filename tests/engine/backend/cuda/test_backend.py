"""Cuts and still pairs by the kernels, run by the host's compiler: the signatures and verdicts of plain torch."""

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.engine.backend.cuda.kernels.conftest import host, kernels
from tests.engine.backend.cuda.kernels.inputs import gray, planes_of, rgb, yuv
from tests.plugin.clips import scene, textured
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.resolve import resolve_backend
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.formats.pixel_format import Family
from vsrife.plugin import frame_measures
from vsrife.scene.duplicates import is_still
from vsrife.scene.signature import signature

__all__ = ["host", "kernels"]  # fixtures

core = vs.core
FORMATS = [gray(), yuv(1, 1), yuv(1, 0, 10), yuv(0, 0, 12), yuv(2, 0, 16), rgb(8), rgb(14), gray(16, floats=True),
           rgb(32, floats=True), yuv(1, 1, 32, floats=True)]  # fmt: skip
SIZES = [(4, 4), (36, 18), (132, 68), (388, 44), (20, 700)]


@pytest.fixture
def measures(kernels):
    return CudaBackend(kernels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_signatures(measures, fmt, size):
    planes = planes_of(fmt, *size, "measured")
    luma = planes if fmt.family is Family.RGB else planes[:1]
    found = signature(luma, fmt.bits, measures)
    assert np.array_equal(found, signature(luma, fmt.bits))
    assert found.max() > 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_verdicts(measures, fmt, size):
    """One sample of one plane, in the middle or in the far corner, changed by little and by much; at every threshold
    the two ways agree, and between them all there are still pairs and others.
    """
    left = planes_of(fmt, *size, "left", bad=False)
    found = []
    for plane in range(fmt.planes):
        for place in [(-1, -1), (left[plane].shape[0] // 2, left[plane].shape[1] // 2)]:
            for share in (0.0, 1 / 255, 0.4):
                right = [each.clone() for each in left]
                old = float(left[plane].float()[place])
                step = share * (1 if fmt.float_samples else fmt.peak)
                new = old - step if old > (0.5 if fmt.float_samples else fmt.peak / 2) else old + step
                right[plane][place] = new if fmt.float_samples else round(new)
                for threshold in (-1.0, 30.0, 52.0, 60.0, 90.0, float("inf")):
                    plain = is_still(left, right, fmt.bits, threshold)
                    assert is_still(left, right, fmt.bits, threshold, measures) is plain
                    found.append(plain)
    assert set(found) == {True, False}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_floats_out_of_range_must_be_identical(measures, dtype):
    left = torch.full((19, 37), 0.5, dtype=dtype)
    for before, after in [(1.5, 2.5), (-0.25, -0.125), (float("nan"), 0.0), (float("inf"), 1.0), (0.0, -0.0)]:
        one, other = left.clone(), left.clone()
        one[-1, -1], other[-1, -1] = before, after
        for pair in ((one, one.clone()), (one, other), (other, one)):
            verdicts = [is_still([pair[0]], [pair[1]], 32, 60.0, way) for way in (TORCH, measures)]
            assert verdicts[0] is verdicts[1]


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.RGB48, vs.YUV444PS, vs.GRAY10])
def test_a_clip_s_cuts_and_still_pairs(measures, average_model, monkeypatch, format):
    """Through the filter: the same kinds and scores, with the kernels asked for each."""
    one, two, three = scene(1), scene(2), textured(3, 128, 96)
    clip = (one + two[:2] + two[-1] * 2 + three).resize.Bicubic(format=format, matrix_in_s="709")

    def said():
        out = core.rife.RIFE(clip, model=average_model, device="cpu", sc=1, skip=1)
        return [
            {key: value for key, value in frame.props.items() if key.startswith(("Rife", "_Scene"))}
            for frame in out.frames(close=True)
        ]

    plain, devices = said(), []
    monkeypatch.setattr(frame_measures, "resolve_backend", lambda device: devices.append(device) or (measures, ""))
    assert said() == plain
    assert {"scenechange", "duplicate", "interpolated"} < {each["RifeKind"] for each in plain}
    assert len(devices) > len(clip)


def test_a_cpu_has_the_torch_backend_and_a_reason():
    backend, reason = resolve_backend(torch.device("cpu"))
    assert backend is TORCH
    assert reason == "kernels are for NVIDIA GPUs, not for cpu of this torch"
