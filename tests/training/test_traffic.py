import torch

from vsrife.training.traffic import counted

A, B = torch.rand(100, 100), torch.rand(100, 100)
WHOLE = A.numel() * 4


def test_each_operand_and_result_counts_once():
    found = counted(lambda: A + B)
    assert (found.launches, found.bytes) == (1, 3 * WHOLE)
    found = counted(lambda: A.clone().add_(B))
    assert (found.launches, found.bytes) == (2, 4 * WHOLE)


def test_views_and_memory_cost_nothing():
    found = counted(lambda: (A[10:].T, A.view(-1)[::2], torch.empty(1000), A.detach()))
    assert (found.launches, found.bytes) == (0, 0)


def test_what_is_expanded_is_read_once():
    row = torch.rand(1, 100)
    assert counted(lambda: A * row.expand(100, 100)).bytes == 2 * WHOLE + 400


def test_backward_counts_too():
    leaf = torch.rand(100, 100, requires_grad=True)
    alone = counted(lambda: (leaf * B).sum())
    both = counted(lambda: (leaf * B).sum().backward())
    assert both.launches > alone.launches
    assert both.bytes > alone.bytes
