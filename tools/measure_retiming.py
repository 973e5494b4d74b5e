"""What retime=1 is worth, as docs/retiming.md tells it: a film at half its drawings, made whole again.

    python tools/measure_retiming.py CLIP [--holds 2 | 3 | 2 3] [--width 640] [--frames N] [--encoders x264:18 ...]

Of CLIP only every second frame is kept and shown twice (or as --holds says, in turn), so that it is an animation on
twos whose true drawings in between are known. PSNR of luma at the frames in between, where something moves and no cut
lies: of the held frames themselves (which plain doubling shows there, and multi=2 without retime), and of retime=1.
Then how many frames of CLIP itself, on ones, retime=1 changes: it should be none. The encoders: of imageio-ffmpeg.
"""

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import vapoursynth as vs

import vsrife
from vsrife.datasets.clips import open_clip
from vsrife.evaluation.metrics import psnr

core = vs.core


def encoded(clip: vs.VideoNode, encoder: str, file: Path) -> vs.VideoNode:
    """``clip`` through an encoder such as "x264:23" into ``file``, decoded again."""
    name, crf = encoder.split(":")
    quiet = ["-x265-params", "log-level=none"] if name == "x265" else []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "yuv4mpegpipe", "-i", "-"]
    command += ["-c:v", f"lib{name}", "-crf", crf, "-preset", "medium", *quiet, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        clip.output(process.stdin, y4m=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return core.bs.VideoSource(str(file), cachemode=0)[: len(clip)]


def luma(frame: vs.VideoFrame) -> np.ndarray[Any, Any]:
    """The first plane."""
    return np.asarray(frame[0])


def drawings(frames: int, holds: list[int]) -> list[int]:
    """Which frame of the film is shown at each, if drawings are held for so many frames in turn."""
    shown: list[int] = []
    for hold in itertools.cycle(holds):
        shown += [len(shown)] * hold
        if len(shown) >= frames:
            return shown[:frames]
    return shown


def gains(truth: vs.VideoNode, film: vs.VideoNode, shown: list[int], model: str) -> Iterator[tuple[float, float]]:
    """PSNR of the held and of the retimed frame, of each that lies between two drawings that differ."""
    retimed = vsrife.RIFE(film, multi=1, retime=True, model=model)
    for n, first in enumerate(shown):
        after = next((other for other in shown[n:] if other != first), None)
        if n == first or after is None:
            continue
        frame = retimed.get_frame(n)
        moved = np.abs(luma(truth.get_frame(first)).astype(int) - luma(truth.get_frame(after))).mean()
        if 0 < moved <= CUT:
            expected = luma(truth.get_frame(n))
            yield psnr(expected, luma(film.get_frame(n))), psnr(expected, luma(frame))


CUT = 30
"""Of 255: drawings that differ by more on the mean are of two scenes."""


def changed(clip: vs.VideoNode, model: str) -> int:
    """Frames that retime=1 does not leave as they are."""
    return sum(
        str(frame.props["RifeKind"]) != "source"
        for frame in vsrife.RIFE(clip, multi=1, retime=True, model=model).frames()
    )


def main() -> None:
    """Measure a clip as it is and encoded, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="4.0", help="a model's name or file (default: 4.0)")
    parser.add_argument("--holds", type=int, nargs="+", default=[2], help="frames that drawings are shown for, in turn")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--frames", type=int, default=1 << 20)
    parser.add_argument("--encoders", nargs="*", default=[], metavar="NAME:CRF")
    parser.add_argument("--ones", action="store_true", help="only count what is changed of the clip itself")
    options = parser.parse_args()
    clip = open_clip(options.clip, vs.YUV420P8)[options.first :][: options.frames]
    height = round(clip.height * options.width / clip.width / 2) * 2
    ones = clip.resize.Bicubic(options.width, height)
    shown = drawings(len(ones), options.holds)
    held_film = core.std.Splice([ones[n] for n in shown])
    with tempfile.TemporaryDirectory() as folder:
        print("| film | frames | held, dB | retimed, dB | gain, dB | changed on ones |\n|---|---:|---:|---:|---:|---:|")
        for encoder in ["", *options.encoders]:
            films = [ones, held_film]
            if encoder:
                films = [encoded(film, encoder, Path(folder, f"{k}-{encoder}.mkv")) for k, film in enumerate(films)]
            found = [] if options.ones else list(gains(ones, films[1], shown, options.model))
            held, retimed = np.mean(found, axis=0) if found else (0.0, 0.0)
            print(
                f"| {encoder or 'as it is'} | {len(found)} | {held:.2f} | {retimed:.2f} | {retimed - held:.2f} | "
                f"{changed(films[0], options.model)} of {len(ones)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
