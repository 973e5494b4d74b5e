"""Whole frames of networks whose scales no public release has, against the plain network; and what they cost."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs
from safetensors.torch import save_file

from tests.engine.backend.cuda.test_sampler import CPU, RGBS, YUV420P8, largest_step, made, picture
from tests.network.small import OWN, infer, network
from vsrife.bench.work import work_of
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.networks import Network
from vsrife.formats.rgb import to_rgb
from vsrife.models.metadata import metadata_of

TIMES = [Fraction(1, 2), Fraction(1, 3)]


def by_definition(name, width, height, t):
    """The frame between pictures 0 and 1 as the plain network has it on the padded canvas, and where its warps stay
    within the picture: beyond, a filter takes the picture's edge, and the network the canvas' black.
    """
    net = network(name)
    modulus = net.modulus()
    canvas = -(-height // modulus) * modulus, -(-width // modulus) * modulus
    sources = [picture(RGBS, width, height, number, 4.0 * number) for number in range(2)]
    left, right = (
        to_rgb(layer.views, RGBS, layer.colour, width=width, height=height, pad_to=canvas)
        for layer in (source.image for source in sources)
    )
    motion = infer(net, left, right, t)
    with torch.inference_mode():
        merged = net.merge(left, right, motion)
    y, x = torch.meshgrid(torch.arange(canvas[0]), torch.arange(canvas[1]), indexing="ij")
    columns, rows = x + motion.flow[0, 0::2], y + motion.flow[0, 1::2]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return merged[0, :, :height, :width], inside.all(0)[:height, :width]


@pytest.mark.parametrize("size", [(150, 98), (97, 131)])
@pytest.mark.parametrize("name", OWN)
def test_a_whole_frame_is_the_plain_network_s(name, size):
    width, height = size
    frames = made(Network.of(network(name), CPU, torch.float32), RGBS, width, height, TIMES[:1])
    expected, inside = by_definition(name, width, height, 0.5)
    assert inside.float().mean() > 0.5
    difference = (torch.stack(frames[0]) - expected).abs().amax(0)
    assert difference[inside].max() < 2e-5
    assert expected.std() > 0.05


def test_a_call_runs_what_the_file_s_metadata_tell(tmp_path):
    """The scales are in no shape: a reader that did not know them would take those of four blocks, 8 4 2 1."""
    width, height = 97, 131
    path = tmp_path / "own.safetensors"
    save_file(network("ends in 2").state_dict(), path, metadata_of(OWN["ends in 2"]))
    sources = [picture(RGBS, width, height, number, 4.0 * number).image.views for number in range(2)]

    def filled(n, f):
        frame = f.copy()
        for plane, values in enumerate(sources[n]):
            np.copyto(np.asarray(frame[plane]), values.numpy())
        return frame

    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=2)
    made_by_call = vs.core.rife.RIFE(blank.std.ModifyFrame(blank, filled), model=str(path), sc=0, skip=0)
    with made_by_call.get_frame(1) as frame:
        planes = torch.stack([torch.from_numpy(np.asarray(frame[plane]).copy()) for plane in range(3)])
    expected, inside = by_definition("ends in 2", width, height, 0.5)
    assert (planes - expected).abs().amax(0)[inside].max() < 2e-5


@pytest.mark.parametrize("name", ["ends in 2", "ends in 4"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_user_s_scale(name, scale):
    """One that makes the finest block read every pixel, and one that leaves it further away from that."""
    net = Network.of(network(name), CPU, torch.float32)
    frames = made(net, YUV420P8, 150, 98, TIMES, scale=scale)
    plain = Interpolator(net, 150, 98, scale=scale, ensemble=False)
    plain._estimator.__class__ = type("Plain", (plain._estimator.__class__,), {"plain": property(lambda _self: True)})
    results = []
    sources = [picture(YUV420P8, 150, 98, number, 4.0 * number) for number in range(3)]
    with torch.inference_mode():
        for index, t in enumerate(TIMES):
            into = picture(YUV420P8, 150, 98, 9, 0.0, write=True)
            plain.interpolate(sources[index % 2], sources[index % 2 + 1], t, into)
            results.append([plane.clone() for plane in into.image.views])
    plain.close()
    assert largest_step(frames, results) <= 1


def test_what_a_frame_costs_is_counted_by_the_scales():
    coarse = OWN["ends in 2"]
    fine = replace(coarse, scales=tuple(scale // 2 for scale in coarse.scales))
    assert 4 * work_of(coarse, (128, 192), 4).flop == work_of(fine, (128, 192), 4).flop > 0
