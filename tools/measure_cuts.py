"""Measure the scene-cut detector: counts and score distributions on labelled clips and on synthetic pairs, as a
table.

    python tools/measure_cuts.py ../shared/data

The folder holds ``clips_eval``, ``clips_train``, ``photos`` and ``textures``. Needs vapoursynth-bestsource. The
thresholds and weights of `vsrife.video.cuts` were set on the training clips and on the photos and textures of even
rank; the other half is measured here.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample

from vsrife.video.cuts import DEFAULT_CUT_THRESHOLD, Signature, cut_score, signature
from vsrife.video.still import DEFAULT_STILL_THRESHOLD, is_still

type Image = NDArray[np.float64]
type Pair = tuple[Signature, Signature]

LABELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "cut_labels.json"
WIDTH, HEIGHT = 560, 315


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: pairs of one kind, all of them cuts or none."""

    name: str
    cut: bool
    scores: NDArray[np.float64]

    def text(self, threshold: float) -> str:
        """The line, in Markdown."""
        found = int((self.scores >= threshold).sum())
        spread = " | ".join(f"{v:.2f}" for v in np.quantile(self.scores, (0, 0.02, 0.5, 0.98, 1)))
        return f"| {self.name} | {'cut' if self.cut else 'no cut'} | {len(self.scores)} | {found} | {spread} |"


def luma_frames(path: Path) -> Iterator[Image]:
    """The luma of every frame of a clip or picture, on the scale of 8 bits."""
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)
    if clip.format.color_family == vs.RGB:
        clip = vs.core.resize.Bicubic(clip, format=vs.GRAY8, matrix_s="709")
    for frame in clip.frames(close=True):
        yield np.asarray(frame[0]).astype(np.float64) / (1 << (frame.format.bits_per_sample - 8))


def thumbnail(image: Image) -> Signature:
    """The detector's signature of a luma picture, rounded to 8 bits."""
    return signature([torch.from_numpy(np.clip(np.rint(image), 0, 255).astype(np.uint8))], 8)


def scores(pairs: list[Pair]) -> NDArray[np.float64]:
    """Score of each pair."""
    return np.array([cut_score(a, b) for a, b in pairs])


def clip_rows(name: str, thumbnails: list[Signature], cuts: list[int]) -> Iterator[Row]:
    """Neighbours, and frames 2 and 4 apart, parted by whether a labelled cut lies between them."""
    for step in (1, 2, 4):
        firsts = range(len(thumbnails) - step)
        across = {n for cut in cuts for n in range(cut - step + 1, cut + 1)}
        for is_cut in (True, False):
            chosen = [n for n in firsts if (n in across) is is_cut]
            if chosen:
                found = scores([(thumbnails[n], thumbnails[n + step]) for n in chosen])
                yield Row(name=f"{name}, {step} apart" if step > 1 else name, cut=is_cut, scores=found)


def far_pairs(clips: dict[str, tuple[list[Signature], list[int]]], count: int, rng: np.random.Generator) ->
list[Pair]: """Frames of different scenes of one clip."""
    pairs: list[Pair] = []
    cut_clips = [value for value in clips.values() if value[1]]
    while len(pairs) < count:
        frames, cuts = cut_clips[rng.integers(len(cut_clips))]
        m, n = rng.integers(0, len(frames), 2)
        if np.searchsorted(cuts, m) != np.searchsorted(cuts, n):
            pairs.append((frames[m], frames[n]))
    return pairs


def transformed(image: Image, scale: float, degrees: float) -> Image:
    """The picture's middle, enlarged and turned."""
    turn = np.deg2rad(degrees)
    aspect = WIDTH / HEIGHT
    matrix = [[np.cos(turn) / scale, -np.sin(turn) / scale / aspect, 0.0]]
    matrix += [[np.sin(turn) / scale * aspect, np.cos(turn) / scale, 0.0]]
    grid = affine_grid(torch.tensor([matrix], dtype=torch.float64), [1, 1, HEIGHT, WIDTH], align_corners=False)
    source = torch.from_numpy(image)[None, None]
    moved: Image = grid_sample(source, grid, padding_mode="border", align_corners=False)[0, 0].numpy()
    return moved


def letterboxed(image: Image) -> Image:
    """With black bars over a quarter of the picture."""
    boxed = np.full_like(image, 16.0)
    boxed[40:-40] = image[40:-40]
    return boxed


def synthetic_rows(photos: list[Image], textures: list[Image], rng: np.random.Generator) -> Iterator[Row]:
    """Pairs made from still pictures."""
    photos = [p for p in photos if p.shape[0] > HEIGHT * 1.2 and p.shape[1] > WIDTH * 1.34]

    def crop(picture: Image, right: int = 0, below: int = 0) -> tuple[Image, Image]:
        """Two views of the picture, the second moved."""
        y = int(rng.integers(0, picture.shape[0] - HEIGHT - below + 1))
        x = int(rng.integers(0, picture.shape[1] - WIDTH - right + 1))
        first = picture[y : y + HEIGHT, x : x + WIDTH]
        return first, picture[y + below : y + below + HEIGHT, x + right : x + right + WIDTH]

    def row(name: str, pair: Callable[[Image], tuple[Image, Image]], *, cut: bool = False, times: int = 1) -> Row:
        made = [tuple(map(thumbnail, pair(p))) for p in photos for _ in range(times)]
        return Row(name=name, cut=cut, scores=np.array([cut_score(a, b) for a, b in made]))

    def view(picture: Image) -> Image:
        return crop(picture)[0]

    def other() -> Image:
        return view(photos[rng.integers(len(photos))])

    def both(change: Callable[[Image], tuple[Image, Image]]) -> Callable[[Image], tuple[Image, Image]]:
        return lambda p: change(view(p))

    def dissolve(a: Image, b: Image) -> tuple[Image, Image]:
        t = rng.integers(0, 12) / 12
        return a + (b - a) * t, a + (b - a) * (t + 1 / 12)

    def noisy(image: Image) -> Image:
        return image + rng.normal(0, 8, image.shape)

    for percent in (5, 10, 15, 20, 25, 33):
        yield row(f"pan by {percent} % of the width", lambda p, d=WIDTH * percent // 100: crop(p, right=d), times=2)
    yield row("tilt by 20 % of the height", lambda p: crop(p, below=HEIGHT // 5), times=2)
    yield row("zoom by 12 %", both(lambda v: (v, transformed(v, 1.12, 0))), times=2)
    yield row("turn by 8 degrees", both(lambda v: (transformed(v, 1.2, -4), transformed(v, 1.2, 4))), times=2)
    yield row("pan by 10 % under black bars", lambda p: tuple(map(letterboxed, crop(p, right=56))), times=2)  # type: ignore[arg-type, return-value]
    for gain in (0.5, 0.75, 1.5, 2.0):
        yield row(f"gain x {gain:g}", both(lambda v, g=gain: (v, v * g)), times=2)
    for offset in (-40, 40):
    yield row(f"offset {offset:+d} of 255", both(lambda v, o=offset: (v, v + o)), times=2) yield row("noise of 8 / 255
    on both", both(lambda v: (noisy(v), noisy(v))), times=2) yield row("dissolve over 12 frames", both(lambda v:
    dissolve(v, other())), times=4) yield row("fade from black over 12 frames", both(lambda v:
    dissolve(np.zeros_like(v), v)), times=4) yield row("photo to photo", both(lambda v: (v, other())), cut=True,
    times=8) yield row("photo to photo under black bars", both(lambda v: (letterboxed(v), letterboxed(other()))),
    cut=True, times=4) yield row("black to photo", both(lambda v: (np.full_like(v, 16.0), v)), cut=True) yield
    row("photo to black", both(lambda v: (v, np.full_like(v, 16.0))), cut=True) index = rng.integers(0, len(textures),
    (400, 2)) texture_pairs = [(thumbnail(textures[i][:288]), thumbnail(textures[j][:288])) for i, j in index if i !=
    j] same_size = [(a, b) for a, b in texture_pairs if a.shape == b.shape] yield Row(name="texture to texture",
    cut=True, scores=scores(same_size)) yield row("counted apart: flash to 80 % white", both(lambda v: (v, v * 0.2 +
    204)), times=2) yield row("counted apart: flash to white", both(lambda v: (v, np.full_like(v, 255.0))), times=2)


def milliseconds(work: Callable[[], object]) -> float:
    """Least time of 30 runs."""
    best = np.inf
    for _ in range(30):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best * 1000


def timings() -> Iterator[str]:
    """Cost per frame or pair of 1920 x 1080."""
    generator = torch.Generator().manual_seed(1) coarse = torch.randint(0, 256, (1, 1, 27, 48),
    generator=generator).float() base = torch.nn.functional.interpolate(coarse, (1080, 1920), mode="bicubic").clamp(0,
    255)[0, 0] moved = base.roll(100, 1) for name, bits, scale, dtype in (("8 bit", 8, 1, torch.uint8), ("10 bit", 10,
    4, torch.uint16), ("half", 16, 1 / 255, torch.float16)): a, b = (base * scale).to(dtype), (moved *
    scale).to(dtype) almost = a.clone() almost[::8, ::8] = almost[::8, 1::8][:, : almost[::8, ::8].shape[1]] yield f"|
    signature, {name} | {milliseconds(lambda: signature([a], bits)):.2f} |" yield f"| is_still, {name}, identical |
    {milliseconds(lambda: is_still([a], [a.clone()], bits, DEFAULT_STILL_THRESHOLD)):.2f} |" yield f"| is_still,
    {name}, every block looked at | {milliseconds(lambda: is_still([a], [almost], bits, 0.0)):.2f} |" one, two =
    signature([base.to(torch.uint8)], 8), signature([moved.to(torch.uint8)], 8) yield f"| cut_score, hardly moving |
    {milliseconds(lambda: cut_score(one, one)):.2f} |" yield f"| cut_score, searched | {milliseconds(lambda:
    cut_score(one, two)):.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with clips_eval, clips_train, photos and textures")
    parser.add_argument("--threshold", type=float, default=DEFAULT_CUT_THRESHOLD, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic pairs; default: %(default)s")
    parser.add_argument("--timings", action="store_true", help="measure the cost alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.timings:
    print("| work | ms |\n|---|---|", *timings(), sep="\n") return rng = np.random.default_rng(options.seed) labels =
    json.loads(LABELS.read_text()) heading = "| pairs | are | count | called cuts | least | 2 % | median | 98 % | most
    |\n|---|---|---|---|---|---|---|---|---|" for part in ("eval", "train"): print(f"\n{part}\n\n{heading}") clips =
    {} rows: list[Row] = [] for name, cuts in labels[part].items(): clips[name] = ([thumbnail(f) for f in
    luma_frames(options.data / f"clips_{part}" / name)], cuts) rows += clip_rows(name, *clips[name])
    print(*(r.text(options.threshold) for r in rows if r.name.startswith(name)), sep="\n", flush=True)
    print(Row(name="different scenes of a clip", cut=True, scores=scores(far_pairs(clips, 600,
    rng))).text(options.threshold)) near = [r for r in rows if "apart" not in r.name] hits = sum(int((r.scores >=
    options.threshold).sum()) for r in near if r.cut) cuts_there = sum(len(r.scores) for r in near if r.cut) wrong =
    sum(int((r.scores >= options.threshold).sum()) for r in near if not r.cut) print(f"\nneighbours: recall
    {hits}/{cuts_there}, precision {hits}/{hits + wrong}") pictures = {} for folder in ("photos", "textures"): paths =
    sorted((options.data / folder).iterdir()) pictures[folder] = [next(luma_frames(p)) for p in paths[1::2]]
    print(f"\nsynthetic\n\n{heading}") for row in synthetic_rows(pictures["photos"], pictures["textures"], rng):
    print(row.text(options.threshold), flush=True)


if __name__ == "__main__":
    main()
