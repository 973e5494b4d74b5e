"""What a layer holds of its frame."""

import pytest
import torch

from vsrife.video.colour import ColourOverrides, colour_of
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.picture import LateViews, Layer

YUV420P8 = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)


def test_views_are_made_once_and_only_when_asked_for():
    made = {}

    def make(plane):
        assert plane not in made
        made[plane] = torch.zeros(YUV420P8.plane_size(plane, 6, 4)[::-1], dtype=torch.uint8)
        return made[plane]

    colour = colour_of({}, YUV420P8, 6, 4, ColourOverrides())
    layer = Layer(format=YUV420P8, colour=colour, views=LateViews(3, make))
    assert made == {}
    assert layer.lent(torch.device("cpu"))
    assert list(made) == [0]
    targets, planes = layer.targets_on(torch.device("cpu")), layer.planes_on(torch.device("cpu"))
    assert all(target is plane is made[n] for n, (target, plane) in enumerate(zip(targets, planes, strict=True)))
    assert len(made) == len(layer.views) == 3
    assert layer.views[-1] is made[2]
    assert all(view is made[n + 1] for n, view in enumerate(layer.views[1:]))
    with pytest.raises(IndexError):
        layer.views[3]
