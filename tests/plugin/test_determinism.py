"""Frame n is the same bytes whatever was asked before it, by whichever thread, in whichever process."""

import json
import random
from collections import Counter
from concurrent.futures import Future

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.hosts.processes import ROOT, finish, start_python
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.interpolator import Interpolator

from .clips import digest, samples, textured

pytestmark = pytest.mark.slow

core = vs.core
FORMATS = [vs.YUV420P8, vs.YUV422P10, vs.RGB24, vs.GRAY16, vs.RGBS, vs.YUV444PH]


@pytest.fixture
def threads():
    """Sets the core's thread count, and puts it back."""
    before = core.num_threads

    def use(count):
        core.num_threads = count
        assert core.num_threads == count

    yield use
    core.num_threads = before


def rife(clip, model, **options):
    return core.rife.RIFE(clip, model=model, device="cpu", **{"skip": 0, "sc": 0, **options})


def shuffled(count):
    order = list(range(count))
    random.Random(7).shuffle(order)
    return order


def all_at_once(clip, order) -> dict[int, bytes]:
    """Frames asked for in that order before the first is there."""
    futures: list[tuple[int, Future]] = [(n, clip.get_frame_async(n)) for n in order]
    return {n: b"".join(plane.tobytes() for plane in samples(future.result(60))) for n, future in futures}


@pytest.mark.parametrize("format", FORMATS)
def test_any_order_and_any_number_of_threads(moving_model, threads, format):
    source = textured(5, 70, 50, format)

    def made():
        return rife(source, moving_model, multi=2.5, sc=1)

    threads(1)
    expected = digest(made())
    assert len(set(expected.values())) == 11  # of 13 the last two hold the last source frame
    count = len(expected)
    for order in (range(count), reversed(range(count)), shuffled(count)):
        assert digest(made(), list(order)) == expected
    threads(16)
    assert digest(made(), shuffled(count)) == expected
    once = all_at_once(made(), shuffled(count))
    assert once == all_at_once(made(), range(count))
    again = made()
    assert {n: b"".join(p.tobytes() for p in samples(again.get_frame(n))) for n in range(count)} == once


def test_every_source_frame_is_encoded_once(moving_model, threads, monkeypatch):
    threads(16)
    converted, estimated = Counter(), []
    inner = Interpolator._encode

    def note(self, picture):
        converted[picture.number] += 1
        return inner(self, picture)

    monkeypatch.setattr(Interpolator, "_encode", note)
    field = BlockEstimator.field

    def count(self, *args, **options):
        estimated.append(1)
        return field(self, *args, **options)

    monkeypatch.setattr(BlockEstimator, "field", count)
    out = rife(textured(17, 70, 50), moving_model, multi=4)
    all_at_once(out, shuffled(64))
    assert converted == dict.fromkeys(range(17), 1)
    assert len(estimated) == 48


def test_a_frame_asked_for_twice_at_once_is_the_same(moving_model, threads):
    threads(8)
    out = rife(textured(2, 70, 50), moving_model, multi=3)
    frames = [out.get_frame_async(n) for n in (1, 2, 1, 2, 1)]
    first, second, *others = (samples(frame.result(60)) for frame in frames)
    assert not np.array_equal(first[0], second[0])
    for frame, expected in zip(others, (first, second, first), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame, expected, strict=True))


PROGRAM = """
import json, random, sys
import vapoursynth as vs
from tests.plugin.clips import digest, textured
order, *models = sys.argv[1:]
vs.core.num_threads = 16 if order == "shuffled" else 2
found = {}
for model in models:
    for name, width, height, options in (
        ("YUV420P8", 96, 64, {"multi": 2}),
        ("YUV420P10", 258, 130, {"multi": 2.5}),
        ("RGBS", 64, 200, {"multi": 2, "scale": 0.5}),
        ("GRAY16", 33, 17, {"multi": 2, "ensemble": 1}),
    ):
        source = textured(3, width, height, getattr(vs, name))
        clip = vs.core.rife.RIFE(source, model=model, device="cpu", skip=0, **options)
        numbers = list(range(len(clip)))
        if order == "shuffled":
            random.Random(3).shuffle(numbers)
        found[model + name] = [value.hex() for _, value in sorted(digest(clip, numbers).items())]
print(json.dumps(found))
"""


def test_processes_agree_whatever_omp_num_threads_says(moving_model):
    """Processes that were told different numbers of threads, and this one, in which torch was told yet another.

    The official 4.0, where it is there, has layers whose sums depend on the thread count where nothing fixes it.
    """
    official = ROOT.parent / "shared" / "weights" / "flownet_v4.0.pkl"
    models = [moving_model, *([str(official)] if official.is_file() else [])]
    started = [
        start_python(PROGRAM, order, *models, OMP_NUM_THREADS=threads)
        for threads, order in ((None, "in order"), ("1", "shuffled"), ("3", "in order"))
    ]
    done = [finish(process, 150) for process in started]
    assert [each.returncode for each in done] == [0, 0, 0], done[0].stderr + done[1].stderr + done[2].stderr
    first, *others = [json.loads(each.stdout) for each in done]
    assert len(first) == 4 * len(models)
    assert all(len(set(frames)) >= 5 for frames in first.values())
    assert others == [first, first]
    torch.set_num_threads(5)
    here = digest(rife(textured(3, 96, 64), moving_model, multi=2, sc=1))
    assert [value.hex() for value in here.values()] == first[moving_model + "YUV420P8"]
