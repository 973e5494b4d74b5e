import pytest
import torch

from vsrife.training.config import Network, Optimiser
from vsrife.training.flat_params import ALIGNMENT, FlatParams
from vsrife.training.model import build_model
from vsrife.training.optimiser import BETAS, AdamWWithEma, rate_at

CPU = torch.device("cpu")


def small(**changes) -> Network:
    return Network(**{"preset": "4.22.lite", "widths": (12, 8, 8, 4), "head_width": 4, **changes})


def pair(height=64, width=96, batch=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand((batch, 3, height, width), generator=generator) for _ in range(3)]


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: each.grad.clone() for name, each in model.module.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("preset", ["4.22.lite", "RIFE-m"])
def test_in_float32_it_is_the_module_itself(preset):
    asked = small() if preset != "RIFE-m" else Network(preset=preset, widths=(12, 8, 8), context=4)
    torch.manual_seed(1)
    plain = build_model(asked)
    torch.manual_seed(1)
    model = build_model(asked)
    params = FlatParams(model.module, CPU, torch.float32)
    left, right, truth = pair()
    t = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1)
    expected = plain.module(left, right, t, truth)
    got = params(left, right, t, truth)
    torch.testing.assert_close(got.picture, expected.picture, rtol=0, atol=1e-5)
    for lesson in (expected, got):
        (lesson.picture.square().mean() + lesson.teacher.picture.mean()).backward()
    mine = params.views(params.flat.grad)
    for name, theirs in gradients(plain).items():
        torch.testing.assert_close(mine[name], theirs, rtol=1e-3, atol=1e-6)


def test_in_bfloat16_it_is_the_module_with_such_weights():
    """Casts where the network casts, and nowhere else: what is trained is what runs."""
    torch.manual_seed(1)
    model = build_model(small())
    params = FlatParams(model.module, CPU, torch.bfloat16)
    left, right, _ = pair()
    torch.manual_seed(1)
    cast = build_model(small()).module.to(torch.bfloat16)
    with torch.no_grad():
        got, expected = params(left, right, 0.5), cast(left, right, 0.5)
    assert got.picture.dtype == got.stages[0].motion.flow.dtype == torch.float32
    torch.testing.assert_close(got.picture, expected.picture, rtol=0, atol=4e-3)  # layouts sum in other orders
    (params(left, right, 0.5).picture.mean()).backward()
    assert params.flat.grad.dtype == torch.float32


def test_the_module_holds_the_current_weights():
    model = build_model(small())
    before = {key: each.clone() for key, each in model.exported_state_dict().items()}
    params = FlatParams(model.module, CPU, torch.float32)
    for key, each in model.exported_state_dict().items():
        assert torch.equal(each, before[key])
    with torch.no_grad():
        params.flat += 1
    for key, each in model.exported_state_dict().items():
        assert torch.equal(each, before[key] + 1)
    places = [view.data_ptr() - params.flat.data_ptr() for view in params.views(params.flat).values()]
    kernels = [view.dim() == 4 and view.shape[-1] > 1 for view in params.views(params.flat).values()]
    assert not any(place % (ALIGNMENT * 4) for place, kernel in zip(places, kernels, strict=True) if kernel)
    assert places == sorted(places)
    assert kernels == sorted(kernels, reverse=True)


def test_named_and_taken_again():
    params = FlatParams(build_model(small()).module, CPU, torch.float32)
    state_dict = params.state_dict(params.flat)
    other = torch.zeros_like(params.flat)
    params.load_state_dict(other, state_dict)
    assert torch.equal(other, params.flat.detach())


def test_without_a_teacher_nothing_of_it_is_learnt():
    model = build_model(small(teacher=False))
    params = FlatParams(model.module, CPU, torch.float32)
    assert not any(name.startswith("teacher") for name in params.views(params.flat))
    left, right, truth = pair()
    assert model.seen_by_teacher(truth) is None
    assert params(left, right, 0.5, model.seen_by_teacher(truth)).teacher is None
    assert not build_model(small(privileged=False)).seen_by_teacher(truth).any()


def test_batch_norm_is_folded_into_what_is_exported():
    asked = Network(preset="RIFE", widths=(12, 8), scales=(2, 1), context=4, batch_norm=True, teacher=False)
    model = build_model(asked)
    params = FlatParams(model.module, CPU, torch.bfloat16)
    left, right, _ = pair()
    for _ in range(3):
        params(left, right, 0.5)
    plain = build_model(Network(preset="RIFE", widths=(12, 8), scales=(2, 1), context=4, teacher=False))
    assert plain.module.state_dict().keys() == model.exported_state_dict().keys()
    plain.module.load_state_dict(model.exported_state_dict())
    model.module.eval()
    with torch.no_grad():
        expected, got = (each.module.eval()(left, right, 0.5).picture for each in (model, plain))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_a_step_is_adamw_with_clipping():
    flat = torch.nn.Parameter(torch.linspace(-1, 1, 100))
    reference = torch.nn.Parameter(flat.detach().clone())
    asked = Optimiser(rate=0.01, warm_up=0, clip=0.5, decay=0.1, ema=0.9)
    optimiser = AdamWWithEma(flat, asked)
    adam = torch.optim.AdamW([reference], lr=0.003, betas=BETAS, weight_decay=0.1)
    for step in range(4):
        gradient = torch.sin(torch.arange(100.0) * (step + 1))
        flat.grad, reference.grad = gradient.clone(), gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_([reference], 0.5)
        adam.step()
        torch.testing.assert_close(optimiser.step(0.003), norm)
    torch.testing.assert_close(flat, reference)
    assert flat.grad is None


def test_the_average_follows():
    flat = torch.nn.Parameter(torch.zeros(1))
    optimiser = AdamWWithEma(flat, Optimiser(ema=0.5))
    for value in (10.0, 20.0):
        flat.grad = torch.zeros(1)
        with torch.no_grad():
            flat.fill_(value)
        optimiser.step(0.0)
    # The first step leaves 1 part in 10 of what was, the second 2 in 11.
    assert optimiser.ema.item() == pytest.approx(2 / 11 * 9.0 + 9 / 11 * 20.0)


def test_the_rate_warms_up_and_falls():
    asked = Optimiser(rate=1.0, least=0.1, warm_up=4)
    rates = [rate_at(step, 104, asked) for step in range(105)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[54] == pytest.approx(0.55)
    assert rates[104] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
