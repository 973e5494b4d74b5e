import pytest
import torch

from tests.network import papers
from tests.network.small import ARCHITECTURES, frames
from vsrife.errors import ArgumentError
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.network.training_output import StageOutput, TrainingOutput
from vsrife.training.distillation import (
    MARGIN,
    masked_distillation,
    privileged,
    student_reconstruction,
    teacher_reconstruction,
)
from vsrife.training.losses import l1, laplacian


def stage(flow, off, size=(4, 6)):
    """A stage with one flow everywhere, whose picture is off by ``off``."""
    height, width = size
    flow = torch.tensor(flow).view(1, 4, 1, 1).expand(1, 4, height, width)
    motion = FlowAndMask(flow=flow, mask=torch.full((1, 1, height, width), 0.5))
    return StageOutput(motion=motion, picture=torch.full((1, 3, height, width), 0.5) + off)


TRUTH = torch.full((1, 3, 4, 6), 0.5)
STILL, MOVED = [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]
APART = (30 / 4) ** 0.5


def lesson_of(*stages, teacher):
    return TrainingOutput(stages=stages, picture=stages[-1].picture, teacher=teacher)


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        (0.0, 0.0),
        (0.5 * MARGIN, 0.0),
        (1.5 * MARGIN, APART),
        (-1.5 * MARGIN, APART),
        (0.3, APART),
    ],
)
def test_a_student_learns_only_where_the_teacher_is_clearly_better(off, expected):
    lesson = lesson_of(stage(STILL, off), teacher=stage(MOVED, 0.0))
    assert masked_distillation(lesson, TRUTH).item() == pytest.approx(expected)
    # Nor from a teacher that is as wrong.
    assert masked_distillation(lesson_of(stage(STILL, off), teacher=stage(MOVED, off)), TRUTH) == 0


def test_stages_add_up_and_pixels_where_nothing_is_learnt_count_as_none():
    half = stage(STILL, 0.2)
    half.picture[..., :3] = 0.5
    lesson = lesson_of(stage(STILL, 0.2), half, stage(STILL, 0.0), teacher=stage(MOVED, 0.0))
    assert masked_distillation(lesson, TRUTH).item() == pytest.approx(1.5 * APART)


def test_a_gradient_reaches_the_students_flow_alone():
    flow = torch.randn(1, 4, 4, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    goal = torch.zeros(1, 4, 4, 6, requires_grad=True)
    wrong = torch.full((1, 3, 4, 6), 0.7, requires_grad=True)
    right = torch.full((1, 3, 4, 6), 0.5, requires_grad=True)
    mask = torch.full((1, 1, 4, 6), 0.5)
    lesson = lesson_of(
        StageOutput(motion=FlowAndMask(flow=flow, mask=mask), picture=wrong),
        teacher=StageOutput(motion=FlowAndMask(flow=goal, mask=mask), picture=right),
    )
    masked_distillation(lesson, TRUTH).backward()
    assert flow.grad.abs().min() > 0
    assert goal.grad is wrong.grad is right.grad is None


def test_equal_flows_have_a_gradient_of_nothing():
    flow = torch.zeros(1, 4, 4, 6, requires_grad=True)
    before = stage(STILL, 0.2)
    student = StageOutput(motion=FlowAndMask(flow=flow, mask=before.motion.mask), picture=before.picture)
    masked_distillation(lesson_of(student, teacher=stage(STILL, 0.0)), TRUTH).backward()
    assert torch.equal(flow.grad, torch.zeros_like(flow))


def test_the_gradient_of_distillation():
    generator = torch.Generator().manual_seed(1)
    flow = torch.randn(1, 4, 4, 6, generator=generator, dtype=torch.float64).requires_grad_()
    teacher, student = stage(MOVED, 0.0), stage(STILL, 0.2)

    def loss(x):
        moved = StageOutput(motion=FlowAndMask(flow=x, mask=student.motion.mask), picture=student.picture.double())
        goal = FlowAndMask(flow=teacher.motion.flow.double(), mask=teacher.motion.mask)
        return masked_distillation(lesson_of(moved, teacher=StageOutput(motion=goal, picture=teacher.picture)), TRUTH)

    assert torch.autograd.gradcheck(loss, (flow,))


def big(off):
    return stage(MOVED, off, (40, 33))


def test_the_parts_and_their_sum():
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(1, 3, 40, 33, generator=generator)
    lesson = lesson_of(stage(STILL, 0.0, (40, 33)), big(0.1), teacher=big(0.0))
    losses = privileged(lesson, truth, weight=0.5)
    assert losses.student == student_reconstruction(lesson, truth) == laplacian(lesson.picture, truth)
    assert losses.teacher == teacher_reconstruction(lesson, truth) == laplacian(lesson.teacher.picture, truth)
    assert losses.distillation == masked_distillation(lesson, truth)
    assert losses.total == losses.student + losses.teacher + 0.5 * losses.distillation
    assert privileged(lesson, truth, distance=l1).student == l1(lesson.picture, truth)


def test_without_a_teacher_there_is_the_student():
    lesson = lesson_of(big(0.1), teacher=None)
    truth = torch.zeros(1, 3, 40, 33)
    losses = privileged(lesson, truth)
    assert losses.total == losses.student
    assert losses.teacher == losses.distillation == 0
    for part in (teacher_reconstruction, masked_distillation):
        with pytest.raises(ArgumentError, match=r"^lesson must have a teacher"):
            part(lesson, truth)


@pytest.mark.parametrize("name", ["A", "G", "J"])
def test_what_each_part_teaches_a_modern_network(name):
    """The reconstruction of the student leaves the teacher alone; distillation leaves it alone too."""
    torch.manual_seed(3)
    model = IFNetWithTeacher(IFNet(ARCHITECTURES[name]))
    left, right = frames(64, 128, batch=2)
    truth = torch.roll(left, 3, 3)

    def reached(part):
        model.zero_grad()
        part(model(left, right, 0.5, truth), truth).backward()
        named = [key for key, value in model.named_parameters() if value.grad is not None and value.grad.any()]
        return {key.split(".")[0] for key in named}

    assert reached(student_reconstruction) == {"network"}
    assert reached(teacher_reconstruction) == {"network", "teacher"}
    # At first no teacher is clearly better; with this margin all are.
    assert reached(lambda lesson, truth: masked_distillation(lesson, truth, margin=-1.0)) == {"network"}


def test_a_student_gets_better():
    torch.manual_seed(3)
    model = PaperNet(PaperArchitecture(widths=(16, 12, 8), context=2), teacher=True)
    left, right = frames(64, 64)
    truth = frames(64, 64)[0] * 0.5 + frames(64, 64)[1] * 0.3
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    seen = []
    for _ in range(12):
        losses = privileged(model(left, right, 0.5, truth), truth)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        seen.append(losses.total.item())
    assert seen[-1] < 0.7 * seen[0]


@pytest.mark.parametrize(
    "case", ["rife|t=0.5", "rife_m|t=0.5", "rife_m|t=0.125", "rife_m|t=0.75", "rife_large_2r|t=0.5"]
)
def test_losses_and_gradients_are_those_of_upstream(case):
    kind, t = case.split("|t=")
    model = papers.seeded_network(kind)
    left, right, truth = (papers.frame(name) for name in ("frame0", "frame1", "middle"))
    lesson = model(left, right, float(t), truth)
    losses = privileged(lesson, truth)
    losses.total.backward()

    expected = papers.table("cases")["training"][case]
    assert losses.student.item() == pytest.approx(expected["loss_lap"], rel=1e-5)
    assert losses.teacher.item() == pytest.approx(expected["loss_teacher"], rel=1e-5)
    assert losses.distillation.item() == pytest.approx(expected["loss_distill"], rel=1e-5)
    psnr = -10 * (lesson.teacher.picture - truth).square().mean().log10().item()
    assert psnr == pytest.approx(expected["teacher_psnr"], abs=1e-4)
    norms = {key: value.grad.norm().item() for key, value in model.named_parameters()}
    assert len(norms) == len(expected["grad_norm"]) == 190
    wrong = {key: norms[key] / norm for key, norm in expected["grad_norm"].items() if abs(norms[key] / norm - 1) > 1e-3}
    assert wrong == {}


@pytest.mark.parametrize("kind", ["paper", "A", "J"])
def test_convolutions_may_be_bfloat16_while_flows_and_losses_are_not(kind):
    torch.manual_seed(3)
    if kind == "paper":
        model = PaperNet(PaperArchitecture(widths=(16, 12, 8), context=2, timed=True), teacher=True)
    else:
        model = IFNetWithTeacher(IFNet(ARCHITECTURES[kind]))
    seen = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda _, x, y: seen.append(y.dtype))
    left, right = frames(64, 64)
    truth = torch.roll(left, 3, 3)
    exact = privileged(model(left, right, 0.5, truth), truth)
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        lesson = model(left, right, 0.5, truth)
        losses = privileged(lesson, truth)
    assert set(seen) == {torch.bfloat16}
    for stage in (*lesson.stages, lesson.teacher):
        assert stage.motion.flow.dtype == stage.motion.mask.dtype == stage.picture.dtype == torch.float32
    assert lesson.picture.dtype == losses.total.dtype == losses.distillation.dtype == torch.float32
    torch.testing.assert_close(losses.total, exact.total, rtol=0.02, atol=0)
    losses.total.backward()
    assert all(value.grad.dtype == torch.float32 for value in model.parameters())
