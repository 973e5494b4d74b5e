"""The network that the package carries as its default: what it is, and that it finds motion."""

import json

import numpy as np
import pytest
import torch
import vapoursynth as vs

import vsrife
from tests.datasets.conftest import moving_square
from vsrife.evaluation.metrics import psnr
from vsrife.models import checkpoint, store
from vsrife.models.embedded import ABOUT, MOST_BYTES

PAPERS = ("config.json", "log.jsonl", "evaluation.txt", "evaluation.json", "sources.tsv")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "nothing"))


def test_it_lies_in_the_package_with_its_papers():
    assert store.default_model() == ("default", "this package contains it, so nothing has to be fetched")
    path = store.locate()
    assert path == store.EMBEDDED / "default.safetensors"
    assert path.stat().st_size < MOST_BYTES
    network = checkpoint.load(path).architecture
    assert (network.widths, network.scales) == ((128, 128, 96, 64), (16, 8, 4, 2))
    note = (store.EMBEDDED / f"default{ABOUT}").read_text()
    assert "## Teachers" in note
    assert "None. " in note
    for name in PAPERS:
        assert (store.EMBEDDED / f"default.{name}").stat().st_size > 100
    asked = json.loads((store.EMBEDDED / "default.config.json").read_text())["config"]["network"]
    assert tuple(asked["widths"]) == network.widths


def clip_of(frames):
    """Frames uint8 [3, H, W] as a clip of RGB24."""
    _, height, width = frames[0].shape
    blank = vs.core.std.BlankClip(format=vs.RGB24, width=width, height=height, length=len(frames), fpsnum=24)

    def filled(n, f):
        made = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(made[plane]), frames[n][plane].numpy())
        return made

    return blank.std.ModifyFrame(blank, filled)


@pytest.mark.parametrize("size", [(160, 256), (203, 301)])
def test_it_finds_what_moves(size):
    """Every second frame of a square that crosses a picture is taken away and made again, by a call without model."""
    frames = moving_square(7, *size)
    made = vsrife.RIFE(clip_of(frames[::2]), sc=False, skip=False, device="cpu", precision="float32")
    for n in (1, 3, 5):
        shown = np.stack([np.asarray(plane) for plane in made.get_frame(n)])
        truth = frames[n].numpy()
        average = torch.stack((frames[n - 1], frames[n + 1])).float().mean(0).round().to(torch.uint8).numpy()
        assert psnr(truth, shown) > psnr(truth, average) + 4


def test_what_stands_still_stays():
    frames = [moving_square(1, 120, 200)[0]] * 3
    made = vsrife.RIFE(clip_of(frames), sc=False, skip=False, device="cpu", precision="float32")
    shown = np.stack([np.asarray(plane) for plane in made.get_frame(1)])
    assert psnr(frames[0].numpy(), shown) > 45
