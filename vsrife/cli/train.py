"""`vsrife train`: train a network as a configuration says. Importing this imports no torch."""

import argparse
from typing import TYPE_CHECKING

from vsrife.errors import ArgumentError, RifeError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """Add `train` to a parser's subcommands."""
    parser = commands.add_parser(
        "train",
        help="train a network from pictures and clips",
        description="Train a network as a configuration says; a run that its folder holds is carried on.",
        epilog="docs/training.md tells what a configuration holds. Several GPUs: "
        "torchrun --nproc-per-node N -m vsrife train CONFIG",
    )
    parser.add_argument("config", metavar="CONFIG", help="a .toml file, or default or paper, which come along")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change the configuration, as in --set run.steps=20000; any number of times",
    )
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="stop after that long, with everything saved")
    parser.add_argument(
        "--profile",
        type=int,
        nargs="?",
        const=20,
        metavar="STEPS",
        help="train nothing; time that many steps (20) and tell what they are spent on",
    )
    parser.add_argument("--check", action="store_true", help="read configuration and data, build the network, and stop")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train; 0 when all steps are made or it was stopped. Raises RifeError, before the first step where it can."""
    for name in ("budget", "profile"):
        given = getattr(arguments, name)
        if given is not None and not given > 0:
            raise ArgumentError(f"{name} ({given:g}) must be above 0")
    from vsrife.training.config_file import read_config

    changes = list(arguments.changes)
    if arguments.budget is not None:
        changes.append(f"run.budget={arguments.budget!r}")
    config = read_config(arguments.config, changes)
    try:
        from vsrife.training.distributed import init_process_group
        from vsrife.training.loop import Trainer
        from vsrife.training.profile import profile
    except ModuleNotFoundError as error:
        raise RifeError(
            f"train needs {error.name}, which is not installed: python -m pip install {error.name}"
        ) from None
    group, device = init_process_group(config.run.device)
    try:
        trainer = Trainer(config, group, device)
        if arguments.profile is not None:
            figures = profile(trainer, arguments.profile)
            if group.is_main:
                print(figures.text())
        elif arguments.check:
            trainer.log.line(
                f"all is well: the next step is {trainer.step + 1} of {trainer.config.run.steps or 'as many as fit'}"
            )
        else:
            trainer.run()
    finally:
        group.destroy()
    return 0
