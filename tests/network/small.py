"""Small networks of every kind: the same code as the official ones, a thousandth of the work."""

import torch

from vsrife.network.architecture import Architecture, Head, Trunk
from vsrife.network.ifnet import IFNet

FOUR, FIVE = (8, 4, 2, 1), (16, 8, 4, 2, 1)
HEAD_8 = {"head": Head.CLAMPED, "head_width": 8, "features": 8}
HEAD_4 = {"head": Head.CLAMPED, "head_width": 6, "features": 4}

ARCHITECTURES = {
    "A": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.PRELU, outputs=5),
    "B": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.LEAKY, outputs=5),
    "C": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.RESIDUAL, outputs=20),
    "D": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.RESIDUAL, outputs=24),
    "E": Architecture(
        widths=(16, 12, 8, 8),
        scales=FOUR,
        trunk=Trunk.RESIDUAL,
        outputs=24,
        head=Head.LINEAR,
        head_width=6,
        features=4,
    ),
    "F": Architecture(
        widths=(16, 12, 8, 8),
        scales=FOUR,
        trunk=Trunk.RESIDUAL,
        outputs=24,
        head=Head.SEQUENTIAL,
        head_width=8,
        features=8,
    ),
    "G": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.RESIDUAL, outputs=24, **HEAD_8),
    "G-grouped": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.RESIDUAL, outputs=24, groups=2, **HEAD_8),
    "I": Architecture(widths=(16, 12, 8, 8), scales=FOUR, trunk=Trunk.RESIDUAL, outputs=52, **HEAD_8),
    "J": Architecture(widths=(16, 12, 8, 8, 4), scales=FIVE, trunk=Trunk.RESIDUAL, outputs=52, **HEAD_4),
    "K": Architecture(
        widths=(16, 12, 8, 8, 4),
        scales=FIVE,
        trunk=Trunk.RESIDUAL,
        outputs=52,
        head=Head.CLAMPED,
        head_width=8,
        features=16,
    ),
    "J-lite": Architecture(
        widths=(16, 12, 8, 8, 24), scales=(32, 16, 8, 4, 1), trunk=Trunk.RESIDUAL, outputs=52, **HEAD_4
    ),
}
OWN = {
    "ends in 2": Architecture(widths=(16, 12, 8, 8), scales=(16, 8, 4, 2), trunk=Trunk.RESIDUAL, outputs=52, **HEAD_4),
    "ends in 4": Architecture(widths=(12, 8), scales=(32, 4), trunk=Trunk.RESIDUAL, outputs=52, **HEAD_4),
    "three blocks": Architecture(widths=(12, 8, 6), scales=(8, 2, 1), trunk=Trunk.RESIDUAL, outputs=24, **HEAD_8),
    "six blocks": Architecture(
        widths=(16, 12, 10, 8, 6, 4), scales=(64, 16, 8, 4, 2, 1), trunk=Trunk.RESIDUAL, outputs=52, **HEAD_4
    ),
    "masks added": Architecture(widths=(16, 12, 8), scales=(8, 4, 2), trunk=Trunk.RESIDUAL, outputs=52),
    "half answers": Architecture(widths=(16, 12, 8, 8), scales=(16, 8, 4, 2), trunk=Trunk.LEAKY, outputs=5, **HEAD_4),
}
"""Networks of shapes and scales that no public release has: only a file's metadata tells them."""

ENSEMBLE = [name for name, architecture in ARCHITECTURES.items() if architecture.supports_ensemble]


def network(name, *, motion=1.0):
    """A seeded network; `motion` scales its flows, which are some pixels at 1."""
    net = IFNet((ARCHITECTURES | OWN)[name]).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(7)
    for key, value in net.named_parameters():
        value.copy_(torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5)
        if key.endswith("beta"):
            value.mul_(0.3).add_(0.5)
        if "lastconv" in key:
            value.mul_(0.3 * motion)
    return net


def frames(height, width, batch=1):
    """Smooth frames, so that a small difference of the flow is a small one of the picture."""
    y = torch.linspace(0, 9, height).view(1, 1, -1, 1)
    x = torch.linspace(0, 11, width).view(1, 1, 1, -1)
    phase = torch.arange(3.0 * batch).view(batch, 3, 1, 1)
    return [0.5 + 0.5 * torch.sin(x + phase + shift) * torch.cos(y - shift) for shift in (0.0, 0.4)]


def infer(net, left, right, t=0.5, **options):
    with torch.inference_mode():
        return net(left, right, net.encode(left), net.encode(right), t, **options)
