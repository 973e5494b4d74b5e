import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.data import make_older
from tests.network import papers
from tests.network.small import frames
from vsrife.errors import ArgumentError
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version
from vsrife.network.legacy.base import LegacyNetwork, Prediction
from vsrife.network.legacy.bisection import bisections
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.legacy.v3 import build

SMALL = {"widths": (16, 12, 8), "context": 2}
PAPER = {
    "rife": PaperArchitecture(**SMALL),
    "rife_m": PaperArchitecture(timed=True, **SMALL),
    "rife_large_2r": PaperArchitecture(large=True, **SMALL),
    "without refine": PaperArchitecture(widths=(16, 12, 8), context=0),
    "two blocks": PaperArchitecture(widths=(12, 8), scales=(2, 1), context=2),
}
V3 = {version: V3Architecture(version=version, width=8, context=2 * (version == "3.1")) for version in V3Version}
KINDS = [*PAPER, *V3]
EVERY = pytest.mark.parametrize("kind", KINDS)

# The answers' own steps are 2e-5. What is left is the order of float32 sums: 1.1e-5 in all was seen.
PICTURES, FLOWS = 1e-4, 3e-4


def small(kind, *, teacher=False):
    net = PaperNet(PAPER[kind], teacher=teacher) if kind in PAPER else build(V3[kind])
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, value in net.named_parameters():
            value.copy_(torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5)
            if ".lastconv." in key or key.endswith(("conv1.weight", "conv1.0.weight")):
                value.mul_(0.5)
    return net.eval()


def answer(net, left, right, t=0.5, **options):
    with torch.inference_mode():
        predictions = net.interpolate(left, right, t, **options)
        return predictions, net.picture(left, right, predictions)


# Parity with the upstream code, on seeded weights.


@pytest.mark.parametrize("kind", ["rife", "rife_m", "rife_large_2r"])
def test_predictions_flows_and_averages_are_those_of_upstream(kind):
    net = papers.seeded_network(kind)
    left, right = papers.frame("frame0"), papers.frame("frame1")
    cases = papers.keys(kind)
    assert len(cases) == (18 if kind == "rife_m" else 6)
    for key in cases:
        if key.endswith("|flow"):
            continue
        _, t, scale, *what = key.split("|")
        options = {"scale": float(scale.removeprefix("scale=")), "ensemble": what == ["tta"]}
        predictions, picture = answer(net, left, right, float(t.removeprefix("t=")), **options)
        assert papers.error(key, picture, None) < PICTURES, key
        if not what:
            assert papers.error(f"{key}|flow", None, predictions[0].motion.flow) < FLOWS, key


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_flow_alone_is_that_of_the_whole_network(scale):
    """3.1 tells its flow without its fusion network, which is most of its work; frames beyond 0..1 are limited."""
    net = build(V3["3.1"])
    left, right = (torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(n)) * 1.2 - 0.1 for n in (1, 2))
    with torch.inference_mode():
        (whole,) = net.interpolate(left, right, scale=scale)
        assert torch.equal(net.flow(left, right, scale=scale), whole.motion.flow)
    with pytest.raises(ArgumentError, match=r"^canvas \(64x127, 64x127\) must be one size"):
        net.flow(left[:, :, :-1], right[:, :, :-1], scale=scale)


def test_parity_can_tell_the_strides_apart():
    """RIFE's shapes are RIFE-Large's: only the answer shows a mistake."""
    net = papers.seeded_network("rife")
    _, picture = answer(net, papers.frame("frame0"), papers.frame("frame1"))
    assert papers.error("rife|t=0.5|scale=1.0", picture, None) < PICTURES
    assert papers.error("rife_large_2r|t=0.5|scale=1.0", picture, None) > 0.05


def test_the_answers_kept_here_are_the_full_ones(shared):
    folder = shared / "parity"
    assert papers.table("cases") == json.loads((folder / "paper_cases.json").read_text())
    assert papers.table("checkpoints") == json.loads((folder / "paper_checkpoints.json").read_text())
    with np.load(folder / "paper.npz") as full:
        kept = papers.arrays().keys() - {"cases", "checkpoints"}
        assert kept == set(full)
        for key in kept:
            every = 1 if "|" not in key else 4 if key.endswith("|flow") else 5
            whole = full[key] if every == 1 else full[key][:, ::every, ::every]
            assert np.array_equal(papers.arrays()[key], whole)


@pytest.fixture(scope="module")
def older_answers():
    with np.load(make_older.TARGET) as data:
        return {key: data[key] for key in data}


@pytest.mark.parametrize("version", ["3.1", "3.5", "3.8"])
def test_the_3_x_line_answers_as_upstream(version, older_answers):
    """Odd sizes, padded; all scales, the ensemble, and motion far enough for 3.8 to double its scales."""
    numbers = {"width": 160, "context": 32} if version == "3.1" else {"width": 90}
    net = build(V3Architecture(version=V3Version(version), **numbers)).eval()
    shapes = {key: list(value.shape) for key, value in net.state_dict().items()}
    cases = [key for key in older_answers if key.startswith(f"{version}|")]
    assert len(cases) == {"3.1": 3, "3.5": 1, "3.8": 7}[version]
    for key in cases:
        scale, what = float(key.split("|")[1]), key.split("|")[2:]
        net.load_state_dict(make_older.weights(shapes, 1.0 if what == [make_older.FAR] else make_older.SOFT))
        left, right = make_older.padded(scale)
        _, picture = answer(net, left, right, scale=scale, ensemble=what == ["ensemble"])
        error = np.abs(make_older.stored(picture).astype(int) - older_answers[key]).max() / make_older.STEPS
        assert error < PICTURES, key


def test_3_5_at_another_scale_warps_the_frames_as_they_are():
    """Upstream samples the resized frames by the flow of the full ones; here the flow is that of the resized frames."""
    net, (left, right) = small("3.5"), frames(64, 128)
    motion = answer(net, left, right, scale=0.5)[0][0].motion
    half = [torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear") for x in (left, right)]
    expected = answer(net, *half)[0][0].motion.flow
    torch.testing.assert_close(
        motion.flow,
        2 * torch.nn.functional.interpolate(expected, scale_factor=2, mode="bilinear"),
        atol=1e-5,
        rtol=1e-5,
    )


# Contracts, on small networks.


@EVERY
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_answers_the_contract_on_the_smallest_canvas(kind, scale):
    net = small(kind)
    side = net.modulus(scale)
    assert side == 32 / min(scale, 1)
    predictions, picture = answer(net, *frames(side, 3 * side, batch=2), scale=scale)
    assert len(predictions) == 1
    motion, residual = predictions[0].motion, predictions[0].residual
    assert motion.flow.shape == (2, 4, side, 3 * side)
    assert motion.mask.shape == (2, 1, side, 3 * side)
    assert 0 <= motion.mask.min() < motion.mask.max() <= 1
    assert motion.flow.std() > 0.01
    assert (residual is None) == (kind in ("without refine", "3.5", "3.8"))
    assert residual is None or (residual.shape == picture.shape and -1 <= residual.min() < 0 < residual.max() <= 1)
    assert picture.shape == (2, 3, side, 3 * side)
    assert 0 <= picture.min() <= picture.max() <= 1
    assert {motion.flow.dtype, motion.mask.dtype, picture.dtype} == {torch.float32}


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close(kind, dtype):
    left, right = frames(64, 96)
    net = small(kind)
    exact = answer(net, left, right)[1]
    halved = answer(net.to(dtype), left, right)[1]
    assert halved.dtype == torch.float32
    assert 0 < (halved - exact).abs().mean() < (5e-3 if dtype is torch.float16 else 4e-2)


@EVERY
def test_a_batch_is_its_pairs_one_by_one(kind):
    net, (left, right) = small(kind), frames(64, 96, batch=2)
    both = answer(net, left, right)[1]
    for index in range(2):
        one = answer(net, left[index : index + 1], right[index : index + 1])[1]
        torch.testing.assert_close(both[index : index + 1], one, atol=1e-4, rtol=0)


def test_any_time_is_for_rife_m_alone():
    left, right = frames(32, 64, batch=2)
    net = small("rife_m")
    each = answer(net, left, right, torch.tensor([0.25, 0.75]))[1]
    for index, t in enumerate((0.25, 0.75)):
        one = answer(net, left[index : index + 1], right[index : index + 1], t)[1]
        torch.testing.assert_close(each[index : index + 1], one, atol=1e-4, rtol=0)
    assert (answer(net, left, right, 0.25)[1] - answer(net, left, right, 0.75)[1]).abs().max() > 1e-3
    for kind in KINDS:
        assert small(kind).any_time == (kind == "rife_m")
        if kind != "rife_m":
            with pytest.raises(ArgumentError, match=r"^t \(0\.25\) must be 0\.5 for this model"):
                small(kind).interpolate(left, right, 0.25)


@pytest.mark.parametrize("kind", PAPER)
def test_2t_averages_with_the_picture_made_upside_down(kind):
    net, (left, right) = small(kind), frames(64, 96)
    predictions, picture = answer(net, left, right, ensemble=True)
    assert len(predictions) == 2
    plain = answer(net, left, right)[1]
    other = answer(net, left.flip(2, 3), right.flip(2, 3))[1].flip(2, 3)
    torch.testing.assert_close(picture, (plain + other) / 2, atol=1e-4, rtol=0)
    assert (plain - other).abs().max() > 1e-3


def test_a_turned_prediction_makes_the_turned_picture():
    left, right = frames(32, 64)
    generator = torch.Generator().manual_seed(1)
    flow, mask = torch.randn(1, 4, 32, 64, generator=generator), torch.rand(1, 1, 32, 64, generator=generator)
    there = Prediction(
        motion=FlowAndMask(flow=flow, mask=mask), residual=torch.rand(1, 3, 32, 64, generator=generator) - 0.5
    )
    net = small("rife")
    picture = net.picture(left, right, [there])
    turned = net.picture(left.flip(2, 3), right.flip(2, 3), [there.turned()])
    torch.testing.assert_close(turned.flip(2, 3), picture, atol=1e-5, rtol=0)
    assert torch.equal(there.turned().turned().motion.flow, flow)


def test_3_5_gives_the_mirrored_flow_for_the_swapped_pair():
    net, (left, right) = small("3.5"), frames(64, 96)
    there, back = answer(net, left, right)[0][0].motion, answer(net, right, left)[0][0].motion
    torch.testing.assert_close(there.flow, back.flow[:, [2, 3, 0, 1]], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(there.mask, 1 - back.mask, atol=1e-3, rtol=0)


def test_the_ensemble_of_3_8_mirrors():
    net, (left, right) = small("3.8"), frames(64, 96)
    there = answer(net, left, right, ensemble=True)[0][0].motion
    back = answer(net, right, left, ensemble=True)[0][0].motion
    torch.testing.assert_close(there.flow, back.flow[:, [2, 3, 0, 1]], atol=1e-3, rtol=1e-3)
    assert (answer(net, left, right)[0][0].motion.flow - there.flow).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["3.1", "3.5"])
def test_ensemble_is_refused_where_there_is_none(kind):
    net = small(kind)
    assert not net.supports_ensemble
    with pytest.raises(ArgumentError, match=r"^ensemble \(1\) must be 0 for this model: "):
        net.interpolate(*frames(32, 32), ensemble=True)


@pytest.mark.parametrize(("flow", "widths"), [(63.0, [16, 32, 64, 128]), (-65.0, [16, 16, 32, 64])])
def test_3_8_looks_first_and_doubles_its_scales_beyond_64_pixels(flow, widths):
    net = small("3.8")
    with torch.no_grad():
        net.block0.conv1[2].weight.zero_()
        net.block0.conv1[2].bias.zero_()[1] = flow / 8  # the first look is at an eighth
    sizes = []
    for index in range(3):
        net.get_submodule(f"block{index}").register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
    answer(net, *frames(64, 128))
    assert sizes == widths


@EVERY
def test_leaves_its_inputs_alone_and_limits_what_it_sees(kind):
    net, (left, right) = small(kind), frames(32, 64)
    wild = left * 3 - 1
    before = wild.clone()
    got = answer(net, wild, right)[1]
    assert torch.equal(wild, before)
    assert torch.equal(got, answer(net, before.clamp(0, 1), right)[1])


@EVERY
@pytest.mark.parametrize(("left", "right"), [((64, 65), (64, 65)), ((33, 64), (33, 64)), ((64, 64), (64, 96))])
def test_a_wrong_canvas_is_refused(kind, left, right):
    with pytest.raises(
        ArgumentError, match=r"^canvas \(.*\) must be .* a multiple of 32 each way at scale 1; "
    ) as error:
        small(kind).interpolate(frames(*left)[0], frames(*right)[0])
    assert "\n" not in str(error.value)


def test_a_wrong_scale_is_refused():
    with pytest.raises(ArgumentError, match=r"^scale \(0\.3\) must be one of 0\.25, 0\.5, 1, 2, 4"):
        small("rife").interpolate(*frames(32, 32), scale=0.3)


@pytest.mark.parametrize(
    ("build_it", "complaint"),
    [
        (lambda: PaperArchitecture(widths=(8,)), r"scales .* must be one for each"),
        (lambda: PaperArchitecture(widths=(8, 7, 8)), r"widths .* must be even"),
        (lambda: PaperArchitecture(context=-1), r"context \(-1\) must be 0"),
        (lambda: V3Architecture(version=V3Version.V35, width=7), r"width \(7\) must be an even"),
        (
            lambda: V3Architecture(version=V3Version.V35, context=2),
            r"context \(2\) must be above 0 for 3\.1, and 0 for",
        ),
        (lambda: V3Architecture(version=V3Version.V31), r"context \(0\) must be above 0 for 3\.1, and 0 for"),
    ],
)
def test_an_architecture_that_contradicts_itself_is_refused(build_it, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        build_it()


def test_the_published_sizes():
    """10.07 million parameters for inference, 10.71 with the teacher, as the paper says."""
    with torch.device("meta"):
        count = [
            sum(value.numel() for value in PaperNet(PaperArchitecture(), teacher=teacher).parameters())
            for teacher in (False, True)
        ]
    assert [round(each / 1e6, 2) for each in count] == [10.07, 10.71]


# Training.


@pytest.mark.parametrize("kind", PAPER)
def test_a_lesson_is_what_inference_answers(kind):
    net, (left, right) = small(kind, teacher=True), frames(64, 96)
    truth = (left + right) / 2
    output = net(left, right, 0.5, truth)
    _, picture = answer(net, left, right)
    torch.testing.assert_close(output.picture, picture, atol=1e-5, rtol=0)
    assert len(output.stages) == len(PAPER[kind].widths)
    assert output.teacher.motion.flow.shape == (1, 4, 64, 96)
    assert not torch.equal(output.teacher.picture, output.stages[-1].picture)
    assert net(left, right).teacher is None


@pytest.mark.parametrize("kind", PAPER)
def test_everything_learns(kind):
    net, (left, right) = small(kind, teacher=True), frames(64, 96)
    output = net(left, right, 0.5, (left + right) / 2)
    (output.picture.square().mean() + output.teacher.picture.square().mean()).backward()
    assert {key for key, value in net.named_parameters() if value.grad is None} == set()


def test_only_the_teacher_sees_the_truth():
    net, (left, right) = small("rife", teacher=True), frames(64, 96)
    one, other = net(left, right, 0.5, left), net(left, right, 0.5, right)
    assert torch.equal(one.picture, other.picture)
    assert (one.teacher.motion.flow - other.teacher.motion.flow).abs().max() > 1e-3


def test_a_truth_without_a_teacher_is_refused():
    with pytest.raises(ArgumentError, match=r"^truth must be None for a network without a teacher"):
        small("rife")(*frames(32, 32), 0.5, frames(32, 32)[0])


def test_weights_come_back_from_their_own_keys_and_from_no_others():
    net = small("rife", teacher=True)
    other = PaperNet(PAPER["rife"], teacher=True)
    other.load_state_dict(net.state_dict(), strict=True)
    left, right = frames(32, 64)
    assert torch.equal(answer(net, left, right)[1], answer(other.eval(), left, right)[1])
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\).*block_tea"):
        small("rife").load_state_dict(net.state_dict(), strict=True)


# Other times.


@pytest.mark.parametrize("denominator", [2, 4, 8, 64])
def test_powers_of_two_are_met_exactly(denominator):
    for numerator in range(1, denominator):
        runs = bisections(Fraction(numerator, denominator))
        assert runs[-1].middle == Fraction(numerator, denominator)


def test_every_time_is_met_within_the_bound_in_six_runs_of_frames_that_are_there():
    for numerator in range(1, 1001):
        t = Fraction(numerator, 1001)
        runs = bisections(t)
        assert abs(runs[-1].middle - t) < Fraction(1, 64)
        assert len(runs) <= 6
        there = {Fraction(0), Fraction(1)}
        for low, middle, high in runs:
            assert {low, high} <= there
            assert middle == (low + high) / 2
            there.add(middle)


@pytest.mark.parametrize("kind", ["rife", "3.1", "3.8"])
def test_other_times_are_middles_of_middles(kind):
    net, (left, right) = small(kind), frames(32, 64)

    def middle(a, b):
        return answer(net, a, b)[1]

    with torch.inference_mode():
        assert torch.equal(net.frame(left, right, 0.5), middle(left, right))
        half = middle(left, right)
        assert torch.equal(net.frame(left, right, Fraction(3, 8)), middle(middle(left, half), half))


def test_a_network_of_any_time_does_not_halve():
    net, (left, right) = small("rife_m"), frames(32, 64)
    with torch.inference_mode():
        assert torch.equal(net.frame(left, right, Fraction(3, 8)), answer(net, left, right, 0.375)[1])


def test_a_base_class_is_no_network():
    with pytest.raises(TypeError, match="abstract"):
        LegacyNetwork()
