"""The whole filter as it is measured."""

import pytest

from vsrife.bench import end_to_end, synthetic_input
from vsrife.errors import RifeError

pytestmark = pytest.mark.slow
SIZE = (96, 64)


class TestWholeFilter:
    def frames(self, count=4):
        return [[plane.numpy() for plane in frame] for frame in synthetic_input.moving_frames(*SIZE, count)]

    def test_clips_go_to_and_fro(self, tmp_path):
        end_to_end.save(self.frames(), tmp_path / "frames.npz")
        frames = end_to_end.load(tmp_path / "frames.npz")
        clip = end_to_end.looped(frames, 9)
        assert (clip.num_frames, clip.format.name, clip.width, clip.height) == (9, "YUV420P8", *SIZE)
        shown = [bytes(clip.get_frame(n)[0]) for n in range(9)]
        drawn = [frame[0].tobytes() for frame in frames]
        assert shown == [drawn[n] for n in (0, 1, 2, 3, 2, 1, 0, 1, 2)]

    def test_rate_and_first_frame(self, checkpoint):
        call = {"model": str(checkpoint), "device": "cpu"}
        clip = end_to_end.looped(self.frames(), 7)
        finished = []
        rate = end_to_end.new_frames_a_second(
            clip, in_flight=2, finish=lambda: finished.append(1), resident=False, **call
        )
        assert rate > 0
        assert finished == [1]
        assert 0 < end_to_end.first_frame(clip, **call) < 60

    def test_frames_that_are_no_new_ones_are_no_figure(self, checkpoint):
        still = end_to_end.looped(self.frames(1) * 3, 5)
        call = {"model": str(checkpoint), "device": "cpu"}
        with pytest.raises(RifeError, match="only copies"):
            end_to_end.new_frames_a_second(still, in_flight=1, finish=lambda: None, resident=False, **call)
        with pytest.raises(RifeError, match=r"a copy \(duplicate\)"):
            end_to_end.first_frame(still, **call)

    def test_a_host_clip_is_no_gpu_clip(self, checkpoint):
        with pytest.raises(RifeError, match="host's memory"):
            end_to_end.new_frames_a_second(
                end_to_end.looped(self.frames(), 5),
                in_flight=1,
                finish=lambda: None,
                resident=True,
                model=str(checkpoint),
            )
