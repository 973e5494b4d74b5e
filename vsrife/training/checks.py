"""Checks that need the network or the number of processes besides the configuration."""

from vsrife.errors import ArgumentError
from vsrife.network.architecture import CONV_STRIDE, Architecture
from vsrife.network.points import is_trained
from vsrife.training.config import Config
from vsrife.training.data_config import Also
from vsrife.training.distributed import ProcessGroup
from vsrife.training.model import TrainableModel

__all__ = ["check"]


def check(config: Config, model: TrainableModel, group: ProcessGroup) -> None:
    """Raise ArgumentError, which names the key, if the configuration does not fit the network or the processes."""
    modulus = model.module.modulus()
    if any(side % modulus for side in config.data.crop):
        raise ArgumentError(
            f"data.crop ({list(config.data.crop)}) must be multiples of {modulus} for this network; "
            f"{[side - side % modulus or modulus for side in config.data.crop]} would be"
        )
    for each in config.data.also:
        _check_also(each, config, model, group)
    _check_known_flow(config, model)
    _check_cells(config, model)
    if config.run.batch % group.world_size:
        raise ArgumentError(f"run.batch ({config.run.batch}) must be a multiple of the {group.world_size} processes")
    if model.any_time:
        return
    timed = {
        "data.synthetic.any_time": config.data.synthetic_settings.any_time if "synthetic" in config.data.used else 0,
        "data.shots.any_time": config.data.shot_settings.any_time,
    }
    for key, value in timed.items():
        if value:
            zero = "false" if value is True else "0"
            raise ArgumentError(
                f"{key} ({value}) must be {zero} for {config.network.preset}, which only makes the middle frame"
            )
    if config.validation.multi != 2:
        raise ArgumentError(
            f"validation.multi ({config.validation.multi}) must be 2 for {config.network.preset}, "
            "which only makes the middle frame"
        )


def _check_also(also: Also, config: Config, model: TrainableModel, group: ProcessGroup) -> None:
    """Check an entry of data.also."""
    modulus, blocks = model.module.modulus(), len(model.architecture.widths)
    if any(side % modulus for side in also.crop):
        raise ArgumentError(f"data.also.crop ({list(also.crop)}) must be multiples of {modulus} for this network")
    if also.batch % group.world_size:
        raise ArgumentError(f"data.also.batch ({also.batch}) must be a multiple of the {group.world_size} processes")
    if not also.blocks:
        return
    if not isinstance(model.architecture, Architecture):
        raise ArgumentError(f"data.also.blocks ({also.blocks}) must be 0 for {config.network.preset}")
    if also.blocks >= blocks:
        raise ArgumentError(f"data.also.blocks ({also.blocks}) must be below the network's {blocks}, or 0")
    if "synthetic" not in config.data.used:
        raise ArgumentError(
            f"data.also.blocks ({also.blocks}) must be 0 without synthetic samples, whose flow is known"
        )
    if not config.loss.flow:
        raise ArgumentError(f"data.also.blocks ({also.blocks}) must be 0 without loss.flow; set that above 0")
    cells, scales = config.network.cells, model.architecture.scales[: also.blocks]
    if not any(is_trained((also.crop[0], also.crop[1]), scale, cells) for scale in scales):
        raise ArgumentError(
            f"data.also.blocks ({also.blocks}) must be such that a block is trained by crops of {list(also.crop)}, and "
            f"with network.cells ({cells}) none of the first {also.blocks} is; set more blocks or a larger crop"
        )


def _check_known_flow(config: Config, model: TrainableModel) -> None:
    """Check steps that learn only the flow: they need a network whose blocks output flow, and samples of known flow."""
    share = config.loss.flow_first
    if not share:
        return
    if not isinstance(model.architecture, Architecture):
        raise ArgumentError(f"loss.flow_first ({share:g}) must be 0 for {config.network.preset}")
    if any(mix.start < share and not mix.synthetic for mix in config.data.mix):
        raise ArgumentError(
            f"loss.flow_first ({share:g}) must be at most the share of the steps in which data.mix has synthetic "
            "samples, whose flow is known"
        )


def _check_cells(config: Config, model: TrainableModel) -> None:
    """Check that each block is trained by at least one batch of each step."""
    cells, architecture = config.network.cells, model.architecture
    if not cells or not isinstance(architecture, Architecture):
        return
    crops = [(config.data.crop, len(architecture.widths))]
    crops += [(each.crop, each.blocks or len(architecture.widths)) for each in config.data.also]
    for index, scale in enumerate(architecture.scales):
        least = cells * CONV_STRIDE * scale
        if not any(is_trained((crop[0], crop[1]), scale, cells) and index < blocks for crop, blocks in crops):
            raise ArgumentError(
                f"network.cells ({cells}) must be such that each block is trained, and that of scale {scale} "
                f"needs a crop of {least}x{least}; add it to data.also, or lower network.cells"
            )
