"""The log of a run: lines on the terminal, log.jsonl, and TensorBoard if it is installed."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.network.training_output import TrainingOutput

__all__ = ["RunLog", "flow_image", "format_duration"]

MOST_IMAGES = 4
"""Samples of a batch that are shown."""


def format_duration(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class RunLog:
    """The log of the main process; the other processes have one without a folder, which does nothing."""

    def __init__(self, folder: Path | None) -> None:
        """folder: of the run; None for a log that does nothing."""
        self._folder = folder
        self._board: Any = None
        if folder is None:
            return
        try:
            board = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            self.line(
                "TensorBoard is not installed: scalars are written to log.jsonl, images are not written; "
                "to see them: python -m pip install tensorboard"
            )
        else:
            self._board = board.SummaryWriter(str(folder / "board"))

    @property
    def has_images(self) -> bool:
        """Whether `images` writes anything."""
        return self._board is not None

    def line(self, line: str) -> None:
        """Print a line to the terminal."""
        if self._folder is not None:
            print(line, flush=True)

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Write the scalars of a step. kind: "training" or "validation"."""
        if self._folder is None:
            return
        entry = {"step": step, "kind": kind, **values}
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    @torch.no_grad()
    def images(self, step: int, batch: Batch, lesson: TrainingOutput) -> None:
        """Write prediction, true frame, flow and mask, and the teacher's prediction and flow if there is a teacher."""
        if self._board is None:
            return
        last = lesson.stages[-1]
        shown = {
            "prediction": lesson.answer,
            "truth": batch.truth,
            "flow": flow_image(last.motion.flow[:, :2]),
            "mask": last.motion.mask,
        }
        if lesson.teacher is not None:
            shown |= {
                "teacher": lesson.teacher.picture,
                "teacher's flow": flow_image(lesson.teacher.motion.flow[:, :2]),
            }
        for name, images in shown.items():
            row = torch.cat(tuple(images[:MOST_IMAGES].float().clamp(0, 1).cpu()), dim=2)
            self._board.add_image(name, row.expand(3, -1, -1), step)

    def close(self) -> None:
        """Finish writing."""
        if self._board is not None:
            self._board.close()


def flow_image(flow: Tensor) -> Tensor:
    """A flow [N, 2, H, W] as colours [N, 3, H, W]: direction as hue, length as saturation, 1 at the longest."""
    length = torch.linalg.vector_norm(flow, dim=1)
    saturation = length / length.amax((1, 2), keepdim=True).clamp_min(1e-6)
    turn = torch.atan2(flow[:, 1], flow[:, 0]) / (2 * torch.pi)
    # A primary is 1 within a sixth of a turn of its own direction and 0 from a third of a turn on.
    away = [((turn - third / 3 + 0.5) % 1 - 0.5).abs() for third in range(3)]
    return torch.stack([1 - saturation * (1 - (2 - 6 * each).clamp(0, 1)) for each in away], dim=1)
