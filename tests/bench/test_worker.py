"""Measurements in a process of their own."""

import pytest

from vsrife.bench import end_to_end, synthetic_input, worker
from vsrife.errors import RifeError

pytestmark = pytest.mark.slow


class TestWorker:
    def test_why_it_failed_is_one_line(self, tmp_path):
        with pytest.raises(RifeError, match=r"^RIFE: model \(.*gone\.pkl\) must be a file that exists") as failure:
            worker.in_own_process(
                "start", model=str(tmp_path / "gone.pkl"), device="cpu", precision="auto", frames=self.two(tmp_path)
            )
        assert "\n" not in str(failure.value)

    def two(self, folder):
        end_to_end.save(
            [[plane.numpy() for plane in frame] for frame in synthetic_input.moving_frames(64, 48, 2)], folder / "f.npz"
        )
        return str(folder / "f.npz")
