"""What a measuring script may choose reaches what it is for; pinned memory, on a GPU that is played."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from tests.engine.test_streams import CUDA, Recorder, recorder
from tests.network.small import network
from tests.training.card import CARD, played
from vsrife import choices
from vsrife.choices import Choices, choose, chosen
from vsrife.engine import interpolator, slots, streams
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.memory import choose_working_set
from vsrife.engine.networks import Network
from vsrife.engine.transfer import host
from vsrife.formats.pixel_format import Family, PixelFormat

__all__ = ["recorder"]  # a fixture

GRAY16 = PixelFormat(family=Family.GRAY, float_samples=False, bits=16)


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(choices, "_chosen", Choices())


def test_nothing_is_chosen_by_default():
    assert chosen() == Choices(pinned=False, gpu_band=128 << 20, lanes=2, cudnn_benchmark=False)


@pytest.mark.parametrize("lanes", [1, 3])
def test_as_many_lanes_as_are_chosen(recorder: Recorder, lanes):
    with streams.lane(CUDA):
        before = len(recorder.made)
    choose(replace(chosen(), lanes=lanes))
    together, held = threading.Barrier(lanes), []

    def one(_):
        with streams.lane(CUDA) as lane:
            held.append(lane.stream)
            together.wait(10)

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(one, range(lanes)))
    assert len(recorder.made) - before == 2 + lanes
    assert len(set(held)) == lanes
    assert streams._of(CUDA).free.qsize() == lanes
    assert slots.gpu_slots() == 3 * lanes
    assert graphs.most_graphs() == 6 * lanes
    assert interpolator.cached_sources._at_least() == 2 * lanes


def test_as_many_frames_are_on_their_way_as_there_are_slots(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device", lambda device: threading.Lock())
    monkeypatch.setattr(slots, "_use_exact_arithmetic", lambda: None)
    choose(replace(chosen(), lanes=1))
    inside, most, full = [], [], threading.Barrier(3)

    def one(number):
        with slots.slot(CUDA):
            inside.append(number)
            most.append(len(inside))
            full.wait(10)
            inside.remove(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))
    assert max(most) == 3


@pytest.mark.parametrize("band", [8 << 20, 16 << 20])
def test_the_band_is_the_chosen_one_on_a_gpu_alone(band):
    net = Network.of(network("J"), torch.device("cpu"), torch.float32)
    on_gpu = replace(net, device=CUDA)
    canvas, size = (128, 256), {"scale": 1.0, "total": 1 << 36}
    here, there = choose_working_set(net, canvas, **size), choose_working_set(on_gpu, canvas, **size)
    before = chosen().gpu_band
    choose(replace(chosen(), gpu_band=band))
    assert choose_working_set(on_gpu, canvas, **size).band == there.band * band // before
    assert choose_working_set(on_gpu, canvas, **size).needed == there.needed - before + band
    assert choose_working_set(net, canvas, **size) == here


@pytest.mark.parametrize("benchmark", [False, True])
def test_algorithms_are_timed_where_that_is_chosen(monkeypatch, benchmark):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not benchmark)
    choose(replace(chosen(), cudnn_benchmark=benchmark))
    slots._use_exact_arithmetic()
    assert torch.backends.cudnn.benchmark is benchmark
    assert torch.backends.cudnn.deterministic


@pytest.fixture
def pinned(monkeypatch):
    """A GPU that is played, planes through pinned memory; yields the GPU, and which pieces were asked for."""
    asked, empty = [], torch.empty

    def noted(*size, pin_memory=False, **options):
        asked.extend([size] * pin_memory)
        return empty(*size, **options)

    choose(replace(chosen(), pinned=True))
    monkeypatch.setattr(host, "_cupy_for", lambda _device: pytest.fail("copied by cupy"))
    with played(monkeypatch) as card:
        monkeypatch.setattr(torch, "empty", noted)
        yield card, asked


def planes_of_a_frame():
    """Two planes in memory whose rows are farther apart than they are long."""
    return [torch.arange(40 * rows, dtype=torch.int32).to(torch.uint16).view(rows, 40)[:, :33] for rows in (17, 5)]


def test_planes_go_there_and_back_through_pinned_memory(pinned, monkeypatch):
    (card, asked), waited = pinned, []
    views, targets = planes_of_a_frame(), [torch.zeros_like(view) for view in planes_of_a_frame()]
    planes = [host.upload(view, CARD) for view in views]
    assert [plane.device for plane in planes] == [CARD] * 2
    finish = host.finish

    def noted(device):
        waited.append([bool(target.view(torch.int16).any()) for target in targets])
        finish(device)

    monkeypatch.setattr(host, "finish", noted)
    host.download(planes, targets)
    assert waited == [[False] * 2]  # once for all planes, and none of them written before
    assert all(
        torch.equal(view.to(torch.int32), target.to(torch.int32)) for view, target in zip(views, targets, strict=True)
    )
    assert len(asked) == 4
    assert not card.waits  # the wait is that of an event, not of a copy


def test_a_cpu_pins_nothing(pinned):
    (view, _) = planes_of_a_frame()
    assert host.upload(view, torch.device("cpu")) is view
    assert pinned[1] == []


@pytest.mark.parametrize("wrong", [{"lanes": 0}, {"gpu_band": 0}, {"gpu_band": -1}])
def test_numbers_below_1_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} \({value}\) must be 1 or more"):
        Choices(**wrong)
