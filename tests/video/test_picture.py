"""What a layer holds of its frame."""

import torch

from vsrife.video.colour import ColourOverrides, colour_of
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.picture import LateViews, Layer

GRAY8 = PixelFormat(family=Family.GRAY, float_samples=False, bits=8)


def test_views_are_made_once_and_only_when_asked_for():
    made = []

    def make():
        made.append(torch.zeros((3, 5), dtype=torch.uint8))
        return (made[-1],)

    layer = Layer(format=GRAY8, colour=colour_of({}, GRAY8, 5, 3, ColourOverrides()), views=LateViews(make))
    assert made == []
    assert layer.lent(torch.device("cpu"))
    (target,) = layer.targets_on(torch.device("cpu"))
    (plane,) = layer.planes_on(torch.device("cpu"))
    assert target is plane is made[0]
    assert len(made) == len(layer.views) == 1
