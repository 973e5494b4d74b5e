"""Python's collector in hosts that evaluate a script again and again: torch is frozen once, the script's own never."""

from tests.hosts.processes import POLICY, printed

HOST = (
    POLICY
    + """
import gc, shutil, sys, weakref
from vsrife.plugin import callbacks

class Cycle:
    def __init__(self, clip):
        self.clip, self.itself = clip, self

def begin():
    environment = policy.api.create_environment(0)
    policy.current = environment
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24, keep=True)
    return environment, clip

def call(clip, model=sys.argv[1]):
    out = vs.core.rife.RIFE(clip, model=model, device="cpu", skip=0)
    out.get_frame(1)
    return out

def end(environment):
    policy.current = environment
    policy.api.destroy_environment(environment)
    policy.current = None
    gc.collect()  # as VSScript does

start = gc.get_freeze_count()
"""
)


def test_torch_is_frozen_once_and_the_scripts_garbage_is_not(average_model):
    program = """
def evaluate():
    environment, clip = begin()
    cycle = Cycle([call(clip), call(clip)])
    seen = weakref.ref(cycle)
    del cycle, clip
    end(environment)
    return seen() is None, len(callbacks.instances), gc.get_freeze_count() - start, len(gc.callbacks)

begun = len(gc.callbacks)
seen = [evaluate() for _ in range(5)]
print({(freed, left, extra - begun) for freed, left, _, extra in seen})
counts = [count for _, _, count, _ in seen]
print(counts[0] > 50_000, counts == sorted(counts, reverse=True))
"""
    lines = printed(HOST + program, average_model).splitlines()
    assert lines[0] == "{(True, 0, 0)}"
    assert lines[1] == "True True", "torch is frozen, and nothing after it: what is frozen can only be freed"


def test_nothing_is_frozen_while_another_script_lives(average_model):
    program = """
first, clip = begin()
kept = call(clip)
second, clip = begin()
call(clip)
del clip
end(second)
print(gc.get_freeze_count() - start)
del kept
end(first)
print(gc.get_freeze_count() - start > 50_000)
"""
    assert printed(HOST + program, average_model) == "0\nTrue\n"


def test_a_clip_that_outlives_its_script_is_not_frozen_with_it(average_model):
    """Two scripts, and the first to call RIFE ends first: only when neither is left is there nothing but modules."""
    program = """
first, clip = begin()
call(clip)
del clip
second, clip = begin()
kept = call(clip)
end(first)
print(gc.get_freeze_count() - start)
again, clip = begin()
call(clip)
del clip, kept
end(second)
print(gc.get_freeze_count() - start)
end(again)
print(gc.get_freeze_count() - start > 50_000)
"""
    assert printed(HOST + program, average_model) == "0\n0\nTrue\n"


def test_a_script_whose_call_fails_freezes_too(average_model):
    program = """
environment, clip = begin()
try:
    call(clip, model="no such model")
except vs.Error as error:
    print(str(error)[:5])
del clip
end(environment)
print(gc.get_freeze_count() - start > 50_000)
"""
    assert printed(HOST + program, average_model) == "RIFE:\nTrue\n"


def test_a_network_that_was_frozen_can_still_be_dropped(average_model, tmp_path):
    program = """
from vsrife.engine import loading

def evaluate(model):
    environment, clip = begin()
    call(clip, model)
    del clip
    end(environment)

evaluate(sys.argv[1])
(network,) = loading.loaded_networks.values()
seen = weakref.ref(network.module)
del network
for number in range(loading.KEPT_NETWORKS):
    copy = f"{sys.argv[2]}/{number}.safetensors"
    shutil.copy(sys.argv[1], copy)
    evaluate(copy)
print(len(loading.loaded_networks), seen() is None)
"""
    assert printed(HOST + program, average_model, tmp_path) == "4 True\n"


def test_where_python_is_the_host_nothing_is_frozen(average_model):
    program = """
import gc, sys
import vapoursynth as vs
start = gc.get_freeze_count()
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24)
vs.core.rife.RIFE(clip, model=sys.argv[1], device="cpu").get_frame(1)
del clip
vs.clear_outputs()
gc.collect()
print(gc.get_freeze_count() - start, len(gc.callbacks))
"""
    assert printed(program, average_model) == "0 0\n"
