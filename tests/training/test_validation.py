"""Pairs that measure a run: crops and whole frames beside each other, sets by name, and when they are asked for."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.test_held_out import pack
from vsrife.models import checkpoint
from vsrife.network.ifnet import IFNet
from vsrife.training import loop
from vsrife.training.config import Validation
from vsrife.training.config_file import config_of
from vsrife.training.distributed import ProcessGroup
from vsrife.training.flow_growth import SizeScores, warning
from vsrife.training.loop import Trainer
from vsrife.training.validation import HeldOut, Pair, Prediction, early_steps, held_out_sets, is_due

__all__ = ["pack"]  # a fixture

CPU = torch.device("cpu")


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)


def pair(clip: str, height: int, width: int, times=(0.5,), seed: int = 0) -> Pair:
    truths = tuple((t, noise(height, width, seed + 2 + index)) for index, t in enumerate(times))
    return Pair(clip=clip, left=noise(height, width, seed), right=noise(height, width, seed + 1), truths=truths)


def averaged(flow_of):
    """A network that answers the plain average, and so many pixels of flow both ways, from the canvas' size."""

    def predict(left, right, t):
        height, width = left.shape[-2:]
        sizes.append((height, width))
        flow = torch.zeros(1, 4, height, width)
        flow[:, 0] = 0.6 * flow_of(height, width)
        flow[:, 1] = 0.8 * flow_of(height, width)
        flow[:, 3] = -flow_of(height, width)
        return Prediction(left * (1 - t) + right * t, flow)

    sizes: list[tuple[int, int]] = []
    predict.sizes = sizes
    return predict


def test_each_size_is_measured_on_the_middle_of_the_middle_pairs():
    pairs = [pair("a", 150, 97, seed=seed) for seed in (0, 10, 20)] + [pair("b", 60, 211, (0.25, 0.5, 0.75), seed=30)]
    held = HeldOut("clips", pairs, sizes=(128, 64, 300))
    predict = averaged(lambda height, width: height / 10)
    scores = held.scores(predict, CPU, 32)
    assert [size.name for size in scores.sizes] == ["64", "128", "whole"]  # no frame reaches over 300
    assert [size.side for size in scores.sizes] == [62.0, (97 + 60) / 2, (97 + 60) / 2]
    # Canvases: 64x64 and 60x64 on 64; 128x97 and 60x128; 150x97 and 60x211.
    assert [size.flow for size in scores.sizes] == pytest.approx([6.4, (12.8 + 6.4) / 2, (16 + 6.4) / 2])
    # What is whole is asked for once: 3 of the first clip and 3 times of the other one, and two crops of each.
    assert len(predict.sizes) == 6 + 4
    assert scores.clips == pytest.approx(held.average.clips, abs=0.02)
    crop = pairs[1].cropped(64)
    assert crop.left.tobytes() == pairs[1].left[:, 43:107, 16:80].tobytes()
    assert crop.truths[0][1].tobytes() == pairs[1].truths[0][1][:, 43:107, 16:80].tobytes()
    assert pairs[3].cropped(128).truths[0][0] == 0.5


def test_without_sizes_there_are_none():
    scores = HeldOut("clips", [pair("a", 40, 50)]).scores(averaged(lambda *_: 9.0), CPU, 64)
    assert scores.sizes == ()
    assert set(scores.scalars()) == {"mean", "a"}
    assert set(scores.scalars("scenes")) == {"scenes/mean", "scenes/a"}


SIDES = {"128": 128, "256": 256, "384": 384, "whole": 488}


@pytest.mark.slow
def test_shots_of_the_pack_that_are_not_trained_on_are_a_set(pack, folders, tmp_path):
    """Beside the clips, and alone; the first set is the one that is measured in several sizes."""
    table = {
        "run": {"folder": str(tmp_path), "steps": 5},
        "optimiser": {"warm_up": 1},
        "data": {"pack": str(pack.folder), "held_out": ["b.y4m/0000", "a.y4m/0000"]},
        "validation": {"samples": 2, "sizes": [48]},
    }
    (alone,) = held_out_sets(config_of(table))
    assert (alone.name, len(alone)) == ("scenes", 4)
    predict = averaged(lambda *_: 2.0)
    scores = alone.scores(predict, CPU, 32)
    assert scores.clips == pytest.approx(alone.average.clips, abs=0.02)
    assert set(scores.clips) == {"b.y4m/0000", "a.y4m/0000"}
    assert [size.name for size in scores.sizes] == ["48", "whole"]
    table["validation"]["clips"] = str(folders["held_out"])
    clips, scenes = held_out_sets(config_of(table))
    assert [each.name for each in (clips, scenes)] == ["held_out", "scenes"]
    assert clips.scores(predict, CPU, 32).sizes
    assert not scenes.scores(predict, CPU, 32).sizes


def sizes(*flows: float) -> list[SizeScores]:
    return [
        SizeScores(name=name, side=SIDES[name], psnr=30, flow=flow) for name, flow in zip(SIDES, flows, strict=False)
    ]


@pytest.mark.parametrize(
    ("flows", "said"),
    [
        ((0.02, 0.25, 9, 50), "0.02 px on crops of 128 px and 9.00 px on crops of 384 px"),  # that of a real run
        ((0.02, 0.25, 0.9, 1.1), "0.02 px on crops of 128 px and 1.10 px on whole frames"),
        ((2.0, 2.0, 3.0, 8.1), "2.00 px on crops of 128 px and 8.10 px on whole frames"),
        ((0.1, 0.1, 0.1, float("nan")), "the mean flow is nan px on whole frames, more than any scene moves"),
        ((40.0, 40.0, 40.0, 40.0), "the mean flow is 40.0 px on crops of 128 px, more than any scene moves"),
        ((0.3, 0.2, 0.2, 0.2), None),
        ((0.02, 0.25, 0.9, 0.99), None),
        ((7.1, 7.1, 5.9, 3.8), None),  # official 4.0
        ((), None),
    ],
)
def test_a_flow_that_grows_with_the_frame_is_warned_of(flows, said):
    line = warning(sizes(*flows))
    if said is None:
        assert line is None
    else:
        assert said in line
        assert line.startswith("warning: ")
        assert "\n" not in line


def test_when():
    asked = Validation(every=2000)
    assert [step for step in range(1, 6001) if is_due(step, asked)] == [100, 200, 400, 800, 1600, 2000, 4000, 6000]
    assert early_steps(Validation(every=800)) == [100, 200, 400]
    assert early_steps(Validation(every=100)) == early_steps(Validation(every=50)) == []
    assert early_steps(Validation(every=2000, early=0)) == []


def trainer(config) -> Trainer:
    return Trainer(config, ProcessGroup(), CPU)


def logged(config) -> list[dict]:
    lines = (config.run.folder / "log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "validation"]


@pytest.mark.slow
def test_a_run_tells_all_of_it_from_its_first_steps_on(make, capsys, monkeypatch):
    scenes = HeldOut("scenes", [pair("x", 70, 90), pair("y", 90, 70)])
    found = loop.held_out_sets
    monkeypatch.setattr(loop, "held_out_sets", lambda asked: (*found(asked), scenes))
    config = make("run.steps=6", "validation.every=5", "validation.early=1", "validation.sizes=[64, 96]")
    trainer(config).run()
    entries = logged(config)
    assert [entry["step"] for entry in entries] == [1, 2, 4, 5, 6]
    flows = {"flow 64", "flow 96", "flow whole", "psnr 64", "psnr 96", "psnr whole"}
    blocks = {f"flow error 64x64/{n}" for n in range(4)}
    sets = {"mean", "square.y4m", "scenes/mean", "scenes/x", "scenes/y"}
    assert set(entries[0]) == {"step", "kind", *sets, *flows, *blocks}
    assert all(entry["flow whole"] > 0 for entry in entries)
    told = capsys.readouterr().out
    assert "validation: held_out, 1 pairs, plain average" in told
    assert "validation: scenes, 2 pairs, plain average" in told
    (line,) = [line for line in told.splitlines() if line.startswith("step 4  validation ")]
    assert f"scenes {entries[2]['scenes/mean']:.2f} (plain average {scenes.average.mean:.2f})" in line
    assert line.endswith(", ".join(f"{entries[2][f'flow {name}']:.2f} on {name}" for name in ("64", "96", "whole")))
    assert "warning" not in told


@pytest.mark.slow
def test_a_run_whose_flow_grows_with_the_frame_says_so(make, capsys, monkeypatch):
    config = make("run.steps=3", "validation.sizes=[64]")
    run = trainer(config)
    plain = run.predict

    def grown(left, right, t):
        seen = plain(left, right, t)
        return seen._replace(flow=torch.full_like(seen.flow, (left.shape[-1] - 63.9) / 8))

    monkeypatch.setattr(run, "predict", grown)
    run.run()
    assert (
        "warning: the mean flow grows with the frame, 0.02 px on crops of 64 px and 11.33 px" in capsys.readouterr().out
    )


def test_a_flow_that_leads_into_the_padding_finds_the_edge():
    """Everything comes from 20 pixels further down, left alone; below the last row, from that."""
    (each,) = [pair("a", 50, 70)]

    def predict(left, right, t):
        flow = left.new_zeros(1, 4, *left.shape[-2:])
        flow[:, 1] = 20.0
        return Prediction(left, flow, torch.ones_like(left[:, :1]))

    expected = each.left[:, np.minimum(np.arange(50) + 20, 49)]
    held = HeldOut("clips", [dataclasses.replace(each, truths=((0.5, expected),))])
    assert held.scores(predict, CPU, 64).mean == 100.0


def plain_network(path: Path):
    net = checkpoint.load(path)
    assert isinstance(net, IFNet)

    def predict(left, right, t):
        with torch.inference_mode():
            motion = net(left, right, net.encode(left), net.encode(right), t)
            return Prediction(net.merge(left, right, motion), motion.flow, motion.mask)

    return predict, net.modulus()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base-0.safetensors", "flownet_v4.0.pkl"])
def test_sound_networks_are_not_warned_of(shared, name):
    """On clips of all kinds; an official network has several pixels of flow in the mean."""
    path, clips = shared / "weights" / name, shared / "data" / "clips_eval"
    if not (path.is_file() and clips.is_dir()):
        pytest.skip(f"needs {path} and {clips}")
    held = HeldOut.of_clips(clips, samples=1, multi=2, sizes=Validation().sizes)
    scores = held.scores(plain_network(path)[0], CPU, plain_network(path)[1])
    assert [size.name for size in scores.sizes] == ["128", "256", "384", "whole"]
    assert scores.mean > held.average.mean
    assert warning(scores.sizes) is None
