"""What the measuring stages share: an engine with seeded weights, its sources, how long a call takes."""

from collections.abc import Callable
from pathlib import Path

import torch

from gpu_stages.settings import Settings
from vsrife.bench.cases import resolve_model
from vsrife.bench.engine import Engine, Source
from vsrife.bench.synthetic_input import moving_frames
from vsrife.bench.timing import QUICK, Pace
from vsrife.cuda import captured, own_stream
from vsrife.engine.device import resolve_device, resolve_precision

__all__ = ["device_of", "made_engine", "pace_of", "precision_of", "repeated", "seeded_model", "sources_of"]

_PACE = Pace(warm_up=0.2, sample=0.02, rounds=15, least=3, budget=3.0, runs=3)


def pace_of(settings: Settings) -> Pace:
    """A few tenths of a second for each figure."""
    return QUICK if settings.quick else _PACE


def device_of(settings: Settings) -> torch.device:
    """With its index, as the filter has it: streams and graphs are kept by device."""
    return resolve_device(settings.device)


def seeded_model(name: str, folder: Path) -> Path:
    """The checkpoint of "seeded:4.26" or "seeded:4.6", written into ``folder``."""
    return resolve_model(name, folder).path


def precision_of(settings: Settings) -> torch.dtype:
    """What the filter takes by itself on a GPU; on a CPU float32."""
    return torch.float32 if settings.device == "cpu" else resolve_precision("auto", device_of(settings))


def made_engine(model: Path, settings: Settings) -> Engine:
    """The engine for frames of the settings' size."""
    return Engine(model, device_of(settings), precision_of(settings), settings.size)


def sources_of(engine: Engine, settings: Settings) -> tuple[Source, Source]:
    """Two frames, encoded, on the device. Inside `working_on`."""
    frames = moving_frames(*settings.size, 2)
    left, right = (engine.encode(tuple(plane.to(engine.device) for plane in frame)) for frame in frames)
    return left, right


def repeated(call: Callable[[], object], device: torch.device, count: int) -> Callable[[], object]:
    """A call that does ``call`` ``count`` times: on CUDA from a graph, without the host's part in the launches.

    The call must have no first-time work left but what its first run here does, and must allocate the same each time.
    """

    def all_of_them() -> None:
        for _ in range(count):
            call()

    if device.type != "cuda":
        return all_of_them
    stream = own_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize(device)
    replay, _ = captured(all_of_them, stream)
    return replay
