"""Compares a video with the one that was made from it: `python compare.py SOURCE RESULT FACTOR`.

Prints frames, rate, length and sound of both. Exits 1 unless RESULT has FACTOR times the frames and the rate of
SOURCE, as much time to within a frame, and sound if SOURCE has any.
"""

import sys
from dataclasses import dataclass
from fractions import Fraction

import vapoursynth as vs


@dataclass(frozen=True)
class Video:
    """What two files are compared by."""

    frames: int
    rate: Fraction
    sound: bool

    @property
    def seconds(self) -> float:
        """How long the picture lasts."""
        return float(self.frames / self.rate)

    def __str__(self) -> str:
        """One line of a table."""
        sound = "with sound" if self.sound else "no sound"
        return f"{self.frames} frames at {float(self.rate):.6g} a second, {self.seconds:.3g} s, {sound}"


def read(path: str) -> Video:
    """The facts of the file at `path`; raises vs.Error if it holds no video."""
    clip = vs.core.bs.VideoSource(path, cachemode=0, showprogress=False)
    try:
        vs.core.bs.AudioSource(path, cachemode=0, showprogress=False)
    except vs.Error:
        sound = False
    else:
        sound = True
    return Video(frames=clip.num_frames, rate=clip.fps, sound=sound)


def main() -> int:
    """Runs the comparison; returns the exit status."""
    source_path, result_path, factor_text = sys.argv[1:]
    factor = Fraction(factor_text)
    source, result = read(source_path), read(result_path)
    print(f"source:  {source}\nresult:  {result}")
    if result.frames != source.frames * factor or result.rate != source.rate * factor:
        print(f"compare: the result should have {factor} times the frames and the rate", file=sys.stderr)
        return 1
    if source.sound and not result.sound:
        print("compare: the result has lost the sound", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
