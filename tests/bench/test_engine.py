"""The engine as it is measured."""

import threading

import pytest
import torch

from vsrife.bench import synthetic_input
from vsrife.bench.engine import Engine, rate_in_flight, working_on

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SIZE = (96, 64)


class TestEngine:
    def test_new_frames_and_their_rate(self, checkpoint):
        frames = synthetic_input.moving_frames(*SIZE, 2)
        with working_on(CPU) as held:
            engine = Engine(checkpoint, CPU, torch.float32, SIZE)
            left, right = (engine.encode(frame) for frame in frames)
            made = engine.new_frame(held, left, right)
            merged = engine.merged(held, left, right)
        assert engine.canvas == (64, 128)
        assert [plane.shape for plane in made] == [plane.shape for plane in frames[0]]
        assert merged.shape == (1, 3, 64, 128)
        before = threading.active_count()
        seen = []

        def job():
            engine.fresh_frame(left, frames[1])
            seen.append(threading.current_thread().name)

        assert rate_in_flight(CPU, job, 3, 7) > 0
        assert len(seen) == 3 + 7
        assert threading.active_count() == before
