"""Planes between host and GPU, from pageable and from pinned memory; and the filter with and without its detector."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gpu_stages.measured import device_of, pace_of, seeded_model
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from vsrife.bench import end_to_end
from vsrife.bench.engine import rate_in_flight
from vsrife.bench.synthetic_input import moving_frames
from vsrife.bench.timing import finish, timed
from vsrife.engine.transfer import host

DRAWN = 4
THREADS = 6
"""That copy at a time: as many frames as the engine lets be on their way."""

FRAMES = 300
IN_FLIGHT = 8


def copies(told: Told, settings: Settings) -> None:
    """Milliseconds that all planes of a frame (YUV420P8) take, one frame after another and from several threads."""
    device = device_of(settings)
    pageable = moving_frames(*settings.size, 1)[0]
    pinned = [_pinned(plane, device) for plane in pageable]
    there = [plane.to(device) for plane in pageable]
    size = sum(plane.nbytes for plane in pageable)

    def up(planes: Sequence[Tensor]) -> list[Tensor]:
        return [plane.to(device, non_blocking=True) for plane in planes]

    def down(planes: Sequence[Tensor]) -> None:
        for plane, target in zip(there, planes, strict=True):
            target.copy_(plane, non_blocking=True)

    def stage() -> None:
        for plane, target in zip(pageable, pinned, strict=True):
            target.copy_(plane)

    def from_pageable() -> None:
        held = [host.upload(plane, device) for plane in pageable]
        host.finish(device)
        del held

    def to_pageable() -> None:
        host.download(there, pageable)
        host.finish(device)

    for name, call in {
        "pageable, up": from_pageable,
        "pageable, down": to_pageable,
        "pinned, up": lambda: up(pinned),
        "pinned, down": lambda: down(pinned),
        "pageable to pinned on the CPU": stage,
    }.items():
        with told.part(name):
            seconds = timed(call, device, pace_of(settings)).median
            told.figure(name, 1e3 * seconds, f"ms, {size / seconds / 1e9:.3g} GB/s")
    threads, jobs = (2, 4) if settings.quick else (THREADS, 40 * THREADS)
    for name, call in {
        "pageable, up": from_pageable,
        "pinned, up": lambda: up(pinned),
    }.items():
        with told.part(f"{name}, threads"):
            rate = rate_in_flight(device, _on_stream(call, device), threads, jobs)
            told.figure(f"{name}, {threads} threads", 1e3 / rate, f"ms, {rate * size / 1e9:.3g} GB/s in all")
    told.note(f"a frame has {size} bytes in {len(pageable)} planes")


def _pinned(plane: Tensor, device: torch.device) -> Tensor:
    return plane.pin_memory() if device.type == "cuda" else plane.clone()


def _on_stream(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """``call`` on a stream of its own, waited for, as a thread that computes a frame does it."""

    def on_stream() -> None:
        if device.type != "cuda":
            call()
            return
        with torch.cuda.stream(torch.cuda.Stream(device)):  # type: ignore[no-untyped-call]
            held = call()
            host.finish(device)
            del held

    return on_stream


def filters(told: Told, settings: Settings) -> None:
    """New frames a second of core.rife.RIFE on host frames."""
    with tempfile.TemporaryDirectory() as folder:
        model = seeded_model("seeded:4.26", Path(folder))
        for name, options in {"sc=0, skip=0": {"skip": 0}, "sc=0": {}, "sc=1": {"sc": 1}}.items():
            with told.part(name):
                told.figure(f"filter, {name}", filter_rate(settings, model, **{"sc": 0, **options}), "new fps")


def filter_rate(settings: Settings, model: Path, **options: int) -> float:
    """New frames a second of the filter on host frames (YUV420P8) of the settings' size, the better of two runs."""
    frames = [[plane.numpy() for plane in frame] for frame in moving_frames(*settings.size, DRAWN)]
    device, in_flight = device_of(settings), 2 if settings.quick else IN_FLIGHT
    clip = end_to_end.looped(frames, in_flight + 1 + (2 if settings.quick else FRAMES))
    rates = [
        end_to_end.new_frames_a_second(
            clip,
            in_flight=in_flight,
            finish=lambda: finish(device),
            resident=False,
            model=str(model),
            device=settings.device,
            **options,
        )
        for _ in range(1 if settings.quick else 2)
    ]
    return max(rates)


if __name__ == "__main__":
    sys.exit(main_of({"copies": copies, "filters": filters}))
