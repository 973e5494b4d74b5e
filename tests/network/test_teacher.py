import pytest
import torch

from tests.network.small import ARCHITECTURES, OWN, frames, infer
from vsrife.errors import ArgumentError
from vsrife.network.ifnet import IFNet
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.network.warp import backward_warp

EVERY_NETWORK = ARCHITECTURES | OWN
EVERY = pytest.mark.parametrize("name", EVERY_NETWORK)


def model_of(name):
    torch.manual_seed(3)
    return IFNetWithTeacher(IFNet(EVERY_NETWORK[name]))


def batch(name, size=2):
    side = EVERY_NETWORK[name].modulus(1.0)
    left, right = frames(side, side + side, batch=size)
    return left, right, (left + right) / 2


@EVERY
def test_the_student_is_the_network_alone(name):
    """The last stage is what IFNet.forward answers, and no truth changes it."""
    model, (left, right, truth) = model_of(name), batch(name, 1)
    with torch.no_grad():
        output, without = model(left, right, 0.25, truth), model(left, right, 0.25)
    expected = infer(model.network, left, right, 0.25)
    torch.testing.assert_close(output.stages[-1].motion.flow, expected.flow, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.stages[-1].motion.mask, expected.mask, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.picture, model.network.merge(left, right, expected), atol=1e-5, rtol=0)
    assert torch.equal(output.picture, without.picture)
    assert without.teacher is None
    assert len(output.stages) == len(output.levels) == len(EVERY_NETWORK[name].widths)
    assert len(without.stages) == 1
    assert output.teacher.motion.flow.shape == expected.flow.shape
    assert 0 <= output.teacher.motion.mask.min() <= output.teacher.motion.mask.max() <= 1


@EVERY
def test_everything_learns(name):
    model, (left, right, truth) = model_of(name), batch(name)
    output = model(left, right, torch.tensor([0.25, 0.5]), truth)
    (output.picture.square().mean() + output.teacher.picture.square().mean()).backward()
    assert {key for key, value in model.named_parameters() if value.grad is None} == set()


@pytest.mark.parametrize("name", ["A", "G", "J"])
def test_the_teacher_sees_the_truth_and_corrects_the_student(name):
    model, (left, right, truth) = model_of(name), batch(name, 1)
    with torch.no_grad():
        one, other = model(left, right, 0.5, truth), model(left, right, 0.5, left)
        assert not torch.equal(one.teacher.motion.flow, other.teacher.motion.flow)
        # A teacher that answers nothing leaves the student's flow as it is.
        for key, value in model.teacher.named_parameters():
            if "lastconv" in key:
                value.zero_()
        silent = model(left, right, 0.5, truth)
    assert torch.equal(silent.teacher.motion.flow, silent.stages[-1].motion.flow)
    assert torch.equal(one.picture, silent.picture)
    if ARCHITECTURES[name].adds_masks:
        assert torch.equal(silent.teacher.motion.mask, silent.stages[-1].motion.mask)
    else:
        assert (silent.teacher.motion.mask == 0.5).all()


@pytest.mark.parametrize("name", ["A", "D", "G"])
def test_the_teachers_answer_is_in_pixels(name):
    model, (left, right, truth) = model_of(name), batch(name, 1)
    numbers = torch.tensor([1.0, -2.0, 3.0, -4.0, 0.5])
    last = model.teacher.lastconv if name == "A" else model.teacher.lastconv[0]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()[: 5 if name == "A" else 20] = numbers if name == "A" else numbers.repeat_interleave(4)
        output = model(left, right, 0.5, truth)
    student, teacher = output.stages[-1].motion, output.teacher.motion
    moved = numbers[:4].view(1, 4, 1, 1) * (2 if name == "A" else 1)
    torch.testing.assert_close(teacher.flow, student.flow + moved, atol=1e-5, rtol=1e-5)
    before = torch.logit(student.mask) if ARCHITECTURES[name].adds_masks else 0 * student.mask
    torch.testing.assert_close(teacher.mask, torch.sigmoid(before + 0.5), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["A", "G"])
def test_what_the_teacher_sees(name):
    """Both frames and their features as the student's last flow warps them, time, mask, the truth and that flow."""
    model, (left, right, truth) = model_of(name), batch(name, 1)
    seen = []
    model.teacher.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        student = model(left, right, 0.25, truth).stages[-1].motion
        sides = [backward_warp(left, student.flow[:, :2]), backward_warp(right, student.flow[:, 2:])]
        true = [truth]
        if name == "G":
            encoded = [
                backward_warp(model.network.encode(x), f)
                for x, f in ((left, student.flow[:, :2]), (right, student.flow[:, 2:]))
            ]
            sides, true = [*sides, *encoded], [truth, model.network.encode(truth)]
    expected = torch.cat(
        (*sides, *true, torch.full_like(truth[:, :1], 0.25), torch.logit(student.mask), student.flow), 1
    )
    torch.testing.assert_close(seen[0], expected, atol=1e-3, rtol=1e-4)


def test_the_teachers_picture_teaches_the_student_too():
    model, (left, right, truth) = model_of("J"), batch("J", 1)
    model(left, right, 0.5, truth).teacher.picture.mean().backward()
    assert model.network.block0.conv0[0][0].weight.grad.abs().sum() > 0


def test_a_wrong_canvas_is_refused():
    model, (left, right) = model_of("J"), frames(64, 96)
    with pytest.raises(ArgumentError, match=r"^canvas \(96x64, 96x64\) must be .* multiple of 64"):
        model(left, right, 0.5)
