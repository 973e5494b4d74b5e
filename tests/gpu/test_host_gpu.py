import gc
import threading

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsrife import choices
from vsrife.choices import Choices
from vsrife.engine.transfer import host
from vsrife.formats.pixel_format import PixelFormat

core = vs.core

staging = pytest.mark.usefixtures("staging")

FORMATS = [vs.GRAY8, vs.YUV420P8, vs.YUV422P10, vs.YUV444P16, vs.YUV420PH, vs.RGBS]


@pytest.fixture(name="staging", params=[False, True], ids=["as they lie", "pinned"])
def _staging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "_chosen", Choices(pinned=request.param))


def noisy(format_id: int, width: int, height: int) -> vs.VideoFrame:
    frame = core.std.BlankClip(format=format_id, width=width, height=height, length=1).get_frame(0).copy()
    generator = np.random.default_rng(1)
    for plane in range(frame.format.num_planes):
        samples = np.asarray(frame[plane])
        samples[:] = generator.integers(0, 200, samples.shape)
    return frame


def views_of(frame: vs.VideoFrame) -> list[torch.Tensor]:
    fmt = PixelFormat.from_vs_id(frame.format.id)
    sizes = [fmt.plane_size(plane, frame.width, frame.height) for plane in range(fmt.planes)]
    return [
        host.plane_view(frame.get_write_ptr(plane).value, frame.get_stride(plane), *size, fmt)
        for plane, size in enumerate(sizes)
    ]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.cpu().contiguous().view(torch.uint8), other.cpu().contiguous().view(torch.uint8))


@staging
@pytest.mark.parametrize("own_stream", [False, True])
@pytest.mark.parametrize("format_id", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(34, 18), (2, 2), (642, 362)])
def test_there_and_back(
    cuda: torch.device, cupy: object, format_id: int, width: int, height: int, own_stream: bool
) -> None:
    source, target = noisy(format_id, width, height), noisy(format_id, width, height)
    stream = torch.cuda.Stream(cuda) if own_stream else torch.cuda.default_stream(cuda)
    with torch.cuda.stream(stream):
        planes = [host.upload(view, cuda) for view in views_of(source)]
        host.finish(cuda)
        for plane, view in zip(planes, views_of(source), strict=True):
            assert plane.device == cuda
            assert plane.is_contiguous()
            assert same(plane, view)
        for view in views_of(target):
            view.zero_()
        for plane, view in zip(planes, views_of(target), strict=True):
            host.download([plane], [view])
        host.finish(cuda)
    assert all(same(one, other) for one, other in zip(views_of(source), views_of(target), strict=True))


@staging
def test_the_upload_outlives_the_frame(cuda: torch.device, cupy: object) -> None:
    frame = noisy(vs.YUV420P8, 642, 362)
    expected = [view.clone() for view in views_of(frame)]
    planes = [host.upload(view, cuda) for view in views_of(frame)]
    host.finish(cuda)
    for view in views_of(frame):
        view.fill_(255)
    del frame, view
    gc.collect()
    assert all(same(plane, plain) for plane, plain in zip(planes, expected, strict=True))


@staging
def test_the_work_that_follows_sees_the_copy_without_a_wait(cuda: torch.device, cupy: object) -> None:
    view = views_of(noisy(vs.GRAYS, 4096, 2160))[0]
    with torch.cuda.stream(torch.cuda.Stream(cuda)):
        results = [host.upload(view, cuda).sum(dtype=torch.float64).item() for _ in range(8)]
    assert results == [view.sum(dtype=torch.float64).item()] * 8


@staging
def test_threads_with_streams_of_their_own(cuda: torch.device, cupy: object) -> None:
    failures: list[int] = []

    def work(number: int) -> None:
        frame = noisy(vs.YUV420P10, 642, 362)
        with torch.cuda.stream(torch.cuda.Stream(cuda)):
            for _ in range(50):
                for view in views_of(frame):
                    view.fill_(number)
                    plane = host.upload(view, cuda)
                    doubled = (plane.float() * 2).to(plane.dtype)
                    host.download([doubled], [view])
                    host.finish(cuda)
                    if not bool((view.to(torch.int32) == 2 * number).all()):
                        failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_memory_goes_back(cuda: torch.device, cupy: object) -> None:
    view = views_of(noisy(vs.GRAYS, 4096, 2160))[0]
    before = torch.cuda.memory_allocated(cuda)
    planes = [host.upload(view, cuda) for _ in range(4)]
    assert torch.cuda.memory_allocated(cuda) - before >= 4 * view.nbytes
    host.finish(cuda)
    del planes
    gc.collect()
    assert torch.cuda.memory_allocated(cuda) == before


def test_memory_that_another_stream_reads_is_not_reused(cuda: torch.device, cupy: object) -> None:
    view = torch.ones((2160, 4096))
    here, there = torch.cuda.Stream(cuda), torch.cuda.Stream(cuda)
    with torch.cuda.stream(here):
        plane = host.upload(view, cuda)
        host.finish(cuda)
    with torch.cuda.stream(there):
        torch.cuda._sleep(1 << 28)
        total = plane.sum(dtype=torch.float64)
    plane.record_stream(there)
    del plane
    with torch.cuda.stream(here):
        others = [host.upload(2 * view, cuda) for _ in range(4)]
    there.synchronize()
    assert total.item() == view.numel()
    del others


def test_without_cupy_the_answer_is_the_same(cuda: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_resolved", {"cuda": None})
    source, target = noisy(vs.YUV422P10, 642, 362), noisy(vs.YUV422P10, 642, 362)
    for view, back in zip(views_of(source), views_of(target), strict=True):
        back.zero_()
        plane = host.upload(view, cuda)
        assert same(plane, view)
        host.download([plane], [back])
        host.finish(cuda)
        assert same(view, back)
