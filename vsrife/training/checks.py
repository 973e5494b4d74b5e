"""What of a configuration does not go together with the network it asks for, or with the processes there are."""

from vsrife.errors import ArgumentError
from vsrife.network import Architecture
from vsrife.training.config import Config
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
        if any(side % modulus for side in each.crop):
            raise ArgumentError(f"data.also.crop ({list(each.crop)}) must be multiples of {modulus} for this network")
        if each.batch % group.world:
            raise ArgumentError(f"data.also.batch ({each.batch}) must be a multiple of the {group.world} processes")
        if each.blocks and not isinstance(pupil.architecture, Architecture):
            raise ArgumentError(f"data.also.blocks ({each.blocks}) must be 0 for {config.network.preset}")
        if each.blocks and each.blocks >= len(pupil.architecture.widths):
            raise ArgumentError(
                f"data.also.blocks ({each.blocks}) must be below the network's {len(pupil.architecture.widths)}, or 0"
            )
        if each.blocks and "synthetic" not in config.data.used:
            raise ArgumentError(
                f"data.also.blocks ({each.blocks}) must be 0 without synthetic samples, which know flow"
            )
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
