"""Blocks' inputs by the C module against their definition in torch, forward and backward."""

import gc
import sys
import weakref

import pytest
import torch

from tests.network.small import ARCHITECTURES, OWN, frames
from vsrife.network.ifnet import IFNet
from vsrife.network.points import Frames, Level, flow_of, levels_of, mask_of
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training import gather
from vsrife.training.distributed import init_process_group
from vsrife.training.gather import Packed, resolve
from vsrife.training.loop import Trainer

CPU = torch.device("cpu")
CHOSEN, REASON = resolve(CPU, 4)

needed = pytest.mark.skipif(CHOSEN is not Packed, reason=REASON)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


@pytest.fixture
def shared_out(monkeypatch):
    """Each sample may have a thread of its own; whatever threads torch has in this process is put back."""
    monkeypatch.setattr(gather, "_LEAST", 1)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def leaf(*shape, far=1.0):
    return (torch.randn(shape) * far).requires_grad_()


def sources(batch, height, width, features):
    """What Frames hold: colours, features as an encoder gives them, times that differ."""
    rgb = torch.rand(2 * batch, 3, height, width)
    made = leaf(2 * batch, features, height, width) if features else None
    return {"rgb": rgb, "features": made, "time": torch.linspace(0.2, 0.9, batch).view(-1, 1, 1, 1)}


def level(batch, rows, columns, scale, *, far, hidden):
    flow, mask = leaf(batch, 4, rows, columns, far=far), leaf(batch, 1, rows, columns)
    return Level(flow=flow, mask=mask, hidden=leaf(batch, 8, rows, columns) if hidden else None, scale=scale)


def answers(kind, given, calls):
    """The inputs that are made one after the other, and the gradients of all leaves of one number made of them."""
    leaves = [given["features"], *(part for levels, *_ in calls for each in levels for part in _parts(each))]
    leaves = list({id(each): each for each in leaves if each is not None}.values())
    held = kind(**given)
    made = [
        held.input(levels, scale, dtype, adds_masks=adds, detached=detached)
        for levels, scale, dtype, adds, detached in calls
    ]
    total = sum((x.float() * torch.linspace(-3, 3, x.numel()).cos().view_as(x)).sum() for x in made)
    if not leaves:
        return made, []
    return made, list(torch.autograd.grad(total, leaves, allow_unused=True))


def _parts(each):
    return each.flow, each.mask, each.hidden


def same(ours, theirs, *, near=1e-5):
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is None:
            continue
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        most = 2**-8 if one.dtype is torch.bfloat16 else near
        torch.testing.assert_close(one, other, atol=20 * near * other.float().abs().mean().item() + 1e-6, rtol=most)


@needed
@pytest.mark.parametrize("far", [0.4, 6.0, 500.0])
@pytest.mark.parametrize("features", [0, 4, 6, 8, 16])
@pytest.mark.parametrize(
    ("scale", "cells", "factor"),
    [(1, (7, 5), 1), (1, (6, 10), 2), (2, (6, 10), 2), (4, (5, 3), 1), (4, (8, 12), 4), (16, (2, 4), 2)],
)
def test_an_input_and_its_gradients_are_those_of_the_definition(scale, cells, factor, features, far):
    rows, columns = cells
    given = sources(3, rows * scale, columns * scale, features)
    levels = [level(3, rows // factor, columns // factor, scale * factor, far=far, hidden=features != 8)]
    calls = [([], scale, torch.float32, False, False), (levels, scale, torch.float32, False, False)]
    (ours, our_gradients), (theirs, their_gradients) = answers(Packed, given, calls), answers(Frames, given, calls)
    same(ours, theirs)
    same(our_gradients, their_gradients, near=1e-4)
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in ours)
    assert all(x.isfinite().all() for x in (*ours, *(each for each in our_gradients if each is not None)))


@needed
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_several_blocks_add_up_their_gradients(batch, detached, adds):
    """Three levels, the coarsest four times as coarse as the next, as some networks have them."""
    given = sources(batch, 32, 48, 4)
    levels = [level(batch, 32 // scale, 48 // scale, scale, far=2.0, hidden=not adds) for scale in (16, 4, 2)]
    calls = [(levels[:end], scale, torch.float32, adds, detached) for end, scale in ((0, 16), (1, 4), (2, 2), (3, 1))]
    (ours, our_gradients), (theirs, their_gradients) = answers(Packed, given, calls), answers(Frames, given, calls)
    same(ours, theirs)
    same(our_gradients, their_gradients, near=1e-4)
    assert (our_gradients[1] is None) == detached


@needed
@pytest.mark.parametrize("columns", [5, 16, 35])
def test_bfloat16_is_the_rounded_float32(columns):
    given = sources(2, 6, columns, 4)
    levels = [level(2, 6, columns, 1, far=3.0, hidden=True)]
    whole, half = (
        answers(Packed, given, [(levels, 1, dtype, False, False)]) for dtype in (torch.float32, torch.bfloat16)
    )
    assert torch.equal(half[0][0], whole[0][0].bfloat16())
    same(half[1], answers(Frames, given, [(levels, 1, torch.bfloat16, False, False)])[1], near=2e-3)


@needed
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_changes_no_bit(shared_out, dtype):
    """Of so small a size that torch shares out nothing of its own."""
    given = sources(5, 12, 16, 4)
    levels = [level(5, 6, 8, 2, far=3.0, hidden=True)]
    calls = [([], 4, dtype, False, False), (levels, 1, dtype, False, False)]
    found = []
    for threads in (1, 2, 3, 1):
        shared_out(threads)
        found.append([each for part in answers(Packed, given, calls) for each in part])
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@needed
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_flow_that_is_no_number_reads_and_writes_nothing_beyond(value):
    """What is sampled then is within the frame; the flow's own channel shows that it is no number."""
    given = sources(1, 8, 8, 4)
    levels = [level(1, 8, 8, 1, far=1.0, hidden=True)]
    with torch.no_grad():
        levels[0].flow[0, :, 2, 3] = value
    (x,), gradients = answers(Packed, given, [(levels, 1, torch.float32, False, False)])
    assert x[:, :14].isfinite().all()
    torch.testing.assert_close(x[0, -4:, 2, 3], levels[0].flow[0, :, 2, 3], rtol=0, atol=0, equal_nan=True)
    assert all(each.isfinite().all() for each in gradients)


@needed
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("name", [*ARCHITECTURES, *OWN])
def test_the_gradients_of_a_network_are_those_of_the_definition(name, detached):
    architecture = (ARCHITECTURES | OWN)[name]
    net, side = IFNet(architecture), architecture.modulus(1.0)
    left, right = frames(2 * side, 3 * side, batch=2)
    found = []
    for kind in (Packed, Frames):
        levels = levels_of(net, kind.of(net, left, right, torch.tensor([0.25, 0.6])), detached=detached)
        flow, mask = flow_of(levels), mask_of(levels, adds_masks=architecture.adds_masks)
        net.zero_grad()
        ((flow * torch.linspace(-1, 1, flow.numel()).view_as(flow).sin()).mean() + mask.sigmoid().mean()).backward()
        gradients = {name: each.grad for name, each in net.named_parameters() if each.grad is not None}
        found.append((flow.detach(), mask.detach(), gradients))
    (ours, theirs) = found
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-5, rtol=1e-5)
    assert ours[2].keys() == theirs[2].keys()
    for key, value in theirs[2].items():
        assert (ours[2][key] - value).norm() <= 3e-3 * value.norm().clamp_min(1e-6), (
            key
        )  # sums of float32 in another order


@needed
@pytest.mark.parametrize("cells", [1, 2, 100])
def test_blocks_that_are_constants_pass_on_the_gradients_of_later_ones(cells):
    net, (left, right) = IFNet(ARCHITECTURES["J"]), frames(64, 128, batch=2)
    found = []
    for kind in (Packed, Frames):
        held = kind.of(net, left, right, 0.5)
        with torch.no_grad():
            held.input([], 16, torch.float32, adds_masks=False, detached=False)
        levels = levels_of(net, held, cells=cells)
        net.zero_grad()
        total = flow_of(levels).square().mean() + sum(each.square().mean() for each in net.encode(left))
        total.backward()
        found.append({name: each.grad for name, each in net.named_parameters() if each.grad is not None})
    assert found[0].keys() == found[1].keys()
    for key, value in found[1].items():
        assert (found[0][key] - value).norm() <= 3e-3 * value.norm().clamp_min(1e-6), (
            key
        )  # sums of float32 in another order


@needed
def test_memory_is_given_back_without_the_garbage_collector():
    given = sources(2, 8, 8, 4)
    held = Packed(**given)
    levels = [level(2, 8, 8, 1, far=1.0, hidden=True)]
    made = [held.input(part, 1, torch.float32, adds_masks=False, detached=False) for part in ([], levels)]
    memory = weakref.ref(held.memory)
    gc.disable()
    try:
        sum(x.sum() for x in made).backward()
        del held, made
        assert memory() is None
    finally:
        gc.enable()


@needed
def test_a_lesson_with_a_teacher_learns_features_by_both_ways():
    module = IFNetWithTeacher(IFNet(ARCHITECTURES["J"]))
    left, right = frames(64, 128, batch=2)
    found = []
    for kind in (Packed, Frames):
        module.frames = kind
        module.zero_grad()
        lesson = module(left, right, 0.5, (left + right) / 2)
        (lesson.picture.square().mean() + lesson.teacher.picture.square().mean()).backward()
        found.append({name: each.grad for name, each in module.named_parameters() if each.grad is not None})
    assert found[0].keys() == found[1].keys()
    for key, value in found[1].items():
        assert (found[0][key] - value).norm() <= 3e-3 * value.norm().clamp_min(1e-6), (
            key
        )  # sums of float32 in another order


@pytest.mark.parametrize(
    ("device", "features", "reason"),
    [
        ("cuda", 4, "it is for a CPU, not for cuda"),
        ("cpu", 65, "it is for 64 channels of features at most, not for 65"),
    ],
)
def test_what_it_is_not_for(device, features, reason):
    assert resolve(torch.device(device), features) == (Frames, reason)


@pytest.fixture
def without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "_vsrife_gather", None)
    gather._compiled.cache_clear()
    yield
    gather._compiled.cache_clear()


def test_a_build_without_the_module_trains_by_torch(without_it, make, capsys):
    kind, reason = resolve(CPU, 4)
    assert (kind, reason.startswith("this build has none (")) == (Frames, True)
    with pytest.raises(RuntimeError, match="this build has none"):
        Packed(**sources(1, 8, 8, 4))
    config = make("network.preset='4.26'", "network.widths=[8, 8, 8, 8, 8]", "network.contrast=0.0")
    trainer = Trainer(config, *init_process_group("cpu"))
    assert trainer.model.module.frames is Frames
    assert "the inputs of blocks are made by torch" in capsys.readouterr().out


@needed
def test_a_run_on_a_cpu_has_it(make):
    config = make("network.preset='4.26'", "network.widths=[8, 8, 8, 8, 8]", "network.contrast=0.0")
    assert Trainer(config, *init_process_group("cpu")).model.module.frames is Packed
