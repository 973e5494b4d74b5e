import pytest
import torch

from vsrife.training.config import Network, Optimiser
from vsrife.training.networks import build_pupil
from vsrife.training.optimiser import BETAS, Descent, rate_at
from vsrife.training.weights import ALIGNMENT, Weights

CPU = torch.device("cpu")


def small(**changes) -> Network:
    return Network(**{"preset": "4.22.lite", "widths": (12, 8, 8, 4), "head_width": 4, **changes})


def pair(height=64, width=96, batch=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand((batch, 3, height, width), generator=generator) for _ in range(3)]


def gradients(pupil) -> dict[str, torch.Tensor]:
    return {name: each.grad.clone() for name, each in pupil.module.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("preset", ["4.22.lite", "RIFE-m"])
def test_in_float32_it_is_the_module_itself(preset):
    asked = small() if preset != "RIFE-m" else Network(preset=preset, widths=(12, 8, 8), context=4)
    torch.manual_seed(1)
    plain = build_pupil(asked)
    torch.manual_seed(1)
    pupil = build_pupil(asked)
    weights = Weights(pupil.module, CPU, torch.float32)
    left, right, truth = pair()
    t = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1)
    expected = plain.module(left, right, t, truth)
    got = weights(left, right, t, truth)
    torch.testing.assert_close(got.picture, expected.picture, rtol=0, atol=1e-5)
    for lesson in (expected, got):
        (lesson.picture.square().mean() + lesson.teacher.picture.mean()).backward()
    mine = weights.views(weights.row.grad)
    for name, theirs in gradients(plain).items():
        torch.testing.assert_close(mine[name], theirs, rtol=1e-3, atol=1e-6)


def test_in_bfloat16_it_is_the_module_with_such_weights():
    """Casts where the network casts, and nowhere else: what is trained is what runs."""
    torch.manual_seed(1)
    pupil = build_pupil(small())
    weights = Weights(pupil.module, CPU, torch.bfloat16)
    left, right, _ = pair()
    torch.manual_seed(1)
    cast = build_pupil(small()).module.to(torch.bfloat16)
    with torch.no_grad():
        got, expected = weights(left, right, 0.5), cast(left, right, 0.5)
    assert got.picture.dtype == got.stages[0].motion.flow.dtype == torch.float32
    torch.testing.assert_close(got.picture, expected.picture, rtol=0, atol=4e-3)  # layouts sum in other orders
    (weights(left, right, 0.5).picture.mean()).backward()
    assert weights.row.grad.dtype == torch.float32


def test_the_module_holds_the_current_weights():
    pupil = build_pupil(small())
    before = {key: each.clone() for key, each in pupil.weights().items()}
    weights = Weights(pupil.module, CPU, torch.float32)
    for key, each in pupil.weights().items():
        assert torch.equal(each, before[key])
    with torch.no_grad():
        weights.row += 1
    for key, each in pupil.weights().items():
        assert torch.equal(each, before[key] + 1)
    places = [view.data_ptr() - weights.row.data_ptr() for view in weights.views(weights.row).values()]
    kernels = [view.dim() == 4 and view.shape[-1] > 1 for view in weights.views(weights.row).values()]
    assert not any(place % (ALIGNMENT * 4) for place, kernel in zip(places, kernels, strict=True) if kernel)
    assert places == sorted(places)
    assert kernels == sorted(kernels, reverse=True)


def test_named_and_taken_again():
    weights = Weights(build_pupil(small()).module, CPU, torch.float32)
    named = weights.named(weights.row)
    other = torch.zeros_like(weights.row)
    weights.take(other, named)
    assert torch.equal(other, weights.row.detach())


def test_without_a_teacher_nothing_of_it_is_learnt():
    pupil = build_pupil(small(teacher=False))
    weights = Weights(pupil.module, CPU, torch.float32)
    assert not any(name.startswith("teacher") for name in weights.views(weights.row))
    left, right, truth = pair()
    assert pupil.seen_by_teacher(truth) is None
    assert weights(left, right, 0.5, pupil.seen_by_teacher(truth)).teacher is None
    assert not build_pupil(small(privileged=False)).seen_by_teacher(truth).any()


def test_batch_norm_is_folded_into_what_is_exported():
    asked = Network(preset="RIFE", widths=(12, 8), scales=(2, 1), context=4, batch_norm=True, teacher=False)
    pupil = build_pupil(asked)
    weights = Weights(pupil.module, CPU, torch.bfloat16)
    left, right, _ = pair()
    for _ in range(3):
        weights(left, right, 0.5)
    plain = build_pupil(Network(preset="RIFE", widths=(12, 8), scales=(2, 1), context=4, teacher=False))
    assert plain.module.state_dict().keys() == pupil.weights().keys()
    plain.module.load_state_dict(pupil.weights())
    pupil.module.eval()
    with torch.no_grad():
        expected, got = (each.module.eval()(left, right, 0.5).picture for each in (pupil, plain))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_a_step_is_adamw_with_clipping():
    row = torch.nn.Parameter(torch.linspace(-1, 1, 100))
    reference = torch.nn.Parameter(row.detach().clone())
    asked = Optimiser(rate=0.01, warm_up=0, clip=0.5, decay=0.1, ema=0.9)
    descent = Descent(row, asked)
    adam = torch.optim.AdamW([reference], lr=0.003, betas=BETAS, weight_decay=0.1)
    for step in range(4):
        gradient = torch.sin(torch.arange(100.0) * (step + 1))
        row.grad, reference.grad = gradient.clone(), gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_([reference], 0.5)
        adam.step()
        torch.testing.assert_close(descent.descend(0.003), norm)
    torch.testing.assert_close(row, reference)
    assert row.grad is None


def test_the_average_follows():
    row = torch.nn.Parameter(torch.zeros(1))
    descent = Descent(row, Optimiser(ema=0.5))
    for value in (10.0, 20.0):
        row.grad = torch.zeros(1)
        with torch.no_grad():
            row.fill_(value)
        descent.descend(0.0)
    # The first step leaves 1 part in 10 of what was, the second 2 in 11.
    assert descent.average.item() == pytest.approx(2 / 11 * 9.0 + 9 / 11 * 20.0)


def test_the_rate_warms_up_and_falls():
    asked = Optimiser(rate=1.0, least=0.1, warm_up=4)
    rates = [rate_at(step, 104, asked) for step in range(105)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[54] == pytest.approx(0.55)
    assert rates[104] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
