"""What a frame launches and how long it holds the GIL: counts are those of docs/engine.md, times are bounded widely."""

from dataclasses import replace

import pytest

from vsrife.choices import choose, chosen

from .counting import engine_microseconds, frame_nodes, plugin_microseconds, source_launches

NODES = {("4.26", "1080p"): 115, ("4.26", "2160p"): 121, ("4.6", "1080p"): 92, ("4.6", "2160p"): 94}
"""Of the graph of one new frame: 23 for each block, and at 2160p the bands of the finest one."""

IN_SMALL_BANDS = {("4.26", "1080p"): 121, ("4.26", "2160p"): 151, ("4.6", "1080p"): 94, ("4.6", "2160p"): 108}
"""The same with bands of 32 MiB."""

SOURCE = {"4.26": 8, "4.6": 0}
"""Launches that encode one source, behind `convert`."""

MOST_CALLS = {
    "new frame, beside the verdict": 11,
    "new frame, with it": 16,
    "source frame, beside the verdict": 6,
    "source frame, with it": 9,
}
"""Of C functions, for one frame."""

MOST_MICROSECONDS = 1000.0
"""The least of a frame, on any machine: only a change of the order is a fault."""


@pytest.mark.parametrize(("version", "size"), NODES)
def test_nodes_of_a_frame(version, size):
    assert frame_nodes(version, size).total() == NODES[version, size]


@pytest.mark.parametrize(("version", "size"), IN_SMALL_BANDS)
def test_nodes_of_a_frame_in_smaller_bands(version, size):
    before = chosen()
    choose(replace(before, gpu_band=1 << 25))
    try:
        assert frame_nodes(version, size).total() == IN_SMALL_BANDS[version, size]
    finally:
        choose(before)


@pytest.mark.parametrize("version", SOURCE)
@pytest.mark.parametrize("size", ["1080p", "2160p"])
def test_launches_of_a_source(version, size):
    assert source_launches(version, size).total() == SOURCE[version]


@pytest.mark.parametrize("version", SOURCE)
def test_the_gil_of_a_frame_and_of_a_source(version):
    found = engine_microseconds(version)
    print(found)
    assert 0 < found["frame"]["least"] < MOST_MICROSECONDS
    assert 0 < found["source"]["least"] < MOST_MICROSECONDS


def test_the_gil_of_the_plugin():
    found = plugin_microseconds(20)
    print(found)
    assert found.keys() == MOST_CALLS.keys()
    assert all(found[kind]["calls"] <= most for kind, most in MOST_CALLS.items())
    assert all(0 < each["least"] < MOST_MICROSECONDS for each in found.values())
