"""Windows of shots: the right frames, crops, times and augmentations."""

import pytest
import torch

from vsrife.datasets.augment import augment, crop_places
from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotSettings
from vsrife.errors import ArgumentError

CPU = torch.device("cpu")


def numbered(shots: dict[int, int], height: int = 40, width: int = 50) -> InMemoryShots:
    """Shots by their base value and length; frame n of a shot is base + n everywhere."""
    return InMemoryShots(
        [
            torch.arange(base, base + length, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, height, width)
            for base, length in shots.items()
        ]
    )


def values(batch: torch.Tensor) -> list[int]:
    assert (batch.flatten(1).amax(1) == batch.flatten(1).amin(1)).all()
    return (batch[:, 0, 0, 0] * 255).round().int().tolist()


def test_a_triplet_is_three_frames_of_one_shot() -> None:
    windows = ClipWindowDataset(
        numbered({0: 5, 100: 3, 200: 30}), ShotSettings(height=32, width=32), CPU, augmented=False
    )
    assert len(windows) == 3 + 1 + 28
    batch = windows.draw(400, 3)
    left, truth, right = (values(picture) for picture in (batch.left, batch.truth, batch.right))
    assert {(b - a, c - b) for a, b, c in zip(left, truth, right, strict=True)} == {(1, 1)}
    assert set(left) == {0, 1, 2, 100, *range(200, 228)}
    assert (batch.t == 0.5).all()
    assert (batch.known == 0).all()
    assert (batch.flow == 0).all()


def test_longer_spans_and_any_time() -> None:
    settings = ShotSettings(height=33, width=40, spans=(2, 6, 5), any_time=True)
    windows = ClipWindowDataset(numbered({0: 7, 100: 3}), settings, CPU, augmented=False)
    batch = windows.draw(300, 1)
    left, truth, right = (values(picture) for picture in (batch.left, batch.truth, batch.right))
    found = {(c - a, b - a) for a, b, c in zip(left, truth, right, strict=True)}
    assert found == {(2, 1)} | {(6, n) for n in range(1, 6)} | {(5, n) for n in range(1, 5)}
    for a, b, c, t in zip(left, truth, right, batch.t.flatten().tolist(), strict=True):
        assert t == pytest.approx((b - a) / (c - a))
    assert batch.left.shape == (300, 3, 33, 40)


def test_a_seed_makes_the_same_windows() -> None:
    windows = ClipWindowDataset(numbered({0: 30}), ShotSettings(height=32, width=32), CPU)
    first = windows.draw(16, 5)
    assert torch.equal(first.left, windows.draw(16, 5).left)
    assert not torch.equal(first.left, windows.draw(16, 6).left)


def test_crops_lie_anywhere_in_the_frame() -> None:
    ramp = torch.arange(48, dtype=torch.uint8).view(1, 1, 48, 1).expand(3, 3, 48, 60)
    windows = ClipWindowDataset(InMemoryShots([ramp]), ShotSettings(height=40, width=60), CPU, augmented=False)
    tops = (windows.draw(200, 1).left[:, 0, 0, 0] * 255).round().int().tolist()
    assert set(tops) == set(range(9))
    assert crop_places((0.999999, 0.0), (48, 60), (48, 60)) == (slice(0, 48), slice(0, 60))


def test_a_crop_of_another_size_is_drawn_when_it_is_asked_for() -> None:
    windows = ClipWindowDataset(numbered({0: 30}), ShotSettings(height=32, width=32), CPU)
    assert windows.draw(3, 5, size=(36, 48)).truth.shape == (3, 3, 36, 48)


def test_nothing_is_zoomed_that_is_to_stay_as_it_is_made() -> None:
    shots = numbered({0: 30})
    zoomed = ClipWindowDataset(shots, ShotSettings(height=32, width=32, zoomed=1.0, zoom=(0.5, 0.6)), CPU)
    plain = ClipWindowDataset(shots, ShotSettings(height=32, width=32), CPU)
    assert torch.equal(zoomed.draw(5, 3, as_made=True).left, plain.draw(5, 3).left)


def test_zooms_are_of_the_same_place_in_all_three_frames() -> None:
    """A picture that is a linear function of its places has, zoomed, another slope, and is exact but at its edges."""
    ramp = (torch.arange(60).view(1, 60, 1) + 2 * torch.arange(90).view(1, 1, 90)).to(torch.uint8).expand(3, -1, -1)
    windows = ClipWindowDataset(
        InMemoryShots([ramp.expand(4, -1, -1, -1)]),
        ShotSettings(height=33, width=40, zoomed=0.75, zoom=(0.5, 2.0)),
        CPU,
        augmented=False,
    )
    batch = windows.draw(200, 3)
    assert torch.equal(batch.left, batch.right)
    assert torch.equal(batch.left, batch.truth)
    inside = batch.truth[:, 0, 4:-4, 4:-4] * 255
    down, across = (inside[:, -1, 0] - inside[:, 0, 0]) / 24, (inside[:, 0, -1] - inside[:, 0, 0]) / 31
    assert torch.allclose(across, 2 * down, atol=0.15)
    assert (down == 1).float().mean() == pytest.approx(0.25, abs=0.07)
    assert float(down.min()) == pytest.approx(0.5, abs=0.06)
    assert float(down.max()) == pytest.approx(60 / 33, abs=0.06)  # as far as the frame reaches
    assert (down < 0.95).float().mean() == pytest.approx(float((down > 1.05).float().mean()), abs=0.12)


def test_colours_change_alike_in_all_three_frames() -> None:
    picture = torch.tensor([0, 100, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(4, 3, 40, 40)
    windows = ClipWindowDataset(InMemoryShots([picture]), ShotSettings(height=32, width=32, coloured=0.8), CPU)
    batch = windows.draw(400, 3)
    assert torch.equal(batch.left, batch.truth)
    colours = batch.left[:, :, 0, 0]
    kept = (colours == torch.tensor([0, 100 / 255, 1])).all(1)
    assert kept.float().mean() == pytest.approx(0.2 + 0.8 * 0.25 + 0.8 * 0.25 / 6, abs=0.07)
    assert len({tuple(each) for each in colours.argsort(1).tolist()}) == 6
    assert float(colours.min()) == 0
    assert float(colours.max()) == 1
    assert float(colours.amax(1).min()) > 0.75


@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
def test_augmentations_are_those_of_the_paper(size: tuple[int, int]) -> None:
    height, width = size
    frames = torch.arange(9 * height * width).view(1, 3, 3, height, width).expand(400, -1, -1, -1, -1)
    t = torch.full((400,), 0.25)
    made, times = augment(frames, t, SceneRng(1, CPU))
    square = height == width
    expected = {}
    for backwards in (False, True):
        for turned in (False, True) if square else (False,):
            for flips in ((), (-1,), (-2,), (-1, -2)):
                one = frames[0].flip(0) if backwards else frames[0]
                one = one.flip(flips) if flips else one
                one = one.transpose(-1, -2) if turned else one
                expected[tuple(one.flatten().tolist())] = 0.75 if backwards else 0.25
    found = {}
    for one, time in zip(made, times.tolist(), strict=True):
        found[tuple(one.flatten().tolist())] = time
    assert found == expected
    assert len(found) == (16 if square else 8)


@pytest.mark.parametrize(
    ("lengths", "settings", "message"),
    [
        ({0: 5}, {"height": 41, "width": 32}, r"^crop \(32x41\) must be at most 50x40, the smallest frame; "),
        ({0: 5}, {"height": 32, "width": 32, "spans": (6,)}, r"^spans \(6\) must be below the longest shot's 5 frames"),
        ({0: 5}, {"spans": (1,)}, r"^spans \(\(1,\)\) must be numbers of at least 2"),
        ({0: 5}, {"zoom": (1.5, 0.5)}, r"^zoom \(\[1.5, 0.5\]\) must be the least and the most, of 0.1 to 10"),
        ({0: 5}, {"zoomed": 2.0}, r"^zoomed \(2.0\) must be from 0 to 1; it is a share of the samples"),
        ({0: 5}, {"spans": (3,)}, r"^spans \(\(3,\)\) must be even without any_time"),
        ({}, {}, r"^clips \(no shot of three frames\) must move"),
    ],
)
def test_what_cannot_be_is_told(lengths: dict[int, int], settings: dict[str, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClipWindowDataset(numbered(lengths), ShotSettings(**settings), CPU)  # type: ignore[arg-type]
