"""Train RIFE with and without each of its parts, shortly, and tell what each was worth.

    python tools/run_ablations.py OUT --set data.pack=FOLDER --set validation.clips=FOLDER [--only l1 one-block]

OUT gets a folder for each run of vsrife/training/configs/ablations, ablations.md and ablations.json.
A run that was interrupted is resumed, a finished one is not repeated. Several GPUs: torchrun --nproc-per-node N.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from ablations import ABLATIONS, ASKED, BASE, configs, report, run_all

from vsrife.errors import RifeError
from vsrife.training.config import Config
from vsrife.training.distributed import ProcessGroup, init_process_group
from vsrife.training.loop import End, Trainer
from vsrife.training.validation import held_out_sets


def trained(group: ProcessGroup, device: torch.device) -> Callable[[Config], End]:
    """One run, whole or what is left of it, by all processes together."""

    def train(config: Config) -> End:
        if group.is_main:
            print(f"== {config.run.folder.name}", flush=True)
        return Trainer(config, group, device).run()

    return train


def main() -> int:
    """Train all of them and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs and of the report")
    parser.add_argument("--only", nargs="+", default=list(ABLATIONS), metavar="NAME", help=f"of {', '.join(ABLATIONS)}")
    parser.add_argument(
        "--width", type=float, default=1.0, metavar="SHARE", help="of the networks' channels; 0.5 for a CPU (1)"
    )
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="for all runs")
    options = parser.parse_args()
    try:
        runs = configs(options.only, options.out, options.changes, width=options.width)
        group, device = init_process_group(runs[BASE].run.device)
        try:
            outcomes = run_all(runs, trained(group, device))
        finally:
            group.destroy()
        if outcomes[-1].failure == ASKED:
            print("stopped; the same command goes on")
            return 1
        if group.is_main:
            average = held_out_sets(runs[BASE])[0].average.mean
            print(report(outcomes, runs, options.out, average))
    except RifeError as error:
        print(f"run_ablations: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
