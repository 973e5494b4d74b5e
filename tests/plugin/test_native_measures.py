"""The compiled measures of host frames: the very numbers of vsrife.scene, in any thread, without the GIL."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from vsrife.engine.transfer.host import HostLayout, HostPlanes
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin import vsapi
from vsrife.plugin.native_measures import HostMeasures
from vsrife.scene import duplicates, scene_change
from vsrife.scene.signature import CELLS, PEAK, cell_sums
from vsrife.scene.signature import signature as definition

TYPES = {torch.uint8: 8, torch.uint16: 16, torch.float16: 32, torch.float32: 32}
SIZES = [(1, 1), (1, 65), (65, 1), (8, 8), (7, 9), (33, 17), (361, 641), (18, 1023), (9, 1024), (17, 1025), (5, 4099)]
BAD = [nan, inf, -inf, -0.0, -1.0, -1e-30, 1.0, 1.0000001, 6e-8, 1e-40, 65504.0]

type Signature = np.ndarray


@pytest.fixture(scope="module", autouse=True)
def connected():
    """The first call of the plugin connects the library, even one that fails."""
    with pytest.raises(vs.Error, match="multi"):
        vs.core.rife.RIFE(vs.core.std.BlankClip(), multi=0)


measures = HostMeasures()


def host_planes(planes: list[torch.Tensor], bits: int, family: Family = Family.YUV) -> HostPlanes:
    """Planes of any sizes, as the filter has those of a frame. bits: depth of integer samples."""
    kind = planes[0].dtype
    fmt = PixelFormat(
        family=family,
        float_samples=kind.is_floating_point,
        bits=8 * kind.itemsize if kind.is_floating_point else bits,
    )
    memory = [number for plane in planes for number in (plane.data_ptr(), plane.stride(0) * kind.itemsize)]
    return HostPlanes(HostLayout(format=fmt, sizes=tuple(plane.shape[::-1] for plane in planes)), lambda: memory)


def signature(planes: list[torch.Tensor], bits: int) -> Signature:
    return measures.signature(host_planes(planes, bits, Family.RGB if len(planes) == 3 else Family.GRAY))


def is_still(left: list[torch.Tensor], right: list[torch.Tensor], bits: int, threshold: float) -> bool:
    return measures.is_still(host_planes(left, bits), host_planes(right, bits), threshold)


def test_the_constants_are_those_of_the_definition() -> None:
    source = (ROOT / "vsrife/plugin/native/measures.c").read_text()
    found = {name: float(value) for name, value in re.findall(r"^#define (\w+) ([\d.e-]+)$", source, re.MULTILINE)}
    named = {name: getattr(scene_change, f"_{name}") for name in found if name not in ("CELLS", "PEAK")}
    assert found == {**named, "CELLS": CELLS, "PEAK": PEAK}
    passes = re.search(r"remaining_noise\[\] = \{(.*?)\}", source)
    assert passes
    assert tuple(float(Fraction(part)) for part in passes[1].replace(".0", "").split(", ")) == scene_change._LEFT


SIDES = [1, 2, 3, 4, 15, 16, 17, 18, 31, 33, 64, 135, 180, 399, 400]
"""Of signatures: below a block, around one and two, and up to the largest."""


def made_pairs(rows: int, columns: int) -> list[tuple[Signature, Signature]]:
    rng = np.random.default_rng(rows * 1000 + columns)
    noise, other = rng.integers(0, 65536, (2, rows, columns))
    coarse = np.kron(rng.integers(0, 65536, (51, 51)), np.ones((8, 8), np.int64))[:rows, :columns]
    grainy = coarse // 2 + rng.integers(0, 9000, coarse.shape)
    checks = np.indices((rows, columns)).sum(0) % 2 * 65535
    flat = np.full((rows, columns), 65535)
    panel = noise.copy()
    panel[: rows // 2] = other[: rows // 2]
    return [
        *((noise, other), (noise, noise), (noise, np.roll(noise, (2, 3), (0, 1))), (panel, other)),
        *((coarse, np.roll(coarse, 5, 1) // 2), (coarse, np.minimum(coarse * 3, 65535)), (flat * 0, coarse // 50)),
        *((grainy, np.roll(grainy, 4, 0)), (coarse // 20, grainy // 20), (checks, flat - checks), (flat, flat * 0)),
        (noise, flat),
    ]


@pytest.mark.parametrize("rows", SIDES)
def test_a_pair_as_it_lies_is_that_of_the_definition(rows: int) -> None:
    shares = set()
    for columns in SIDES:
        for left, right in made_pairs(rows, columns):
            share = measures.in_place(left, right)
            assert share == scene_change.in_place(left, right)
            shares.add(share)
    assert min(shares) == 0
    assert rows < 3 or max(shares) > 0.9


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SIDES), st.sampled_from(SIDES), st.integers(0, 16), st.integers(0, 16))
def test_any_pair_as_it_lies(seed: int, rows: int, columns: int, coarse: int, fine: int) -> None:
    """Texture of one size, moved, with noise: from none that is found to so much that nothing else is."""
    rng = np.random.default_rng(seed)
    large = rng.integers(0, 65536 >> coarse, (106, 106)).repeat(4, 0).repeat(4, 1)
    y, x = rng.integers(0, 12, 2)
    left, right = (large[a : a + rows, b : b + columns] + rng.integers(0, 65536 >> fine, (rows, columns)) for a, b in
                   ((y, x), (y + rng.integers(0, 12), x + rng.integers(0, 12))))  # fmt: skip
    left, right = np.minimum(left, 65535), np.minimum(right, 65535)
    assert measures.in_place(left, right) == scene_change.in_place(left, right)


def test_signatures_of_any_layout_and_only_of_one_size() -> None:
    left, right = np.random.default_rng(1).integers(0, 65536, (2, 36, 64))
    expected = scene_change.in_place(left, right)
    assert measures.in_place(left[:, ::-1].copy()[:, ::-1], np.asfortranarray(right)) == expected
    with pytest.raises(ValueError, match="one size"):
        measures.in_place(left, right[:, 1:])
    for size in ((401, 1), (1, 401), (0, 1)):
        with pytest.raises(ValueError, match="400"):
            measures.in_place(np.zeros(size, np.int64), np.zeros(size, np.int64))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("bikes.mp4", 60, 150), ("city.mpg", 100, 130), ("cockatoo.mp4", 0, 60), ("cup.mp4", 0, 40), ("box.mp4", 0, 20)],
)
def test_real_clips(shared, name: str, first: int, last: int) -> None:
    """Neighbours, pairs 8 apart and the first frame with each other one; still verdicts of neighbours."""
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource to read clips")
    path = shared / "data" / "clips_eval" / name
    if not path.is_file():
        pytest.skip(f"needs {name}, which is not here")
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)[first : last + 1]
    planes = [[torch.from_numpy(np.asarray(plane).copy()) for plane in frame] for frame in clip.frames(close=True)]
    found = [signature(frame[:1], 8) for frame in planes]
    assert all(np.array_equal(one, definition(frame[:1], 8)) for one, frame in zip(found, planes, strict=True))
    count = len(found)
    for a, b in {(n, m) for n in range(count) for m in (n + 1, n + 8, 0) if m < count}:
        assert measures.in_place(found[a], found[b]) == scene_change.in_place(found[a], found[b])
    for left, right in itertools.pairwise(planes):
        for threshold in (20.0, 40.0, 60.0):
            assert is_still(left, right, 8, threshold) is duplicates.is_still(left, right, 8, threshold)


def plane_of(dtype: torch.dtype, size: tuple[int, int], seed: int, *, bad: bool = False) -> torch.Tensor:
    """Noise inside of a larger plane, so that rows do not follow each other."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.rand((size[0], size[1] + 5), generator=generator)
    if dtype.is_floating_point:
        if bad:
            places = torch.randint(0, 7 * len(BAD), wide.shape, generator=generator)
            for n, value in enumerate(BAD):
                wide[places == n] = value
        return wide.to(dtype)[:, 2 : 2 + size[1]]
    return (wide * torch.iinfo(dtype).max).round().to(dtype)[:, 2 : 2 + size[1]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TYPES)
def test_signatures(dtype: torch.dtype, size: tuple[int, int]) -> None:
    for count in (1, 3):
        planes = [plane_of(dtype, size, seed, bad=True) for seed in range(count)]
        bits = TYPES[dtype]
        assert np.array_equal(signature(planes, bits), definition(planes, bits))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_every_half_and_floats_near_each_step_are_quantised_alike(dtype: torch.dtype) -> None:
    if dtype is torch.float16:
        values = torch.arange(65536).to(torch.uint16).view(torch.float16)
    else:
        steps = (torch.arange(0, 65536, dtype=torch.float64) + 0.5).div(65535).to(torch.float32).view(torch.int32)
        values = torch.cat([steps + n for n in range(-2, 3)]).view(torch.float32)
    for plane in values.reshape(-1, 64, 64):
        assert np.array_equal(signature([plane], 32), cell_sums([plane], 1))


def test_tall_cells_do_not_overflow() -> None:
    """More rows in a cell than 65535 times fit 32 bits."""
    plane = torch.full((65540 * 400, 1), 65535, dtype=torch.int32).to(torch.uint16)
    assert signature([plane], 16).tolist() == [[65535]] * 400


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TYPES)
def test_still_verdicts(dtype: torch.dtype, size: tuple[int, int]) -> None:
    """Changes of one sample, faint and strong, in corners and the middle, at every threshold; noise against noise."""
    bits = 10 if dtype is torch.uint16 else TYPES[dtype]
    left = plane_of(dtype, size, 1)
    if dtype is torch.uint16:
        left = (left.to(torch.int32) >> 6).to(torch.uint16)
    others = [left.clone(), plane_of(dtype, size, 2)]
    for y, x in {(0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, size[1] // 2)}:
        for share in (1 / 255, 0.3):
            changed = left.clone()
            step = share if dtype.is_floating_point else round(share * ((1 << bits) - 1))
            value = changed[y, x].item()
            changed[y, x] = value - step if value >= step else value + step
            others.append(changed)
    found = []
    for right in others:
        for threshold in (-1.0, 20.0, 45.0, 60.0, 90.0, inf):
            verdict = is_still([left], [right], bits, threshold)
            assert verdict is duplicates.is_still([left], [right], bits, threshold)
            found.append(verdict)
    assert set(found) == {True, False}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_floats_out_of_range_must_be_identical(dtype: torch.dtype) -> None:
    found = set()
    for before, after in itertools.product([*BAD, 0.0, 0.5], repeat=2):
        left = torch.full((19, 37), 0.5, dtype=dtype)
        right = left.clone()
        left[-1, -1], right[-1, -1] = before, after
        verdict = is_still([left], [right], 32, 0.0)
        assert verdict is duplicates.is_still([left], [right], 32, 0.0), (before, after)
        found.add(verdict)
    assert found == {True, False}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*TYPES]), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32), st.floats(0, 100))
def test_any_still_verdict(dtype: torch.dtype, height: int, width: int, seed: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = plane_of(dtype, (height, width), seed, bad=True)
    right = left.clone()
    y, x = (int(torch.randint(0, side, (), generator=generator)) for side in (height, width))
    right[y : y + 3, x : x + 3] = plane_of(dtype, (height, width), seed + 1)[y : y + 3, x : x + 3]
    expected = duplicates.is_still([left], [right], TYPES[dtype], threshold)
    assert is_still([left], [right], TYPES[dtype], threshold) is expected


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*TYPES]), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32), st.booleans())
def test_any_worst_block(dtype: torch.dtype, height: int, width: int, seed: int, bad: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = plane_of(dtype, (height, width), seed, bad=bad)
    right = left.clone()
    y, x = (int(torch.randint(0, side, (), generator=generator)) for side in (height, width))
    right[y : y + 3, x : x + 3] = plane_of(dtype, (height, width), seed + 1)[y : y + 3, x : x + 3]
    planes = [host_planes([each] * 3, TYPES[dtype], Family.RGB) for each in (left, right)]
    assert measures.worst_block(*planes) == duplicates.worst_block([left], [right], TYPES[dtype])


@pytest.mark.parametrize("size", SIZES)
def test_the_worst_block_of_odd_sizes(size: tuple[int, int]) -> None:
    planes = [[plane_of(torch.uint8, size, seed + k) for k in range(3)] for seed in (1, 7)]
    for family, count in ((Family.RGB, 3), (Family.YUV, 1)):
        expected = duplicates.worst_block(planes[0][:count], planes[1][:count], 8)
        assert measures.worst_block(*(host_planes(each, 8, family) for each in planes)) == expected > 0


def test_every_plane_is_compared_with_its_own_limit() -> None:
    planes = [plane_of(torch.uint8, size, 3) for size in ((31, 33), (16, 17), (16, 17))]
    assert is_still(planes, [p.clone() for p in planes], 8, 60.0)
    for k in range(3):
        moved = [p.clone() for p in planes]
        moved[k][-1, -1] ^= 64
        assert not is_still(planes, moved, 8, 60.0)


def test_threads_at_once_find_the_same() -> None:
    left, right = np.random.default_rng(2).integers(0, 65536, (2, 36, 64))
    plane = plane_of(torch.uint8, (270, 481), 4)
    share, cells = scene_change.in_place(left, right), definition([plane], 8)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: (measures.in_place(left, right), signature([plane], 8)), range(400)))
    assert all(each_share == share and np.array_equal(each, cells) for each_share, each in found)


def runs_beside(work) -> bool:
    """Whether another thread runs Python during ``work``, which never gives the GIL away unless it releases it."""
    start, ran = threading.Lock(), []
    start.acquire()

    def other() -> None:
        start.acquire()
        ran.append(True)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=other)
    thread.start()
    try:
        sys.setswitchinterval(1000.0)
        start.release()
        work()
        return bool(ran)
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def test_the_gil_is_free_meanwhile() -> None:
    def busy() -> None:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass

    left, right = np.random.default_rng(2).integers(0, 65536, (2, 180, 320))
    plane = plane_of(torch.float16, (2160, 3840), 4)
    other = plane.clone()
    other[-1, -1] = 1 - other[-1, -1]
    work = {
        "score": lambda: measures.in_place(left, right),
        "signature": lambda: signature([plane], 16),
        "still": lambda: is_still([plane], [other], 16, 0.0),
        "worst": lambda: measures.worst_block(host_planes([plane], 16), host_planes([other], 16)),
    }
    assert not any(runs_beside(busy) for _ in range(3))
    for name, call in work.items():
        assert any(runs_beside(call) for _ in range(200)), name


def test_the_meter_of_the_gil(tmp_path) -> None:
    """tools/measure_gil.py tells time that holds the GIL from time that does not."""
    if sys.platform != "linux" or not sysconfig.get_config_var("Py_ENABLE_SHARED") or not shutil.which("cc"):
        pytest.skip("needs Linux, a C compiler and a Python that is a shared library")
    program = """
import os, sys, torch, measure_gil
torch.set_num_threads(1)
if measure_gil.METER not in os.environ.get("LD_PRELOAD", ""):
    sys.exit(measure_gil.run_metered())
measure_gil.RUNS = 5
large = torch.rand(4000000)
for work in (lambda: sum(range(100000)), lambda: large + large):
    total, held = measure_gil.timed(work)
    print(total[0], held[0])
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    python, python_held, tensors, tensors_held = map(float, done.stdout.split())
    assert python_held > 0.95 * python
    assert tensors_held < 0.1 * tensors


def test_the_library_is_where_the_measures_look() -> None:
    assert {"rife_in_place", "rife_is_still", "rife_signature", "rife_worst_block"} <= set(dir(vsapi.lib()))
