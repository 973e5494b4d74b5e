"""Measure the scene-cut detector: counts and score distributions on labelled clips and on synthetic pairs, as tables.

    python tools/measure_cuts.py FOLDER

FOLDER holds ``clips_eval``, ``clips_train``, ``photos`` and ``textures``. Needs vapoursynth-bestsource. The numbers
in `vsrife.video.cuts` were chosen on the training clips and on one half of the photos and textures; the synthetic pairs
measured here come from the other half.
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
from torch.nn.functional import affine_grid, grid_sample, interpolate

from vsrife.video.cuts import DEFAULT_CUT_THRESHOLD, Signature, cut_score, signature
from vsrife.video.still import DEFAULT_STILL_THRESHOLD, is_still

type Image = NDArray[np.float64]
type Images = tuple[Image, Image]
type Clips = dict[str, tuple[list[Signature], list[int]]]

LABELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "cut_labels.json"
WIDTH, HEIGHT = 560, 315
HEADING = """| pairs | are | count | called cuts | least | 2 % | median | 98 % | most |
|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: pairs of one kind, all of them cuts or none."""

    name: str
    cut: bool
    scores: NDArray[np.float64]

    def called(self, threshold: float) -> int:
        """Pairs that the detector calls cuts."""
        return int((self.scores >= threshold).sum())

    def text(self, threshold: float) -> str:
        """The line, in Markdown."""
        spread = " | ".join(f"{v:.2f}" for v in np.quantile(self.scores, (0, 0.02, 0.5, 0.98, 1)))
        are = "cuts" if self.cut else "not"
        return f"| {self.name} | {are} | {len(self.scores)} | {self.called(threshold)} | {spread} |"


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


def score_all(pairs: list[tuple[Signature, Signature]]) -> NDArray[np.float64]:
    """Score of each pair."""
    return np.array([cut_score(a, b) for a, b in pairs])


def clip_rows(name: str, thumbnails: list[Signature], cuts: list[int], step: int) -> Iterator[Row]:
    """All pairs of frames ``step`` apart, parted by whether a labelled cut lies between them."""
    across = {n for cut in cuts for n in range(cut - step + 1, cut + 1)}
    for is_cut in (True, False):
        chosen = [n for n in range(len(thumbnails) - step) if (n in across) is is_cut]
        if chosen:
            scores = score_all([(thumbnails[n], thumbnails[n + step]) for n in chosen])
            yield Row(name=f"{name}, {step} apart" if step > 1 else name, cut=is_cut, scores=scores)


def far_row(clips: Clips, count: int, rng: np.random.Generator) -> Row:
    """Frames of different scenes of one clip."""
    pairs: list[tuple[Signature, Signature]] = []
    with_cuts = [value for value in clips.values() if value[1]]
    while len(pairs) < count:
        frames, cuts = with_cuts[rng.integers(len(with_cuts))]
        m, n = (int(i) for i in rng.integers(0, len(frames), 2))
        if np.searchsorted(cuts, m) != np.searchsorted(cuts, n):
            pairs.append((frames[m], frames[n]))
    return Row(name="different scenes of a clip", cut=True, scores=score_all(pairs))


def measure_clips(folder: Path, labels: dict[str, list[int]], threshold: float, rng: np.random.Generator) -> None:
    """Print one part's table and its recall and precision over neighbouring frames."""
    print(HEADING)
    clips: Clips = {}
    neighbours: list[Row] = []
    for name, cuts in labels.items():
        clips[name] = ([thumbnail(f) for f in luma_frames(folder / name)], cuts)
        for step in (1, 2, 4):
            rows = list(clip_rows(name, *clips[name], step))
            neighbours += rows if step == 1 else []
            print(*(row.text(threshold) for row in rows), sep="\n", flush=True)
    print(far_row(clips, 600, rng).text(threshold))
    hits = sum(row.called(threshold) for row in neighbours if row.cut)
    wrong = sum(row.called(threshold) for row in neighbours if not row.cut)
    cuts_there = sum(len(row.scores) for row in neighbours if row.cut)
    print(f"\nNeighbours: recall {hits}/{cuts_there}, precision {hits}/{hits + wrong}.\n")


def transformed(image: Image, scale: float, degrees: float) -> Image:
    """The picture's middle, enlarged and turned."""
    cos, sin = np.cos(np.deg2rad(degrees)) / scale, np.sin(np.deg2rad(degrees)) / scale
    aspect = WIDTH / HEIGHT
    matrix = torch.tensor([[[cos, -sin / aspect, 0.0], [sin * aspect, cos, 0.0]]], dtype=torch.float64)
    grid = affine_grid(matrix, [1, 1, HEIGHT, WIDTH], align_corners=False)
    moved: Image = grid_sample(
        torch.from_numpy(image)[None, None], grid, padding_mode="border", align_corners=False
    ).numpy()[0, 0]
    return moved


def barred(image: Image) -> Image:
    """With black bars over a quarter of the picture."""
    boxed = np.full_like(image, 16.0)
    boxed[40:-40] = image[40:-40]
    return boxed


class Pictures:
    """Synthetic pairs made from still pictures."""

    def __init__(self, photos: list[Image], textures: list[Image], rng: np.random.Generator) -> None:
        self.photos = [p for p in photos if p.shape[0] > HEIGHT * 1.2 and p.shape[1] > WIDTH * 1.34]
        self.textures = textures
        self.rng = rng
        self.turn = 0  # the photo that a pair is made from

    def view(self, photo: Image, right: int = 0, down: int = 0) -> Images:
        """Two views of a photo at a random place, the second moved."""
        y = int(self.rng.integers(0, photo.shape[0] - HEIGHT - down + 1))
        x = int(self.rng.integers(0, photo.shape[1] - WIDTH - right + 1))
        first = photo[y : y + HEIGHT, x : x + WIDTH]
        return first, photo[y + down : y + down + HEIGHT, x + right : x + right + WIDTH]

    def other(self) -> Image:
        """A view of another photo."""
        count = len(self.photos)
        return self.view(self.photos[(self.turn + 1 + int(self.rng.integers(count - 1))) % count])[0]

    def moved(self, name: str, right: int = 0, down: int = 0) -> Row:
        """Pans and tilts."""
        pairs = [self.view(p, right, down) for p in self.photos for _ in range(2)]
        return Row(name=name, cut=False, scores=score_all([(thumbnail(a), thumbnail(b)) for a, b in pairs]))

    def changed(self, name: str, change: Callable[[Image], Images], *, cut: bool = False, times: int = 2) -> Row:
        """Views and what ``change`` makes of them."""
        pairs = []
        for self.turn in range(len(self.photos)):  # noqa: B020
            pairs += [change(self.view(self.photos[self.turn])[0]) for _ in range(times)]
        return Row(name=name, cut=cut, scores=score_all([(thumbnail(a), thumbnail(b)) for a, b in pairs]))

    def mixed(self, first: Image, second: Image) -> Images:
        """Two neighbours within a dissolve over 12 frames."""
        t = int(self.rng.integers(0, 12)) / 12
        return first + (second - first) * t, first + (second - first) * (t + 1 / 12)

    def noisy(self, image: Image) -> Image:
        """With Gaussian noise of its own."""
        return image + self.rng.normal(0, 8, image.shape)

    def texture_row(self) -> Row:
        """Pairs of textures of one size."""
        drawn = self.rng.integers(0, len(self.textures), (400, 2))
        pairs = [(thumbnail(self.textures[i][:288]), thumbnail(self.textures[j][:288])) for i, j in drawn if i != j]
        same_size = [(a, b) for a, b in pairs if a.shape == b.shape]
        return Row(name="texture to texture", cut=True, scores=score_all(same_size))

    def rows(self) -> Iterator[Row]:
        """Every kind."""
        for percent in (5, 10, 15, 20, 25, 33):
            yield self.moved(f"pan by {percent} % of the width", right=WIDTH * percent // 100)
        yield self.moved("tilt by 20 % of the height", down=HEIGHT // 5)
        yield self.changed("zoom by 12 %", lambda v: (v, transformed(v, 1.12, 0)))
        yield self.changed("turn by 8 degrees", lambda v: (transformed(v, 1.2, -4), transformed(v, 1.2, 4)))
        for gain in (0.5, 0.75, 1.5, 2.0):
            yield self.changed(f"gain x {gain:g}", lambda v, g=gain: (v, v * g))  # type: ignore[misc]
        for offset in (-40, 40):
            yield self.changed(f"offset {offset:+d} of 255", lambda v, o=offset: (v, v + o))  # type: ignore[misc]
        yield self.changed("noise of 8 / 255 on both", lambda v: (self.noisy(v), self.noisy(v)))
        yield self.changed("dissolve over 12 frames", lambda v: self.mixed(v, self.other()), times=4)
        yield self.changed("fade from black over 12 frames", lambda v: self.mixed(np.zeros_like(v), v), times=4)
        yield self.changed("photo to photo", lambda v: (v, self.other()), cut=True, times=8)
        yield self.changed("the same under bars", lambda v: (barred(v), barred(self.other())), cut=True, times=4)
        yield self.texture_row()
        yield self.changed("black to photo", lambda v: (np.full_like(v, 16.0), v), cut=True)
        yield self.changed("photo to black", lambda v: (v, np.full_like(v, 16.0)), cut=True)
        yield self.changed("counted apart: flash to 80 % white", lambda v: (v, v * 0.2 + 204))
        yield self.changed("counted apart: flash to white", lambda v: (v, np.full_like(v, 255.0)))


def milliseconds(work: Callable[..., object], *arguments: object) -> float:
    """Least time of 40 runs."""
    least = np.inf
    for _ in range(40):
        start = time.perf_counter()
        work(*arguments)
        least = min(least, time.perf_counter() - start)
    return float(least) * 1000


def timings() -> Iterator[str]:
    """Cost per frame or pair of 1920 x 1080 on one core."""
    coarse = torch.randint(0, 256, (1, 1, 27, 48), generator=torch.Generator().manual_seed(1)).float()
    base = interpolate(coarse, (1080, 1920), mode="bicubic").clamp(0, 255)[0, 0]
    kinds = (("8 bit", 8, 1.0, torch.uint8), ("10 bit", 10, 4.0, torch.uint16), ("half", 16, 1 / 255, torch.float16))
    for name, bits, scale, dtype in kinds:
        left, other = (base * scale).to(dtype), (base.roll(100, 1) * scale).to(dtype)
        yield f"| `signature`, {name} | {milliseconds(signature, [left], bits):.2f} |"
        cases = (("identical", left.clone(), DEFAULT_STILL_THRESHOLD), ("every block measured", other, 0.0))
        for case, right, threshold in (*cases, ("moving", other, DEFAULT_STILL_THRESHOLD)):
            yield f"| `is_still`, {name}, {case} | {milliseconds(is_still, [left], [right], bits, threshold):.2f} |"
    one, two = signature([base.to(torch.uint8)], 8), signature([base.roll(100, 1).to(torch.uint8)], 8)
    yield f"| `cut_score`, no motion | {milliseconds(cut_score, one, one):.2f} |"
    yield f"| `cut_score`, searched | {milliseconds(cut_score, one, two):.2f} |"


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
        print("| work | ms |\n|---|---|", *timings(), sep="\n")
        return
    rng = np.random.default_rng(options.seed)
    labels = json.loads(LABELS.read_text())
    for part in ("eval", "train"):
        print(f"## clips_{part}\n")
        measure_clips(options.data / f"clips_{part}", labels[part], options.threshold, rng)
    photos, textures = (
        [next(luma_frames(path)) for path in sorted((options.data / folder).iterdir())[1::2]]
        for folder in ("photos", "textures")
    )
    print(f"## synthetic\n\n{HEADING}")
    for row in Pictures(photos, textures, rng).rows():
        print(row.text(options.threshold), flush=True)


if __name__ == "__main__":
    main()
