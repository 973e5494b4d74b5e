"""The network that a configuration asks for: a known one by name, in whole or with other numbers, and its teacher."""

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
from vsrife.training.config import NUMBERS, Network
from vsrife.training.initial import look_for_contrast

__all__ = ["Pupil", "build_pupil"]

_IN_BLOCK: Final = re.compile(r"(network\.)?block(\d|_tea)|teacher\.")


class NormedConv(nn.Conv2d):
    """A convolution and batch normalisation behind it; `folded` gives the one convolution that does the same."""

    norm: nn.BatchNorm2d

    @classmethod
    def behind(cls, conv: nn.Conv2d) -> "NormedConv":
        """Turn a convolution into one of this class, in place: its own weights, and a normalisation that is new."""
        conv.__class__ = cls
        assert isinstance(conv, cls)
        conv.norm = nn.BatchNorm2d(conv.out_channels)
        return conv

    @override
    def forward(self, x: Tensor) -> Tensor:
        """As Conv2d."""
        answer: Tensor = self.norm(super().forward(x))
        return answer

    def folded(self) -> dict[str, Tensor]:
        """Of the one convolution: weight and bias."""
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
class Pupil:
    """A network in training.

    module: called as (left, right, t, truth), it returns a TrainingOutput; its parameters with gradients are trained.
    architecture: of the network without teacher.
    teacher, privileged: whether the module has a teacher, and whether that sees the true frame.
    """

    module: IFNetWithTeacher | PaperNet
    architecture: Architecture | PaperArchitecture
    teacher: bool
    privileged: bool

    @property
    def any_time(self) -> bool:
        """Whether it takes other times than 0.5."""
        return isinstance(self.architecture, Architecture) or self.architecture.timed

    def seen_by_teacher(self, truth: Tensor) -> Tensor | None:
        """What the module is given as the true frame."""
        if not self.teacher:
            return None
        return truth if self.privileged else torch.zeros_like(truth)

    def weights(self) -> dict[str, Tensor]:
        """The network alone, as its checkpoint has it: float32, without teacher, normalisations folded."""
        module = self.module.network if isinstance(self.module, IFNetWithTeacher) else self.module
        state = {key: value for key, value in module.state_dict().items() if not key.startswith("block_tea.")}
        for name, part in module.named_modules():
            if isinstance(part, NormedConv) and not name.startswith("block_tea."):
                state = {key: value for key, value in state.items() if not key.startswith(f"{name}.norm.")}
                state |= {f"{name}.{key}": value for key, value in part.folded().items()}
        return {key: value.detach() for key, value in state.items()}


def build_pupil(asked: Network) -> Pupil:
    """The network with random weights of torch's generator, on the CPU, float32.

    Raises ArgumentError, naming the key, for numbers that make no network, and for a network that no checkpoint could
    be told to be.
    """
    architecture = _architecture(asked)
    module: IFNetWithTeacher | PaperNet
    if isinstance(architecture, PaperArchitecture):
        for name in ("contrast", "detached", "cells"):
            if getattr(asked, name):
                raise ArgumentError(f"network.{name} ({getattr(asked, name)}) must be left out for {asked.preset}")
        module = PaperNet(architecture, teacher=asked.teacher)
    else:
        network = IFNet(architecture)
        if asked.contrast:
            look_for_contrast(network, asked.contrast)
        module = IFNetWithTeacher(network, detached=asked.detached, cells=asked.cells)
        if not asked.teacher:
            module.teacher.requires_grad_(False)
    if asked.batch_norm:
        for name, block in module.named_modules():
            if isinstance(block, nn.Conv2d) and _IN_BLOCK.match(name):
                NormedConv.behind(block)
    pupil = Pupil(module=module, architecture=architecture, teacher=asked.teacher, privileged=asked.privileged)
    _check_readable(pupil)
    return pupil


def _architecture(asked: Network) -> Architecture | PaperArchitecture:
    if asked.preset not in PRESETS:
        raise ArgumentError(f"network.preset ({asked.preset}) must be one of {', '.join(PRESETS)}")
    preset = PRESETS[asked.preset]
    own = {field.name for field in fields(preset)}
    numbers: dict[str, Any] = {}
    for name in NUMBERS:
        value = getattr(asked, name)
        if value is None:
            continue
        if name not in own:
            raise ArgumentError(f"network.{name} ({value}) must be left out; {asked.preset} has no such number")
        numbers[name] = {"trunk": Trunk, "head": Head}.get(name, lambda each: each)(value)
    try:
        return replace(preset, **numbers)
    except RifeError as error:
        raise ArgumentError(f"network.{error}") from None


def _check_readable(pupil: Pupil) -> None:
    """Raise ArgumentError where the weights would be read as another network."""
    architecture = pupil.architecture
    try:
        found = detect_network(pupil.weights(), metadata_of(architecture) or {})
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
            "as its checkpoint would be read; a checkpoint does not tell it"
        )
