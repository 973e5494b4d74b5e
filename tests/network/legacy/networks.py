"""Small networks of every kind before 4.0, with seeded weights."""

import pytest
import torch

from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.legacy.v3 import build

SMALL = {"widths": (16, 12, 8), "context": 2}


PAPER = {
    "rife": PaperArchitecture(**SMALL),
    "rife_m": PaperArchitecture(timed=True, **SMALL),
    "rife_large_2r": PaperArchitecture(large=True, **SMALL),
    "without refine": PaperArchitecture(widths=(16, 12, 8), context=0),
    "two blocks": PaperArchitecture(widths=(12, 8), scales=(2, 1), context=2),
}


V3 = {version: V3Architecture(version=version, width=8, context=2 * (version == "3.1")) for version in V3Version}


KINDS = [*PAPER, *V3]


EVERY = pytest.mark.parametrize("kind", KINDS)


# The stored frames have steps of 2e-5. What is left is the order of float32 sums: 1.1e-5 in all was seen.
PICTURES, FLOWS = 1e-4, 3e-4


def small(kind, *, teacher=False):
    net = PaperNet(PAPER[kind], teacher=teacher) if kind in PAPER else build(V3[kind])
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, value in net.named_parameters():
            value.copy_(torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5)
            if ".lastconv." in key or key.endswith(("conv1.weight", "conv1.0.weight")):
                value.mul_(0.5)
    return net.eval()


def answer(net, left, right, t=0.5, **options):
    with torch.inference_mode():
        predictions = net.interpolate(left, right, t, **options)
        return predictions, net.picture(left, right, predictions)
