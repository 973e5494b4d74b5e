"""What deciding on scene cuts costs over films, beside the frames' own work.

Each clip is scaled to 1920x1080 and goes through the filter on one core. Every pair is decided on, but no frame is
made, which would take hours; a few frames are made apart and timed. Times are processor time, so that other programs do
not matter much.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import vapoursynth as vs

from vsrife.engine.matcher import Matcher
from vsrife.plugin.frames import HostReader
from vsrife.plugin.vsapi import Frame
from vsrife.scene.detector import Cut, SceneDetector

__all__ = ["film_table"]

WIDTH, HEIGHT = 1920, 1080
TIMED = 5


class Count:
    """What was done: pairs decided on, the seconds that took, how often the network was asked, and cuts."""

    def __init__(self) -> None:
        self.pairs = self.asked = self.cuts = 0
        self.seconds = 0.0


def counted(count: Count) -> None:
    """Let ``count`` see every verdict from now on, and let new frames be copies."""
    judge, ask = SceneDetector._judge, Matcher.warped

    def judged(self: SceneDetector[Frame], k: int, left: Frame, right: Frame) -> Cut:
        start = time.thread_time()
        verdict = judge(self, k, left, right)
        count.seconds += time.thread_time() - start
        count.pairs += 1
        count.cuts += verdict.cut
        return verdict

    def asked(self: Matcher, *arguments: object) -> object:
        count.asked += 1
        return ask(self, *arguments)  # type: ignore[arg-type]

    def copied(_self: HostReader, _number: int, left: Frame, *_others: object, like: Frame) -> Frame:  # noqa: ARG001
        return left.copy()

    SceneDetector._judge, Matcher.warped = judged, asked  # type: ignore[method-assign, assignment]
    HostReader.new_frame = copied  # type: ignore[method-assign, assignment]


def source(path: Path) -> vs.VideoNode:
    """The clip at the size that is measured."""
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)
    return clip.resize.Bicubic(WIDTH, HEIGHT, format=vs.YUV420P8, matrix_in_s="709", matrix_s="709")


def frame_seconds(clip: vs.VideoNode, model: str) -> float:
    """The median of a few new frames' processor time."""
    out = vs.core.rife.RIFE(clip, model=model, device="cpu", sc=0, skip=0)
    times = []
    for n in range(1, 2 * TIMED + 2, 2):
        start = time.process_time()
        out.get_frame(n).close()
        times.append(time.process_time() - start)
    return median(times[1:])


def film_table(paths: list[Path], model: str) -> Iterator[str]:
    """The table, Markdown, a line at a time; afterwards the filter of this process makes no frames any more."""
    vs.core.num_threads = 1
    frame = frame_seconds(source(paths[0]), model)
    yield f"A new frame takes {frame * 1000:.0f} ms.\n"
    yield "| clip | pairs | network asked | cuts | ms a pair | of a frame's work |\n|---|---:|---:|---:|---:|---:|"
    count = Count()
    counted(count)
    for path in paths:
        before = vars(count).copy()
        out = vs.core.rife.RIFE(source(path), model=model, device="cpu", skip=0)
        for n in range(1, len(out) - 1, 2):
            out.get_frame(n).close()
        done = {key: value - before[key] for key, value in vars(count).items()}
        yield row(path.name, done, frame)
    yield row("all", vars(count), frame)


def row(name: str, done: dict[str, float], frame: float) -> str:
    """One line of the table."""
    each = done["seconds"] / done["pairs"]
    return (
        f"| {name} | {done['pairs']} | {done['asked'] / done['pairs']:.1%} | {done['cuts']} | {each * 1000:.1f} | "
        f"{each / frame:.2%} |"
    )
