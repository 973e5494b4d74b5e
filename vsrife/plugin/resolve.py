"""What the settings of a call mean on this machine. If that differs from what the script requested, the log says so."""

from pathlib import Path

from vsrife.engine.device import gpu_or_cpu
from vsrife.models.ncnn import find_model
from vsrife.models.store import locate
from vsrife.plugin.arguments import Settings
from vsrife.plugin.vsapi import Core

__all__ = ["checkpoint", "device_name", "with_ensemble"]


def device_name(core: Core, settings: Settings) -> str:
    """The name of the device, for `vsrife.engine.device.resolve_device`."""
    number = settings.ncnn.gpu
    if number is None:
        return settings.device
    name, reason = gpu_or_cpu(number)
    if reason:
        core.warn_once(f"RIFE: gpu_id ({number}) is the CPU: {reason}")
    return name


def checkpoint(core: Core, settings: Settings) -> Path:
    """The network's file. Raises ModelError if neither it nor a permitted substitute is on this machine."""
    model, said = settings.ncnn.model, settings.ncnn.model_from
    if model is None:
        return locate(settings.model)
    path, substitution = find_model(model, said)
    if substitution:
        core.warn_once(f"RIFE: {substitution}")
    else:
        core.inform_once(f"RIFE: {said} is model={model.network}")
    return path


def with_ensemble(core: Core, settings: Settings, *, supported: bool) -> bool:
    """Whether to average with the motion that is estimated backwards. supported: whether the network can do that.

    ``ensemble=1`` on a network that cannot is an error, which is raised elsewhere. With the arguments of the ncnn
    plugin that request it, a line of the log says that they have no effect.
    """
    if settings.ncnn.ensemble and not settings.ensemble and not supported:
        core.inform_once("RIFE: tta=1, or a model with ensemble, has no effect: this network has no ensemble")
        return False
    return settings.ensemble or settings.ncnn.ensemble
