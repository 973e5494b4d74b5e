"""The network that a configuration describes, a preset with or without overrides, and its teacher."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Final, override

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError, RifeError
from vsrife.models.checkpoint import network_of
from vsrife.models.metadata import metadata_of
from vsrife.network import Architecture, Head, IFNet, PaperArchitecture, PaperNet, Taught, Trunk
from vsrife.training.config import ARCHITECTURE_KEYS, Network
from vsrife.training.initialization import make_contrast_sensitive

__all__ = ["PRESETS", "TrainableModel", "build_model"]

_IN_BLOCK: Final = re.compile(r"(network\.)?block(\d|_tea)|teacher\.")
_FOUR: Final = (8, 4, 2, 1)
_FIVE: Final = (16, 8, 4, 2, 1)
_WIDE: Final = (192, 128, 96, 64)
_SLIM: Final = (128, 96, 64, 48)


def _features(width: int, features: int) -> dict[str, Any]:
    return {"trunk": Trunk.RESIDUAL, "head": Head.CLAMPED, "head_width": width, "features": features}


PRESETS: Final[Mapping[str, Architecture | PaperArchitecture]] = MappingProxyType(
    {
        "RIFE": PaperArchitecture(),
        "RIFE-m": PaperArchitecture(timed=True),
        "RIFE-Large": PaperArchitecture(large=True),
        "4.0": Architecture(widths=_WIDE, scales=_FOUR, trunk=Trunk.PRELU, outputs=5),
        "4.6": Architecture(widths=_WIDE, scales=_FOUR, trunk=Trunk.RESIDUAL, outputs=24),
        "4.15": Architecture(widths=_WIDE, scales=_FOUR, outputs=24, **_features(32, 8)),
        "4.15.lite": Architecture(widths=_SLIM, scales=_FOUR, outputs=24, **_features(16, 4)),
        "4.22": Architecture(widths=(256, 192, 96, 48), scales=_FOUR, outputs=52, **_features(32, 8)),
        "4.22.lite": Architecture(widths=(192, 128, 64, 32), scales=_FOUR, outputs=52, **_features(16, 4)),
        "4.26": Architecture(widths=(*_WIDE, 32), scales=_FIVE, outputs=52, **_features(16, 4)),
        "4.25.lite": Architecture(widths=(*_WIDE, 24), scales=(32, 16, 8, 4, 1), outputs=52, **_features(16, 4)),
        "slim": Architecture(widths=(128, 96, 64, 48, 32), scales=_FIVE, outputs=52, **_features(16, 4)),
    }
)
"""Networks by name: those of the paper, one of each kind of the 4.x line, and slim, 4.26 with 2/3 of its channels."""


class NormedConv(nn.Conv2d):
    """A convolution followed by batch normalisation, which `folded` merges into one convolution."""

    norm: nn.BatchNorm2d

    @classmethod
    def add_to(cls, conv: nn.Conv2d) -> "NormedConv":
        """Add a normalisation to a convolution in place, by changing its class."""
        conv.__class__ = cls
        assert isinstance(conv, cls)
        conv.norm = nn.BatchNorm2d(conv.out_channels)
        return conv

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Convolution, then normalisation."""
        output: Tensor = self.norm(super().forward(x))
        return output

    def folded(self) -> dict[str, Tensor]:
        """Weight and bias of the one convolution that does the same."""
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        assert self.bias is not None
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        return {
            "weight": self.weight * gain.view(-1, 1, 1, 1),
            "bias": (self.bias - norm.running_mean) * gain + norm.bias,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainableModel:
    """A network in training.

    module: called as (left, right, t, truth), it returns a Lesson; its parameters that require gradients are trained.
    architecture: of the network without teacher.
    teacher, privileged: whether the module has a teacher, and whether the teacher sees the true frame.
    """

    module: Taught | PaperNet
    architecture: Architecture | PaperArchitecture
    teacher: bool
    privileged: bool

    @property
    def any_time(self) -> bool:
        """Whether the network takes times other than 0.5."""
        return isinstance(self.architecture, Architecture) or self.architecture.timed

    def seen_by_teacher(self, truth: Tensor) -> Tensor | None:
        """The input of the teacher: the true frame, zeros if it is not privileged, or None without a teacher."""
        if not self.teacher:
            return None
        return truth if self.privileged else torch.zeros_like(truth)

    def exported_state_dict(self) -> dict[str, Tensor]:
        """The network as an exported file has it: without teacher, normalisations folded, still in float32."""
        module = self.module.network if isinstance(self.module, Taught) else self.module
        state = {key: value for key, value in module.state_dict().items() if not key.startswith("block_tea.")}
        for name, part in module.named_modules():
            if isinstance(part, NormedConv) and not name.startswith("block_tea."):
                state = {key: value for key, value in state.items() if not key.startswith(f"{name}.norm.")}
                state |= {f"{name}.{key}": value for key, value in part.folded().items()}
        return {key: value.detach() for key, value in state.items()}


def build_model(settings: Network) -> TrainableModel:
    """The network with random weights from torch's generator, on the CPU, float32.

    Raises ArgumentError, which names the key, for values that give no valid network, and for a network that would be
    detected as another one when its file is loaded.
    """
    architecture = _architecture(settings)
    module: Taught | PaperNet
    if isinstance(architecture, PaperArchitecture):
        for name in ("contrast", "detached", "cells"):
            if getattr(settings, name):
                raise ArgumentError(
                    f"network.{name} ({getattr(settings, name)}) must be left out for {settings.preset}"
                )
        module = PaperNet(architecture, teacher=settings.teacher)
    else:
        network = IFNet(architecture)
        if settings.contrast:
            make_contrast_sensitive(network, settings.contrast)
        module = Taught(network, detached=settings.detached, cells=settings.cells)
        if not settings.teacher:
            module.teacher.requires_grad_(False)
    if settings.batch_norm:
        for name, block in module.named_modules():
            if isinstance(block, nn.Conv2d) and _IN_BLOCK.match(name):
                NormedConv.add_to(block)
    model = TrainableModel(
        module=module, architecture=architecture, teacher=settings.teacher, privileged=settings.privileged
    )
    _check_loadable(model)
    return model


def _architecture(settings: Network) -> Architecture | PaperArchitecture:
    if settings.preset not in PRESETS:
        raise ArgumentError(f"network.preset ({settings.preset}) must be one of {', '.join(PRESETS)}")
    preset = PRESETS[settings.preset]
    known = {field.name for field in fields(preset)}
    overrides: dict[str, Any] = {}
    for name in ARCHITECTURE_KEYS:
        value = getattr(settings, name)
        if value is None:
            continue
        if name not in known:
            raise ArgumentError(f"network.{name} ({value}) must be left out; {settings.preset} has no such value")
        overrides[name] = {"trunk": Trunk, "head": Head}.get(name, lambda each: each)(value)
    try:
        return replace(preset, **overrides)
    except RifeError as error:
        raise ArgumentError(f"network.{error}") from None


def _check_loadable(model: TrainableModel) -> None:
    """Raise ArgumentError if a file of the weights would be detected as another network."""
    architecture = model.architecture
    try:
        found = network_of(model.exported_state_dict(), metadata_of(architecture) or {})
    except RifeError as error:
        raise ArgumentError(f"network.widths ({architecture.widths}) must make a network that loads: {error}") from None
    if found != architecture:
        different = next(
            (
                each.name
                for each in fields(architecture)
                if getattr(found, each.name, None) != getattr(architecture, each.name)
            ),
            "preset",
        )
        raise ArgumentError(
            f"network.{different} ({getattr(architecture, different, '')}) must be {getattr(found, different, '')}, "
            "which is what the exported file would be detected as; files do not store this value"
        )
