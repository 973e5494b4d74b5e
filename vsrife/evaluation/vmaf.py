"""VMAF by libvmaf in the ffmpeg of imageio-ffmpeg."""

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from vsrife.evaluation.metrics import Picture

__all__ = ["MODEL", "Vmaf", "find_vmaf"]

MODEL: Final = "vmaf_v0.6.1"
"""The model for 1080p television, used for all sizes."""

TO_YUV: Final = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv444p"


def find_vmaf() -> tuple[str | None, str]:
    """The ffmpeg to run, or None and the reason."""
    try:
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
    except ImportError:
        return None, "needs imageio-ffmpeg, which is not installed: python -m pip install imageio-ffmpeg"
    except RuntimeError as error:
        return None, f"imageio-ffmpeg finds no ffmpeg: {str(error).splitlines()[0]}"
    listed = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False)
    if " libvmaf " not in listed.stdout:
        return None, f"{program} is built without libvmaf"
    return program, ""


class Vmaf:
    """One run over the frames of a clip in their order, a context manager; `score` ends it.

    The frames follow each other for libvmaf as they are given: where they were apart in the clip, the motion that it
    sees is larger than the clip's.
    """

    def __init__(self, program: str, width: int, height: int) -> None:
        """program: as `find_vmaf` gives it. width, height: of every frame."""
        self._folder = tempfile.TemporaryDirectory()
        # Both pictures of a pair come as one, above each other: a single pipe cannot run dry on one side.
        graph = (
            f"split[a][b];[a]crop={width}:{height}:0:0,{TO_YUV}[made];[b]crop={width}:{height}:0:{height},{TO_YUV}[true];"
            f"[made][true]libvmaf=model=version={MODEL}:log_fmt=json:log_path=vmaf.json"
        )
        layout = ["-f", "rawvideo", "-pix_fmt", "gbrp", "-video_size", f"{width}x{2 * height}", "-framerate", "25"]
        self._process = subprocess.Popen(
            [program, "-v", "error", *layout, "-i", "pipe:0", "-lavfi", graph, "-f", "null", "-"],
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> "Vmaf":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def add(self, truth: Picture, made: Picture) -> None:
        """Add a pair of frames."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it died of, `score` tells
            for channel in (1, 2, 0):
                for picture in (made, truth):
                    self._process.stdin.write(picture[channel].tobytes())

    def score(self) -> tuple[float | None, str]:
        """The mean over the frames, or None and the reason."""
        complaint = self._process.communicate()[1].decode(errors="replace")
        log = Path(self._folder.name) / "vmaf.json"
        if self._process.returncode == 0 and log.is_file():
            return float(json.loads(log.read_text(encoding="utf-8"))["pooled_metrics"]["vmaf"]["mean"]), ""
        lines = complaint.strip().splitlines() or [f"ffmpeg ended with status {self._process.returncode}"]
        return None, f"libvmaf does not take these frames: {lines[0][:160]}"
