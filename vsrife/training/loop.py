"""The training loop: batches, forward and backward, optimiser step, validation, checkpoints and a clean end.

The same configuration, data, seed, software and number of processes give the same run, whether it is interrupted and
resumed or not: bit for bit on a CPU; on a GPU except for the order in which the backward passes of sampling and
resizing add up gradients, which CUDA does not define.
"""

import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.datasets.labels import digest_of
from vsrife.datasets.loader import MixedDataLoader
from vsrife.errors import RifeError
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.network.training_output import TrainingOutput
from vsrife.training.arithmetic import cudnn_benchmark_off, exact_arithmetic
from vsrife.training.block_errors import BlockErrors, idle
from vsrife.training.checkpointing import Checkpointer, prepare_folder
from vsrife.training.checks import check
from vsrife.training.config import Config
from vsrife.training.cuda_graph import Batches, ForwardBackward, GraphedStep
from vsrife.training.distributed import ProcessGroup
from vsrife.training.flow_growth import warning
from vsrife.training.gather import resolve
from vsrife.training.metrics import PendingMetrics, check_finite, training_line
from vsrife.training.model import build_model
from vsrife.training.objective import objective
from vsrife.training.optimiser import rate_at
from vsrife.training.run_log import RunLog
from vsrife.training.signals import signals
from vsrife.training.sources import closing_sources, make_loader, make_sources, spec_names
from vsrife.training.time_limit import steps_within
from vsrife.training.train_state import TrainState
from vsrife.training.validation import Prediction, Scores, held_out_sets, is_due, validation_line

__all__ = ["End", "Trainer"]

End = Literal["done", "budget", "interrupted"]
"""Why a run ended: all steps are made, its time budget is used up, or it was interrupted (Ctrl-C, SIGTERM, `until`)."""

_DTYPES: Final = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class Trainer:
    """A run, ready for its first step or, if its folder has a checkpoint, for the next one."""

    def __init__(self, config: Config, group: ProcessGroup, device: torch.device) -> None:
        """Read all data and check everything that can be checked. Raises RifeError if anything is wrong."""
        self._created = time.monotonic()
        self.config, self.group, self.device = config, group, device
        if config.run.time_limit:
            self._set_steps(0)
        exact_arithmetic(device)
        torch.manual_seed(config.run.seed)
        self.model = build_model(config.network)
        check(config, self.model, group)
        self.state = TrainState(self.model, device, _DTYPES[config.run.precision], config.optimiser)
        self.params, self.optimiser = self.state.params, self.state.optimiser
        prepare_folder(config, group)
        self.log = RunLog(config.run.folder if group.is_main else None)
        self._choose_frames()
        self.checkpoints = Checkpointer(self.state, group, self.log, digest_of(config.data.labels))
        self._resume()
        self.sources = make_sources(config, device, group, self.log.line)
        self.loader = self._make_loader()
        self._blocks = (None, *(each.blocks or None for each in config.data.also))
        self._every_block = len(self.model.architecture.widths)
        self._spec_names = spec_names(config)
        self._phase: tuple[bool, ForwardBackward] | None = None
        self.held_out = held_out_sets(config) if group.is_main else ()
        self._metrics = PendingMetrics()
        self._newest: Batches | None = None
        self._stop_requested = False
        self._first_step = self.step
        self._started = time.monotonic()

    @property
    def step(self) -> int:
        """The number of steps that were made."""
        return self.state.step

    def run(self, until: int | None = None) -> End:
        """Train until all steps are made, the budget is used up or a signal comes, then save. Raises RifeError on NaN.

        until: stop after so many steps as if interrupted.
        """
        if self.config.run.time_limit and not self.step:
            self._set_steps_from_time_limit()
        self._started = time.monotonic()
        self.checkpoints.begin()
        self._first_step = self.step
        self._log_start()
        if not self.checkpoints.is_written:
            self.save()
        last = min(self.config.run.steps, until or self.config.run.steps)
        stopped = False
        batches = iter(self.loader)
        with (
            signals(self.request_stop),
            closing_sources(self.sources),
            contextlib.closing(batches),  # type: ignore[type-var]
        ):
            while self.step < last and not stopped:
                current = next(batches)
                self.remember_batches(current)
                lesson = self.train_step(current)
                self._log_images(current[0], lesson)
                del lesson
                # Metrics are read a step late, so that the device always has work queued.
                stopped = self._read_metrics(keep=1)
                stopped |= self._at_intervals()
        self._read_metrics(keep=0)
        if self.step == self.config.run.steps:
            self._validate()
        self.save()
        self.write_compact()
        self.log.close()
        return self._end()

    def train_step(self, batches: Batches) -> TrainingOutput:
        """Make one step; its metrics are read later. Returns the output for the first batch."""
        self.model.module.train()
        lesson, parts = self.forward_backward(batches)
        rate = rate_at(self.step, self.config.run.steps, self.config.optimiser)
        stop = torch.full_like(parts[:1], float(self._stop_requested or self._budget_is_used()))
        metrics = torch.cat((parts, stop))
        gradient = self.params.flat.grad
        assert gradient is not None
        self.group.all_reduce_mean(gradient, metrics)
        norm = self.optimiser.step(rate)
        self._metrics.add(self.step, torch.cat((metrics[:-1], norm[None], metrics[-1:])))
        return lesson

    def forward_backward(self, batches: Batches) -> tuple[TrainingOutput, Tensor]:
        """Run forward and backward; gradients land in `params.flat.grad`. Returns the output for the first batch and
        the PARTS of the loss, without gradients.

        With a CUDA graph the returned tensors are overwritten by the next call.
        """
        flow_only = self.step < round(self.config.loss.flow_first * self.config.run.steps)
        if self._phase is None or self._phase[0] != flow_only:
            self._phase = None  # free the graph of the previous phase before another one is captured
            self._phase = flow_only, self._forward_backward_of(flow_only)
        return self._phase[1](batches)

    def forward_backward_eager(self, batches: Batches, *, flow_only: bool = False) -> tuple[TrainingOutput, Tensor]:
        """As `forward_backward`, without a CUDA graph. The total loss is the sum over the batches, the other parts are
        those of the first batch.
        """
        first: tuple[TrainingOutput, Tensor] | None = None
        losses = []
        module = self.params.cast()
        for batch, blocks in zip(batches, self._blocks, strict=True):
            lesson = self._forward(module, batch, self._every_block if flow_only and blocks is None else blocks)
            parts = objective(lesson, batch, self.config.loss, flow_only=flow_only)
            losses.append(parts[0])
            first = first or (lesson, parts.detach())
        assert first is not None
        total = torch.stack(losses).sum()
        # One backward pass for all batches, so that the gradient of the flat tensor is accumulated once.
        total.backward()  # type: ignore[no-untyped-call]
        lesson, parts = first
        return lesson, torch.cat((total.detach()[None], parts[1:]))

    def _forward(self, module: Callable[..., TrainingOutput], batch: Batch, blocks: int | None) -> TrainingOutput:
        t = batch.t if self.model.any_time else 0.5
        if blocks is None:
            return module(batch.left, batch.right, t, self.model.seen_by_teacher(batch.truth))
        return module(batch.left, batch.right, t, blocks=blocks)

    def discard_metrics(self) -> None:
        """Drop the metrics of steps that were not read."""
        self._metrics.discard()

    def predict(self, left: Tensor, right: Tensor, t: float) -> Prediction:
        """The frame at time t by the averaged weights, float32 [N, 3, H, W], with its flow."""
        self.model.module.eval()
        with torch.inference_mode():
            lesson: TrainingOutput = self.params.call_with(self.optimiser.ema, left, right, t)
        motion = lesson.stages[-1].motion
        # The paper's networks add a residual to the warped frames, so their frame is not given by flow and mask.
        has_residual = not isinstance(self.model.module, IFNetWithTeacher)
        return Prediction(lesson.answer, motion.flow, None if has_residual else motion.mask)

    def block_errors(self) -> list[BlockErrors]:
        """The flow error of each block of the averaged weights, on the batches of the newest step whose flow is known.

        Empty for networks whose blocks output full resolution.
        """
        module, count = self.model.module, len(self.model.architecture.widths)
        if not isinstance(module, IFNetWithTeacher) or self._newest is None:
            return []
        module.eval()
        found = []
        for name, batch, blocks in zip(self._spec_names, self._newest, self._blocks, strict=True):
            t = batch.t if self.model.any_time else 0.5
            with torch.no_grad():
                lesson: TrainingOutput = self.params.call_with(
                    self.optimiser.ema, batch.left, batch.right, t, blocks=blocks or count
                )
            height, width = batch.left.shape[-2:]
            first = module.first_trained_block((height, width))
            errors = BlockErrors.of(lesson.levels, batch.flow, batch.visible * batch.known, name=name, first=first)
            if errors is not None and errors.taught:
                found.append(errors)
        return found

    def save(self) -> None:
        """Write the exact checkpoint and the exported weights of this step, unless they are written already."""
        self.checkpoints.save(self.config)

    def write_checkpoint(self) -> None:
        """Write the exact checkpoint and the exported weights of this step."""
        self.checkpoints.write(self.config)

    def write_compact(self) -> None:
        """Write the compact checkpoint; a line of the log has its size, or why there is none."""
        self.checkpoints.write_compact(self.config)

    def synchronize(self) -> None:
        """Wait for all work that is queued on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def request_stop(self) -> bool:
        """Save and end after this step. Returns whether this was requested before."""
        before, self._stop_requested = self._stop_requested, True
        return before

    def evaluate(self) -> tuple[list[Scores], list[BlockErrors]]:
        """The scores of the averaged weights on each validation set, and their `block_errors`.

        Both are empty if there is no validation set or another process evaluates.
        """
        with cudnn_benchmark_off():
            scores = [each.scores(self.predict, self.device, self.model.module.modulus()) for each in self.held_out]
            return scores, self.block_errors()

    def remember_batches(self, batches: Batches) -> None:
        """Keep the batches of the newest step for `block_errors`, if there is a validation."""
        if self.held_out and isinstance(self.model.module, IFNetWithTeacher):
            self._newest = batches

    def _resume(self) -> None:
        self.config = self.checkpoints.restore(self.config)

    def _choose_frames(self) -> None:
        module = self.model.module
        if not isinstance(module, IFNetWithTeacher):
            return
        module.frames, reason = resolve(self.device, module.network.architecture.features)
        if reason and self.device.type == "cpu":
            self.log.line(f"the inputs of blocks are made by torch, which is slower than the C module: {reason}")

    def _make_loader(self) -> MixedDataLoader:
        return make_loader(self.config, self.sources, self.device, self.group, self.step)

    def _can_be_graph(self) -> bool:
        """Whether forward and backward may be captured; not with buffers of batch normalisation, which also the passes
        before the capture would change.
        """
        wanted = self.config.run.graph == "auto" and self.device.type == "cuda"
        return wanted and not any(True for _ in self.model.module.buffers())

    def _forward_backward_of(self, flow_only: bool) -> ForwardBackward:
        eager = functools.partial(self.forward_backward_eager, flow_only=flow_only)
        return GraphedStep(eager, self.params.flat, self.log.line) if self._can_be_graph() else eager

    def _set_steps_from_time_limit(self) -> None:
        self._set_steps(steps_within(self, self.config.run.time_limit - (time.monotonic() - self._created)))
        # Begin with the first batch again; with another number of steps the phases of the mix begin elsewhere.
        self.loader = self._make_loader()

    def _set_steps(self, steps: int) -> None:
        self.config = replace(self.config, run=replace(self.config.run, steps=steps))

    def _log_start(self) -> None:
        trained = sum(each.numel() for each in self.model.module.parameters() if each.requires_grad)
        processes = f", {self.group.world_size} processes" if self.group.world_size > 1 else ""
        self.log.line(
            f"{self.config.network.description}: {trained / 1e6:.2f} M parameters, {self.config.run.precision}, "
            f"{self.device}{processes}; steps {self.step} to {self.config.run.steps} of {self._batch_sizes()} samples"
        )
        for each in self.held_out:
            self.log.line(f"validation: {each.name}, {len(each)} pairs, plain average {each.average.mean:.2f} dB")

    def _batch_sizes(self) -> str:
        counts = (self.config.run.batch, *(each.batch for each in self.config.data.also))
        if len(counts) == 1:
            return str(counts[0])
        return ", ".join(f"{count} of {name}" for count, name in zip(counts, self._spec_names, strict=True))

    def _budget_is_used(self) -> bool:
        budget = self.config.run.budget
        return bool(budget) and time.monotonic() - self._created >= budget

    def _read_metrics(self, *, keep: int) -> bool:
        """Check and log the metrics of all steps but the newest `keep`. Returns whether one of them requests a stop."""
        stop = False
        for step, values in self._metrics.read(keep=keep):
            try:
                check_finite(step, values, self.config)
            except RifeError:
                self.log.close()
                raise
            stop |= values.pop("stop") > 0
            if step % self.config.log.every == 0 or step == self.config.run.steps:
                self._log_metrics(step, values)
        return stop

    def _log_metrics(self, step: int, values: dict[str, float]) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        values |= {
            "rate": rate_at(step - 1, self.config.run.steps, self.config.optimiser),
            "seconds per step": elapsed / max(1, step - self._first_step),
            "waited": self.loader.waited / elapsed,
        }
        self.log.scalars(step, "training", values)
        self.log.line(training_line(step, self.config.run.steps, values))

    def _log_images(self, batch: Batch, lesson: TrainingOutput) -> None:
        every = self.config.log.pictures
        if every and self.step % every == 0 and self.log.has_images and lesson.picture is not None:
            self.log.images(self.step, batch, lesson)

    def _at_intervals(self) -> bool:
        """What is due after this step: validation, checkpoints. Returns whether a metric requests a stop."""
        config = self.config
        stop = False
        if is_due(self.step, config.validation) and self.step < config.run.steps:
            stop |= self._read_metrics(keep=0)
            self._validate()
        if self.step % config.save.every == 0:
            stop |= self._read_metrics(keep=0)
            self.save()
        if self.checkpoints.compact_is_due(config):
            self.write_compact()
        return stop

    def _validate(self) -> None:
        scores, blocks = self.evaluate()
        if not scores:
            return
        self.state.best = max(self.state.best, scores[0].mean)
        names = ["", *(each.name for each in self.held_out[1:])]
        values = {
            key: value for name, each in zip(names, scores, strict=True) for key, value in each.scalars(name).items()
        }
        values |= {f"flow error {each.name}/{n}": left for each in blocks for n, left in enumerate(each.left)}
        self.log.scalars(self.step, "validation", values)
        self.log.line(f"step {self.step}  validation {validation_line(self.held_out, scores, self.state.best)}")
        if blocks:
            self.log.line(f"flow error after each block, relative to no flow: {'; '.join(map(str, blocks))}")
        for problem in (warning(scores[0].sizes), idle(blocks, self.step)):
            if problem is not None:
                self.log.line(problem)

    def _end(self) -> End:
        end: End = "done"
        if self.step < self.config.run.steps:
            end = "budget" if self._budget_is_used() and not self._stop_requested else "interrupted"
        words = {"done": "done", "budget": "the budget is used up", "interrupted": "interrupted"}
        self.log.line(
            f"{words[end]} at step {self.step} of {self.config.run.steps}; everything is saved in "
            f"{self.config.run.folder}"
        )
        return end
