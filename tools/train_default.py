"""Train and install the default model of the package: pack the data, train, evaluate, install.

    python tools/train_default.py DATA OUT [--set KEY=VALUE ...] [--seconds SECONDS] [--budget SECONDS]
        [--from CHECKPOINT_OR_WEIGHTS]

DATA is what tools/pack_data.py takes, plus clips_eval, which is used for validation only. OUT gets the pack, the run
and the evaluation. What already exists is not made again, so the same command continues after a budget has ended. The
model must have, in dB of skip-frame PSNR: at 2x a mean of at least --least, and on no clip more than --below less than
the plain average; at 4x, at no time a mean more than --apart below that at t = 0.5. Then the weights and their
configuration, log, evaluation and licence notes are put into vsrife/models/weights, where a call without `model` finds
them; with another --name they are a model of that name.

    python tools/train_default.py DATA OUT --minutes 9 --from CHECKPOINT_OR_WEIGHTS [--returns FOLDER]

is for a remote machine and a few minutes. It only trains, and writes a compact checkpoint every two minutes to FOLDER,
which has everything to download. DATA may be a pack. A line says how much is uploaded; too much is an error.

--from names what to start with: a checkpoint, compact or not, a run's folder or a .safetensors file. loss.flow_first is
then 0, unless --set says otherwise.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from remote_run import ResultsFolder, upload_summary

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
from vsrife.training.checkpoint import COMPACT_FOLDER, COMPACT_INDEX
from vsrife.training.config import Config
from vsrife.training.config_file import read_config
from vsrife.training.distributed import init_process_group
from vsrife.training.export import exported
from vsrife.training.loop import Trainer

LEAST = 33.4
"""Least PSNR on clips_eval in dB: that of 4.0 minus an allowance for a smaller model."""

BELOW = 0.1
"""By how many dB it may be below the plain average on any clip."""

APART = 0.5
"""By how many dB any other time may be below t = 0.5."""

COMPACT_SECONDS = 120
"""Seconds between compact checkpoints on a remote machine."""

TEACHERS = "None but the block of its own that the configuration may name, which sees the true frame."

LOCAL_ONLY = ("seconds", "budget", "teachers", "least", "below", "apart", "name", "weights", "limit")
"""Options that cannot be used with --minutes."""

REMOTE_ONLY = ("returns",)
"""Options that can only be used with --minutes."""

MEASURED = ("clips-2x", "clips-4x")

OWN = (
    *("run.folder", "run.device", "run.start", "run.start_blocks", "validation.clips", "data.ring.folder"),
    *("data.pack", "data.pictures", "data.cutouts", "data.clips", "data.labels", "data.vimeo"),
)
"""Keys of a configuration that only matter on the machine that trained, and are not put into the package."""

MIDDLE = Fraction(1, 2)

NOTE = """# What {name} was trained on

## Teachers

{teachers}

## Pictures

Photographs, textures, sprites and clips whose licences allow it, from packages of Debian and PyPI; which one each
picture is from stands in {name}.sources.tsv. None of the pictures is in this package or in the weights. The note that
came with them:

"""


def main() -> int:
    """Exit status 0: the model is installed. 1: it is not installed yet, and the last line says why."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="photos, textures, sprites, clips_train, clips_eval, SOURCES.tsv")
    parser.add_argument("out", type=Path, help="folder of the pack, the run and the evaluation")
    parser.add_argument("--config", default="default", help="a .toml file (default: the one the package carries)")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=0.0, help="time limit of the whole training; sets run.steps")
    parser.add_argument("--budget", type=float, default=0.0, metavar="SECONDS", help="time limit of this call")
    parser.add_argument("--minutes", type=float, default=0.0, help="on a remote machine: time limit, see above")
    parser.add_argument("--from", type=Path, dest="start", metavar="CHECKPOINT_OR_WEIGHTS", help="what to start with")
    parser.add_argument("--returns", type=Path, metavar="FOLDER", help="default: OUT/returns")
    parser.add_argument("--teachers", metavar="TEXT", help="for the note (default: from data.labels)")
    parser.add_argument("--least", type=float, default=LEAST, metavar="DB", help="default: %(default)s")
    parser.add_argument("--below", type=float, default=BELOW, metavar="DB", help="default: %(default)s")
    parser.add_argument("--apart", type=float, default=APART, metavar="DB", help="default: %(default)s")
    parser.add_argument("--name", default="default", help="of the weights' file (default: %(default)s)")
    parser.add_argument("--weights", type=Path, default=store.EMBEDDED, help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="pairs of each clip (default: 16)")
    options = parser.parse_args()
    unread = LOCAL_ONLY if options.minutes else REMOTE_ONLY
    set_anyway = [name for name in unread if getattr(options, name) != parser.get_default(name)]
    try:
        if set_anyway:
            how = "beside" if options.minutes else "without"
            raise RifeError(f"{set_anyway[0]} ({getattr(options, set_anyway[0])}) must be left out {how} --minutes")
        return train_remotely(options) if options.minutes else remake(options)
    except RifeError as error:
        print(f"train_default: {error}", file=sys.stderr)
        return 2


def remake(options: argparse.Namespace) -> int:
    """See `main`."""
    pack, run = options.out / "pack", options.out / "run"
    pack.mkdir(parents=True, exist_ok=True)
    own = [f"data.pack={pack}", f"validation.clips={options.data / HELD_OUT}"]
    own += [f"run.folder={run}", f"run.budget={options.budget}", f"run.time_limit={options.seconds}"]
    config = read_config(options.config, [*own, *start_changes(options), *options.changes])
    teacher_text = options.teachers or teachers(config)
    group, device = init_process_group(config.run.device)
    try:
        if group.is_main and not (pack / "pack.json").is_file():
            write_pack(options.data, pack, PackSettings(), print)
        group.barrier()
        trainer = Trainer(config, group, device)
        end = trainer.run()
    finally:
        group.destroy()
    if not group.is_main:
        return 0
    if end != "done":
        print(f"not finished: step {trainer.step} of {trainer.config.run.steps}; run the same command to continue")
        return 1
    made = exported(run, trainer.model)
    twice, four_times = measure(made, options)
    lack = next(lacks(twice, four_times, options), None)
    if lack is not None:
        print(f"not installed: {lack}; the model is in {run}")
        return 1
    install(made, pack, teacher_text, options)
    print(f"{psnr(twice, options.name):.2f} dB; {options.name}.safetensors and its documents are in {options.weights}")
    return 0


def train_remotely(options: argparse.Namespace) -> int:
    """Train for a few minutes. 0 if there are results to download, else 1."""
    pack = options.data if (options.data / "pack.json").is_file() else options.out / "pack"
    clips = options.data / HELD_OUT
    if not pack.is_dir():
        raise RifeError(
            f"data ({options.data}) must be a pack, or {pack} must be one; make it first: python tools/pack_data.py"
        )
    run, seconds = options.out / "run", 60 * options.minutes
    results = ResultsFolder(options.returns or options.out / "returns")
    own = [f"data.pack={pack}", f"run.folder={run}", f"run.time_limit={seconds}", f"run.budget={seconds}"]
    own += [f"save.every={10**9}", f"save.seconds={COMPACT_SECONDS}"]
    if clips.is_dir():
        own.append(f"validation.clips={clips}")
    config = read_config(options.config, [*own, *start_changes(options), *options.changes])
    uploaded = {
        "pack": config.data.pack,
        "labels": config.data.labels,
        "start": config.run.start,
        "validation clips": config.validation.clips,
    }
    print(upload_summary({name: path for name, path in uploaded.items() if path is not None}))
    group, device = init_process_group(config.run.device)
    try:
        trainer = Trainer(config, group, device)
        made = exported(run, trainer.model)
        trainer.checkpoints.on_compact = lambda: results.update(run, made)
        # Try the whole path of a compact checkpoint before any time is spent.
        trainer.write_compact()
        if group.is_main:
            results.summary()
            if trainer.checkpoints.compact_step is None:
                raise RifeError("there would be no results: the line above says why there is no compact checkpoint")
            print(
                "a failure costs what was learnt since the last compact checkpoint; there is one every "
                f"{config.save.seconds:g} s, or after a validation that is running at that time"
            )
        trainer.run()
    finally:
        group.destroy()
    if not group.is_main:
        return 0
    print(results.summary())
    if trainer.checkpoints.compact_step != trainer.step:
        print(
            f"what was learnt after step {trainer.checkpoints.compact_step} is lost: there is no compact checkpoint of "
            f"step {trainer.step}"
        )
        return 1
    print(
        f"a failure would have cost at most {trainer.checkpoints.longest_unsaved:.0f} s of {seconds:g}, the longest "
        "time without a compact checkpoint"
    )
    return 0 if trainer.step else 1


def start_changes(options: argparse.Namespace) -> list[str]:
    """Changes of the configuration for --from: a network that already finds flow need not begin with flow only."""
    start: Path | None = options.start
    if start is None:
        return []
    if not start.exists():
        raise RifeError(f"from ({start}) must be a checkpoint, a run's folder or a .safetensors file that exists")
    # The exact checkpoint of a run's folder, which may be newer, is too large to upload.
    compact = start / COMPACT_FOLDER
    uploads_compact = options.minutes and (compact / COMPACT_INDEX).is_file()
    return [f"run.start={compact if uploads_compact else start}", "loss.flow_first=0"]


def teachers(config: Config) -> str:
    """The teachers for the note without --teachers: the networks of data.labels, with licences and checksums."""
    missing = "teachers (missing) must name {}; add --teachers TEXT"
    if config.run.start is not None:
        raise RifeError(missing.format(f"those of {config.run.start} too"))
    if config.data.labels is None:
        return TEACHERS
    lines = []
    for network in about_labels(config.data.labels)["made_of"]["networks"]:
        known = entry_of_file(network["file"])
        if known is None:
            raise RifeError(missing.format(f"the licence of {network['file']}, which made data.labels"))
        lines.append(f"- RIFE {known[0].name}, {known[0].licence}, sha256 {', '.join(network['sha256'])}")
    return "\n".join(("The flow of clips, where the true frame confirms it, was estimated by:", "", *lines))


def lacks(twice: Result, four_times: Result, options: argparse.Namespace) -> Iterator[str]:
    """Reasons why the model is not good enough, with their figures; of several clips or times the worst comes first."""
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
    """The PSNR of a clip, or the mean over the clips."""
    found = of.mean(method, "psnr", time=time)
    assert found is not None
    return found


def measure(made: Path, options: argparse.Namespace) -> list[Result]:
    """Write the evaluation next to the run. Returns the results of MEASURED."""
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


def install(made: Path, pack: Path, teacher_text: str, options: argparse.Namespace) -> None:
    """Install the weights and their documents in the package, replacing a model of this name."""
    folder, name = options.weights, options.name
    size = made.stat().st_size
    if size > MOST_BYTES:
        raise RifeError(
            f"weights ({made}) must be at most {MOST_BYTES / 1e6:.0f} MB to be in the package, and are "
            f"{size / 1e6:.1f}; train a smaller network"
        )
    folder.mkdir(parents=True, exist_ok=True)
    about = open_pack(pack)
    documents = {
        made: f"{name}.safetensors",
        made.parent / "log.jsonl": f"{name}.log.jsonl",
        options.out / "evaluation.txt": f"{name}.evaluation.txt",
        options.out / "evaluation.json": f"{name}.evaluation.json",
        about.folder / "SOURCES.tsv": f"{name}.sources.tsv",
    }
    for source, target in documents.items():
        shutil.copyfile(source, folder / target)
    (folder / f"{name}.config.json").write_text(shared_config(made.parent / "config.json"), encoding="utf-8")
    pictures = (about.folder / "LICENCES.md").read_text(encoding="utf-8")
    note = NOTE.format(name=name, teachers=teacher_text) + pictures
    (folder / f"{name}{ABOUT}").write_text(note, encoding="utf-8")


def shared_config(path: Path) -> str:
    """The config.json of a run without the keys of OWN."""
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
