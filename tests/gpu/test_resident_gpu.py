"""Frames on the GPU through core.rife.RIFE: against host frames on the same device, with nothing copied to the host."""

import gc
import hashlib
import time

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.plugin.clips import digest, numbered, samples, scene, textured, with_props
from vsrife.engine.transfer import host, interop

from .conftest import missing

core = vs.core


def vulkan_device(core):
    """The CUDA device that is VapourSynth's Vulkan device; see `missing` where there is none, as on servers."""
    try:
        core.std.BlankClip(width=64, height=64, format=vs.GRAY8, length=1).std.GPUUpload().get_frame(0)
        info = core.vulkan_device_info
    except vs.Error as error:
        missing("VULKAN", f"there is no driver for Vulkan 1.4: {error}")
    found = interop.cuda_device(bytes.fromhex(info["uuid"]))
    if found is None:
        missing("VULKAN", f"VapourSynth's Vulkan device is {info['name']}, which is no CUDA device")
    if not info["export_handle_type"]:
        missing("VULKAN", f"the driver of {info['name']} shares no memory")
    return found


@pytest.fixture(scope="module")
def device(cuda, cupy):
    return vulkan_device(core)


@pytest.fixture
def counted(device, monkeypatch):
    """How often allocations are imported and given back; every copy between host and device is an error."""
    found = {"map": 0, "unmap": 0}

    def count(name):
        original = getattr(interop.Cuda, name)

        def call(self, *arguments):
            found[name] += 1
            return original(self, *arguments)

        monkeypatch.setattr(interop.Cuda, name, call)

    def forbidden(*arguments):
        raise AssertionError("a plane visits the host")

    count("map")
    count("unmap")
    monkeypatch.setattr(host, "_to_device", forbidden)
    monkeypatch.setattr(host, "_to_host", forbidden)
    monkeypatch.setattr(host, "finish", forbidden)
    return found


def rife(clip, model, device, **options):
    options.setdefault("sc", 0)
    options.setdefault("skip", 0)
    return core.rife.RIFE(clip, model=model, device=str(device), **options)


def given_back(counted):
    gc.collect()
    end = time.monotonic() + 10
    while counted["unmap"] < counted["map"] and time.monotonic() < end:
        time.sleep(0.01)
    return counted["unmap"] == counted["map"] > 0


@pytest.mark.parametrize(
    "options",
    [{"multi": 1, "retime": 1}, {"multi": 2, "retime": 1}, {"multi": 2}, {"fps_num": 40, "fps_den": 1, "cfr": 1}],
)
def test_drawings_pauses_and_a_constant_rate(device, counted, moving_model, options):
    """What takes more frames than are shown, some of them in a second round, as of host frames."""
    drawings = textured(6, 70, 50, step=4)
    clip = core.std.Splice([drawings[n // 2] for n in range(12)])
    clip = with_props(clip, {n: {"_DurationNum": 48 if n == 7 else 1, "_DurationDen": 24} for n in range(12)})
    there = rife(clip.std.GPUUpload(), moving_model, device, **options).std.GPUDownload()
    found = [there.get_frame(n) for n in reversed(range(min(len(there), 40)))]
    kinds = {str(frame.props["RifeKind"]) for frame in found}
    assert {"source", "interpolated"} <= kinds
    assert ("repeat" in kinds) is (options.get("multi") != 1)
    del there
    assert given_back(counted)


@pytest.mark.parametrize(
    ("format", "size"),
    [
        (vs.YUV420P8, (642, 362)),
        (vs.YUV420P10, (70, 50)),
        (vs.RGBS, (33, 17)),
        (vs.GRAY16, (1, 1)),
        (vs.YUV444PH, (96, 64)),
    ],
)
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_gives_the_bytes_that_host_frames_give(device, moving_model, request, format, size, precision):
    clip = textured(4, *size, format)
    want = digest(rife(clip, moving_model, device, multi=3, precision=precision))
    counted = request.getfixturevalue("counted")  # from here on no plane may visit the host
    out = rife(clip.std.GPUUpload(), moving_model, device, multi=3, precision=precision)
    assert out.gpu_resident
    assert digest(out.std.GPUDownload()) == want
    del out
    assert given_back(counted)


def test_auto_is_the_device_of_the_frames(counted, average_model):
    out = core.rife.RIFE(numbered(2).std.GPUUpload(), model=average_model, sc=0)
    assert out.gpu_resident
    assert int(samples(out.std.GPUDownload().get_frame(1))[0][0, 0]) == 5


def test_properties_cuts_still_pairs_and_scores(device, average_model):
    clip = scene(1) + scene(2)
    clip = with_props(clip + clip[-1] * 2, {1: {"Note": "kept", "_Matrix": 6}})
    here = rife(clip, average_model, device, sc=1, skip=1)
    out = rife(clip.std.GPUUpload(), average_model, device, sc=1, skip=1)
    kinds = set()
    for a, b in zip(here.frames(close=True), out.frames(close=True), strict=True):
        assert dict(a.props) == dict(b.props)
        kinds.add(a.props["RifeKind"])
    assert {"scenechange", "duplicate", "interpolated"} < kinds


def test_between_filters_of_the_core(device, moving_model):
    clip = textured(4, 320, 180)
    want = rife(clip.std.GPUUpload().std.BoxBlur(hradius=3).std.GPUDownload(), moving_model, device)
    blurred = rife(clip.std.GPUUpload().std.BoxBlur(hradius=3), moving_model, device)
    for n in range(8):
        again = want.std.GPUUpload().std.BoxBlur(vradius=3).std.GPUDownload().get_frame(n)
        found = blurred.std.BoxBlur(vradius=3).std.GPUDownload().get_frame(n)
        assert all(np.array_equal(x, y) for x, y in zip(samples(again), samples(found), strict=True)), n


def test_one_after_the_other(counted, device, average_model):
    out = rife(rife(numbered(6).std.GPUUpload(), average_model, device), average_model, device).std.GPUDownload()
    levels = [int(samples(out.get_frame(n))[0][0, 0]) for n in range(0, 21, 2)]
    assert levels == list(range(0, 51, 5))


def test_many_frames_in_flight_come_out_as_one_by_one(counted, device, moving_model):
    clip = textured(100, 640, 360)
    one_by_one = digest(rife(clip.std.GPUUpload(), moving_model, device).std.GPUDownload())
    out = rife(clip.std.GPUUpload(), moving_model, device)
    there = out.std.GPUDownload()
    used = []
    together = {}
    for n, frame in enumerate(there.frames(prefetch=16, close=True)):
        together[n] = b"".join(plane.tobytes() for plane in samples(frame))
        used.append(torch.cuda.memory_reserved(device))
    assert len(together) == 200
    assert {n: hashlib.sha256(data).digest() for n, data in together.items()} == one_by_one
    assert max(used[100:]) <= max(used[50:100]) * 1.05
    del out, there, frame
    assert given_back(counted), "everything is released at the end"


def test_memory_held_beside_torch_s_reaches_a_plateau(counted, device, average_model):
    out = rife(textured(60, 1280, 720).std.GPUUpload(), average_model, device)
    used = [core.vulkan_device_info["allocated"] for _ in out.frames(prefetch=8, close=True)]
    assert max(used[80:]) <= max(used[:80]) * 1.05


def test_another_gpu_is_an_error_that_names_both(device, average_model):
    other = next((n for n in range(torch.cuda.device_count()) if n != device.index), None)
    if other is None:
        pytest.skip("needs a second CUDA device")
    with pytest.raises(vs.Error, match=rf'device \(cuda:{other}, .* must be the GPU .* pass device="{device}"'):
        rife(numbered(2).std.GPUUpload(), average_model, f"cuda:{other}")


def test_the_cpu_gets_the_frames_downloaded(device, average_model):
    out = rife(numbered(2).std.GPUUpload(), average_model, "cpu")
    assert not out.gpu_resident
    assert int(samples(out.get_frame(1))[0][0, 0]) == 5
