"""Frames on the GPU. First against a table of functions that stands for VapourSynth's Vulkan API and a stream that only
writes down what is queued; then, where a software driver for Vulkan 1.4 is installed, in VapourSynth itself.
"""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import functools
import gc
import itertools
import mmap
import os
import struct
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.hosts.processes import POLICY, printed
from tests.plugin.clips import numbered, samples, scene, textured, with_props
from vsrife.engine.transfer.interop import Block, Interop
from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.pixel_format import PixelFormat
from vsrife.plugin import vsapi
from vsrife.plugin.gpu import bridge, vulkan
from vsrife.plugin.gpu.bridge import VulkanCudaBridge
from vsrife.plugin.signature import SIGNATURE

core = vs.core
GRAY = PixelFormat.from_vs_id(vs.GRAY8)
YUV = PixelFormat.from_vs_id(vs.YUV420P8)

needs_descriptors = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="handles are file descriptors of Linux")


@pytest.fixture(scope="module", autouse=True)
def connected(request):
    """The native library, which the first call of RIFE connects."""
    if not vsapi.connected():
        core.rife.RIFE(textured(2), model=request.getfixturevalue("average_model"), device="cpu")


def number(pointer):
    return int(vsapi.ffi().cast("uintptr_t", pointer))


class Stream(Interop):
    """A device on whose streams things are written down and nothing happens: ``log``."""

    device = torch.device("cpu")

    def __init__(self, table):
        self.log, self.current, self.failing, self.held = table.log, 1, set(), 1000

    def map(self, handle, size):
        memory = mmap.mmap(handle, size)
        os.close(handle)
        self.log.append(("map", size))
        return Block(memory=torch.frombuffer(memory, dtype=torch.uint8), parts=memory)

    def unmap(self, block):
        assert block.users == 0
        self.log.append(("unmap",))

    def open_semaphore(self, handle):
        os.close(handle)
        if "open_semaphore" in self.failing:
            raise RifeError("no timelines here")
        self.log.append(("open",))
        return f"semaphore {sum(entry == ('open',) for entry in self.log)}"

    def close_semaphore(self, semaphore):
        self.log.append(("close",))

    def wait(self, semaphore, value, stream):
        self.log.append(("wait", value, stream))

    def signal(self, semaphore, value, stream):
        if "signal" in self.failing:
            raise RifeError("the signal failed")
        self.log.append(("signal", value, stream))

    def stream(self):
        return self.current

    @contextlib.contextmanager
    def aside(self):
        self.current, before = 9, self.current
        try:
            yield
        finally:
            self.current = before

    def finish(self, stream):
        self.log.append(("finish", stream))

    def allocated(self):
        return self.held


class Table:
    """VapourSynth's Vulkan API in a few dictionaries. Frames are numbers; all of them share one allocation."""

    def __init__(self, timelines=True):
        self.log = []
        self.timelines = timelines
        self.references, self.producers, self.reached, self.freed = {}, {}, {}, []
        self.memory = os.memfd_create("memory of a table")
        os.truncate(self.memory, 1 << 16)
        self.numbers = itertools.count(1000)
        self.reserved = {}
        vkapi = {name: getattr(self, name) for name in dir(type(self)) if not name.startswith("_")}
        self.core = vsapi.Core(
            types.SimpleNamespace(
                getVulkanAPI=lambda: types.SimpleNamespace(**vkapi),
                addFrameRef=self.held,
                freeFrame=self.freeFrame,
                getFrameFilter=lambda n, node, context: self.held(self.frame(n)),
                getStride=lambda frame, plane: 64,
                getFrameWidth=lambda frame, plane: 40 >> (plane > 0),
                getFrameHeight=lambda frame, plane: 10 >> (plane > 0),
                getVideoFrameFormat=lambda frame: None,
                getAPIVersion=lambda: 4 << 16 | 3,
            ),
            vsapi.ffi().cast("VSCore *", id(self)),
        )

    def frame(self, n):
        """Frame ``n``, with no reference to it yet."""
        self.references.setdefault(n, 0)
        return vsapi.ffi().cast("VSFrame *", n)

    def held(self, frame):
        self.references[number(frame)] += 1
        return frame

    def freeFrame(self, frame):
        self.references[number(frame)] -= 1

    def take(self, n):
        """Frame ``n`` as the plugin holds it."""
        return vsapi.Frame(self.core, self.held(self.frame(n)))

    def getVulkanCoreInfo(self, core, info, reason, size):
        info.deviceName, info.deviceUUID = b"A Device", bytes(range(16))
        info.exportHandleType, info.semaphoreExportHandleType = 1, int(self.timelines)
        return 0

    def getVulkanHandles(self, core, handles, reason, size):
        return 0

    def getVulkanFunctions(self, core, reason, size):
        def counter(device, semaphore, value):
            value[0] = self.reached.get(number(semaphore), 0)
            return 0

        return types.SimpleNamespace(vkGetSemaphoreCounterValue=counter)

    def newGPUVideoFrame(self, format, width, height, properties, core):
        return self.held(self.frame(next(self.numbers)))

    def getGPUPlane(self, frame, plane, found):
        semaphore, found.readyValue = self.producers.get((number(frame), plane), (0, 0))
        found.readySemaphore = vsapi.ffi().cast("VkSemaphore", semaphore)
        return 0

    def setGPUPlaneProducer(self, frame, plane, timeline, value):
        self.log.append(("publish", number(frame), plane, value))

    def createGPUTimeline(self, core, reason, size):
        return vsapi.ffi().cast("VSGPUTimeline *", next(self.numbers))

    def getGPUTimelineSemaphore(self, timeline):
        return vsapi.ffi().cast("VkSemaphore", number(timeline))

    def freeGPUTimeline(self, timeline):
        self.log.append(("free timeline",))

    def gpuTimelineWaitValue(self, timeline, value, reason, size):
        self.log.append(("host wait", value))
        self.reached[number(timeline)] = max(value, self.reached.get(number(timeline), 0))
        return 0

    def reserveGPUMemory(self, core, total, reason, size):
        self.log.append(("reserve", total))
        return vsapi.ffi().cast("VSGPUMemoryReservation *", next(self.numbers))

    def updateGPUMemoryReservation(self, reservation, total):
        self.log.append(("declare", total))

    def releaseGPUMemoryReservation(self, reservation):
        self.log.append(("release reservation",))

    def exportGPUPlane(self, frame, plane, found, reason, size):
        if number(frame) == 404:
            vsapi.ffi().memmove(reason, b"not exportable\n", 15)
            return 1
        found.memoryId, found.memorySize, found.offset, found.size = 7, 1 << 16, 4096 + 1024 * plane, 640
        found.handle = os.dup(self.memory)
        return 0

    def exportGPUSemaphore(self, core, semaphore, found, reason, size):
        found.handle = os.dup(self.memory)
        return 0

    def waitGPUFrame(self, frame, reason, size):
        self.log.append(("wait for frame", number(frame)))
        return 0

    def getExportableFrameFilter(self, n, node, context, reason, size):
        self.log.append(("take", n))
        return self.held(self.frame(n + 500))

    def _names(self, *kinds):
        return [entry for entry in self.log if entry[0] in kinds]


def open_allocations():
    """Descriptors of this process that lead to the memory of a `Table`."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that the listing itself had
            found.append(str(descriptor.readlink()))
    return [target for target in found if "memory of a table" in target]


@pytest.fixture
def made():
    """Makes a table, a stream and a bridge between them; nothing of it may be left at the end."""
    if not hasattr(os, "memfd_create"):
        pytest.skip("handles are file descriptors of Linux")
    all_made = []

    def make(**options):
        table = Table(**options)
        stream = Stream(table)
        told = []
        bridge = VulkanCudaBridge(vulkan.Gpu(table.core), stream, inform=told.append)
        all_made.append((table, bridge))
        return types.SimpleNamespace(table=table, stream=stream, bridge=bridge, log=table.log, told=told)

    yield make
    for table, made_bridge in all_made:
        made_bridge.close()
        assert not any(table.references.values()), "frames are still held"
        log = table.log
        assert log.count(("unmap",)) == sum(entry[0] == "map" for entry in log)
        assert log.count(("close",)) == log.count(("open",))
        os.close(table.memory)
    gc.collect()
    assert not open_allocations(), "handles are still open"


def work(made, sources, target, *, fmt=YUV, settle=True):
    """One frame between two, as the plugin makes it."""
    with made.bridge.lease() as lease:
        frames = [made.table.take(n) for n in sources]
        target = made.table.take(target)
        try:
            planes = [lease.read(frame, fmt) for frame in frames], lease.write(target, fmt)
            lease.begin()
            if settle:
                lease.signal_done()
        finally:
            for frame in (*frames, target):
                frame.free()
    return planes


class Closing:
    """A frame that is given back by ``close``."""

    def __init__(self, frame):
        self.it, self.close = frame, frame.free


class TestVulkanCudaBridge:
    def test_waits_come_before_the_work_and_the_signal_before_it_is_announced(self, made):
        made = made()
        made.table.producers = {(1, 0): (11, 5), (1, 1): (11, 7), (1, 2): (12, 1), (2, 0): (11, 6)}
        work(made, [1, 2], 3)
        kept = made.table._names("wait", "signal", "publish")
        assert kept[:3] == [("wait", 5, 1), ("wait", 7, 1), ("wait", 1, 1)]  # and not 6: the stream is past it
        assert kept[3:] == [("signal", 1, 1), *(("publish", 3, plane, 1) for plane in range(3))]
        assert not made.table._names("host wait", "finish", "wait for frame"), "nothing waits on the host"
        assert made.log.count(("map", 1 << 16)) == 1, "nine planes, one import"

    def test_a_value_is_waited_for_once_a_stream(self, made):
        made = made()
        made.table.producers = {(1, 0): (11, 5)}
        for _ in range(3):
            work(made, [1], 3, fmt=GRAY)
        made.stream.current = 2
        work(made, [1], 3, fmt=GRAY)
        assert made.table._names("wait") == [("wait", 5, 1), ("wait", 5, 2)]
        assert made.table._names("signal") == [("signal", 1, 1), ("signal", 2, 1), ("signal", 3, 1), ("signal", 1, 2)]

    def test_planes_are_the_frame_s_memory(self, made):
        made = made()
        ((luma, *_),), (target, *_) = work(made, [1], 3)
        assert (luma.shape, luma.stride()) == ((10, 40), (64, 1))
        target[0, 1] = 37
        assert os.pread(made.table.memory, 2, 4096) == bytes((0, 37))

    def test_sources_are_held_until_the_value_is_reached(self, made):
        made = made()
        work(made, [1, 2], 3)
        assert made.table.references == {1: 1, 2: 1, 3: 0}
        work(made, [2, 4], 5)
        assert made.table.references == {1: 1, 2: 2, 3: 0, 4: 1, 5: 0}
        (timeline,) = {entry.timeline for entry in made.bridge._pending}
        made.table.reached[timeline.semaphore] = 1
        made.bridge.sweep()
        assert made.table.references == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0}
        assert not made.table._names("host wait")

    def test_the_number_of_pieces_held_is_bounded(self, made, monkeypatch):
        monkeypatch.setattr(bridge, "gpu_slots", lambda: 3)
        made = made()
        for n in range(1, 7):
            work(made, [n], 100 + n)
        assert made.table._names("host wait") == [("host wait", 1), ("host wait", 2), ("host wait", 3)]
        assert [n for n, count in made.table.references.items() if count] == [4, 5, 6]

    def test_closing_waits_and_gives_everything_back(self, made):
        made = made()
        made.table.producers = {(1, 0): (11, 5)}
        work(made, [1, 2], 3)
        del made.log[:]
        made.bridge.close()
        assert made.log[0] == ("host wait", 1)
        assert sorted(made.log[1:]) == [
            ("close",),
            ("close",),
            ("free timeline",),
            ("release reservation",),
            ("unmap",),
        ]
        assert not any(made.table.references.values())
        # The fixture closes again and counts what the deleted log no longer shows.
        made.log[:] = [("map", 0), ("unmap",)]

    def test_closing_gives_the_rest_back_where_something_fails(self, made, monkeypatch):
        made = made()
        work(made, [1, 2], 3)
        unmap = made.stream.unmap

        def fail(block):
            unmap(block)
            raise RifeError("the GPU is lost")

        monkeypatch.setattr(made.stream, "unmap", fail)
        with pytest.raises(RifeError, match="the GPU is lost"):
            made.bridge.close()
        monkeypatch.undo()
        assert made.table._names("close", "free timeline", "release reservation") == [
            ("close",),
            ("free timeline",),
            ("release reservation",),
        ]

    def test_work_that_failed_is_waited_for_on_each_of_its_streams(self, made):
        made = made()

        def fail():
            with made.bridge.lease() as lease, contextlib.closing(Closing(made.table.take(1))) as frame:
                lease.read(frame.it, GRAY)
                for stream in (4, 5, 4):
                    made.stream.current = stream
                    lease.begin()
                made.stream.current = 1  # the failing engine has left its streams
                raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError, match="in the middle"):
            fail()
        assert made.table._names("finish", "signal") == [("finish", 4), ("finish", 5)]
        assert made.table.references == {1: 0}

    def test_the_signal_is_queued_where_the_work_ends(self, made):
        made = made()
        with made.bridge.lease() as lease, contextlib.closing(Closing(made.table.take(1))) as frame:
            lease.read(frame.it, GRAY)
            for stream in (4, 5):
                made.stream.current = stream
                lease.begin()
            made.stream.current = 6
            lease.signal_done()
            made.stream.current = 1
            lease.signal_done()
        assert made.table._names("finish", "signal") == [("signal", 1, 6)]

    def test_nothing_begins_on_what_was_given_back(self, made):
        made = made()
        with made.bridge.lease() as lease, contextlib.closing(Closing(made.table.take(1))) as frame:
            lease.read(frame.it, GRAY)
            lease.begin()
            lease.signal_done()
            with pytest.raises(RuntimeError, match="after it had been released"):
                lease.begin()

    def test_work_that_was_not_finished_is_waited_for(self, made):
        made = made()
        work(made, [1], 3, settle=False)
        assert made.table._names("finish", "signal", "publish") == [("finish", 1)]
        assert not any(made.table.references.values())

    def test_work_that_never_began_is_given_back_at_once(self, made):
        made = made()

        def fail():
            with made.bridge.lease() as lease, contextlib.closing(Closing(made.table.take(1))) as frame:
                lease.read(frame.it, GRAY)
                raise RuntimeError("before the first use")

        with pytest.raises(RuntimeError, match="before the first use"):
            fail()
        assert made.table.references == {1: 0}
        assert not made.table._names("signal", "finish")

    def test_a_plane_that_cannot_be_exported_names_the_reason_on_one_line(self, made):
        made = made()
        with pytest.raises(RifeError, match=r"^VapourSynth's Vulkan API failed: not exportable$"):
            work(made, [1], 404)
        assert made.table.references == {1: 0, 404: 0}

    def test_measuring_has_a_stream_of_its_own_and_holds_nothing(self, made):
        made = made()
        made.table.producers = {(1, 0): (11, 5)}
        with made.bridge.lease_for_measuring() as lease:
            frame = made.table.take(1)
            lease.read(frame, GRAY)
            lease.begin()
            frame.free()
            assert made.table.references == {1: 1}
        assert made.table._names("wait", "finish", "signal") == [("wait", 5, 9), ("finish", 9)]
        assert made.table.references == {1: 0}

    def test_without_shared_timelines_the_host_waits_before_and_after(self, made):
        made = made(timelines=False)
        made.table.producers = {(1, 0): (11, 5)}
        work(made, [1, 2], 3)
        assert made.table._names("wait", "wait for frame", "finish", "signal", "publish") == [
            ("wait for frame", 1),
            ("wait for frame", 2),
            ("finish", 1),
        ]
        assert not any(made.table.references.values())
        assert len(made.told) == 1

    @pytest.mark.parametrize("failing", ["open_semaphore", "signal"])
    def test_timelines_that_fail_are_given_up_with_a_line(self, made, failing):
        made = made()
        made.table.producers = {(1, 0): (11, 5)}
        made.stream.failing.add(failing)
        for target in (3, 4):
            work(made, [1], target)
        assert made.table._names("finish") == [("finish", 1), ("finish", 1)]
        assert made.table._names("wait for frame")[-1] == ("wait for frame", 1)
        assert not made.table._names("publish")
        assert len(made.told) == 1
        assert not any(made.table.references.values())

    def test_memory_is_declared_once_a_core(self, made):
        first = made()
        second = VulkanCudaBridge(vulkan.Gpu(first.table.core), first.stream, inform=print)
        assert first.table._names("reserve", "declare") == [("reserve", 0), ("declare", 1000)]
        first.stream.held = 3000
        for n in range(1, 65):
            work(first, [n], 100 + n)
        assert first.table._names("declare")[1:] == [("declare", 3000)], "now and then, and where it has changed"
        second.close()
        assert not first.table._names("release reservation")
        first.bridge.close()
        first.bridge.close()
        assert first.table._names("release reservation") == [("release reservation",)]

    def test_imports_are_declared_where_the_system_charges_them_again(self, made, monkeypatch):
        made = made()
        work(made, [1], 3)
        reservation = made.bridge._reservation
        charged = 1 << 16 if vsapi.lib().VS_GPU_IMPORT_CHARGED_AGAIN else 0
        reservation.update(made.bridge, allocated=5, imported=1 << 16)
        assert made.table._names("declare")[-1] == ("declare", 5 + charged)
        monkeypatch.setattr(vulkan, "lib", lambda: types.SimpleNamespace(VS_GPU_IMPORT_CHARGED_AGAIN=1))
        reservation.update(made.bridge, allocated=6, imported=1 << 16)
        assert made.table._names("declare")[-1] == ("declare", 6 + (1 << 16))


@needs_descriptors
class TestSource:
    def test_is_handed_over_when_it_is_asked_for_and_once(self):
        table = Table()
        gpu = vulkan.Gpu(table.core)
        with gpu.frames(None, [3, 4], None) as sources:
            assert table.references == {3: 1, 4: 1}
            assert sources[3].exportable() is sources[3].exportable()
            assert table._names("take") == [("take", 3)]
            assert table.references == {3: 1, 4: 1, 503: 1}
        assert not any(table.references.values())
        os.close(table.memory)

    def test_all_are_given_back_where_one_is_missing(self):
        table = Table()
        give = table.core.api.getFrameFilter
        table.core.api.getFrameFilter = lambda n, node, context: vsapi.ffi().NULL if n == 4 else give(n, node, context)
        with pytest.raises(RuntimeError, match="no frame"), vulkan.Gpu(table.core).frames(None, [3, 4], None):
            pass
        assert table.references == {3: 0}
        os.close(table.memory)


class TestDevice:
    """Which frames on the GPU are used in place."""

    here = vulkan.Device(name="Card A", uuid=bytes(range(16)), exports_memory=True, exports_timelines=True)

    @pytest.fixture(autouse=True)
    def two_cards(self, monkeypatch):
        uuids = {0: bytes(16), 1: bytes(range(16))}
        monkeypatch.setattr(bridge, "uuid_of", lambda device: uuids[device.index])
        monkeypatch.setattr(
            bridge,
            "cuda_device",
            lambda uuid: next((torch.device("cuda", index) for index in uuids if uuids[index] == uuid), None),
        )
        monkeypatch.setattr(bridge, "resolve_device", torch.device)
        monkeypatch.setattr(bridge, "resolve", lambda device: (device, ""))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {'BA'[device.index]}")

    def test_auto_is_the_one_with_the_frames(self):
        assert bridge.interop_for(self.here, "auto") == (torch.device("cuda", 1), "")
        assert bridge.interop_for(self.here, "cuda:1") == (torch.device("cuda", 1), "")

    def test_another_card_is_an_error_that_names_both_and_the_way_out(self):
        with pytest.raises(ArgumentError) as error:
            bridge.interop_for(self.here, "cuda:0")
        text = str(error.value)
        assert "\n" not in text
        assert "device (cuda:0, Card B, UUID 00000000000000000000000000000000) must be" in text
        assert "(Card A, UUID 000102030405060708090a0b0c0d0e0f)" in text
        assert 'pass device="cuda:1"' in text
        assert "clip.std.GPUDownload()" in text

    def test_a_card_that_cuda_does_not_have_is_chosen_on_the_other_side(self):
        elsewhere = vulkan.Device(name="Chip C", uuid=b"c" * 16, exports_memory=True, exports_timelines=True)
        with pytest.raises(ArgumentError, match=r"pass core\.set_vulkan_device\(\)"):
            bridge.interop_for(elsewhere, "cuda:0")
        assert bridge.interop_for(elsewhere, "auto") == (
            None,
            "they are on Chip C, which is not a CUDA device of this process",
        )

    def test_a_driver_that_shares_no_memory(self):
        closed = vulkan.Device(name="Card A", uuid=bytes(range(16)), exports_memory=False, exports_timelines=False)
        assert bridge.interop_for(closed, "auto") == (None, "the driver of Card A exports no memory")


def test_the_function_takes_and_gives_both_kinds_of_frames():
    assert core.rife.RIFE.signature == SIGNATURE
    assert core.rife.RIFE.return_signature == "clip:vnode:all;"


def test_the_vulkan_api_of_other_versions_is_not_used():
    def a_core(version):
        return vsapi.Core(types.SimpleNamespace(getAPIVersion=lambda: version), vsapi.ffi().NULL)

    assert vulkan.same_api_version(a_core(4 << 16 | 3))
    assert not vulkan.same_api_version(a_core(4 << 16 | 4))


# ---- In VapourSynth itself, on a software driver. Its memory is the host's, so the CPU can be the device. ----


class Software(Interop):
    """A software driver's memory as CPU tensors. Its timelines are those of Vulkan itself, signalled from the host.

    late: seconds after which a signal arrives, from another thread, as from a GPU that is still working; and only then
    what `later` was told of is done, on the same thread.
    """

    device = torch.device("cpu")

    def __init__(self, late=0.0):
        self.late = late
        self.maps, self.unmaps, self.signals, self.waits = 0, 0, 0, 0
        self._later = threading.local()
        self._stream = concurrent.futures.ThreadPoolExecutor(1)

    def map(self, handle, size):
        self.maps += 1
        memory = mmap.mmap(handle, os.fstat(handle).st_size)
        os.close(handle)
        # llvmpipe begins an allocation's file with a header: its size, and where in the file the memory begins.
        start = struct.unpack_from("=QQ", memory)[1]
        return Block(memory=torch.frombuffer(memory, dtype=torch.uint8)[start : start + size], parts=memory)

    def unmap(self, block):
        self.unmaps += 1

    def open_semaphore(self, handle):
        return handle

    def close_semaphore(self, semaphore):
        pass

    def wait(self, semaphore, value, stream):
        self.waits += 1
        device, call = vulkan_function("vkGetSemaphoreCounterValue")
        found = ctypes.c_uint64()
        for _ in range(10_000):
            assert call(device, ctypes.c_void_p(semaphore), ctypes.byref(found)) == 0
            if found.value >= value:
                return
            time.sleep(0.001)
        raise RifeError("the producer never came")

    def later(self, do):
        self._later.todo = [*getattr(self._later, "todo", ()), do]

    def signal(self, semaphore, value, stream):
        todo, self._later.todo = getattr(self._later, "todo", ()), ()

        def signal_now():
            time.sleep(self.late)
            with torch.inference_mode():
                for do in todo:
                    do()
            signalled = SignalInfo(5 + 1000207000, None, semaphore, value)
            device, call = vulkan_function("vkSignalSemaphore")
            assert call(device, ctypes.byref(signalled)) == 0

        self.signals += 1
        self._stream.submit(signal_now)

    def stream(self):
        return 1

    def aside(self):
        return contextlib.nullcontext()

    def finish(self, stream):
        self._stream.submit(int).result()

    def allocated(self):
        return 1 << 20


class SignalInfo(ctypes.Structure):
    """VkSemaphoreSignalInfo."""

    _fields_ = (
        ("sType", ctypes.c_int32),
        ("pNext", ctypes.c_void_p),
        ("semaphore", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def vulkan_function(name):
    """The core's Vulkan device, and a function of Vulkan for it."""
    ffi = vsapi.ffi()
    handles = ffi.new("VSVulkanCoreHandles *")
    api, pointer = SEEN["core"]
    assert api.getVulkanAPI().getVulkanHandles(pointer, handles, ffi.new("char[]", 512), 512) == 0
    instance, _, device, find = (int(word) for word in ffi.cast("uintptr_t *", handles)[0:4])
    lookup = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    of_device = lookup(lookup(find)(instance, b"vkGetDeviceProcAddr"))
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    if name == "vkSignalSemaphore":
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    return device, kind(of_device(device, name.encode()))


SEEN = {}


@pytest.fixture(scope="module")
def software():
    """Skips where VapourSynth has no software driver of Vulkan 1.4 alone; its frames must be in memory that we map."""
    try:
        usable = [device for device in core.vulkan_devices if device["usable"]]
    except vs.Error as error:
        pytest.skip(f"needs a software driver for Vulkan 1.4: {error}")
    if not usable or any(device["type"] != "cpu" or "llvmpipe" not in device["name"] for device in usable):
        pytest.skip("needs Mesa's llvmpipe as the only driver for Vulkan 1.4")


@pytest.fixture
def on_software(software, monkeypatch):
    """Lets RIFE use frames of the software driver in place. Call it with ``timelines`` as if the driver shared them."""

    def make(*, timelines=False, **options):
        interop = Software(**options)

        def chosen(device, name):
            assert (device.exports_memory, device.exports_timelines) == (True, timelines)
            return interop, ""

        monkeypatch.setattr("vsrife.plugin.filter.interop_for", chosen)
        original = vulkan.Gpu.device

        def device(self):
            SEEN["core"] = self._core.api, self._core.pointer
            found = original(self)
            return dataclasses.replace(found, exports_timelines=timelines)

        monkeypatch.setattr(vulkan.Gpu, "device", device)
        if timelines:
            monkeypatch.setattr(vulkan.Gpu, "export_semaphore", lambda self, semaphore: semaphore)
        return interop

    return make


def rife(clip, model, **options):
    options.setdefault("skip", 0)
    options.setdefault("sc", 0)
    return core.rife.RIFE(clip, model=model, device="cpu", **options)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(samples(a), samples(b), strict=True))


def given_back(interop):
    """Whether all imports come back; the last thread of VapourSynth may still be on its way out."""
    gc.collect()
    end = time.monotonic() + 10
    while interop.unmaps < interop.maps and time.monotonic() < end:
        time.sleep(0.01)
    return interop.unmaps == interop.maps > 0


class TestInVapourSynth:
    @pytest.mark.parametrize("timelines", [False, True])
    @pytest.mark.parametrize(("format", "size"), [(vs.YUV420P8, (70, 50)), (vs.RGBS, (33, 17)), (vs.GRAY16, (1, 1))])
    def test_frames_on_the_gpu_give_what_host_frames_give(self, on_software, moving_model, format, size, timelines):
        interop = on_software(timelines=timelines)
        clip = textured(4, *size, format)
        out = rife(clip.std.GPUUpload(), moving_model, multi=3)
        assert out.gpu_resident
        here, there = rife(clip, moving_model, multi=3), out.std.GPUDownload()
        for n in range(12):
            assert out.get_frame(n).gpu_resident
            assert same(here.get_frame(n), there.get_frame(n)), n
            assert dict(here.get_frame(n).props) == dict(there.get_frame(n).props)
        assert interop.maps >= 1
        assert bool(interop.signals) == bool(interop.waits) == timelines
        del out, there
        assert given_back(interop), "with the filter"

    def test_many_frames_at_once_behind_a_slow_device(self, on_software, average_model, monkeypatch):
        interop = on_software(timelines=True, late=0.003)
        write = bridge.FrameLease.write

        def write_late(self, frame, fmt):
            real = write(self, frame, fmt)
            scratch = tuple(plane.clone() for plane in real)
            for plane, done in zip(real, scratch, strict=True):
                interop.later(functools.partial(plane.copy_, done))
            return scratch

        # The frame's memory is written when the signal comes, so whoever does not wait for it sees an empty frame.
        monkeypatch.setattr(bridge.FrameLease, "write", write_late)
        clip = textured(30, 64, 32)
        out = rife(clip.std.GPUUpload(), average_model, multi=2)
        here, there = rife(clip, average_model, multi=2), out.std.GPUDownload()
        want = [samples(frame) for frame in here.frames(close=True)]
        for n, frame in enumerate(there.frames(prefetch=8, close=True)):
            assert all(np.array_equal(x, y) for x, y in zip(want[n], samples(frame), strict=True)), n
        assert interop.signals == 29
        del out, there, frame
        assert given_back(interop)

    def test_what_runs_on_the_gpu_before_and_behind(self, on_software, moving_model):
        on_software(timelines=True, late=0.01)
        clip = textured(4, 70, 50)
        blurred = rife(clip.std.GPUUpload().std.BoxBlur(hradius=2), moving_model).std.BoxBlur(vradius=3)
        assert blurred.gpu_resident
        want = rife(clip.std.BoxBlur(hradius=2), moving_model).std.BoxBlur(vradius=3)
        for n in range(8):
            a, b = samples(want.get_frame(n)), samples(blurred.std.GPUDownload().get_frame(n))
            assert max(int(np.abs(x.astype(int) - y).max()) for x, y in zip(a, b, strict=True)) <= 1, n

    def test_one_after_the_other(self, on_software, average_model):
        on_software(timelines=True, late=0.002)
        clip = numbered(4)
        out = rife(rife(clip.std.GPUUpload(), average_model), average_model).std.GPUDownload()
        levels = [int(samples(out.get_frame(n))[0][0, 0]) for n in range(13)]
        assert levels[0::2] == [0, 5, 10, 15, 20, 25, 30]
        assert same(rife(rife(clip, average_model), average_model).get_frame(5), out.get_frame(5))

    def test_cuts_still_pairs_and_scores(self, on_software, average_model):
        on_software()
        clip = scene(1) + scene(2)
        clip = clip + clip[-1] * 2
        options = {"sc": 1, "skip": 1}
        out = rife(clip.std.GPUUpload(), average_model, **options).std.GPUDownload()
        here = rife(clip, average_model, **options)
        kinds = [frame.props["RifeKind"] for frame in out.frames(close=True)]
        assert {"scenechange", "duplicate", "interpolated"} < set(kinds)
        for a, b in zip(here.frames(close=True), out.frames(close=True), strict=True):
            assert dict(a.props) == dict(b.props)
            assert same(a, b)

    @pytest.mark.parametrize(
        "options",
        [{"multi": 1, "retime": 1}, {"multi": 2, "retime": 1}, {"multi": 2}, {"fps_num": 40, "fps_den": 1, "cfr": 1}],
    )
    def test_drawings_pauses_and_a_constant_rate(self, on_software, moving_model, options):
        """What takes more frames than are shown, some of them in a second round."""
        interop = on_software(timelines=True)
        drawings = textured(6, 70, 50, step=4)
        clip = core.std.Splice([drawings[n // 2] for n in range(12)])
        clip = with_props(clip, {n: {"_DurationNum": 48 if n == 7 else 1, "_DurationDen": 24} for n in range(12)})
        out = rife(clip.std.GPUUpload(), moving_model, **options)
        here, there = rife(clip, moving_model, **options), out.std.GPUDownload()
        for n in reversed(range(min(len(here), 40))):
            a, b = here.get_frame(n), there.get_frame(n)
            assert same(a, b), n
            assert dict(a.props) == dict(b.props)
        del out, there
        assert given_back(interop)

    def test_frames_at_source_times_share_their_planes(self, on_software, average_model):
        interop = on_software()
        out = rife(textured(3).std.GPUUpload(), average_model)
        out.get_frame(2)
        assert interop.maps == 0

    def test_a_failing_frame_fails_alone_and_holds_nothing(self, on_software, average_model, monkeypatch):
        interop = on_software(timelines=True)
        out = rife(numbered(4).std.GPUUpload(), average_model)
        from vsrife.engine.interpolator import Interpolator

        inner = Interpolator.interpolate

        def interpolate(self, left, right, t, into):
            left.image.planes_on(self.device)
            if left.number == 1:
                raise RuntimeError("in the middle")
            inner(self, left, right, t, into)

        monkeypatch.setattr(Interpolator, "interpolate", interpolate)
        with pytest.raises(vs.Error, match="frame 3: RuntimeError: in the middle"):
            out.get_frame(3)
        assert int(samples(out.std.GPUDownload().get_frame(5))[0][0, 0]) == 25
        del out
        assert given_back(interop)

    def test_alpha_stays_the_left_one_s_and_a_line_says_so(self, on_software, average_model, logged):
        on_software()
        clip = numbered(3)
        alpha = numbered(3, format=vs.GRAY8)
        gpu = clip.std.GPUUpload().std.ClipToProp(alpha.std.GPUUpload(), prop="_Alpha")
        out = rife(gpu, average_model)
        made = out.get_frame(3)
        assert made.props["RifeKind"] == "interpolated"
        with pytest.raises(vs.Error):  # still on the GPU
            made.props["_Alpha"][0]
        assert any("alpha of frames on the GPU" in line for line in logged)

    def test_a_gpu_side_of_another_version_is_left_alone(self, software, average_model, logged, monkeypatch):
        monkeypatch.setattr("vsrife.plugin.filter.same_api_version", lambda core: False)
        monkeypatch.setattr(vulkan, "Gpu", None)
        out = rife(numbered(3).std.GPUUpload(), average_model)
        assert not out.gpu_resident
        assert int(samples(out.get_frame(3))[0][0, 0]) == 15
        assert [line for line in logged if "are downloaded: this VapourSynth has another version of the API" in line]

    CORES = (
        POLICY
        + """
import gc, re, sys, time
from tests.plugin.gpu.test_bridge import Software
from vsrife.plugin import callbacks, filter, vulkan

used = []
filter.interop_for = lambda device, name: (used.append(Software()) or used[-1], "")

def evaluate():
    log = []
    policy.current = environment = policy.api.create_environment(vs.ENABLE_FRAME_REF_DEBUG)
    core = vs.core.core
    core.add_log_handler(lambda kind, text: log.append(text))
    clip = core.std.BlankClip(format=vs.YUV420P8, width=320, height=180, length=20, fpsnum=24).std.GPUUpload()
    out = core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0)
    assert out.gpu_resident
    flying = [out.get_frame_async(n) for n in (1, 9, 6, 5)]
    del out, clip  # with frames in flight
    for frame in flying:
        frame.result()
    del flying, frame
    gc.collect()
    end = time.monotonic() + 20
    while True:  # the last thread may still be on its way out; and handlers run when the core's own thread comes to it
        log.clear()
        core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=1).get_frame(0)  # the core lists what lives
        time.sleep(0.1)
        live = {by for _, by in re.findall(r"\\(([^)]*)\\) allocated by (\\w+)", " ".join(log))}
        if live == {"BlankClip"} or time.monotonic() > end:
            break
    del core
    gc.collect()
    policy.api.destroy_environment(environment)
    policy.current = None
    return live

for turn in range(4):
    live = evaluate()
    assert live == {"BlankClip"}, live
    assert len(callbacks.instances) == len(vulkan._declared) == 0, turn
    assert used[-1].maps == used[-1].unmaps > 0, turn
print("nothing is left")
"""
    )

    def test_a_script_evaluated_again_leaves_nothing(self, software, average_model):
        assert printed(self.CORES, average_model) == "nothing is left\n"

    @pytest.mark.parametrize("device", ["auto", "cpu"])
    def test_other_devices_get_the_frames_downloaded_and_a_line_says_so(self, software, average_model, logged, device):
        if torch.cuda.is_available():
            pytest.skip("auto may be a CUDA device")
        vsapi._logged.clear()
        out = core.rife.RIFE(numbered(3).std.GPUUpload(), model=average_model, device=device, sc=0)
        assert not out.gpu_resident
        assert int(samples(out.get_frame(3))[0][0, 0]) == 15
        (line,) = [line for line in logged if "are downloaded" in line]
        assert line.startswith("RIFE: the clip's frames on the GPU are downloaded: ")
        assert ("llvmpipe" in line) == (device == "auto")
