"""vsrife.engine.transfer.interop: imported allocations as planes, and what is asked of CUDA for them."""

import contextlib
import mmap
import os
import types

import pytest
import torch
import vapoursynth as vs

from vsrife.engine import picture
from vsrife.engine.transfer import host
from vsrife.engine.transfer import interop as resident
from vsrife.errors import RifeError
from vsrife.formats.colour import ColourOverrides, colour_of
from vsrife.formats.pixel_format import PixelFormat

needs_descriptors = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="handles are file descriptors of Linux")


class Mapped(resident.Interop):
    """Memory behind a file descriptor, mapped into the process. Counts."""

    device = torch.device("cpu")

    def __init__(self):
        self.mapped, self.unmapped = 0, 0

    def map(self, handle, size):
        self.mapped += 1
        memory = mmap.mmap(handle, size)
        os.close(handle)
        return resident.Block(memory=torch.frombuffer(memory, dtype=torch.uint8), parts=memory)

    def unmap(self, block):
        assert block.users == 0
        self.unmapped += 1


def allocation(size=4096):
    handle = os.memfd_create("allocation")
    os.truncate(handle, size)
    return handle


def is_open(handle):
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True


@needs_descriptors
class TestImports:
    def test_an_allocation_is_imported_once_and_surplus_handles_are_closed(self):
        interop = Mapped()
        imports = resident.Imports(interop)
        block = imports.use(7, allocation(), 4096)
        surplus = allocation()
        assert imports.use(7, surplus, 4096) is block
        assert not is_open(surplus)
        assert (interop.mapped, len(imports)) == (1, 1)

    def test_the_least_recently_used_goes_first(self):
        interop = Mapped()
        imports = resident.Imports(interop, most=2)
        for number in (1, 2, 1, 3):  # 2 goes
            imports.done(imports.use(number, allocation(), 4096))
        assert (interop.mapped, interop.unmapped) == (3, 1)
        imports.done(imports.use(1, allocation(), 4096))
        assert interop.mapped == 3
        imports.done(imports.use(2, allocation(), 4096))
        assert interop.mapped == 4

    def test_one_in_use_is_given_back_when_it_is_idle(self):
        interop = Mapped()
        imports = resident.Imports(interop, most=1)
        first, again = imports.use(1, allocation(), 4096), imports.use(1, allocation(), 4096)
        second = imports.use(2, allocation(), 4096)
        imports.done(first)
        assert interop.unmapped == 0
        imports.done(again)
        assert interop.unmapped == 1
        imports.close()
        assert interop.unmapped == 1
        imports.done(second)
        assert interop.unmapped == 2

    def test_an_import_that_fails_is_not_remembered(self):
        class Failing(Mapped):
            def map(self, handle, size):
                if self.mapped == 0:
                    self.mapped += 1
                    os.close(handle)
                    raise RifeError("no")
                return super().map(handle, size)

        imports = resident.Imports(Failing())
        with pytest.raises(RifeError):
            imports.use(1, allocation(), 4096)
        assert len(imports) == 0
        imports.use(1, allocation(), 4096)


@pytest.mark.parametrize("fmt", [vs.GRAY8, vs.YUV420P10, vs.RGBH, vs.RGBS])
@pytest.mark.parametrize(
    ("width", "height", "stride", "offset"), [(33, 17, 192, 4096), (1, 1, 64, 0), (48, 5, 192, 64)]
)
def test_a_plane_is_a_view_of_the_allocation(fmt, width, height, stride, offset):
    fmt = PixelFormat.from_vs_id(fmt)
    memory = torch.zeros(offset + stride * height + 64, dtype=torch.uint8)
    plane = resident.plane_of(resident.Block(memory=memory), offset, stride, width, height, fmt)
    assert (plane.shape, plane.dtype, plane.stride(1)) == ((height, width), host.dtype_of(fmt), 1)
    plane[-1, -1] = 1
    size = plane.element_size()
    last = memory[offset + stride * (height - 1) + (width - 1) * size :][:size]
    assert last.any()
    assert int(memory.count_nonzero()) == int(last.count_nonzero())


class StubLease:
    """Records what a layer asks of its frames' owner."""

    def __init__(self):
        self.asked = []

    def begin(self):
        self.asked.append("begin")

    def signal_done(self):
        self.asked.append("signal_done")


def pictures(lease, count=3):
    fmt = PixelFormat.from_vs_id(vs.GRAY8)
    colour = colour_of({}, fmt, 5, 3, ColourOverrides())
    layers = [
        picture.Layer(format=fmt, colour=colour, views=(torch.full((3, 5), n, dtype=torch.uint8),), lease=lease)
        for n in range(count)
    ]
    return [picture.Picture(number=n, width=5, height=3, layers=(layer,)) for n, layer in enumerate(layers)]


class TestLayers:
    cpu = torch.device("cpu")

    def test_lent_planes_are_the_frame_s_own_memory_once_the_owner_was_asked(self):
        lease = StubLease()
        left, right, into = pictures(lease)
        assert left.image.is_on(self.cpu)
        assert lease.asked == []
        assert left.image.planes_on(self.cpu)[0].data_ptr() == left.image.views[0].data_ptr()
        assert lease.asked == ["begin"]
        (target,) = into.image.targets_on(self.cpu)
        assert lease.asked == ["begin", "begin"]
        target.fill_(9)
        assert int(into.image.views[0].min()) == 9
        into.image.receive(right.image.views)
        assert int(into.image.views[0].max()) == 1

    def test_memory_elsewhere_is_not_lent_and_cannot_be_written(self):
        (one,) = pictures(None, 1)
        meta = torch.device("meta")
        assert not one.image.is_on(meta)
        assert one.image.targets_on(meta) is None

    @pytest.mark.parametrize(("owners", "waits"), [("none", True), ("one", False), ("mixed", True), ("nothing", True)])
    def test_settling_waits_for_host_memory_only(self, monkeypatch, owners, waits):
        waited, lease = [], StubLease()
        monkeypatch.setattr(host, "finish", waited.append)
        settled = {"none": pictures(None), "one": pictures(lease), "mixed": [*pictures(lease), *pictures(None)]}
        picture.release(self.cpu, *settled.get(owners, []))
        assert bool(waited) == waits
        assert lease.asked == (["signal_done"] if owners in ("one", "mixed") else [])


class Runtime(types.SimpleNamespace):
    """NVIDIA's runtime as `Cuda` calls it: answers like cuda.bindings and writes down what was asked."""

    def __init__(self, failing=()):
        super().__init__()
        self.calls = []
        self.failing = set(failing)
        kinds = types.SimpleNamespace
        self.cudaExternalMemoryHandleType = kinds(
            cudaExternalMemoryHandleTypeOpaqueFd="fd", cudaExternalMemoryHandleTypeOpaqueWin32="nt"
        )
        self.cudaExternalSemaphoreHandleType = kinds(
            cudaExternalSemaphoreHandleTypeTimelineSemaphoreFd="timeline fd",
            cudaExternalSemaphoreHandleTypeTimelineSemaphoreWin32="timeline nt",
        )
        self.cudaExternalMemoryHandleDesc = self.cudaExternalSemaphoreHandleDesc = lambda: kinds(
            handle=kinds(win32=kinds())
        )
        self.cudaExternalMemoryBufferDesc = kinds
        parameters = lambda: kinds(params=kinds(fence=kinds()))  # noqa: E731
        self.cudaExternalSemaphoreWaitParams = self.cudaExternalSemaphoreSignalParams = parameters
        self.cudaStream_t = lambda number: ("stream", number)
        answers = {
            "cudaImportExternalMemory": "memory",
            "cudaExternalMemoryGetMappedBuffer": 4096,
            "cudaImportExternalSemaphore": "semaphore",
        }
        for name in (
            *answers,
            *("cudaFree", "cudaDestroyExternalMemory", "cudaDestroyExternalSemaphore", "cudaStreamSynchronize"),
            *("cudaWaitExternalSemaphoresAsync", "cudaSignalExternalSemaphoresAsync"),
        ):
            setattr(self, name, self._call(name, answers.get(name)))

    def _call(self, name, answer):
        def call(*arguments):
            self.calls.append((name, *arguments))
            error = 700 if name in self.failing else 0
            return (error,) if answer is None else (error, None if error else answer)

        call.__name__ = name
        return call

    @staticmethod
    def cudaGetErrorString(error):
        return 0, b"an illegal memory access was encountered"


class TestCuda:
    @pytest.fixture
    def cuda(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "Stream", lambda device, priority: None)
        monkeypatch.setattr(resident.Cuda, "_tensor", lambda self, address, size: torch.zeros(8, dtype=torch.uint8))

        def made(**options):
            runtime = Runtime(**options)
            return resident.Cuda(torch.device("cuda", 0), runtime, None), runtime

        return made

    @needs_descriptors
    def test_memory_is_imported_mapped_whole_and_given_back_in_order(self, cuda):
        interop, runtime = cuda()
        handle = allocation()
        block = interop.map(handle, 1 << 27)
        (_, wanted), (_, memory, whole) = runtime.calls
        assert (wanted.type, wanted.handle.fd, wanted.size) == ("fd", handle, 1 << 27)
        assert (memory, whole.offset, whole.size) == ("memory", 0, 1 << 27)
        assert is_open(handle), "CUDA owns it now"
        os.close(handle)
        runtime.calls.clear()
        interop.unmap(block)
        assert runtime.calls == [("cudaFree", 4096), ("cudaDestroyExternalMemory", "memory")]
        assert block.memory.numel() == 0

    @needs_descriptors
    def test_what_is_refused_is_closed(self, cuda):
        interop, _ = cuda(failing=["cudaImportExternalMemory"])
        handle = allocation()
        with pytest.raises(RifeError, match="cudaImportExternalMemory failed: an illegal memory access"):
            interop.map(handle, 4096)
        assert not is_open(handle)
        interop, runtime = cuda(failing=["cudaExternalMemoryGetMappedBuffer"])
        handle = allocation()
        with pytest.raises(RifeError, match="GetMappedBuffer"):
            interop.map(handle, 4096)
        assert runtime.calls[-1] == ("cudaDestroyExternalMemory", "memory")
        os.close(handle)

    @needs_descriptors
    def test_timelines_are_waited_for_and_signalled_in_the_stream(self, cuda):
        interop, runtime = cuda()
        handle = allocation()
        semaphore = interop.open_semaphore(handle)
        assert (runtime.calls[-1][1].type, runtime.calls[-1][1].handle.fd) == ("timeline fd", handle)
        os.close(handle)
        runtime.calls.clear()
        interop.wait(semaphore, 5, 77)
        interop.signal(semaphore, 6, 77)
        interop.close_semaphore(semaphore)
        (wait, *waited), (signal, *signalled), closed = runtime.calls
        assert (wait, signal) == ("cudaWaitExternalSemaphoresAsync", "cudaSignalExternalSemaphoresAsync")
        for arguments, value in ((waited, 5), (signalled, 6)):
            semaphores, (parameters,), count, stream = arguments
            assert (semaphores, parameters.params.fence.value, count) == (["semaphore"], value, 1)
            assert stream == ("stream", 77)
        assert closed == ("cudaDestroyExternalSemaphore", "semaphore")

    def test_a_lost_context_is_named(self, cuda):
        interop, _ = cuda(failing=["cudaStreamSynchronize"])
        with pytest.raises(RifeError, match="cudaStreamSynchronize failed: an illegal memory access was encountered"):
            interop.finish(77)

    def test_the_bindings_have_what_is_asked_of_them(self):
        runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs NVIDIA's Python bindings")
        imitated = Runtime()
        for name in vars(imitated).keys() - {"calls", "failing"}:
            assert hasattr(runtime, name), name
        for kind in ("cudaExternalMemoryHandleType", "cudaExternalSemaphoreHandleType"):
            for name in vars(getattr(imitated, kind)):
                assert hasattr(getattr(runtime, kind), name), name
        for make in (runtime.cudaExternalMemoryHandleDesc, runtime.cudaExternalSemaphoreHandleDesc):
            wanted = make()
            wanted.handle.fd = 5
            assert wanted.handle.fd == 5
        for make in (runtime.cudaExternalSemaphoreWaitParams, runtime.cudaExternalSemaphoreSignalParams):
            parameters = make()
            parameters.params.fence.value = 1 << 40
            assert parameters.params.fence.value == 1 << 40
        assert runtime.cudaGetErrorString(runtime.cudaError_t.cudaErrorIllegalAddress)[1].startswith(b"an illegal")


def test_other_devices_than_cuda_are_refused_with_a_reason():
    assert resident.resolve(torch.device("cpu")) == (None, "only CUDA can use them in place, and the device is cpu")
