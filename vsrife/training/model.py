"""The network that a configuration describes, a preset with or without overrides, and its teacher."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Final, override

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError, RifeError
from vsrife.models.detection import detect_network
from vsrife.models.metadata import metadata_of
from vsrife.network.architecture import Architecture, Head, Trunk
from vsrife.network.families import PRESETS
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training.config import ARCHITECTURE_KEYS, Network
from vsrife.training.initialization import make_contrast_sensitive

__all__ = ["TrainableModel", "build_model"]

_IN_BLOCK: Final = re.compile(r"(network\.)?block(\d|_tea)|teacher\.")


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

    module: called as (left, right, t, truth), it returns a TrainingOutput; its parameters that require gradients are
    trained.
    architecture: of the network without teacher.
    teacher, privileged: whether the module has a teacher, and whether the teacher sees the true frame.
    """

    module: IFNetWithTeacher | PaperNet
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
        module = self.module.network if isinstance(self.module, IFNetWithTeacher) else self.module
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
    module: IFNetWithTeacher | PaperNet
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
        module = IFNetWithTeacher(network, detached=settings.detached, cells=settings.cells)
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
        found = detect_network(model.exported_state_dict(), metadata_of(architecture) or {})
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
