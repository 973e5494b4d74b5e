"""The inverse of a layer's motion, and how far things move."""

import pytest
import torch

from vsrife.datasets.layer_motion import STEEPEST, distances, draw_camera, draw_motion, pixel_places
from vsrife.datasets.scene_rng import SceneRng

CPU = torch.device("cpu")


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_origins_move_to_the_pixels_they_are_the_origins_of(t: float, size: tuple[int, int]) -> None:
    rng = SceneRng(3, CPU)
    count, picture = 16, float(max(size))
    camera = draw_camera(rng, count, picture)
    centre = rng.uniform(count, 2, low=-0.5, high=0.5) * picture
    pixels = pixel_places(*size, CPU)
    for around in (None, centre):
        motion = draw_motion(rng, camera, picture, around)
        places = motion.origins(pixels, torch.tensor([[t, 0.5]]).expand(count, -1))
        there = places[:, :, :1] + (2 * t - 1) * motion.displacement(places[:, :, :1])
        assert (there[:, :, 0] - pixels).norm(dim=1).max() < 0.02
        assert torch.equal(places[:, :, 1], pixels.expand(count, -1, -1, -1))


def test_fields_are_gentle_enough_for_the_inverse() -> None:
    rng = SceneRng(4, CPU)
    camera = draw_camera(rng, 60, 256.0)
    motion = draw_motion(rng, camera, 256.0, None)
    assert (motion.field.abs().amax((1, 2, 3)) > 0).float().mean() > 0.2
    x = torch.arange(-50.0, 51.0)
    places = (
        torch.stack((x.expand(101, -1), x.view(-1, 1).expand(-1, 101)))
        .view(1, 2, 1, 101, 101)
        .expand(60, -1, -1, -1, -1)
    )
    bend = motion.displacement(places) - (motion.linear @ places.flatten(2)).view_as(places)
    for axis in (-1, -2):
        assert bend.diff(dim=axis).norm(dim=1).max() < STEEPEST
    assert torch.linalg.matrix_norm(motion.linear, 2).max() < 0.2


def test_distances_have_the_shares_they_should() -> None:
    found = distances(SceneRng(5, CPU), 20000, 256.0)
    assert 0.13 < float((found <= 0.5).float().mean()) < 0.21
    assert 0.08 < float((found > 20).float().mean()) < 0.14
    assert float(found.max()) < 80
    assert float(distances(SceneRng(5, CPU), 20000, 128.0).max()) < 40


def test_a_still_camera_does_not_turn() -> None:
    camera = draw_camera(SceneRng(6, CPU), 500, 256.0)
    still = camera.distance <= 0.5
    assert still.any()
    assert (camera.linear[still] == 0).all()
    assert (camera.linear[~still] != 0).any()
