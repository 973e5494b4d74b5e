"""A long film at 2160p: memory reaches a plateau, with a full cache behind every frame."""

import os
import sys

import pytest
from safetensors.torch import save_file

from tests.hosts.processes import printed
from tests.network.small import network

pytestmark = pytest.mark.slow

PROGRAM = """
import resource, sys
import vapoursynth as vs
from vsrife.engine import interpolator

model, count, budget = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sources = interpolator.cached_sources
if budget:
    # Full from the third source on: two are kept whatever they weigh.
    sources._budget, sources._at_least = budget, lambda: 2
core = vs.core
core.max_cache_size = 64
clip = core.std.BlankClip(format=vs.YUV420P8, width=3840, height=2160, length=count // 2, fpsnum=24, keep=True)
# A quarter of the resolution, to see the motion: the same frames, sources and new pictures in a fraction of the time.
out = core.rife.RIFE(clip, model=model, device="cpu", precision="float32", skip=0, sc=0, scale=0.25)

def resident():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * resource.getpagesize() / 2**20

seen = []
for n in range(count - 1):
    out.get_frame(n).close()
    if n % 2:  # nothing is in flight between two frames
        seen.append(resident())
assert len(sources) >= 2
print(*seen)
"""

GROWTH = 64.0
"""MiB that the second half may be above the first. A source that is kept is 96 more each frame."""

STRAIGHT_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
"""Of what is larger than that the C library gives memory straight back to the system. Left alone it moves that up
to the size of such a plane as it goes, and some of them more or less stay: hundreds of MiB."""


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """Without an encoder: a source is its three channels, 96 MiB."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_file({key: value.contiguous() for key, value in network("C").state_dict().items()}, path)
    return path


def growth(model, frames, budget, timeout):
    """By how many MiB the most of the second half is above the most of the first, once the cache is full."""
    told = printed(PROGRAM, model, frames, budget, timeout=timeout, **STRAIGHT_BACK)
    seen = [float(word) for word in told.split()]
    assert len(seen) == frames // 2 - 1 + frames % 2
    first, second = seen[2 : len(seen) // 2 + 1], seen[len(seen) // 2 + 1 :]
    assert min(first) > 300, "less than the cached sources alone: nothing was measured"
    return max(second) - max(first)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestPlateau:
    def test_a_short_film(self, small_model):
        assert growth(small_model, 20, 150 << 20, timeout=120) < GROWTH

    @pytest.mark.skipif(os.environ.get("VSRIFE_LONG") != "1", reason="takes a quarter of an hour; set VSRIFE_LONG=1")
    @pytest.mark.timeout(7200)
    def test_a_thousand_frames_with_the_default_cache(self, small_model):
        assert growth(small_model, 1000, 0, timeout=7000) < GROWTH
