"""Frames of one process under the engine's choices: `python -m gpu_stages.frames SETTINGS NAME CHOICES MODEL`."""

import json
import sys
from pathlib import Path

from gpu_stages.engine_choices import choose
from gpu_stages.settings import Settings
from gpu_stages.told import Told

IN_FLIGHT = 8
FRAMES = 200


def main() -> int:
    """Print the figures of this process under NAME."""
    settings, name, model = Settings.of_argument(sys.argv[1]), sys.argv[2], Path(sys.argv[4])
    choose(**json.loads(sys.argv[3]))
    measure(Told(), settings, name, model)
    return 0


def measure(told: Told, settings: Settings, name: str, model: Path) -> None:
    """One frame alone, frames in flight, frames of the filter."""
    # Here and not above: the choices come first.
    from gpu_stages.measured import device_of, made_engine, pace_of, sources_of
    from gpu_stages.transfers import filter_rate
    from vsrife.cli.bench.engine import rate_in_flight, working_on
    from vsrife.cli.bench.timing import timed

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
    sys.exit(main())
