"""Train RIFE with and without each of its parts, shortly, and tell what each was worth.

    python tools/run_ablations.py OUT --set data.pack=FOLDER --set validation.clips=FOLDER [--only l1 one-block]

The runs are vsrife/training/configs/ablations; OUT gets a folder for each, and ablations.md, .json and .svg. A run that
is there in part is carried on, one that is there whole is not repeated.
"""

import argparse
import sys
from pathlib import Path

from vsrife.errors import RifeError
from vsrife.training.ablation import ABLATIONS, BASE, configs, report, run_all
from vsrife.training.config import Config
from vsrife.training.loop import End, Trainer
from vsrife.training.parallel import join
from vsrife.training.validation import HeldOut


def train(config: Config) -> End:
    """One run, whole or what is left of it."""
    print(f"== {config.run.folder.name}", flush=True)
    group, device = join(config.run.device)
    return Trainer(config, group, device).run()


def main() -> int:
    """Train all of them and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs and of the report")
    parser.add_argument("--only", nargs="+", default=list(ABLATIONS), metavar="NAME", help=f"of {', '.join(ABLATIONS)}")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="for all runs")
    options = parser.parse_args()
    try:
        runs = configs(options.only, options.out, options.changes)
        outcomes = run_all(runs, train)
        asked = runs[BASE].validation
        assert asked.clips is not None
        average = HeldOut(asked.clips, samples=asked.samples, multi=asked.multi).average.mean
        print(report(outcomes, runs, options.out, average))
    except RifeError as error:
        print(f"run_ablations: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
