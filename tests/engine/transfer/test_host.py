import contextlib
import ctypes
import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsrife.engine.transfer import host
from vsrife.formats.pixel_format import PixelFormat

core = vs.core

FORMATS = [vs.GRAY8, vs.YUV420P8, vs.YUV422P10, vs.YUV444P16, vs.YUV410P8, vs.YUV420PH, vs.YUV444PS, vs.RGB24, vs.RGBS]
TYPES = {(0, 1): torch.uint8, (0, 2): torch.uint16, (1, 2): torch.float16, (1, 4): torch.float32}


def blank(format_id: int, width: int, height: int) -> vs.VideoFrame:
    return core.std.BlankClip(format=format_id, width=width, height=height, length=1).get_frame(0).copy()


def views_of(frame: vs.VideoFrame, *, write: bool = False) -> list[torch.Tensor]:
    fmt = PixelFormat.from_vs_id(frame.format.id)
    pointers = frame.get_write_ptr if write else frame.get_read_ptr
    return [
        host.plane_view(
            pointers(plane).value, frame.get_stride(plane), *fmt.plane_size(plane, frame.width, frame.height), fmt
        )
        for plane in range(fmt.planes)
    ]


@pytest.mark.parametrize("format_id", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(36, 20), (4, 4), (644, 364)])
def test_a_view_is_the_frames_memory(format_id: int, width: int, height: int) -> None:
    frame = blank(format_id, width, height)
    for plane, view in enumerate(views_of(frame, write=True)):
        samples = np.asarray(frame[plane])
        assert view.dtype is TYPES[frame.format.sample_type, frame.format.bytes_per_sample]
        assert view.dtype is host.dtype_of(PixelFormat.from_vs_id(format_id))
        assert tuple(view.shape) == samples.shape
        assert view.data_ptr() == frame.get_read_ptr(plane).value
        # Both ways: the tensor sees the frame change, and the frame sees the tensor change.
        samples[:] = np.arange(samples.size).reshape(samples.shape) % 199
        assert np.array_equal(view.numpy(), samples)
        view[-1, -1] = 7
        assert samples[-1, -1] == 7


@pytest.mark.parametrize("format_id", [vs.GRAY8, vs.GRAYS, vs.YUV444P16])
@pytest.mark.parametrize(("width", "height"), [(33, 17), (1, 1), (641, 361)])
def test_rows_are_as_far_apart_as_the_frame_says(format_id: int, width: int, height: int) -> None:
    frame = blank(format_id, width, height)
    view = views_of(frame, write=True)[0]
    assert frame.get_stride(0) > width * view.element_size()
    assert view.stride() == (frame.get_stride(0) // view.element_size(), 1)
    line = ctypes.string_at(
        frame.get_read_ptr(0).value + (height - 1) * frame.get_stride(0), view.element_size() * width
    )
    view[-1] = 5
    changed = ctypes.string_at(frame.get_read_ptr(0).value + (height - 1) * frame.get_stride(0), len(line))
    assert changed == view[-1].contiguous().numpy().tobytes() != line


def test_a_view_of_exactly_its_bytes_does_not_reach_past_them() -> None:
    # The last row ends with its last sample: a view must not span the padding that may not be there.
    memory = (ctypes.c_ubyte * (64 + 5))()
    view = host.plane_view(ctypes.addressof(memory), 64, 5, 2, PixelFormat.from_vs_id(vs.GRAY8))
    assert view.untyped_storage().nbytes() == 64 + 5


def test_on_a_cpu_an_upload_is_the_view_and_a_clone_outlives_the_frame() -> None:
    frame = blank(vs.YUV420P10, 34, 18)
    np.asarray(frame[1])[:] = 321
    view = views_of(frame)[1]
    plane = host.upload(view, torch.device("cpu"))
    assert plane.data_ptr() == view.data_ptr()
    kept = plane.clone()
    assert kept.is_contiguous()
    del frame, view, plane
    gc.collect()
    core.clear_cache()
    assert torch.equal(kept.to(torch.int32), torch.full((9, 17), 321, dtype=torch.int32))


@pytest.mark.parametrize("format_id", FORMATS)
def test_on_a_cpu_a_download_fills_the_frame_and_nothing_beside_it(format_id: int) -> None:
    frame = blank(format_id, 36, 20)
    for plane, view in enumerate(views_of(frame, write=True)):
        ctypes.memset(frame.get_write_ptr(plane).value, 0xA5, frame.get_stride(plane) * view.shape[0])
        source = (torch.arange(view.numel()) % 200).view(view.shape).to(view.dtype)
        host.download([source], [view])
        assert torch.equal(view.contiguous().view(torch.uint8), source.view(torch.uint8))
        row = view.shape[1] * view.element_size()
        for y in range(view.shape[0]):
            start = frame.get_read_ptr(plane).value + y * frame.get_stride(plane)
            assert ctypes.string_at(start + row, frame.get_stride(plane) - row) == b"\xa5" * (
                frame.get_stride(plane) - row
            )
    host.finish(torch.device("cpu"))


class FakeRuntime:
    """Stands in for cupy.cuda.runtime: does the 2D copies on the host and remembers them."""

    memcpyHostToDevice, memcpyDeviceToHost = 1, 2

    def __init__(self) -> None:
        self.copies: list[tuple[int, ...]] = []

    def memcpy2DAsync(self, *arguments: int) -> None:
        target, target_pitch, source, source_pitch, width, height, _, _ = arguments
        # cudaMemcpy2DAsync's own conditions.
        assert width <= target_pitch
        assert width <= source_pitch
        for row in range(height):
            ctypes.memmove(target + row * target_pitch, source + row * source_pitch, width)
        self.copies.append(arguments)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """Makes the module believe that cupy drives the "meta" device, with torch's current stream at 0x77. Memory there
    is torch's, which is the host's.
    """
    runtime = FakeRuntime()
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, device=None, **options: empty(*size, **options))

    @contextmanager
    def queue(module: object, device: torch.device) -> Iterator[int]:
        assert module is cupy
        yield 0x77

    monkeypatch.setattr(host, "_queue", queue)
    monkeypatch.setattr(host, "_cupy_for", lambda device_type: cupy)
    return runtime


@pytest.mark.parametrize("format_id", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(36, 20), (4, 4)])
def test_an_upload_is_one_copy_from_the_frames_memory_to_the_buffer(
    format_id: int, width: int, height: int, runtime: FakeRuntime
) -> None:
    frame = blank(format_id, width, height)
    for number, view in enumerate(views_of(frame, write=True), 1):
        view.copy_((torch.arange(view.numel()) % 251).view(view.shape))
        plane = host.upload(view, torch.device("meta"))
        assert plane.dtype is view.dtype
        assert plane.is_contiguous()
        assert torch.equal(plane.view(torch.uint8), view.contiguous().view(torch.uint8))
        assert len(runtime.copies) == number
        row = view.shape[1] * view.element_size()
        source = (frame.get_read_ptr(number - 1).value, frame.get_stride(number - 1))
        assert runtime.copies[-1] == (plane.data_ptr(), row, *source, row, view.shape[0], 1, 0x77)


def test_a_download_is_one_copy_into_the_frames_memory(monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime) -> None:
    frame = blank(vs.YUV422P10, 36, 20)
    view = views_of(frame, write=True)[1]
    source = torch.arange(view.numel(), dtype=torch.int32).view(view.shape).to(torch.uint16)

    class OnDevice:  # a plane whose device is not the CPU, and whose memory is
        device = torch.device("meta")
        shape, data_ptr, stride, element_size = source.shape, source.data_ptr, source.stride, source.element_size

    host.download([OnDevice()], [view])  # type: ignore[arg-type]
    assert torch.equal(view.contiguous().view(torch.uint8), source.view(torch.uint8))
    (copy,) = runtime.copies
    assert copy == (frame.get_read_ptr(1).value, frame.get_stride(1), source.data_ptr(), 36, 36, 20, 2, 0x77)


@pytest.mark.parametrize(("width", "height"), [(36, 20), (4, 2)])
def test_a_download_into_a_frame_s_planes_makes_no_view_of_them(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime
) -> None:
    frame = blank(vs.YUV420P10, width, height)
    views = views_of(frame, write=True)
    sources = [torch.full(view.shape, 300 + n, dtype=torch.int32).to(torch.uint16) for n, view in enumerate(views)]
    monkeypatch.setattr(host, "plane_view", None)
    into = host.HostPlanes(
        host.layout_of(PixelFormat.from_vs_id(vs.YUV420P10), width, height),
        lambda: [number for n in range(3) for number in (frame.get_write_ptr(n).value, frame.get_stride(n))],
    )

    class OnDevice:
        device = torch.device("meta")

        def __init__(self, plane: torch.Tensor) -> None:
            self.shape, self.stride, self.element_size = plane.shape, plane.stride, plane.element_size
            self.data_ptr = plane.data_ptr

    host.download([OnDevice(source) for source in sources], into)  # type: ignore[misc]
    assert all(map(torch.equal, views, sources))
    assert runtime.copies == [
        (view.data_ptr(), frame.get_stride(n), source.data_ptr(), 2 * source.shape[1], 2 * source.shape[1],
         source.shape[0], 2, 0x77)
        for n, (view, source) in enumerate(zip(views, sources, strict=True))
    ]  # fmt: skip


def test_a_single_row_has_a_pitch_that_cuda_takes(runtime: FakeRuntime) -> None:
    # numpy and torch may give a dimension of one any stride.
    view = torch.arange(9, dtype=torch.float32).as_strided((1, 9), (1, 1))
    assert host.upload(view, torch.device("meta")).tolist() == [list(range(9))]


@pytest.fixture
def unresolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_resolved", {})


@pytest.mark.usefixtures("unresolved")
@pytest.mark.parametrize(
    "error", [ImportError("No module named 'cupy'"), RuntimeError("no driver"), OSError("libx.so")]
)
def test_without_cupy_torch_copies_and_says_so_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> ModuleType:
        assert name == "cupy"
        raise error

    monkeypatch.setattr(host.importlib, "import_module", refuse)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with caplog.at_level(logging.INFO, logger="vsrife"):
        assert [host._cupy_for("cuda") for _ in range(3)] == [None] * 3
    (record,) = caplog.records
    assert record.name == "vsrife"
    assert str(error) in record.getMessage()
    assert "install cupy-cuda13x 14 or later" in record.getMessage()


@pytest.mark.usefixtures("unresolved")
def test_a_cupy_that_cannot_copy_is_found_out_before_the_first_frame(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = ModuleType("cupy")  # before 14 a stream of torch's could not be wrapped
    monkeypatch.setattr(host.importlib, "import_module", lambda _name: old)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: None)
    assert host._cupy_for("cuda") is None
    assert "AttributeError: module 'cupy' has no attribute 'cuda'" in caplog.text


@pytest.mark.usefixtures("unresolved")
@pytest.mark.parametrize(("device", "toolkit"), [("mps", "13.0"), ("cuda", None)])
def test_cupy_is_not_even_imported_for_hardware_it_does_not_drive(
    device: str, toolkit: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host.importlib, "import_module", lambda name: pytest.fail(f"imported {name}"))
    monkeypatch.setattr(torch.version, "cuda", toolkit)
    assert host._cupy_for(device) is None
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("unresolved")
def test_other_devices_get_torchs_copy(caplog: pytest.LogCaptureFixture) -> None:
    view = views_of(blank(vs.GRAY16, 33, 17))[0]
    plane = host.upload(view, torch.device("meta"))
    assert (plane.device.type, plane.dtype, plane.shape) == ("meta", torch.uint16, (17, 33))
    assert len(caplog.records) == 1


def test_the_wait_for_a_gpu_sleeps_and_is_for_what_is_queued_now(monkeypatch):
    log = []

    class Event:
        def __init__(self, *, blocking):
            log.append(("event", blocking))

        def record(self, stream):
            log.append(("record", stream))

        def synchronize(self):
            log.append(("wait",))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"current of {device}")
    host.finish(torch.device("cuda", 0))
    assert log == [("event", True), ("record", "current of cuda:0"), ("wait",)]
    host.finish(torch.device("cpu"))
    assert len(log) == 3
