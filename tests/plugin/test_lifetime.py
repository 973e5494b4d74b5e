"""What is held and for how long: frames, cores, memory, processes; and that a failure stays where it happened."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.hosts.processes import POLICY, finish, printed, python, start_python
from vsrife.engine import interpolator
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.interpolator import Interpolator

from .clips import digest, numbered, samples, textured, with_props

core = vs.core


def rife(clip, model, **options):
    return core.rife.RIFE(clip, model=model, device="cpu", **{"skip": 0, "sc": 0, **options})


def ends_on_signal(process, number, within=5.0):
    """Send a signal; the process must end in time, and not by a crash."""
    began = time.monotonic()
    process.send_signal(number)
    done = finish(process, 30)
    assert time.monotonic() - began < within
    assert done.returncode not in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS), done.stderr
    return done


class TestReferences:
    PROGRAM = (
        POLICY
        + """
import gc, re, sys, time
import vsrife.plugin.callbacks as callbacks
from vsrife.engine import interpolator

def boom(n, f):
    if n == 5:
        raise ValueError("no frame")
    return f

def use(keep):
    log = []
    environment = policy.api.create_environment(vs.ENABLE_FRAME_REF_DEBUG)
    policy.current = environment
    core = vs.core.core
    core.add_log_handler(lambda kind, text: log.append(text))
    source = core.std.BlankClip(format=vs.RGB24, width=64, height=32, length=12, fpsnum=24)
    alpha = core.std.BlankClip(format=vs.GRAY8, width=64, height=32, length=12)
    source = core.std.ClipToProp(source.std.ModifyFrame(source, boom), alpha, prop="_Alpha")
    out = core.rife.RIFE(source, model=sys.argv[1], device="cpu", skip=0)
    kept = [out.get_frame(n) for n in (0, 1, 2, 4, 7, 23)]
    errors = []
    for n in (9, 10, 11):
        try:
            out.get_frame(n)
        except vs.Error as error:
            errors.append(str(error).strip().splitlines()[-1])
    try:
        core.rife.RIFE(source, model=sys.argv[1], device="cpu", scale=3)
    except vs.Error as error:
        errors.append(str(error)[:15])
    print(len(kept), len(errors))
    if not keep:
        kept.clear()
    del source, alpha, out
    gc.collect()
    log.clear()
    core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=1).get_frame(0)  # the core then lists what lives
    listed = time.monotonic() + 20  # handlers run when the core's own thread comes to it, not before get_frame returns
    while "Gray8 16x16" not in " ".join(log) and time.monotonic() < listed:
        time.sleep(0.05)
    print("live:", *sorted(re.findall(r"\\(([^)]*)\\) allocated by (\\w+)", " ".join(log))))
    print("instances:", len(callbacks.instances), "cached:", len(interpolator.cached_sources))
    kept.clear()
    policy.api.destroy_environment(environment)
    policy.current = None

use(keep=False)
use(keep=True)
"""
    )

    def test_no_frame_of_ours_lives_after_success_and_after_errors(self, average_model):
        lines = printed(self.PROGRAM, average_model).splitlines()
        assert lines[:3] == ["6 4", "live: ('Gray8 16x16', 'BlankClip')", "instances: 0 cached: 0"]
        # The same with frames that the script itself keeps: the core does tell of living frames.
        assert lines[3] == "6 4"
        assert lines[4].count("('RGB24 64x32', 'RIFE')") == 6
        assert lines[4].count("('Gray8 64x32', 'RIFE')") == 2
        assert lines[5] == "instances: 0 cached: 0"


class TestSeveral:
    def test_a_filter_of_a_filter(self, average_model):
        before, core.num_threads = core.num_threads, 16
        try:
            out = rife(rife(numbered(5), average_model), average_model)
            futures = [out.get_frame_async(n) for n in reversed(range(20))]
            levels = [int(samples(future.result(60))[0][0, 0]) for future in reversed(futures)]
        finally:
            core.num_threads = before
        # 0 5 10 ... 40 40 by the first, and the averages of those (halves to even) by the second
        first = [0, 5, 10, 15, 20, 25, 30, 35, 40, 40]
        means = [int(np.rint((a + b) / 2)) for a, b in zip(first, [*first[1:], 40], strict=True)]
        assert levels == [level for pair in zip(first, means, strict=True) for level in pair]

    def test_two_at_once_do_not_mix(self, moving_model):
        clips = [textured(4, 70, 50), core.std.Invert(textured(4, 70, 50)), textured(4, 96, 34)]
        alone = [digest(rife(clip, moving_model)) for clip in clips]
        outs = [rife(clip, moving_model) for clip in clips]
        futures = [[(n, out.get_frame_async(n)) for n in range(8)] for out in outs]
        together = [
            {n: b"".join(plane.tobytes() for plane in samples(future.result(60))) for n, future in each}
            for each in futures
        ]
        again = [{n: b"".join(p.tobytes() for p in samples(out.get_frame(n))) for n in range(8)} for out in outs]
        assert together == again
        assert [digest(out) for out in outs] == alone
        assert len({frame for each in together for frame in each.values()}) == 3 * 7

    def test_first_calls_of_eight_threads_at_once(self, average_model):
        program = """
import sys, threading
import vapoursynth as vs
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24, color=[80, 128, 128])
together, found = threading.Barrier(8), []
def call():
    together.wait()
    out = vs.core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0)
    found.append((len(out), out.get_frame(1).props["RifeKind"], out.get_frame(1)[0][3, 3]))
threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print(len(found), set(found))
"""
        assert printed(program, average_model) == "8 {(8, 'interpolated', 80)}\n"


class TestFailure:
    def test_only_the_frame_that_fails_fails(self, average_model, monkeypatch):
        inner = BlockEstimator.field
        fail = [True]

        def sometimes(self, *args, **options):
            if fail[0]:
                raise RuntimeError("a made-up failure\nof two lines")
            return inner(self, *args, **options)

        monkeypatch.setattr(BlockEstimator, "field", sometimes)
        out = rife(numbered(4), average_model)
        for n in (3, 1, 3):
            with pytest.raises(vs.Error) as caught:
                out.get_frame(n)
            assert str(caught.value) == f"RIFE: frame {n}: RuntimeError: a made-up failure of two lines"
        assert int(samples(out.get_frame(2))[0][0, 0]) == 10
        fail[0] = False
        assert [int(samples(out.get_frame(n))[0][0, 0]) for n in (3, 1, 5)] == [15, 5, 25]

    def test_a_failed_conversion_is_not_remembered(self, average_model, monkeypatch):
        inner = Interpolator._encode
        failures = [RuntimeError("first"), AssertionError(), KeyboardInterrupt(), SystemExit(3)]

        def fail_first(self, picture):
            if failures:
                raise failures.pop(0)
            return inner(self, picture)

        monkeypatch.setattr(Interpolator, "_encode", fail_first)
        out = rife(numbered(4), average_model)
        for expected in ("RuntimeError: first", "AssertionError", "KeyboardInterrupt", "SystemExit: 3"):
            with pytest.raises(vs.Error, match=f"^RIFE: frame 1: {expected}$"):
                out.get_frame(1)
        assert int(samples(out.get_frame(1))[0][0, 0]) == 5

    def test_out_of_memory_once_is_a_line_in_the_log_and_the_right_frame(self, average_model, monkeypatch, caplog):
        inner, failures = (
            BlockEstimator.field,
            [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")],
        )

        def fail_first(self, *args, **options):
            if failures:
                raise failures.pop()
            return inner(self, *args, **options)

        out = rife(numbered(4), average_model)
        assert int(samples(out.get_frame(3))[0][0, 0]) == 15
        cached = len(interpolator.cached_sources)
        assert cached >= 2
        monkeypatch.setattr(BlockEstimator, "field", fail_first)
        with caplog.at_level("WARNING", "vsrife"):
            assert int(samples(out.get_frame(1))[0][0, 0]) == 5
        assert "out of memory on cpu" in caplog.text
        assert len(interpolator.cached_sources) == 2  # all others were dropped before it was tried again

    def test_out_of_memory_for_good_says_what_is_needed_and_the_next_frame_works(self, average_model, monkeypatch):
        inner, fail = BlockEstimator.field, [True]

        def sometimes(self, *args, **options):
            if fail[0]:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
            return inner(self, *args, **options)

        monkeypatch.setattr(BlockEstimator, "field", sometimes)
        out = rife(numbered(4), average_model)
        needed = r"^RIFE: frame 1: out of memory on cpu: the frame needs \d+ MiB, \d+ MiB are free; try scale=0.5, "
        with pytest.raises(vs.Error, match=needed):
            out.get_frame(1)
        fail[0] = False
        assert int(samples(out.get_frame(3))[0][0, 0]) == 15

    def test_a_source_that_fails_speaks_for_itself(self, average_model):
        source = numbered(6)

        def fail(n, f):
            if n == 3:
                raise ValueError("the source's own words")
            return f

        out = rife(source.std.ModifyFrame(source, fail), average_model)
        for n in (5, 6, 7):
            with pytest.raises(vs.Error, match="the source's own words"):
                out.get_frame(n)
        assert [int(samples(out.get_frame(n))[0][0, 0]) for n in (4, 8, 9)] == [20, 40, 45]

    def test_props_that_cannot_be_heeded_fail_their_frames_alone(self, average_model):
        out = rife(with_props(numbered(6), {2: {"_Matrix": 14}, 3: {"_Matrix": 14}}), average_model)
        with pytest.raises(vs.Error, match=r"^RIFE: frame 5: _Matrix \(14, ictcp: .*; pass matrix_in"):
            out.get_frame(5)
        assert int(samples(out.get_frame(1))[0][0, 0]) == 5


@pytest.mark.slow
class TestMemory:
    RELOAD = (
        POLICY
        + """
import gc, resource, sys

def resident():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * resource.getpagesize() / 2**20

def evaluate():
    environment = policy.api.create_environment(0)
    policy.current = environment
    core = vs.core.core
    clip = core.std.BlankClip(format=vs.YUV420P8, width=320, height=180, length=20, fpsnum=24, keep=True)
    out = core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0)
    out.get_frame(1)
    flying = [out.get_frame_async(n) for n in (6, 5)]
    del out, clip  # with frames in flight
    for frame in flying:
        frame.result()
    del flying, frame, core
    gc.collect()
    policy.api.destroy_environment(environment)
    policy.current = None
    gc.collect()

from vsrife.engine import interpolator, loading
from vsrife.plugin import callbacks
seen = []
for turn in range(20):
    evaluate()
    assert len(callbacks.instances) == 0, turn
    assert (len(interpolator.cached_sources), interpolator.cached_sources.weight) == (0, 0), turn
    seen.append(resident())
assert len(loading.loaded_networks) == 1
print(min(seen[-5:]) - max(seen[:5]))
"""
    )

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_a_script_evaluated_twenty_times_leaves_nothing(self, average_model):
        # A frame's source is 2 MiB in the cache, and each evaluation makes four.
        grown = float(printed(self.RELOAD, average_model, OMP_WAIT_POLICY="passive"))
        assert grown < 30, f"{grown} MiB more at the end of twenty evaluations"

    def test_a_filter_dropped_with_frames_in_flight_is_freed_after_the_last(self, average_model, monkeypatch):
        from vsrife.plugin import callbacks

        inner = BlockEstimator.field
        go = threading.Event()

        def wait(self, *args, **options):
            assert go.wait(30)
            return inner(self, *args, **options)

        monkeypatch.setattr(BlockEstimator, "field", wait)
        gc.collect()
        before = set(callbacks.instances)
        out = rife(numbered(8), average_model)
        (serial,) = set(callbacks.instances) - before
        futures = [out.get_frame_async(n) for n in (1, 5, 3)]
        del out
        gc.collect()
        assert serial in callbacks.instances
        go.set()
        assert [int(samples(future.result(30))[0][0, 0]) for future in futures] == [5, 25, 15]
        futures.clear()
        until = time.monotonic() + 10
        while serial in callbacks.instances and time.monotonic() < until:
            gc.collect()
            time.sleep(0.02)
        assert serial not in callbacks.instances

    PLATEAU = """
import resource, sys
import vapoursynth as vs
from vsrife.engine import interpolator
interpolator.cached_sources._budget = 24 << 20  # a frame of 448x256 has 3 MiB, so it is soon full
core = vs.core
core.max_cache_size = 64
clip = core.std.BlankClip(format=vs.YUV420P8, width=448, height=250, length=400, fpsnum=24, keep=True)
out = core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0, multi=2)

def resident():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * resource.getpagesize() / 2**20

seen = []
for n, frame in enumerate(out.frames(prefetch=3, close=True)):
    if n % 10 == 9:
        seen.append(resident())
    if n == 159:
        break
assert 4 <= len(interpolator.cached_sources) <= max(8, interpolator._kept_sources())
print(min(seen[-4:]) - max(seen[:4]))
"""

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_memory_reaches_a_plateau(self, average_model):
        grown = float(printed(self.PLATEAU, average_model, OMP_WAIT_POLICY="passive"))
        assert grown < 40, f"{grown} MiB more in frames 120 to 160 than in the first 40"


@pytest.mark.slow
class TestProcesses:
    RENDER = """
import sys, threading, time
import vapoursynth as vs
core = vs.core
core.num_threads = 8
clip = core.std.BlankClip(format=vs.YUV420P8, width=320, height=180, length=100000, fpsnum=24, keep=True)
out = core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0)
out.get_frame(1)
how = sys.argv[2]
flying = [out.get_frame_async(n) for n in range(200)]
flying[3].result()
print("rendering", flush=True)
if how == "exit":
    sys.exit(3)
if how == "raise":
    raise ValueError("made up")
for frame in flying:
    frame.result()
for frame in out.frames():
    pass
"""

    @pytest.mark.parametrize(("number", "statuses"), [(signal.SIGTERM, (-signal.SIGTERM,)), (signal.SIGINT, (-2, 1))])
    def test_a_signal_in_the_middle_of_a_render(self, average_model, number, statuses):
        process = start_python(self.RENDER, average_model, "on")
        assert process.stdout.readline() == "rendering\n"
        assert ends_on_signal(process, number).returncode in statuses

    @pytest.mark.parametrize(("how", "status"), [("exit", 3), ("raise", 1)])
    def test_leaving_in_the_middle_of_a_render(self, average_model, how, status):
        process = start_python(self.RENDER, average_model, how)
        assert process.stdout.readline() == "rendering\n"
        began = time.monotonic()
        done = finish(process, 30)
        assert time.monotonic() - began < 5
        assert done.returncode == status, done.stderr

    def test_a_spawned_worker(self, average_model):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(_level_of_frame_1, (average_model,)) == 5

    FORK = """
import os, sys
import vapoursynth as vs
def call():
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24, color=[80, 128, 128])
    return vs.core.rife.RIFE(clip, model=sys.argv[1], device="cpu", skip=0)
if sys.argv[2] == "used":
    call().get_frame(1)
import warnings
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    try:
        print(call().get_frame(1)[0][3, 3], flush=True)
    except vs.Error as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
    def test_a_forked_process_works_or_says_why_not(self, average_model):
        assert printed(self.FORK, average_model, "fresh") == "80\n"
        assert printed(self.FORK, average_model, "used") == (
            "RIFE: this process was forked from one that had called RIFE, and the threads of VapourSynth and torch are "
            'not forked; start a new process instead: multiprocessing.get_context("spawn")\n'
        )

    def test_without_cupy_and_without_a_gpu(self, average_model):
        """A torch that has no CUDA, no cupy to import: the CPU does the work, and nothing is logged of it."""
        program = """
import importlib.abc, sys
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "cupy":
            raise ModuleNotFoundError("hidden")
sys.meta_path.insert(0, Hide())
import torch
torch.cuda.is_available = lambda: False
torch.cuda.device_count = lambda: 0
import vapoursynth as vs
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24, color=[80, 128, 128])
print(vs.core.rife.RIFE(clip, model=sys.argv[1], skip=0).get_frame(1)[0][3, 3])
try:
    vs.core.rife.RIFE(clip, model=sys.argv[1], device="cuda")
except vs.Error as error:
    print(error)
"""
        done = python(program, average_model)
        level, error = done.stdout.splitlines()
        assert (done.returncode, level, done.stderr) == (0, "80", "")
        assert error.startswith("RIFE: device (cuda) cannot be used: ")
        assert error.endswith('; try device="cpu"')

    def test_loading_the_plugin_imports_no_torch(self):
        program = """
import sys
import vapoursynth as vs
print(vs.core.rife.RIFE.signature[:10])
import vsrife, vsrife.plugin
print([name for name in ("torch", "numpy", "vsrife.plugin.filter") if name in sys.modules])
"""
        assert printed(program) == "clip:vnode\n[]\n"


def _level_of_frame_1(model):
    return int(samples(rife(numbered(3), model).get_frame(1))[0][0, 0])
