"""Frame n is the same bytes on a GPU whatever was asked before it, by whichever thread, lane and process."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.engine.backend.cuda.kernels.inputs import rgb, yuv
from tests.engine.backend.cuda.test_sampler import picture
from tests.hosts.processes import finish, start_python
from tests.network.small import network
from tests.plugin import test_determinism
from tests.plugin.clips import digest, textured
from tests.plugin.test_determinism import all_at_once, shuffled, threads
from vsrife.bench.synthetic_input import ARCHITECTURES as OFFICIAL
from vsrife.bench.synthetic_input import seeded_network
from vsrife.choices import chosen
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.networks import Network
from vsrife.engine.slots import inference_context

__all__ = ["threads"]  # a fixture

core = vs.core

LANES = chosen().lanes


def rife(clip, model, device, **options):
    return core.rife.RIFE(clip, model=model, device=str(device), **{"sc": 0, "skip": 0, **options})


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV422P10, vs.RGBS, vs.GRAY16, vs.YUV444PH])
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_any_order_and_any_number_of_threads(cuda, moving_model, threads, format, precision):
    source = textured(6, 322, 182, format)

    def made():
        return rife(source, moving_model, cuda, multi=2.5, precision=precision, sc=1)

    threads(1)
    expected = digest(made())
    count = len(expected)
    assert len(set(expected.values())) > count // 2
    for order in (range(count), reversed(range(count)), shuffled(count)):
        assert digest(made(), list(order)) == expected
    threads(16)
    assert digest(made(), shuffled(count)) == expected
    once = all_at_once(made(), shuffled(count))
    assert once == all_at_once(made(), range(count)) == all_at_once(made(), list(reversed(range(count))))


@pytest.mark.parametrize("options", [{"scale": 0.5}, {"scale": 2.0}, {"ensemble": 1}, {"multi": 4}])
def test_any_order_with_every_option(cuda, moving_model, threads, options):
    source = textured(5, 258, 130)
    threads(16)
    count = len(rife(source, moving_model, cuda, **options))
    once = all_at_once(rife(source, moving_model, cuda, **options), shuffled(count))
    assert once == all_at_once(rife(source, moving_model, cuda, **options), range(count))


def test_processes_agree(cuda, moving_model):
    program = test_determinism.PROGRAM.replace('device="cpu"', f'device="{cuda}"')
    assert program.count(str(cuda)) == 1
    started = [
        start_python(program, order, moving_model, OMP_NUM_THREADS=count)
        for order, count in (("in order", "1"), ("shuffled", "3"))
    ]
    done = [finish(process, 150) for process in started]
    assert [each.returncode for each in done] == [0, 0], done[0].stderr + done[1].stderr
    first, second = (json.loads(each.stdout) for each in done)
    assert first == second
    assert len(first) == 4
    assert all(len(set(frames)) >= 5 for frames in first.values())
    here = digest(rife(textured(3, 96, 64), moving_model, cuda, multi=2, sc=1))
    assert [value.hex() for value in here.values()] == first[moving_model + "YUV420P8"]


def frames_of(net, fmt, size, jobs, workers):
    """The planes of each job's frame (left picture, time), made by that many threads at once."""
    pictures = [picture(fmt, *size, number, 4.0 * number) for number in range(4)]
    interpolator = Interpolator(net, *size, scale=1.0, ensemble=False)

    def make(job):
        left, t = job
        into = picture(fmt, *size, 9, 0.0, write=True)
        with inference_context():
            interpolator.interpolate(pictures[left], pictures[left + 1], t, into)
        return into.image.views

    try:
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(make, jobs))
    finally:
        interpolator.close()


JOBS = [(left, Fraction(k, 4)) for left in range(3) for k in (1, 2, 3)]


def differing(found, expected):
    return [n for n, pair in enumerate(zip(found, expected, strict=True)) if not all(map(torch.equal, *pair))]


def lanes_with_graphs():
    return {replay._lane.index for replay in graphs.replays.values() if replay._graph is not None}


@pytest.mark.parametrize(
    ("name", "fmt", "size"), [("J", yuv(1, 1), (642, 362)), ("G", rgb(32, floats=True), (150, 98))]
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_lanes_that_overlap_do_not_meet(cuda, kernels, name, fmt, size, dtype):
    """As many frames in flight as there are slots, in both lanes, against one after the other."""
    net = Network.of(network(name), cuda, dtype, CudaBackend(kernels))
    graphs.drop_all()
    expected = frames_of(net, fmt, size, JOBS, 1)
    assert len({tuple(plane.numpy().tobytes() for plane in planes) for planes in expected}) == len(JOBS)
    for turn in range(6):
        if turn % 3 == 0:
            graphs.drop_all()  # the first frames of both lanes, launched step by step and captured, overlap as well
        jobs = JOBS * 4
        order = random.Random(turn).sample(range(len(jobs)), len(jobs))
        found = frames_of(net, fmt, size, [jobs[n] for n in order], 8)
        assert differing(found, [expected[n % len(JOBS)] for n in order]) == []
    assert lanes_with_graphs() == set(range(LANES))


def test_lanes_that_overlap_at_an_official_size(cuda, kernels):
    """Long enough for one frame's fine blocks to run beside another's coarse ones."""
    net = Network.of(seeded_network(OFFICIAL["4.26"]), cuda, torch.float16, CudaBackend(kernels))
    size = 1920, 1080
    expected = frames_of(net, yuv(1, 1), size, JOBS, 1)
    for _ in range(3):
        assert differing(frames_of(net, yuv(1, 1), size, JOBS * 2, 8), expected * 2) == []
    assert np.ptp(expected[0][0].numpy()) > 50
