"""The frames and the seeded networks that are measured."""

import pytest
import torch

from vsrife.bench import synthetic_input

pytestmark = pytest.mark.slow


class TestScenery:
    def test_frames_are_the_same_every_time_and_move(self):
        frames, again = (synthetic_input.moving_frames(160, 90, 3) for _ in range(2))
        assert all(
            torch.equal(a, b) for one, two in zip(frames, again, strict=True) for a, b in zip(one, two, strict=True)
        )
        for luma, blue, red in frames:
            assert (luma.shape, blue.shape, red.shape) == ((90, 160), (45, 80), (45, 80))
            assert luma.dtype == blue.dtype == torch.uint8
            assert 16 <= luma.min() < 60 < 180 < luma.max() <= 235
        right, down = synthetic_input.STEP
        before, after = (frame[0].float() for frame in frames[:2])
        corner = slice(down, 30), slice(right, 60)
        shifted = slice(0, 30 - down), slice(0, 60 - right)
        assert torch.equal(after[corner], before[shifted])
        assert not torch.equal(after, before)

    @pytest.mark.parametrize("name", synthetic_input.ARCHITECTURES)
    def test_seeded_flow_is_smooth_and_some_pixels_long(self, name):
        net = synthetic_input.seeded_network(synthetic_input.ARCHITECTURES[name])
        planes = synthetic_input.moving_frames(256, 192, 2)
        frames = [luma.float().div(255).expand(1, 3, -1, -1).contiguous() for luma, _, _ in planes]
        with torch.inference_mode():
            motion = net(*frames, *(net.encode(frame) for frame in frames), 0.5)
        flow = motion.flow[0].view(2, 2, 192, 256)
        length = flow.norm(dim=1)
        assert 5 < length.median() < 20
        assert length.max() < 40
        assert (flow[..., 1:] - flow[..., :-1]).abs().mean() < 0.5
        assert flow.std((2, 3)).min() > 0.2, "it must depend on the picture"
        assert 0.01 < motion.mask.std() < 0.45
