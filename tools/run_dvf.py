"""The paper's first experiment: a small deep voxel flow with and without the edges of the frame that it is to make.

    python tools/run_dvf.py OUT --pack FOLDER --clips FOLDER [--steps 4000] [--seeds 1 2] [--shown CLIP --frame N]

Two networks with the same first weights learn from the same batches in turn, so in the same seconds; these are seconds
of the processor, not of the clock. `dvf` sees the two frames. `privileged` also sees the edge map of the true frame
between them, in training and when it is measured: it is no interpolator, but tells how much harder flow is to find from
a frame that nobody has seen.

OUT gets dvf.md, dvf.json, dvf.png (both flows on one pair of frames) and the weights. PACK is of tools/pack_data.py.
Its samples are made once and used again, flipped, turned and reversed in time. Nothing is learnt from CLIPS.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from dvf import Dvf, Voxels, edge_map
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor

from vsrife.datasets import Batch, LoaderState, MixedDataLoader, MixPhase, Source, find_clips
from vsrife.datasets.augment import augment
from vsrife.datasets.clips import open_clip
from vsrife.datasets.loader import BatchSpec
from vsrife.datasets.scene_rng import SceneRng, mixed_seed
from vsrife.errors import ArgumentError, RifeError
from vsrife.evaluation.samples import pictures
from vsrife.network.warp import resize
from vsrife.training.config import Config, Optimiser, Run, Validation
from vsrife.training.data_config import Data, Mix
from vsrife.training.distributed import ProcessGroup
from vsrife.training.flat_params import FlatParams
from vsrife.training.losses import end_point_error, laplacian
from vsrife.training.optimiser import AdamWWithEma, rate_at
from vsrife.training.run_log import flow_image, format_duration
from vsrife.training.sources import make_sources
from vsrife.training.validation import HeldOut, Prediction, Scores

DEVICE: Final = torch.device("cpu")

SEES: Final[Mapping[str, str]] = {"dvf": "two frames", "privileged": "two frames and the edges of the true one"}
"""The networks, and what they see."""

MADE_AT_ONCE: Final = 24
"""Samples; a batch of synthetic ones is some hundred operations, however many they are."""

SCENES: Final = 48
"""Synthetic ones, whose flow is known, that the flow is measured on."""

POOL: Final = 1
"""What the seed of the stored samples is mixed from, so that all runs have the same ones."""

MEASURED: Final = 2
"""What the seed of those scenes is mixed from."""

LEAST_CROP: Final = 66
"""Pixels: the loss is taken of halved samples, and needs 33."""

WARM_UP: Final = 50
"""Steps until the learning rate is whole."""

GRAINS: Final = 10_000
"""Into which a run is parted for the learning rate, whether it is measured in steps or in seconds."""

WIDTH: Final = 300
"""Of a panel of the picture, pixels."""

LINE: Final = 16
"""Height of the line above it."""


def distance(picture: Tensor, truth: Tensor) -> Tensor:
    """What is minimised: the paper's loss, of the halved pictures, because the flow is no finer than that."""
    return laplacian(resize(picture, 0.5), resize(truth, 0.5))


class Contestant:
    """One of the two networks in training. seconds: processor time so far. losses: one of each step."""

    def __init__(self, name: str, seed: int, settings: Optimiser) -> None:
        torch.manual_seed(seed)
        self.name = name
        self.sees_edges = name == "privileged"
        self.params = FlatParams(Dvf(), DEVICE, torch.float32)
        self.optimiser = AdamWWithEma(self.params.flat, settings)
        self.seconds = 0.0
        self.losses: list[float] = []

    def learn(self, left: Tensor, truth: Tensor, right: Tensor, rate: float) -> None:
        """One step on frames [N, 3, H, W] in 0..1."""
        started = time.process_time()
        output: Voxels = self.params(left, right, self._edges_of(truth))
        loss = distance(output.picture, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step(rate)
        self.losses.append(loss.item())
        self.seconds += time.process_time() - started

    @torch.inference_mode()
    def predict(self, left: Tensor, right: Tensor, edges: Tensor | None) -> Voxels:
        """The output of the averaged weights."""
        output: Voxels = self.params.call_with(self.optimiser.ema, left, right, edges)
        return output

    def scores(self, held_out: HeldOut) -> Scores:
        """The scores on skip-frame pairs; the privileged network gets the edges of the true frames."""
        if not self.sees_edges:
            return held_out.scores(self._predict_without_edges, DEVICE, 1)
        return held_out.privileged_scores(
            lambda left, right, _t, edges: self.predict(left, right, edges).picture, edge_map, DEVICE, 1
        )

    def _predict_without_edges(self, left: Tensor, right: Tensor, _t: float) -> Prediction:
        output = self.predict(left, right, None)
        return Prediction(output.picture, output.both)

    def flow_error(self, scenes: Batch) -> float:
        """The mean end-point error in pixels where the true flow is known."""
        output = self.predict(scenes.left, scenes.right, self._edges_of(scenes.truth))
        return end_point_error(output.both, scenes.flow, scenes.known).item()

    def shown(self, left: Tensor, truth: Tensor, right: Tensor) -> Voxels:
        """The output for a pair with a known true frame."""
        return self.predict(left, right, self._edges_of(truth))

    def _edges_of(self, truth: Tensor) -> Tensor | None:
        return edge_map(truth) if self.sees_edges else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Of one network and seed. flow_error: pixels, of synthetic scenes. losses: of each step, over the average's."""

    name: str
    seed: int
    scores: Scores
    flow_error: float
    seconds: float
    losses: tuple[float, ...]


def configured(options: argparse.Namespace) -> Config:
    """What the sources and the optimiser are made from. Raises ArgumentError for what is not as it must be."""
    if not options.clips.is_dir():
        raise ArgumentError(f"clips ({options.clips}) must be a folder of clips that measure")
    leasts = {"steps": 1, "seconds": 0, "stored": options.batch, "apart": 2, "frame": 0, "crop": LEAST_CROP}
    for name, least in leasts.items():
        if getattr(options, name) < least:
            raise ArgumentError(f"{name} ({getattr(options, name):g}) must be {least} or more")
    if not 0 < options.synthetic <= 1:
        raise ArgumentError(
            f"synthetic ({options.synthetic:g}) must be above 0, as the flow is measured on such samples, and at most 1"
        )
    if options.apart % 2:
        raise ArgumentError(f"apart ({options.apart}) must be even, so that there is a true frame in the middle")
    return Config(
        run=Run(
            folder=options.out,
            steps=options.steps,
            batch=options.batch,
            budget=options.seconds,
            device="cpu",
            precision="float32",
        ),
        data=Data(
            pack=options.pack,
            crop=(options.crop, options.crop),
            mix=(Mix(synthetic=options.synthetic, clips=1 - options.synthetic),),
            synthetic={"any_time": 0.0},
            shots={"spans": [2, 4]},
        ),
        optimiser=Optimiser(rate=1e-3, least=1e-5, warm_up=0, ema=0.995),
        validation=Validation(clips=options.clips, samples=options.samples),
    )


def stored(sources: Mapping[str, Source], config: Config, count: int) -> Tensor:
    """Samples to learn from, made once: uint8 [count, 3, 3, H, W], left, truth, right."""
    weights = {name: config.data.mix[0].weights[name] for name in sources}
    state = LoaderState(seed=mixed_seed(POOL))
    spec = BatchSpec(count=MADE_AT_ONCE, crop=config.data.crop_size)
    mixed = MixedDataLoader(sources, [MixPhase(weights=weights)], specs=[spec], device=DEVICE, state=state, prefetch=0)
    parts = []
    for number in range(-(-count // MADE_AT_ONCE)):
        (batch,) = mixed.batches(number)
        frames = torch.stack((batch.left, batch.truth, batch.right), 1)
        parts.append((frames * 255).round().to(torch.uint8))
    return torch.cat(parts)[:count]


def batch_of(pool: Tensor, seed: int, number: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Left, truth, right, float32 [size, 3, H, W]: it depends on the seed and the number alone."""
    rng = SceneRng(mixed_seed(seed, number), DEVICE)
    chosen = rng.integers(size, high=len(pool))
    frames, _ = augment(pool[chosen], torch.full((size,), 0.5), rng)
    left, truth, right = (frames.float() / 255).unbind(1)
    return left, truth, right


def compete(pool: Tensor, config: Config, seed: int) -> tuple[list[Contestant], list[float]]:
    """Both networks after their last step, each of which both of them made on one batch; and what the plain average's
    loss was on these batches. With a budget of seconds the rate falls with them, else with the steps.
    """
    settings, started = config.optimiser, time.process_time()
    both = [Contestant(name, seed, settings) for name in SEES]
    average: list[float] = []
    while True:
        step, took = len(average), time.process_time() - started
        share = took / config.run.budget if config.run.budget else step / config.run.steps
        if step and (step % 100 == 0 or share >= 1):
            _tell(both, average, seed, took)
        if share >= 1:
            return both, average
        left, truth, right = batch_of(pool, seed, step, config.run.batch)
        average.append(distance((left + right) / 2, truth).item())
        for each in both:
            rate = rate_at(round(share * GRAINS), GRAINS, settings) * min(1.0, (step + 1) / WARM_UP)
            each.learn(left, truth, right, rate)


def _tell(both: Sequence[Contestant], average: Sequence[float], seed: int, took: float) -> None:
    shown = ", ".join(f"{each.name} {np.sum(each.losses[-100:]) / np.sum(average[-100:]):.3f}" for each in both)
    print(
        f"seed {seed}, step {len(average)}, {format_duration(took)}: loss to the plain average's, last 100: {shown}",
        flush=True,
    )


def table(results: Sequence[Result], average: Scores, config: Config, pairs: int) -> str:
    """Markdown: the plain average, then each network and seed."""
    about = (
        f"{config.run.batch} samples of {config.data.crop[1]}x{config.data.crop[0]} a step, "
        f"the same for both networks of a seed; PSNR of {pairs} skip-frame pairs; "
        f"flow error on {SCENES} synthetic scenes whose flow is known."
    )
    titles = ("network", "sees", "seed", "PSNR, dB", "flow error, px", "steps", "processor time")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    lines.append(f"| plain average | two frames | | {average.mean:.2f} | | | |")
    lines += [
        f"| {each.name} | {SEES[each.name]} | {each.seed} | {each.scores.mean:.2f} | {each.flow_error:.2f} "
        f"| {len(each.losses)} | {format_duration(each.seconds)} |"
        for each in results
    ]
    clips = ["| clip | plain average | " + " | ".join(f"{each.name}, seed {each.seed}" for each in results) + " |"]
    clips.append("|---" * (2 + len(results)) + "|")
    for clip, score in average.clips.items():
        cells = " | ".join(f"{each.scores.clips[clip]:.2f}" for each in results)
        clips.append(f"| {clip} | {score:.2f} | {cells} |")
    return "\n".join((about, "", *lines, "", *clips)) + "\n"


def report(results: Sequence[Result], average: Scores, config: Config, pairs: int, out: Path) -> str:
    """Write dvf.md and dvf.json; returns the table."""
    text = table(results, average, config, pairs)
    (out / "dvf.md").write_text(text, encoding="utf-8")
    runs: list[dict[str, Any]] = [
        {
            "network": each.name,
            "seed": each.seed,
            "psnr": each.scores.mean,
            "clips": each.scores.clips,
            "flow error": each.flow_error,
            "seconds": each.seconds,
            "losses": [round(loss, 6) for loss in each.losses],
        }
        for each in results
    ]
    plain = {"average": average.clips, "pairs": pairs, "runs": runs, "config": config.as_plain()}
    (out / "dvf.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return text


def frames_of(clip: Path, first: int, apart: int) -> list[Tensor]:
    """Left, truth, right: float32 [1, 3, H, W] in 0..1. Raises ArgumentError where the clip is too short."""
    opened = open_clip(clip)
    if first + apart >= len(opened):
        raise ArgumentError(f"frame ({first}) must be below {len(opened) - apart} for {clip} with apart ({apart})")
    numbers = (first, first + apart // 2, first + apart)
    return [torch.from_numpy(each)[None].float() / 255 for each in pictures(opened, numbers)]


def picture(both: Sequence[Contestant], left: Tensor, truth: Tensor, right: Tensor) -> Image.Image:
    """The frames and the edge map, and below what each network makes and its flow, whose colours have one scale."""
    answers = {each.name: each.shown(left, truth, right) for each in both}
    flows = flow_image(torch.cat([answer.flow for answer in answers.values()], -1)).chunk(len(answers), -1)
    first = {"left": left, "true frame": truth, "right": right, "its edge map": edge_map(truth).expand(-1, 3, -1, -1)}
    second: dict[str, Tensor] = {}
    for (name, answer), flow in zip(answers.items(), flows, strict=True):
        second |= {name: answer.picture, f"{name}: flow": flow}
    height = round(WIDTH * left.shape[-2] / left.shape[-1])
    sheet = Image.new("RGB", (4 * WIDTH, 2 * (height + LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, panels in enumerate((first, second)):
        for column, (title, panel) in enumerate(panels.items()):
            corner = (column * WIDTH, row * (height + LINE))
            pen.text((corner[0] + 3, corner[1] + 2), title, fill="black")
            pixels = (panel[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            small = Image.fromarray(pixels).resize((WIDTH, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (corner[0], corner[1] + LINE))
    return sheet.quantize(256, dither=Image.Dither.NONE)


def run(options: argparse.Namespace) -> None:
    """All of it."""
    config = configured(options)
    frames = frames_of(options.shown or find_clips(options.clips)[0], options.frame, options.apart)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = make_sources(config, DEVICE, ProcessGroup(), print)
    pool = stored(sources, config, options.stored)
    scenes = sources["synthetic"].draw(SCENES, mixed_seed(MEASURED))
    del sources  # of gigabytes
    held_out = HeldOut.of_clips(options.clips, samples=options.samples, multi=2)
    print(f"{len(pool)} samples; {len(held_out)} pairs, plain average {held_out.average.mean:.2f} dB", flush=True)
    results = []
    for seed in options.seeds:
        both, average = compete(pool, config, seed)
        for each in both:
            save_file(each.params.state_dict(each.optimiser.ema), options.out / f"{each.name}-{seed}.safetensors")
            results.append(
                Result(
                    name=each.name,
                    seed=seed,
                    scores=each.scores(held_out),
                    flow_error=each.flow_error(scenes),
                    seconds=each.seconds,
                    losses=tuple(mine / plain for mine, plain in zip(each.losses, average, strict=True)),
                )
            )
        if seed == options.seeds[0]:
            picture(both, *frames).save(options.out / "dvf.png", optimize=True)
        text = report(results, held_out.average, config, len(held_out), options.out)
    print(text)


def main() -> int:
    """Read the command line; 2 for an error, which is one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for what comes out")
    parser.add_argument("--pack", type=Path, required=True, help="from tools/pack_data.py")
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips that measure")
    parser.add_argument("--steps", type=int, default=4000, help="of each network (4000)")
    parser.add_argument("--seconds", type=float, default=0.0, help="of the processor, for both, in place of steps")
    parser.add_argument("--batch", type=int, default=8, help="samples of a step (8)")
    parser.add_argument("--crop", type=int, default=128, help="side of a sample, pixels (128)")
    parser.add_argument("--stored", type=int, default=2400, help="samples that are made (2400)")
    parser.add_argument("--synthetic", type=float, default=0.25, help="share of synthetic ones among them (0.25)")
    parser.add_argument("--samples", type=int, default=16, help="pairs of each clip that measure (16)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of weights and order; a run for each (1)")
    parser.add_argument("--shown", type=Path, help="clip of the picture; else the first of CLIPS")
    parser.add_argument("--frame", type=int, default=0, help="its left frame (0)")
    parser.add_argument("--apart", type=int, default=2, help="frames from left to right, even (2)")
    try:
        run(parser.parse_args())
    except RifeError as error:
        print(f"run_dvf: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
