"""What a layer holds of its frame."""

import ctypes

import pytest
import torch

from vsrife.engine.picture import Layer
from vsrife.engine.transfer import host
from vsrife.engine.transfer.host import HostPlanes, layout_of
from vsrife.formats.colour import ColourOverrides, colour_of
from vsrife.formats.pixel_format import Family, PixelFormat

YUV420P8 = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def views_made(monkeypatch):
    """The addresses of the planes of which views were made."""
    made, plane_view = [], host.plane_view

    def note(pointer, *rest):
        made.append(pointer)
        return plane_view(pointer, *rest)

    monkeypatch.setattr(host, "plane_view", note)
    return made


def test_views_are_made_once_and_only_when_asked_for(views_made):
    memory = (ctypes.c_ubyte * 64)()
    start, asked = ctypes.addressof(memory), []

    def find():
        asked.append(True)
        return start, 8, start + 32, 4, start + 48, 4

    colour = colour_of({}, YUV420P8, 6, 4, ColourOverrides())
    layer = Layer(format=YUV420P8, colour=colour, views=HostPlanes(layout_of(YUV420P8, 6, 4), find))
    assert layer.is_on(CPU)
    assert not layer.is_on(ELSEWHERE)
    assert layer.targets_on(ELSEWHERE) is None
    assert len(layer.views) == 3
    assert not asked
    assert layer.views[-1].shape == (2, 3)
    assert views_made == [start + 48]
    targets, planes = layer.targets_on(CPU), layer.planes_on(CPU)
    assert all(target is plane for target, plane in zip(targets, planes, strict=True))
    assert [plane.data_ptr() for plane in planes] == [start, start + 32, start + 48]
    assert [plane.stride() for plane in planes] == [(8, 1), (4, 1), (4, 1)]
    assert all(view is planes[n + 1] for n, view in enumerate(layer.views[1:]))
    assert sorted(views_made) == [start, start + 32, start + 48]
    assert len(asked) == 1
    with pytest.raises(IndexError):
        layer.views[3]
