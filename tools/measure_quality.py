"""Skip-frame quality of the whole filter on a folder of clips, as docs/quality.md tells it.

    python tools/measure_quality.py CLIPS [--model 4.0] [--precision auto] [--json FILE] [--save FOLDER]

Every second frame is taken away and made again by core.rife.RIFE(multi=2); what comes back is compared with the truth.
Triplets n, n+1, n+2 for n = 0, 4, 8, ..., at most 16 a clip; pairs whose mean difference exceeds 0.12 (cuts) or is zero
(duplicates) are left out. RGB: PSNR over all samples of RGB24. YUV: PSNR of each plane of YUV420P8, once through the
filter as it is, once by way of RGB (resize to RGBS, the same filter, resize back), which is what scripts did before.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

core = vs.core

type Planes = list[NDArray[np.float64]]


def planes(frame: vs.VideoFrame) -> Planes:
    """A frame's planes as float64."""
    return [np.asarray(frame[index]).astype(np.float64) for index in range(frame.format.num_planes)]


def psnr(a: Planes, b: Planes) -> float:
    """PSNR in dB over all samples of all given planes, peak 255."""
    error = np.concatenate([(x - y).ravel() for x, y in zip(a, b, strict=True)])
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-12)))


def triplets(clip: vs.VideoNode) -> list[int]:
    """First frames of the triplets that count."""
    found = []
    for n in range(0, len(clip) - 2, 4):
        a, b = planes(clip.get_frame(n)), planes(clip.get_frame(n + 2))
        difference = float(np.mean([np.mean(np.abs(x - y)) for x, y in zip(a, b, strict=True)])) / 255
        if 0 < difference <= 0.12:
            found.append(n)
        if len(found) == 16:
            break
    return found


def measure(path: Path, model: str, precision: str, save: Path | None) -> dict[str, Any]:
    """Mean PSNR of one clip by each way."""
    source = core.bs.VideoSource(str(path), showprogress=False)
    options = {"multi": 2, "model": model, "precision": precision, "sc": 0, "skip": 0}
    yuv = source if source.format.id == vs.YUV420P8 else core.resize.Bicubic(source, format=vs.YUV420P8)
    matrix = 1 if source.height > 576 or source.width >= 1280 else 6
    yuv = core.std.SetFrameProps(yuv, _Matrix=matrix, _FieldBased=0)
    rgb = core.resize.Bicubic(yuv, format=vs.RGB24)
    half_rgb, half_yuv = rgb[::2], yuv[::2]
    made_rgb = core.rife.RIFE(half_rgb, **options)
    made_yuv = core.rife.RIFE(half_yuv, **options)
    there = core.rife.RIFE(core.resize.Bicubic(half_yuv, format=vs.RGBS), **options)
    back = core.resize.Bicubic(there, format=vs.YUV420P8, matrix=matrix)
    rows: dict[str, list[float]] = {}
    counted = triplets(rgb)
    for n in counted:
        truth, a, b = (planes(rgb.get_frame(k)) for k in (n + 1, n, n + 2))
        made = planes(made_rgb.get_frame(n + 1))
        average = [np.rint((x + y) / 2) for x, y in zip(a, b, strict=True)]
        rows.setdefault("rgb", []).append(psnr(truth, made))
        rows.setdefault("average", []).append(psnr(truth, average))
        target, native, around = (planes(clip.get_frame(n + 1)) for clip in (yuv, made_yuv, back))
        for plane, name in enumerate("yuv"):
            rows.setdefault(name, []).append(psnr([target[plane]], [native[plane]]))
            rows.setdefault(f"{name}_by_rgb", []).append(psnr([target[plane]], [around[plane]]))
        if save and n == counted[len(counted) // 2]:
            from PIL import Image

            save.mkdir(parents=True, exist_ok=True)
            picture = np.concatenate([np.stack(x, -1) for x in (a, truth, made, b)], 1)
            Image.fromarray(picture.astype(np.uint8)).save(save / f"{path.stem}.png")
    return {"clip": path.stem, "triplets": len(counted)} | {name: float(np.mean(v)) for name, v in rows.items()}


def main() -> None:
    """Measure every clip of a folder and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips that bestsource can read")
    parser.add_argument("--model", default="4.0", help="a model's name or file (default: 4.0)")
    parser.add_argument("--precision", default="auto", help="of the convolutions (default: auto)")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--save", type=Path, help="write a strip left | truth | made | right of each clip here")
    options = parser.parse_args()
    kinds = {".mp4", ".mkv", ".avi", ".mpg", ".webm", ".mov"}
    names = ["average", "rgb", "y", "y_by_rgb", "u", "u_by_rgb", "v", "v_by_rgb"]
    print("| clip | triplets | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 2))
    rows = []
    for path in sorted(path for path in options.clips.iterdir() if path.suffix in kinds):
        row = measure(path, options.model, options.precision, options.save)
        rows.append(row)
        print(
            f"| {row['clip']} | {row['triplets']} | " + " | ".join(f"{row[name]:.2f}" for name in names) + " |",
            flush=True,
        )
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    print("| mean | | " + " | ".join(f"{means[name]:.2f}" for name in names) + " |")
    if options.json:
        options.json.write_text(
            json.dumps({"model": options.model, "precision": options.precision, "clips": rows, "mean": means}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    main()
