"""What a run tells: lines on the terminal, log.jsonl, and TensorBoard where it is installed."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.network.training_output import TrainingOutput

__all__ = ["Record", "flow_picture", "spoken"]

MOST_PICTURES = 4
"""Samples of a batch that are shown."""


def spoken(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Record:
    """Of one run, by the process that leads; all others have a silent one."""

    def __init__(self, folder: Path | None) -> None:
        """folder: of the run; None for a record that tells and writes nothing."""
        self._folder = folder
        self._board: Any = None
        if folder is None:
            return
        try:
            board = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            self.say(
                "TensorBoard is not installed: scalars go to log.jsonl, pictures nowhere; "
                "for them: python -m pip install tensorboard"
            )
        else:
            self._board = board.SummaryWriter(str(folder / "board"))

    @property
    def shows_pictures(self) -> bool:
        """Whether `pictures` would do anything."""
        return self._board is not None

    def say(self, line: str) -> None:
        """To whoever reads along."""
        if self._folder is not None:
            print(line, flush=True)

    def numbers(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Scalars of a step, under the heading `kind`."""
        if self._folder is None:
            return
        entry = {"step": step, "kind": kind, **values}
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    @torch.no_grad()
    def pictures(self, step: int, batch: Batch, lesson: TrainingOutput) -> None:
        """Prediction, truth, flow, mask and, where there is one, the teacher's picture and flow."""
        if self._board is None:
            return
        last = lesson.stages[-1]
        shown = {
            "prediction": lesson.answer,
            "truth": batch.truth,
            "flow": flow_picture(last.motion.flow[:, :2]),
            "mask": last.motion.mask,
        }
        if lesson.teacher is not None:
            shown |= {
                "teacher": lesson.teacher.picture,
                "teacher's flow": flow_picture(lesson.teacher.motion.flow[:, :2]),
            }
        for name, images in shown.items():
            row = torch.cat(tuple(images[:MOST_PICTURES].float().clamp(0, 1).cpu()), dim=2)
            self._board.add_image(name, row.expand(3, -1, -1), step)

    def close(self) -> None:
        """All that was told is written."""
        if self._board is not None:
            self._board.close()


def flow_picture(flow: Tensor) -> Tensor:
    """A flow [N, 2, H, W] as colours [N, 3, H, W]: direction as hue, length as strength, 1 at a sample's longest."""
    length = torch.linalg.vector_norm(flow, dim=1)
    strength = length / length.amax((1, 2), keepdim=True).clamp_min(1e-6)
    turn = torch.atan2(flow[:, 1], flow[:, 0]) / (2 * torch.pi)
    # A primary is full within a sixth of a turn of its own direction and gone a third of a turn away.
    away = [((turn - third / 3 + 0.5) % 1 - 0.5).abs() for third in range(3)]
    return torch.stack([1 - strength * (1 - (2 - 6 * each).clamp(0, 1)) for each in away], dim=1)
