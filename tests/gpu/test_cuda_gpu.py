"""Streams of our own and captures that fail, on a GPU."""

import pytest
import torch

from vsrife.cuda import captured, own_stream


def test_nobody_else_gets_a_stream_of_ours(cuda, cupy):
    ours = {own_stream(cuda).cuda_stream for _ in range(4)}
    others = {torch.cuda.Stream(cuda, priority=priority).cuda_stream for priority in (0, -1) for _ in range(64)}
    assert len(ours) == 4
    assert not ours & others


def test_a_stream_of_ours_is_known_to_torch(cuda, cupy):
    stream = own_stream(cuda)
    with torch.cuda.stream(stream):
        assert torch.cuda.current_stream(cuda) == stream
        made = torch.ones(1 << 20, device=cuda).cumsum(0)
    torch.cuda.current_stream(cuda).wait_stream(stream)
    made.record_stream(torch.cuda.current_stream(cuda))
    assert int(made[-1]) == 1 << 20


def active_bytes(cuda):
    """Of blocks that are in use, or that are freed but still waited for."""
    torch.cuda.synchronize(cuda)
    torch.cuda.empty_cache()
    return torch.cuda.memory_stats(cuda)["active_bytes.all.current"]


def test_a_capture_that_fails_leaves_the_allocator_as_it_was(cuda, cupy):
    stream, default = own_stream(cuda), torch.cuda.current_stream(cuda)
    before = active_bytes(cuda)

    def asks():
        return torch.ones(1 << 20, device=cuda).sum().item()

    for _ in range(3):
        with pytest.raises(RuntimeError):
            captured(asks, stream)
        assert torch.cuda.current_stream(cuda) == default
        block = torch.ones(1 << 20, device=cuda)
        block.record_stream(stream)  # while a capture goes on, such a block is not given back
        del block
        assert active_bytes(cuda) == before
    replay, answer = captured(lambda: torch.ones(8, device=cuda) * 2, stream)
    replay()
    assert answer.sum().item() == 16
