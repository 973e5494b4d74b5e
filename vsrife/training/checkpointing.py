"""When a run writes checkpoints, and how it resumes from them or starts with the weights of another run."""

import time
from collections.abc import Callable
from dataclasses import replace

from vsrife.errors import ArgumentError, RifeError
from vsrife.training.checkpoint import (
    COMPACT_FOLDER,
    COMPACT_INDEX,
    newest_checkpoint,
    read_checkpoint,
    read_compact,
    write_checkpoint,
    write_compact,
)
from vsrife.training.config import Config
from vsrife.training.distributed import ProcessGroup
from vsrife.training.export import export
from vsrife.training.resume_check import changed_key
from vsrife.training.run_log import RunLog, format_duration
from vsrife.training.train_state import TrainState
from vsrife.training.warm_start import check_labels, load_start

__all__ = ["Checkpointer", "prepare_folder"]


class Checkpointer:
    """Writes and reads the checkpoints of a run; the main process writes, the others wait for it.

    compact_step: the step of the newest compact checkpoint, None if there is none.
    longest_unsaved: the longest time between two compact checkpoints in seconds, which is what a failure of the machine
        could have cost so far.
    on_compact: called after each compact checkpoint; if it raises RifeError, the checkpoint does not count.
    """

    def __init__(self, state: TrainState, group: ProcessGroup, log: RunLog, labels: str | None) -> None:
        """labels: digest of the labels that the run learns from, None for none."""
        self._state, self._group, self._log, self._labels = state, group, log, labels
        self._written: int | None = None
        self.compact_step: int | None = None
        self.on_compact: Callable[[], None] = lambda: None
        self.begin()

    def begin(self) -> None:
        """Training begins now: count the time without a compact checkpoint from here."""
        self.longest_unsaved = 0.0
        self._started = self._last_compact = self._last_try = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time of the run so far."""
        return self._state.seconds + time.monotonic() - self._started

    @property
    def is_written(self) -> bool:
        """Whether this process has written any exact checkpoint."""
        return self._written is not None

    def compact_is_due(self, config: Config) -> bool:
        """Whether `save.seconds` have passed since a compact checkpoint was last tried."""
        return bool(config.save.seconds) and time.monotonic() - self._last_try >= config.save.seconds

    def save(self, config: Config) -> None:
        """Write the exact checkpoint of this step and the exported weights, unless they are written already."""
        if self._written != self._state.step:
            self.write(config)
            self._written = self._state.step

    def write(self, config: Config) -> None:
        """Write the exact checkpoint and the exported weights; the other processes wait for it."""
        if self._group.is_main:
            snapshot = self._state.snapshot(self._about(config))
            write_checkpoint(config.run.folder, snapshot, keep=config.save.keep)
            self._export(config)
        self._group.barrier()

    def write_compact(self, config: Config) -> None:
        """Write the compact checkpoint and log its size, or why there is none."""
        if not self._group.is_main:
            return
        folder = config.run.folder
        size = None
        try:
            if config.save.seconds:
                self._export(config)
            size = write_compact(folder, self._state.snapshot(self._about(config)), most=config.save.compact)
            self.on_compact()
        except RifeError as error:
            self._log.line(f"no compact checkpoint: {error}")
            size = None
        now = self._last_try = time.monotonic()
        since = now - self._last_compact
        self.longest_unsaved = max(self.longest_unsaved, since)
        if size is None:
            return
        self._last_compact, self.compact_step = now, self._state.step
        self._log.line(
            f"compact checkpoint of step {self._state.step}: {size / 1e6:.1f} MB in {folder / COMPACT_FOLDER}, "
            f"{format_duration(since)} after the previous one or the start"
        )

    def restore(self, config: Config) -> Config:
        """Resume from the newest checkpoint in the run's folder, or start a new run.

        Returns the configuration, with the number of steps of the resumed run if that was derived from a time limit.
        Raises ArgumentError if it differs from that of the checkpoint in a key that affects training.
        """
        folder = config.run.folder
        place = newest_checkpoint(folder)
        compact = folder / COMPACT_FOLDER
        is_new = place is None and not (compact / COMPACT_INDEX).is_file()
        self._group.barrier()  # the main process must not write before all have looked
        if is_new:
            self._start(config)
            return config
        snapshot = read_compact(compact) if place is None else read_checkpoint(place)
        if not snapshot.about["step"]:  # nothing was learnt yet
            self._start(config)
            return config
        check_labels(config, snapshot.about, self._labels)
        before = snapshot.about["config"]
        if config.run.time_limit:
            config = replace(config, run=replace(config.run, steps=int(before["run"]["steps"])))
        changed = changed_key(before, config.as_plain())
        if changed is not None:
            raise ArgumentError(f"{changed} must stay as it was to resume the run in {folder}; or set run.folder")
        self._state.load(snapshot)
        kind = "the compact checkpoint of " if place is None else ""
        unread = "" if config.run.start is None else f"; {config.run.start} is not read again"
        self._log.line(f"resuming from {kind}step {self._state.step}{unread}")
        return config

    def _start(self, config: Config) -> None:
        """Start a new run, with the same weights in all processes."""
        params, ema = self._state.params, self._state.optimiser.ema
        if config.run.start is not None:
            buffers = self._state.model.module.named_buffers()
            self._log.line(load_start(config.run.start, params, ema, buffers, config.run.start_blocks))
        self._group.broadcast(params.flat.data, ema)

    def _about(self, config: Config) -> dict[str, object]:
        return {"seconds": round(self.seconds, 1), "labels": self._labels, "config": config.as_plain()}

    def _export(self, config: Config) -> None:
        facts = {"step": self._state.step, "best": self._state.best_or_none}
        with self._state.averaged():
            export(config.run.folder, self._state.model, config, facts)


def prepare_folder(config: Config, group: ProcessGroup) -> None:
    """Create the run's folder. Raises ArgumentError if this process cannot write to it."""
    folder = config.run.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{group.rank}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(f"run.folder ({folder}) must be a folder to write to: {error.strerror}") from None
