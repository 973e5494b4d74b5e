"""What of a configuration does not go together with the network it asks for, or with the processes there are."""

from vsrife.errors import ArgumentError
from vsrife.network.architecture import CONV_STRIDE, Architecture
from vsrife.network.points import is_trained
from vsrife.training.config import Also, Config
from vsrife.training.networks import Pupil
from vsrife.training.parallel import Group

__all__ = ["check"]


def check(config: Config, pupil: Pupil, group: Group) -> None:
    """Raise ArgumentError, which names the key."""
    modulus = pupil.module.modulus()
    if any(side % modulus for side in config.data.crop):
        raise ArgumentError(
            f"data.crop ({list(config.data.crop)}) must be multiples of {modulus} for this network; "
            f"{[side - side % modulus or modulus for side in config.data.crop]} would be"
        )
    for each in config.data.also:
        _check_also(each, config, pupil, group)
    _check_known_flow(config, pupil)
    _check_cells(config, pupil)
    if config.run.batch % group.world:
        raise ArgumentError(f"run.batch ({config.run.batch}) must be a multiple of the {group.world} processes")
    if pupil.any_time:
        return
    timed = {
        "data.synthetic.any_time": config.data.synthetic_settings.any_time if "synthetic" in config.data.used else 0,
        "data.shots.any_time": config.data.shot_settings.any_time,
    }
    for key, value in timed.items():
        if value:
            zero = "false" if value is True else "0"
            raise ArgumentError(
                f"{key} ({value}) must be {zero} for {config.network.preset}, which knows the middle alone"
            )
    if config.validation.multi != 2:
        raise ArgumentError(
            f"validation.multi ({config.validation.multi}) must be 2 for {config.network.preset}, "
            "which knows the middle alone"
        )


def _check_also(asked: Also, config: Config, pupil: Pupil, group: Group) -> None:
    """Of more samples of each step."""
    modulus, blocks = pupil.module.modulus(), len(pupil.architecture.widths)
    if any(side % modulus for side in asked.crop):
        raise ArgumentError(f"data.also.crop ({list(asked.crop)}) must be multiples of {modulus} for this network")
    if asked.batch % group.world:
        raise ArgumentError(f"data.also.batch ({asked.batch}) must be a multiple of the {group.world} processes")
    if not asked.blocks:
        return
    if not isinstance(pupil.architecture, Architecture):
        raise ArgumentError(f"data.also.blocks ({asked.blocks}) must be 0 for {config.network.preset}")
    if asked.blocks >= blocks:
        raise ArgumentError(f"data.also.blocks ({asked.blocks}) must be below the network's {blocks}, or 0")
    if "synthetic" not in config.data.used:
        raise ArgumentError(
            f"data.also.blocks ({asked.blocks}) must be 0 without synthetic samples, whose flow is known"
        )
    if not config.loss.flow:
        raise ArgumentError(f"data.also.blocks ({asked.blocks}) must be 0 without loss.flow; set that above 0")
    cells, scales = config.network.cells, pupil.architecture.scales[: asked.blocks]
    if not any(is_trained((asked.crop[0], asked.crop[1]), scale, cells) for scale in scales):
        raise ArgumentError(
            f"data.also.blocks ({asked.blocks}) must be such that a block learns from crops of {list(asked.crop)}, and "
            f"with network.cells ({cells}) none of the first {asked.blocks} does; ask more blocks, or a larger crop"
        )


def _check_known_flow(config: Config, pupil: Pupil) -> None:
    """Of steps that learn nothing else: they need a flow of every block, and one that is known."""
    share = config.loss.flow_first
    if not share:
        return
    if not isinstance(pupil.architecture, Architecture):
        raise ArgumentError(f"loss.flow_first ({share:g}) must be 0 for {config.network.preset}")
    if any(mix.start < share and not mix.synthetic for mix in config.data.mix):
        raise ArgumentError(
            f"loss.flow_first ({share:g}) must be at most the share of the steps in which data.mix has synthetic "
            "samples, whose flow is known"
        )


def _check_cells(config: Config, pupil: Pupil) -> None:
    """Of blocks that are taught where their trunk has an inside: each must be, by one part of a step."""
    cells, architecture = config.network.cells, pupil.architecture
    if not cells or not isinstance(architecture, Architecture):
        return
    crops = [(config.data.crop, len(architecture.widths))]
    crops += [(each.crop, each.blocks or len(architecture.widths)) for each in config.data.also]
    for index, scale in enumerate(architecture.scales):
        least = cells * CONV_STRIDE * scale
        if not any(is_trained((crop[0], crop[1]), scale, cells) and index < blocks for crop, blocks in crops):
            raise ArgumentError(
                f"network.cells ({cells}) must be such that each block learns somewhere, and that of scale {scale} "
                f"needs a crop of {least}x{least}; add it to data.also, or lower network.cells"
            )
