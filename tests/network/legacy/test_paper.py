"""The paper's networks: parity with the upstream code, on seeded weights, and training."""

import json

import numpy as np
import pytest
import torch

from tests.network import papers
from tests.network.legacy.networks import FLOWS, KINDS, PAPER, PICTURES, answer, small
from tests.network.small import frames
from vsrife.errors import ArgumentError
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet

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
