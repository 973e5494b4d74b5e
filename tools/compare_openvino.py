"""Speed on a CPU beside vs-mlrt's OpenVINO plugin, whole chain, with the same weights.

    pip install onnx vapoursynth-mlrt-ov
    python tools/compare_openvino.py [--models 4.26 4.6] [--precisions float32 bfloat16] [--size 1280x720] [--runs 5]

Both get YUV420P8 frames that are in memory and give YUV420P8 frames at t = .5, as many frames in flight as there are
VapourSynth threads (--in-flight, by default 2). OpenVINO runs the network of vsrife.network, exported to ONNX with
seeded weights (bench.synthetic_input), with as many streams as frames in flight, between two conversions by zimg;
and in the precision that is named (by itself its CPU plugin takes bfloat16 where the processor multiplies it, also for
a network in float32, and samples in it). Each run is a process of its own; the two take turns, and the tables show the
median of each and the median of the ratios of neighbouring runs. CPU ms: processor time of a new frame. dB: PSNR
between the luma of the two plugins' first frames, which tells that both have done the same work; in bfloat16 theirs
also samples in it.

Nothing else should run on the machine. Ours looks for scene changes and duplicates, which is part of its work.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor, nn

from vsrife.bench.end_to_end import looped
from vsrife.bench.synthetic_input import ARCHITECTURES, moving_frames, save_seeded, seeded_network
from vsrife.evaluation.metrics import psnr
from vsrife.network.ifnet import IFNet

DRAWN: Final = 8
"""Frames that are drawn; the clip goes through them to and fro."""

EDGE: Final = 64
"""Pixels that are not compared: where motion leaves the picture, ours takes its edge and theirs the black beyond it."""

OURS, THEIRS = "ours", "OpenVINO"


class Interpolation(nn.Module):
    """A network as the plugin of vs-mlrt runs it: both frames and the plane of t in, the frame at t = .5 out."""

    def __init__(self, network: IFNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """[1, 7, H, W], two RGB frames in 0..1 and t, to RGB [1, 3, H, W]."""
        left, right = x[:, 0:3], x[:, 3:6]
        # A plane of t that is the constant .5 is what the network makes of the number, and the plane is then not read.
        features = self.network.encode(left), self.network.encode(right)
        return self.network.merge(left, right, self.network(left, right, *features, 0.5)) + 0.0 * x[:, 6:7]


def padded_size(model: str, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the canvas that the network takes for pictures of ``size``."""
    modulus = ARCHITECTURES[model].modulus()
    width, height = (-(-length // modulus) * modulus for length in size)
    return width, height


def export(model: str, size: tuple[int, int], path: Path) -> None:
    """Write the seeded network as ONNX, for pictures of ``size`` (width, height)."""
    width, height = padded_size(model, size)
    module = Interpolation(seeded_network(ARCHITECTURES[model]).eval())
    with warnings.catch_warnings():
        # The exporter that reads TorchScript is deprecated, but needs no further package; and it warns of every size
        # that it takes for a constant, which sizes are here.
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.rand(1, 7, height, width),), str(path), opset_version=17, dynamo=False)


def theirs(clip: vs.VideoNode, model: Path, precision: str, in_flight: int, canvas: tuple[int, int]) -> vs.VideoNode:
    """New frame n is the one between source frames n and n + 1."""
    right, bottom = canvas[0] - clip.width, canvas[1] - clip.height
    rgb = clip.resize.Bicubic(format=vs.RGBS).std.AddBorders(right=right, bottom=bottom)
    time_plane = rgb.std.BlankClip(format=vs.GRAYS, color=0.5, keep=True)
    hint = {"INFERENCE_PRECISION_HINT": "f32" if precision == "float32" else "bf16"}
    made = vs.core.ov.Model(
        [rgb, rgb[1:] + rgb[-1], time_plane], str(model), device="CPU", num_streams=in_flight, config=lambda: hint
    )
    result = made.std.Crop(right=right, bottom=bottom).resize.Bicubic(format=vs.YUV420P8, matrix_s="709")
    assert isinstance(result, vs.VideoNode)
    return result


def ours(clip: vs.VideoNode, model: Path, precision: str) -> vs.VideoNode:
    """As `theirs`."""
    made = vs.core.rife.RIFE(clip, model=str(model), device="cpu", precision=precision)
    return made.std.SelectEvery(2, [1])


def run(task: dict[str, Any]) -> dict[str, float]:
    """One run: new frames a second, and milliseconds of processor time for each."""
    size, in_flight, frames = (task["size"][0], task["size"][1]), task["in_flight"], task["frames"]
    vs.core.num_threads = in_flight
    drawn = [[plane.numpy() for plane in frame] for frame in moving_frames(size[0], size[1], DRAWN)]
    for _, *chroma in drawn:
        for plane in chroma:  # within RGB's range, which only the chain by way of RGB would be limited to
            plane[...] = 112 + plane // 8
    clip = looped(drawn, frames + 3 * in_flight).std.SetFrameProps(_Matrix=1)
    if task["who"] == OURS:
        out = ours(clip, Path(task["weights"]), task["precision"])
    else:
        out = theirs(clip, Path(task["onnx"]), task["precision"], in_flight, padded_size(task["model"], size))
    with ThreadPoolExecutor(in_flight) as pool:

        def make(numbers: range) -> None:
            list(pool.map(lambda n: out.get_frame(n).close(), numbers))

        with out.get_frame(0) as frame:
            np.save(task["picture"], np.asarray(frame[0]))
        make(range(2 * in_flight))  # everything is compiled and warm
        wall, processor = time.perf_counter(), time.process_time()
        make(range(2 * in_flight, 2 * in_flight + frames))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"fps": frames / wall, "cpu_ms": 1000 * processor / frames}


def run_apart(task: dict[str, Any]) -> dict[str, float]:
    """`run` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)], stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each model and precision."""
    rows = []
    for model in options.models:
        weights, onnx = folder / f"{model}.safetensors", folder / f"{model}.onnx"
        save_seeded(ARCHITECTURES[model], weights)
        export(model, options.size, onnx)
        for precision in options.precisions:
            task = {
                "model": model, "weights": str(weights), "onnx": str(onnx), "precision": precision,
                "size": options.size, "in_flight": options.in_flight, "frames": options.frames,
            }  # fmt: skip
            runs: dict[str, list[dict[str, float]]] = {OURS: [], THEIRS: []}
            for _ in range(options.runs):
                for who, results in runs.items():
                    results.append(run_apart(task | {"who": who, "picture": str(folder / f"{who}.npy")}))
            pictures = [np.load(folder / f"{who}.npy")[EDGE:-EDGE, EDGE:-EDGE] for who in runs]
            rows.append({"model": model, "precision": precision, "runs": runs, "db": psnr(*pictures)})
            print(line(rows[-1]), flush=True)
    return rows


HEADER: Final = (
    "| model | precision | ours fps | OpenVINO fps | ratio (least, median, most) "
    "| ours CPU ms | OpenVINO CPU ms | dB |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    mine, other = (row["runs"][who] for who in (OURS, THEIRS))
    ratios = sorted(a["fps"] / b["fps"] for a, b in zip(mine, other, strict=True))
    median = {
        (who, what): statistics.median(each[what] for each in row["runs"][who])
        for who in (OURS, THEIRS)
        for what in ("fps", "cpu_ms")
    }
    return (
        f"| {row['model']} | {row['precision']} | {median[OURS, 'fps']:.2f} | {median[THEIRS, 'fps']:.2f} "
        f"| {ratios[0]:.2f}, {statistics.median(ratios):.2f}, {ratios[-1]:.2f} "
        f"| {median[OURS, 'cpu_ms']:.0f} | {median[THEIRS, 'cpu_ms']:.0f} | {row['db']:.1f} |"
    )


def size_of(text: str) -> tuple[int, int]:
    """WxH as two numbers."""
    width, height = text.split("x")
    return int(width), int(height)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print the table, and write every run as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["4.26", "4.6"], choices=sorted(ARCHITECTURES))
    parser.add_argument("--precisions", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--size", type=size_of, default=(1280, 720), metavar="WxH", help="even numbers")
    parser.add_argument("--in-flight", type=int, default=2, metavar="N", help="frames at a time")
    parser.add_argument("--frames", type=int, default=12, metavar="N", help="new frames of each run")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each, in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run here")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.task:
        print(json.dumps(run(options.task)), flush=True)
        os._exit(0)  # without the end of OpenVINO's threads, which takes seconds
    if not hasattr(vs.core, "ov"):
        parser.error("VapourSynth has no plugin with the namespace ov: pip install onnx vapoursynth-mlrt-ov")
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(options, Path(folder))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
