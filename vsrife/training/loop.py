"""The loop: batch, lesson, gradient, step; states, validation and a clean end.

The same configuration, data, seed, software and number of processes make the same run, whether in one go or carried on
from states: on a CPU to the bit; on a GPU but for the order in which the backward passes of sampling and resizing add
up, which CUDA leaves open.
"""

import contextlib
import functools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.datasets.labels import digest_of
from vsrife.datasets.samples import Samples
from vsrife.errors import ArgumentError, RifeError
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.network.training_output import TrainingOutput
from vsrife.training.arithmetic import exact_arithmetic, untried
from vsrife.training.block_errors import BlockErrors, idle
from vsrife.training.checks import check
from vsrife.training.config import Config, same_run
from vsrife.training.export import export
from vsrife.training.fit import fitted_steps
from vsrife.training.gather import resolve
from vsrife.training.growth import warning
from vsrife.training.networks import build_pupil
from vsrife.training.objective import PARTS, objective
from vsrife.training.optimiser import Descent, rate_at
from vsrife.training.parallel import Group
from vsrife.training.record import Record, spoken
from vsrife.training.replay import Batches, Replay, Teach
from vsrife.training.signals import signals
from vsrife.training.sources import closing_sources, make_samples, make_sources
from vsrife.training.start import begin_from, check_labels
from vsrife.training.state import ROWS, Snapshot, largest_state, read_carry, read_state, write_carry, write_state
from vsrife.training.validation import Answer, Scores, held_out_sets, is_due, validated
from vsrife.training.weights import Weights

__all__ = ["End", "Trainer"]

End = Literal["done", "budget", "asked"]
"""Why a run ended: all its steps are made, its seconds are used up, or it was asked to (Ctrl-C, SIGTERM, `until`)."""

_DTYPES: Final = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_NUMBERS: Final = (*PARTS, "norm", "stop")
"""What is known of a step, in this order; stop: above 0 where any process wants to end."""


class Trainer:
    """A run, ready for its first step, or for the next one where its folder has a state.

    step: how many were made. exposed: the longest time without a compact state, in seconds, up to now or the end: what
    it would have cost if the machine had been taken away. secured: the step of the newest compact state, None while
    there is none. carried: called when one is written; where it raises RifeError, the state does not count.
    """

    def __init__(self, config: Config, group: Group, device: torch.device) -> None:
        """Reads all data and checks all there is to check. Raises RifeError for what is not as it must be."""
        self._begun = time.monotonic()
        self.config, self.group, self.device = config, group, device
        if config.run.fit:
            self._set_steps(0)
        exact_arithmetic(device)
        torch.manual_seed(config.run.seed)
        self.pupil = build_pupil(config.network)
        check(config, self.pupil, group)
        self.weights = Weights(self.pupil.module, device, _DTYPES[config.run.precision])
        self.descent = Descent(self.weights.row, config.optimiser)
        self.best = -math.inf
        self.seconds = 0.0
        self._labels = digest_of(config.data.labels)
        self._prepare_folder()
        self.record = Record(config.run.folder if group.leads else None)
        self._choose_frames()
        self._resume()
        self.sources = make_sources(config, device, group, self.record.say)
        self.samples = self._samples()
        self._blocks = (None, *(each.blocks or None for each in config.data.also))
        self._every_block = len(self.pupil.architecture.widths)
        self._part_names = _part_names(config)
        self._phase: tuple[bool, Teach] | None = None
        self.held_out = held_out_sets(config) if group.leads else ()
        self._unread: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()
        self._newest: Batches | None = None
        self._saved: int | None = None
        self._asked_to_stop = False
        self._began = self.step
        self._started = self._carried = self._tried_to_carry = time.monotonic()
        self.exposed = 0.0
        self.secured: int | None = None
        self.carried: Callable[[], None] = lambda: None

    @property
    def step(self) -> int:
        """How many steps were made."""
        return self.descent.step

    @property
    def rows(self) -> tuple[Tensor, ...]:
        """All that a step changes, but for the buffers: a row for each of ROWS."""
        return (self.weights.row, self.descent.average, self.descent.first, self.descent.second)

    def run(self, until: int | None = None) -> End:
        """Make steps until all are made, the budget is used up or a signal comes; then save. Raises RifeError on NaN.

        until: stop as if told to when so many steps are made.
        """
        if self.config.run.fit and not self.step:
            self._fit()
        config = self.config
        self._started = self._carried = self._tried_to_carry = time.monotonic()
        self._began = self.step
        self.exposed = 0.0
        self._greet()
        if self._saved is None:
            self.save()
        last = min(config.run.steps, until or config.run.steps)
        stopped = False
        batches = iter(self.samples)
        with signals(self.ask_to_stop), closing_sources(self.sources), contextlib.closing(batches):  # type: ignore[type-var]
            while self.step < last and not stopped:
                given = next(batches)
                self.keep(given)
                lesson = self.learn(given)
                self._shown(given[0], lesson)
                del lesson
                # Numbers are read a step late, so that the device always has work queued.
                stopped = self._read(keep=1)
                stopped |= self._at_intervals()
        self._read(keep=0)
        if self.step == config.run.steps:
            self._validate()
        self.save()
        self.carry()
        self.record.close()
        return self._end()

    def learn(self, batches: Batches) -> TrainingOutput:
        """One step; its numbers are read later."""
        self.pupil.module.train()
        lesson, parts = self.teach(batches)
        rate = rate_at(self.step, self.config.run.steps, self.config.optimiser)
        stop = torch.full_like(parts[:1], float(self._asked_to_stop or self._budget_is_used()))
        told = torch.cat((parts, stop))
        gradient = self.weights.row.grad
        assert gradient is not None
        self.group.mean(gradient, told)
        norm = self.descent.descend(rate)
        told = torch.cat((told[:-1], norm[None], told[-1:]))
        event = None
        if self.device.type == "cuda":
            told = told.to("cpu", non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._unread.append((self.step, told, event))
        return lesson

    def teach(self, batches: Batches) -> tuple[TrainingOutput, Tensor]:
        """Forward and backward: the gradient is in the row. Returns the first batch's lesson and the PARTS of the loss,
        without gradients.

        As a graph they lie where those of the next step will.
        """
        flow_alone = self.step < round(self.config.loss.flow_first * self.config.run.steps)
        if self._phase is None or self._phase[0] != flow_alone:
            self._phase = None  # the graph of the steps before is freed before another one is made
            self._phase = flow_alone, self._teaching(flow_alone)
        return self._phase[1](batches)

    def launched(self, batches: Batches, *, flow_alone: bool = False) -> tuple[TrainingOutput, Tensor]:
        """As `teach`, each operation launched: the gradient of all batches together; the total is of all of them, each
        other number that of the first.
        """
        first: tuple[TrainingOutput, Tensor] | None = None
        losses = []
        module = self.weights.cast()
        for batch, blocks in zip(batches, self._blocks, strict=True):
            lesson = self._lesson(module, batch, self._every_block if flow_alone and blocks is None else blocks)
            parts = objective(lesson, batch, self.config.loss, flow_alone=flow_alone)
            losses.append(parts[0])
            first = first or (lesson, parts.detach())
        assert first is not None
        total = torch.stack(losses).sum()
        # One pass for all batches: what comes back to the row of weights is as long as it, and added up there once.
        total.backward()  # type: ignore[no-untyped-call]
        lesson, parts = first
        return lesson, torch.cat((total.detach()[None], parts[1:]))

    def _lesson(self, module: Callable[..., TrainingOutput], batch: Batch, blocks: int | None) -> TrainingOutput:
        t = batch.t if self.pupil.any_time else 0.5
        if blocks is None:
            return module(batch.left, batch.right, t, self.pupil.seen_by_teacher(batch.truth))
        return module(batch.left, batch.right, t, blocks=blocks)

    def forget_numbers(self) -> None:
        """Of steps that are not logged."""
        self._unread.clear()

    def predict(self, left: Tensor, right: Tensor, t: float) -> Answer:
        """The frame at a time, by the averaged weights: float32 [N, 3, H, W], and its flow."""
        self.pupil.module.eval()
        with torch.inference_mode():
            lesson: TrainingOutput = self.weights.call_with(self.descent.average, left, right, t)
        motion = lesson.stages[-1].motion
        drawn = not isinstance(
            self.pupil.module, IFNetWithTeacher
        )  # the paper's networks draw what warping cannot bring
        return Answer(lesson.answer, motion.flow, None if drawn else motion.mask)

    def block_errors(self) -> list[BlockErrors]:
        """What the averaged weights' blocks leave of the known motion of the newest step's batches, part by part.

        Nothing for a network whose blocks answer at full resolution, and where no flow is known.
        """
        module, count = self.pupil.module, len(self.pupil.architecture.widths)
        if not isinstance(module, IFNetWithTeacher) or self._newest is None:
            return []
        module.eval()
        found = []
        for name, batch, blocks in zip(self._part_names, self._newest, self._blocks, strict=True):
            t = batch.t if self.pupil.any_time else 0.5
            with torch.no_grad():
                lesson: TrainingOutput = self.weights.call_with(
                    self.descent.average, batch.left, batch.right, t, blocks=blocks or count
                )
            height, width = batch.left.shape[-2:]
            first = module.first_trained_block((height, width))
            errors = BlockErrors.of(lesson.levels, batch.flow, batch.visible * batch.known, name=name, first=first)
            if errors is not None and errors.taught:
                found.append(errors)
        return found

    def snapshot(self) -> Snapshot:
        """All that is needed to carry on."""
        return Snapshot(
            rows={name: self.weights.named(row) for name, row in zip(ROWS, self.rows, strict=True)},
            buffers=dict(self.pupil.module.named_buffers()),
            about={
                "step": self.step,
                "seconds": round(self._seconds(), 1),
                "best": self.best if math.isfinite(self.best) else None,
                "labels": self._labels,
                "config": self.config.as_plain(),
            },
        )

    def save(self) -> None:
        """Write the state and the exported network, where that is not done yet for this step."""
        if self._saved == self.step:
            return
        self.write()
        self._saved = self.step

    def write(self) -> None:
        """As `save`, whether it is done or not; the other processes wait until it is."""
        if self.group.leads:
            write_state(self.config.run.folder, self.snapshot(), keep=self.config.save.keep)
            self._export()
        self.group.wait()

    def _export(self) -> None:
        """The average is written through the module, whose weights are put back."""
        kept = self.weights.row.detach().clone()
        with torch.no_grad():
            self.weights.row.copy_(self.descent.average)
            facts = {"step": self.step, "best": self.best if math.isfinite(self.best) else None}
            try:
                export(self.config.run.folder, self.pupil, self.config, facts)
            finally:
                self.weights.row.copy_(kept)

    def carry(self) -> None:
        """Write the compact state; a line says its size, or why there is none."""
        if not self.group.leads:
            return
        try:
            if self.config.save.seconds:
                self._export()
            size = write_carry(self.config.run.folder, self.snapshot(), most=self.config.save.carry)
            self.carried()
        except RifeError as error:
            self.record.say(f"no compact state: {error}")
            size = None
        now = self._tried_to_carry = time.monotonic()
        since = now - self._carried
        self.exposed = max(self.exposed, since)
        if size is None:
            return
        self._carried, self.secured = now, self.step
        self.record.say(
            f"compact state of step {self.step}: {size / 1e6:.1f} MB in {self.config.run.folder / 'carry'}, "
            f"{spoken(since)} since the last one or the beginning"
        )

    def _prepare_folder(self) -> None:
        folder = self.config.run.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{self.group.rank}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ArgumentError(f"run.folder ({folder}) must be a folder to write to: {error.strerror}") from None

    def _resume(self) -> None:
        folder = self.config.run.folder
        place = largest_state(folder)
        is_new = place is None and not (folder / "carry" / "carry.json").is_file()
        self.group.wait()  # the one that writes must not do so before all have looked
        if is_new:
            self._begin()
            return
        snapshot = read_carry(folder / "carry") if place is None else read_state(place)
        if not snapshot.about["step"]:  # nothing was learnt yet
            self._begin()
            return
        check_labels(self.config, snapshot.about, self._labels)
        then = snapshot.about["config"]
        if self.config.run.fit:
            self._set_steps(int(then["run"]["steps"]))
        different = same_run(then, self.config.as_plain())
        if different is not None:
            raise ArgumentError(f"{different} must stay as it was to carry on the run in {folder}; or set run.folder")
        for name, row in zip(ROWS, self.rows, strict=True):
            self.weights.take(row, snapshot.rows[name])
        for name, buffer in self.pupil.module.named_buffers():
            buffer.copy_(snapshot.buffers[name])
        self.descent.set_step(int(snapshot.about["step"]))
        self.seconds = float(snapshot.about["seconds"])
        self.best = -math.inf if snapshot.about["best"] is None else float(snapshot.about["best"])
        compact = "the compact state of " if place is None else ""
        unread = "" if self.config.run.start is None else f"; {self.config.run.start} is not read again"
        self.record.say(f"carrying on from {compact}step {self.step}{unread}")

    def _begin(self) -> None:
        """A new run, with the same weights in all processes."""
        start = self.config.run.start
        if start is not None:
            buffers = self.pupil.module.named_buffers()
            blocks = self.config.run.start_blocks
            self.record.say(begin_from(start, self.weights, self.descent.average, buffers, blocks))
        self.group.share(self.weights.row.data, self.descent.average)

    def _choose_frames(self) -> None:
        module = self.pupil.module
        if not isinstance(module, IFNetWithTeacher):
            return
        module.frames, reason = resolve(self.device, module.network.architecture.features)
        if reason and self.device.type == "cpu":
            self.record.say(f"torch makes the blocks' inputs, which is slower than the C module for it: {reason}")

    def _samples(self) -> Samples:
        return make_samples(self.config, self.sources, self.device, self.group, self.step)

    def _can_be_graph(self) -> bool:
        """Normalisation's buffers are changed by each forward pass, also by those that a graph is made with."""
        asked = self.config.run.graph == "auto" and self.device.type == "cuda"
        return asked and not any(True for _ in self.pupil.module.buffers())

    def _teaching(self, flow_alone: bool) -> Teach:
        launched = functools.partial(self.launched, flow_alone=flow_alone)
        return Replay(launched, self.weights.row, self.record.say) if self._can_be_graph() else launched

    def _fit(self) -> None:
        self._set_steps(fitted_steps(self, self.config.run.fit - (time.monotonic() - self._begun)))
        # From the first batch again, and other sources' shares begin at other steps.
        self.samples = self._samples()

    def _set_steps(self, steps: int) -> None:
        self.config = replace(self.config, run=replace(self.config.run, steps=steps))

    def catch_up(self) -> None:
        """Wait for all that the device was told to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _greet(self) -> None:
        learnt = sum(each.numel() for each in self.pupil.module.parameters() if each.requires_grad)
        processes = f", {self.group.world} processes" if self.group.world > 1 else ""
        self.record.say(
            f"{self.config.network.spoken}: {learnt / 1e6:.2f} M numbers, {self.config.run.precision}, {self.device}"
            f"{processes}; steps {self.step} to {self.config.run.steps} of {self._spoken_parts()} samples"
        )
        for each in self.held_out:
            self.record.say(f"validation: {each.name}, {len(each)} pairs, plain average {each.average.mean:.2f} dB")

    def _spoken_parts(self) -> str:
        counts = (self.config.run.batch, *(each.batch for each in self.config.data.also))
        if len(counts) == 1:
            return str(counts[0])
        return ", ".join(f"{count} of {name}" for count, name in zip(counts, self._part_names, strict=True))

    def ask_to_stop(self) -> bool:
        """End after this step, everything saved. Returns whether that was asked before."""
        before, self._asked_to_stop = self._asked_to_stop, True
        return before

    def _budget_is_used(self) -> bool:
        budget = self.config.run.budget
        return bool(budget) and time.monotonic() - self._begun >= budget

    def _seconds(self) -> float:
        return self.seconds + time.monotonic() - self._started

    def _read(self, *, keep: int) -> bool:
        """Look at the numbers of all steps but the newest `keep`; whether one of them says to stop."""
        stop = False
        while len(self._unread) > keep:
            step, told, event = self._unread.popleft()
            if event is not None:
                event.synchronize()
            values = dict(zip(_NUMBERS, told.tolist(), strict=True))
            self._check_finite(step, values)
            stop |= values.pop("stop") > 0
            if step % self.config.log.every == 0 or step == self.config.run.steps:
                self._tell(step, values)
        return stop

    def _check_finite(self, step: int, values: dict[str, float]) -> None:
        wrong = next((name for name, value in values.items() if not math.isfinite(value)), None)
        if wrong is None:
            return
        place = largest_state(self.config.run.folder)
        kept = f"the state of step {int(place.name)} is kept in {place}" if place else "no state was written yet"
        asked = self.config.optimiser
        self.record.close()
        raise RifeError(
            f"{'gradient' if wrong == 'norm' else wrong} ({values[wrong]}) must be finite, and is not at step {step}; "
            f"{kept}; lower optimiser.rate ({asked.rate:g}) or loss.distillation ({self.config.loss.distillation:g}), "
            f"raise optimiser.warm_up ({asked.warm_up}) or optimiser.decay ({asked.decay:g})"
        )

    def _tell(self, step: int, values: dict[str, float]) -> None:
        rate = rate_at(step - 1, self.config.run.steps, self.config.optimiser)
        elapsed = max(time.monotonic() - self._started, 1e-9)
        made = max(1, step - self._began)
        each = elapsed / made
        values |= {"rate": rate, "seconds per step": each, "waited": self.samples.waited / elapsed}
        self.record.numbers(step, "training", values)
        parts = "  ".join(f"{name} {values[name]:.4f}" for name in PARTS if values[name])
        left = spoken((self.config.run.steps - step) * each)
        self.record.say(
            f"step {step}/{self.config.run.steps}  {parts}  norm {values['norm']:.2f}  rate {rate:.2e}  "
            f"{1 / each:.2f} steps/s  waiting {100 * values['waited']:.0f}%  {left} left"
        )

    def _shown(self, batch: Batch, lesson: TrainingOutput) -> None:
        every = self.config.log.pictures
        if every and self.step % every == 0 and self.record.shows_pictures and lesson.picture is not None:
            self.record.pictures(self.step, batch, lesson)

    def _at_intervals(self) -> bool:
        config = self.config
        stop = False
        if is_due(self.step, config.validation) and self.step < config.run.steps:
            stop |= self._read(keep=0)
            self._validate()
        if self.step % config.save.every == 0:
            stop |= self._read(keep=0)
            self.save()
        if config.save.seconds and time.monotonic() - self._tried_to_carry >= config.save.seconds:
            self.carry()
        return stop

    def measured(self) -> tuple[list[Scores], list[BlockErrors]]:
        """Of the averaged weights, set by set; none where there is nothing to measure, or another process does. And
        what their blocks leave of the known motion.
        """
        with untried():
            scores = [each.scores(self.predict, self.device, self.pupil.module.modulus()) for each in self.held_out]
            return scores, self.block_errors()

    def keep(self, batches: Batches) -> None:
        """Of the newest step, for `block_errors`; where nothing is measured, none."""
        if self.held_out and isinstance(self.pupil.module, IFNetWithTeacher):
            self._newest = batches

    def _validate(self) -> None:
        scores, blocks = self.measured()
        if not scores:
            return
        self.best = max(self.best, scores[0].mean)
        names = ["", *(each.name for each in self.held_out[1:])]
        numbers = {
            key: value for name, each in zip(names, scores, strict=True) for key, value in each.numbers(name).items()
        }
        numbers |= {f"flow error {each.name}/{n}": left for each in blocks for n, left in enumerate(each.left)}
        self.record.numbers(self.step, "validation", numbers)
        self.record.say(f"step {self.step}  validation {validated(self.held_out, scores, self.best)}")
        if blocks:
            self.record.say(f"flow error after each block, of no flow's: {'; '.join(map(str, blocks))}")
        for unsound in (warning(scores[0].sizes), idle(blocks, self.step)):
            if unsound is not None:
                self.record.say(unsound)

    def _end(self) -> End:
        end: End = "done"
        if self.step < self.config.run.steps:
            end = "budget" if self._budget_is_used() and not self._asked_to_stop else "asked"
        words = {"done": "done", "budget": "the budget is used up", "asked": "asked to stop"}
        self.record.say(
            f"{words[end]} at step {self.step} of {self.config.run.steps}; {self.config.run.folder} holds all of it"
        )
        return end


def _part_names(config: Config) -> list[str]:
    """Of each part of a step, as "256x384", "256x384 enlarged"; a name that there is already has a number."""
    parts = [(config.data.crop, False), *((each.crop, each.enlarged) for each in config.data.also)]
    names: list[str] = []
    for (height, width), enlarged in parts:
        name = f"{height}x{width}{' enlarged' if enlarged else ''}"
        count = sum(each == name or each.startswith(f"{name} #") for each in names)
        names.append(f"{name} #{count + 1}" if count else name)
    return names
