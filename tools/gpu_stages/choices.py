"""The choices of vsrife.choices, each tried in turn: one frame alone, frames in flight, frames of the filter."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpu_stages.measured import device_of, made_engine, pace_of, seeded_model, sources_of
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from gpu_stages.transfers import filter_rate
from vsrife.bench.engine import rate_in_flight, working_on
from vsrife.bench.timing import timed
from vsrife.choices import choose, chosen
from vsrife.engine.backend.cuda import graphs

IN_FLIGHT = 8
FRAMES = 200
_MIB = 1 << 20

TRIED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "cuDNN's benchmark": {"cudnn_benchmark": True},
    "bands of 8 MB": {"gpu_band": 8 * _MIB},
    "bands of 16 MB": {"gpu_band": 16 * _MIB},
    "bands of 32 MB": {"gpu_band": 32 * _MIB},
    "bands of 128 MB": {"gpu_band": 128 * _MIB},
    "1 lane": {"lanes": 1},
    "2 lanes": {"lanes": 2},
    "3 lanes": {"lanes": 3},
    "pageable copies": {"pinned": False},
    "pinned staging": {"pinned": True},
}
"""By what they are called in the results."""

TRIED_QUICKLY: dict[str, dict[str, Any]] = {"another": {"cudnn_benchmark": True, "gpu_band": 8 * _MIB, "lanes": 1}}


def tried(told: Told, settings: Settings) -> None:
    """The figures with each of them."""
    before = chosen()
    with tempfile.TemporaryDirectory() as folder:
        model = seeded_model("seeded:4.26", Path(folder))
        for name, changes in (TRIED_QUICKLY if settings.quick else TRIED).items():
            choices = replace(before, **changes)
            if changes and choices == before:
                told.note(f"{name}: as it is")
                continue
            with told.part(name):
                choose(choices)
                try:
                    measure(told, settings, name, model)
                finally:
                    choose(before)
                    graphs.drop_all()


def measure(told: Told, settings: Settings, name: str, model: Path) -> None:
    """One frame alone, frames in flight, frames of the filter, under the choices that hold."""
    device = device_of(settings)
    with working_on(device) as held:
        engine = made_engine(model, settings)
        left, right = sources_of(engine, settings)
        seconds = timed(lambda: engine.new_frame(held, left, right), device, pace_of(settings)).median
    told.figure(f"{name}, one frame", 1e3 * seconds, "ms")
    planes, in_flight = right.planes, 2 if settings.quick else IN_FLIGHT
    jobs = in_flight if settings.quick else FRAMES
    rate = rate_in_flight(device, lambda: engine.fresh_frame(left, planes), in_flight, jobs)
    told.figure(f"{name}, engine+encode, {in_flight} in flight", rate, "fps")
    told.figure(f"{name}, filter", filter_rate(settings, model, sc=0), "new fps")


if __name__ == "__main__":
    sys.exit(main_of({"choices": tried}))
