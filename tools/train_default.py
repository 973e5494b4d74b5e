"""Remake the model that the package carries: pack the data, train, evaluate, and put it where it belongs.

    python tools/train_default.py DATA OUT [--set KEY=VALUE ...] [--seconds SECONDS] [--budget SECONDS]
        [--from STATE_OR_WEIGHTS]

DATA is what tools/pack_data.py takes, with clips_eval beside: nothing is learnt from that, it measures. OUT gets the
pack, the run and the evaluation; what is there already is not made again, so that the same command goes on after a
budget's end. The model must have, in decibels of skip-frame PSNR: at 2x a mean of at least --least, and on no clip more
than --below less than the plain average; at 4x, at no time a mean more than --apart below that at t = 0.5. Then the
weights, their configuration, log, evaluation and the note on the pictures' licences are put into vsrife/models/weights,
and are from then on what a call without `model` runs; under another --name they are a model by that name.

    python tools/train_default.py DATA OUT --minutes 9 --from STATE_OR_WEIGHTS [--returns FOLDER]

is for a machine that is lent for minutes: training alone, with a compact state every two minutes in FOLDER, where all
lies that has to come back. DATA may be a pack then. What travels there is told, and is an error where it is too much.

Both begin with the best so far where --from names it: a compact state, a state, a run's folder or a .safetensors file.
loss.flow_first is 0 then, unless --set says otherwise.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import vsrife
from vsrife.datasets.labels import about_labels
from vsrife.datasets.packing import HELD_OUT, PackSettings, open_pack, write_pack
from vsrife.errors import ModelError, RifeError
from vsrife.evaluation.protocols import PROTOCOLS
from vsrife.evaluation.report import as_json, as_text
from vsrife.evaluation.run import AVERAGE, Result, Row, evaluate
from vsrife.models import store
from vsrife.models.catalogue import entry_of_file
from vsrife.models.embedded import ABOUT, MOST_BYTES
from vsrife.training.config import Config, read_config
from vsrife.training.export import exported
from vsrife.training.loop import Trainer
from vsrife.training.parallel import join
from vsrife.training.rental import Returns, travels

LEAST = 33.4
"""Decibels on clips_eval: what 4.0 has, less what a smaller model may lack."""

BELOW = 0.1
"""Decibels that it may have less than the plain average, on any clip."""

APART = 0.5
"""Decibels that it may have less at another time than in the middle."""

BETWEEN = 120
"""Seconds between compact states on a machine that is lent."""

TEACHERS = "None but the block of its own that the configuration may name, which sees the true frame."

NOT_LENT = ("seconds", "budget", "teachers", "least", "below", "apart", "name", "weights", "limit")
"""Options that say nothing where --minutes is given."""

LENT = ("returns",)
"""And where it is not."""

MEASURED = ("clips-2x", "clips-4x")

OWN = (
    *("run.folder", "run.device", "run.start", "run.start_blocks", "validation.clips", "data.ring.folder"),
    *("data.pack", "data.pictures", "data.cutouts", "data.clips", "data.labels", "data.vimeo"),
)
"""What of a configuration is of the machine that trained alone, and is not put into the package."""

MIDDLE = Fraction(1, 2)

NOTE = """# What {name} learnt from

## Teachers

{teachers}

## Pictures

Photographs, textures, sprites and clips whose licences allow it, from packages of Debian and PyPI; which one each
picture is from stands in {name}.sources.tsv. None of the pictures is in this package or in the weights. The note that
came with them:

"""


def main() -> int:
    """All of it, or what is left. 0: the model is in its place. 1: it is not, yet, and the last line says why."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="photos, textures, sprites, clips_train, clips_eval, SOURCES.tsv")
    parser.add_argument("out", type=Path, help="folder of the pack, the run and the evaluation")
    parser.add_argument("--config", default="default", help="a .toml file (default: the one the package carries)")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=0.0, help="of the whole training; sets run.steps")
    parser.add_argument("--budget", type=float, default=0.0, metavar="SECONDS", help="of this call's training")
    parser.add_argument("--minutes", type=float, default=0.0, help="on a lent machine: of everything, see above")
    parser.add_argument("--from", type=Path, dest="start", metavar="STATE_OR_WEIGHTS", help="what it begins with")
    parser.add_argument("--returns", type=Path, metavar="FOLDER", help="default: OUT/returns")
    parser.add_argument("--teachers", metavar="TEXT", help="for the note (default: what data.labels tells)")
    parser.add_argument("--least", type=float, default=LEAST, metavar="DB", help="default: %(default)s")
    parser.add_argument("--below", type=float, default=BELOW, metavar="DB", help="default: %(default)s")
    parser.add_argument("--apart", type=float, default=APART, metavar="DB", help="default: %(default)s")
    parser.add_argument("--name", default="default", help="of the weights' file (default: %(default)s)")
    parser.add_argument("--weights", type=Path, default=store.EMBEDDED, help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="pairs of each clip (default: 16)")
    options = parser.parse_args()
    unread = NOT_LENT if options.minutes else LENT
    given = [name for name in unread if getattr(options, name) != parser.get_default(name)]
    try:
        if given:
            how = "beside" if options.minutes else "without"
            raise RifeError(f"{given[0]} ({getattr(options, given[0])}) must be left out {how} --minutes")
        return lent(options) if options.minutes else remake(options)
    except RifeError as error:
        print(f"train_default: {error}", file=sys.stderr)
        return 2


def remake(options: argparse.Namespace) -> int:
    """See `main`."""
    pack, run = options.out / "pack", options.out / "run"
    pack.mkdir(parents=True, exist_ok=True)
    own = [f"data.pack={pack}", f"validation.clips={options.data / HELD_OUT}"]
    own += [f"run.folder={run}", f"run.budget={options.budget}", f"run.fit={options.seconds}"]
    config = read_config(options.config, [*own, *begun(options), *options.changes])
    told = options.teachers or teachers(config)
    group, device = join(config.run.device)
    try:
        if group.leads and not (pack / "pack.json").is_file():
            write_pack(options.data, pack, PackSettings(), print)
        group.wait()
        trainer = Trainer(config, group, device)
        end = trainer.run()
    finally:
        group.leave()
    if not group.leads:
        return 0
    if end != "done":
        print(f"not finished: {trainer.step} of {trainer.config.run.steps} steps are made; the same command goes on")
        return 1
    made = exported(run, trainer.pupil)
    twice, four_times = measure(made, options)
    lack = next(lacks(twice, four_times, options), None)
    if lack is not None:
        print(f"not put in its place: {lack}; it stays in {run}")
        return 1
    install(made, pack, told, options)
    print(f"{psnr(twice, options.name):.2f} dB; {options.name}.safetensors and its papers are in {options.weights}")
    return 0


def lent(options: argparse.Namespace) -> int:
    """Training alone, for a few minutes; 0 where something came of it, else 1."""
    pack = options.data if (options.data / "pack.json").is_file() else options.out / "pack"
    clips = options.data / HELD_OUT
    if not pack.is_dir():
        raise RifeError(
            f"data ({options.data}) must be a pack, or {pack} one; make it first: python tools/pack_data.py"
        )
    run, seconds = options.out / "run", 60 * options.minutes
    returned = Returns(options.returns or options.out / "returns")
    own = [f"data.pack={pack}", f"run.folder={run}", f"run.fit={seconds}", f"run.budget={seconds}"]
    own += [f"save.every={10**9}", f"save.seconds={BETWEEN}"]
    if clips.is_dir():
        own.append(f"validation.clips={clips}")
    config = read_config(options.config, [*own, *begun(options), *options.changes])
    brought = {
        "pack": config.data.pack,
        "labels": config.data.labels,
        "start": config.run.start,
        "clips that measure": config.validation.clips,
    }
    print(travels({name: path for name, path in brought.items() if path is not None}))
    group, device = join(config.run.device)
    try:
        trainer = Trainer(config, group, device)
        made = exported(run, trainer.pupil)
        trainer.carried = lambda: returned.take(run, made)
        # Before the minutes are spent: all of the way that a compact state goes.
        trainer.carry()
        if group.leads:
            returned.summary()
            if trainer.secured is None:
                raise RifeError("nothing would come back: the line above says why there is no compact state")
            print(
                "a failure costs what was learnt since the last compact state, of which there is one every "
                f"{config.save.seconds:g} s, or after a validation that is under way then"
            )
        trainer.run()
    finally:
        group.leave()
    if not group.leads:
        return 0
    print(returned.summary())
    if trainer.secured != trainer.step:
        print(f"what was learnt after step {trainer.secured} is lost: there is no compact state of step {trainer.step}")
        return 1
    print(
        f"at no moment would a failure have cost more than {trainer.exposed:.0f} s of {seconds:g}: so long was the "
        "longest time without a compact state"
    )
    return 0 if trainer.step else 1


def begun(options: argparse.Namespace) -> list[str]:
    """What --from changes in the configuration: a network that finds flow already need not learn it alone first."""
    start: Path | None = options.start
    if start is None:
        return []
    if not start.exists():
        raise RifeError(f"from ({start}) must be a state, a run's folder or a .safetensors file that exists")
    # Of a run's folder that is to travel the compact state: the exact one, which may be newer, is too large.
    compact = start / "carry"
    travels = options.minutes and (compact / "carry.json").is_file()
    return [f"run.start={compact if travels else start}", "loss.flow_first=0"]


def teachers(config: Config) -> str:
    """For the note, where --teachers says nothing: the networks that data.labels are of, with licences and sums."""
    missing = "teachers (missing) must tell {}; add --teachers TEXT"
    if config.run.start is not None:
        raise RifeError(missing.format(f"by which ones {config.run.start} was taught, too"))
    if config.data.labels is None:
        return TEACHERS
    lines = []
    for network in about_labels(config.data.labels)["made_of"]["networks"]:
        known = entry_of_file(network["file"])
        if known is None:
            raise RifeError(missing.format(f"the licence of {network['file']}, which data.labels are of"))
        lines.append(f"- RIFE {known[0].name}, {known[0].licence}, sha256 {', '.join(network['sha256'])}")
    return "\n".join(("The flow of clips, where the true frame bears it out, was found once by:", "", *lines))


def lacks(twice: Result, four_times: Result, options: argparse.Namespace) -> Iterator[str]:
    """Why the model is not good enough, each with its numbers; the first, of several clips or times, the worst."""
    name = options.name
    score = psnr(twice, name)
    if not score >= options.least:
        yield f"{score:.2f} dB, and --least is {options.least:.2f}"
    clips = [(psnr(row, name), psnr(row, AVERAGE), row.name) for row in twice.rows]
    for mine, average, clip in sorted(clips, key=lambda each: each[0] - each[1]):
        if not mine >= average - options.below:
            yield f"{clip} has {mine:.2f} dB, the plain average {average:.2f}, and --below is {options.below:.2f}"
    middle = psnr(four_times, name, MIDDLE)
    times = [(psnr(four_times, name, time), time) for time in four_times.times]
    for mine, time in sorted(times):
        if not mine >= middle - options.apart:
            yield (
                f"t = {float(time):g} has {mine:.2f} dB, t = {float(MIDDLE):g} has {middle:.2f}, "
                f"and --apart is {options.apart:.2f}"
            )


def psnr(of: Result | Row, method: str, time: Fraction | None = None) -> float:
    """The mean of a clip, or over the clips."""
    found = of.mean(method, "psnr", time=time)
    assert found is not None
    return found


def measure(made: Path, options: argparse.Namespace) -> list[Result]:
    """Write the evaluation beside the run; returns the results of MEASURED."""
    models: dict[str, str | None] = {options.name: str(made)}
    try:
        models["4.0"] = str(store.locate("4.0"))
    except ModelError as error:
        print(f"not compared with 4.0: {error}")
    texts, figures, results = [], {}, []
    for name in MEASURED:
        protocol = PROTOCOLS[name]
        result = evaluate(protocol, options.data / HELD_OUT, models, limit=options.limit)
        facts = {"protocol": name, "vsrife": vsrife.__version__, "sha256": store.digest_of(made)}
        texts.append(as_text(result))
        figures[name] = as_json(result, facts)
        results.append(result)
    (options.out / "evaluation.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (options.out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print("\n".join(texts))
    return results


def install(made: Path, pack: Path, told: str, options: argparse.Namespace) -> None:
    """Put the weights and their papers into the package, in the place of a model of this name. told: of teachers."""
    folder, name = options.weights, options.name
    size = made.stat().st_size
    if size > MOST_BYTES:
        raise RifeError(
            f"weights ({made}) must have at most {MOST_BYTES / 1e6:.0f} MB to be in the package, and have "
            f"{size / 1e6:.1f}; train a smaller network"
        )
    folder.mkdir(parents=True, exist_ok=True)
    about = open_pack(pack)
    papers = {
        made: f"{name}.safetensors",
        made.parent / "log.jsonl": f"{name}.log.jsonl",
        options.out / "evaluation.txt": f"{name}.evaluation.txt",
        options.out / "evaluation.json": f"{name}.evaluation.json",
        about.folder / "SOURCES.tsv": f"{name}.sources.tsv",
    }
    for source, target in papers.items():
        shutil.copyfile(source, folder / target)
    (folder / f"{name}.config.json").write_text(shared_config(made.parent / "config.json"), encoding="utf-8")
    pictures = (about.folder / "LICENCES.md").read_text(encoding="utf-8")
    note = NOTE.format(name=name, teachers=told) + pictures
    (folder / f"{name}{ABOUT}").write_text(note, encoding="utf-8")


def shared_config(path: Path) -> str:
    """A run's config.json without OWN."""
    about = json.loads(path.read_text(encoding="utf-8"))
    for key in OWN:
        *tables, last = key.split(".")
        table = about["config"]
        for name in tables:
            table = table.get(name) or {}
        table.pop(last, None)
    return json.dumps(about, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
