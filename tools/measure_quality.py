"""What native planes are worth: YUV420P8 through the filter as it is, and by way of RGB, as docs/quality.md tells it.

    python tools/measure_quality.py CLIPS [--model 4.0] [--precision auto] [--json FILE]

The pairs of frames are those of `vsrife evaluate clips-2x`. PSNR of each plane, once through core.rife.RIFE as it is,
once by way of RGB (resize to RGBS, the same filter, resize back), which is what scripts did before. The clips are YUV.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import vapoursynth as vs

import vsrife
from vsrife.datasets.clips import find_clips, open_clip
from vsrife.evaluation.clips import SAMPLES, moving_pairs
from vsrife.evaluation.metrics import psnr

NAMES: Final = ("y", "y_by_rgb", "u", "u_by_rgb", "v", "v_by_rgb")


def measure(path: Path, model: str, precision: Any) -> dict[str, Any]:
    """Mean PSNR of one clip's planes by each way."""
    yuv = open_clip(path, vs.YUV420P8)
    matrix = int(yuv.get_frame(0).props["_Matrix"])
    native = vsrife.RIFE(yuv[::2], model=model, precision=precision, sc=False, skip=False)
    there = yuv[::2].resize.Bicubic(format=vs.RGBS)
    back = vsrife.RIFE(there, model=model, precision=precision, sc=False, skip=False)
    around = back.resize.Bicubic(format=vs.YUV420P8, matrix=matrix)
    rows: dict[str, list[float]] = {name: [] for name in NAMES}
    firsts = list(moving_pairs(open_clip(path), 2, SAMPLES))
    for n in firsts:
        truth, straight, detour = (clip.get_frame(n + 1) for clip in (yuv, native, around))
        for plane, name in enumerate("yuv"):
            expected = np.asarray(truth[plane])
            rows[name].append(psnr(expected, np.asarray(straight[plane])))
            rows[f"{name}_by_rgb"].append(psnr(expected, np.asarray(detour[plane])))
    return {"clip": path.stem, "pairs": len(firsts)} | {name: float(np.mean(values)) for name, values in rows.items()}


def main() -> None:
    """Measure every clip of a folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips that bestsource can read")
    parser.add_argument("--model", default="4.0", help="a model's name or file (default: 4.0)")
    parser.add_argument("--precision", default="auto", help="of the convolutions (default: auto)")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    print("| clip | pairs | " + " | ".join(NAMES) + " |\n|" + "---|" * (len(NAMES) + 2))
    rows = []
    for path in find_clips(options.clips):
        row = measure(path, options.model, options.precision)
        rows.append(row)
        print(
            f"| {row['clip']} | {row['pairs']} | " + " | ".join(f"{row[name]:.2f}" for name in NAMES) + " |",
            flush=True,
        )
    means = {name: float(np.mean([row[name] for row in rows])) for name in NAMES}
    print("| mean | | " + " | ".join(f"{means[name]:.2f}" for name in NAMES) + " |")
    if options.json:
        options.json.write_text(
            json.dumps({"model": options.model, "precision": options.precision, "clips": rows, "mean": means}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
