"""Training on a GPU that the CPU plays (tests/training/card.py): nothing on the wrong side, too early or waited for."""

import json

import pytest
import torch

from tests.datasets.test_labels import even_label, moving_shot
from tests.training.card import CARD, TooEarly, WrongPlace, played
from vsrife import cuda
from vsrife.datasets.labels import Label, Labels, Place
from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotSettings
from vsrife.network.points import Frames
from vsrife.training import cuda_graph, loop
from vsrife.training import profile as profiles
from vsrife.training.distributed import ProcessGroup, init_process_group
from vsrife.training.loop import Trainer

pytestmark = pytest.mark.slow

EVERYTHING = (
    *("run.device='cuda'", "run.batch=4", "run.precision='bfloat16'"),
    *("loss={flow=0.01, census=0.1, smoothness=0.01}", "log.pictures=2", "data.prefetch=2"),
    "data.mix=[{synthetic=0.5, clips=0.5}]",
    (
        "data.synthetic={layers=2, blurred=0.5, lettered=0.5, scrolled=0.5, shaded=0.5, compressed=0.5, titled=0.5, "
        "marked=0.5, barred=0.5}"
    ),
)
MIDDLE = "data.synthetic={layers=2, any_time=0.0}"


@pytest.fixture(autouse=True)
def warm(monkeypatch):
    """Warming up does nothing here."""
    monkeypatch.setattr(cuda_graph, "_WARM", 1)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """The CPU makes blocks' inputs as the card does: runs on both are compared to the bit."""
    monkeypatch.setattr(loop, "resolve", lambda device, features: (Frames, ""))


@pytest.fixture
def card(monkeypatch):
    with played(monkeypatch) as made:
        yield made
        made.forget()
        assert made.given_away == []


@pytest.fixture
def everything(make, folders):
    """A configuration in which all parts of training take part."""
    return lambda *changes: make(f"data.clips={str(folders['clips'])!r}", *EVERYTHING, *changes)


def trainer(config) -> Trainer:
    return Trainer(config, *init_process_group(config.run.device))


def learnt(run) -> list[torch.Tensor]:
    return [row.detach().cpu().clone() for row in run.state.slots]


class Board:
    """Shows all pictures to nobody."""

    def add_image(self, _name, picture, _step):
        assert picture.numpy().size

    def add_scalar(self, *_):
        pass

    def close(self):
        pass


NETWORK = "network={preset='4.26', widths=[12, 8, 8, 8, 4], head_width=4}"
NORMED = "network={preset='4.22.lite', widths=[12, 8, 8, 4], head_width=4, batch_norm=true}"
OTHERS = [
    ["network={preset='4.0', widths=[12, 8, 8, 4]}"],
    ["network={preset='4.6', widths=[12, 8, 8, 4], teacher=false}"],
    ["network={preset='RIFE', widths=[12, 8, 8], context=4}", MIDDLE],
    ["network={preset='RIFE-m', widths=[12, 8, 8], context=4, privileged=false}", "loss.reconstruction='l1'"],
    ["network={preset='RIFE-Large', widths=[12, 8, 8], context=4}", MIDDLE, "loss.reconstruction='charbonnier'"],
]


@pytest.mark.parametrize("network", [NETWORK, NORMED], ids=["graph", "launched"])
def test_a_run_is_the_same_on_the_card(everything, tmp_path, monkeypatch, network):
    """Bit for bit, as the card computes with the CPU's numbers; with checkpoints, validation, images and resuming."""

    def run(folder, *more):
        def part(until):
            place = f"run.folder={str(tmp_path / folder)!r}"
            made = trainer(everything(network, *more, "run.steps=3", "optimiser.warm_up=1", place))
            made.log._board = Board()
            assert made.run(until) == ("interrupted" if until else "done")
            return made

        part(2)
        return learnt(part(None))

    expected = run("host", "run.device='cpu'")
    with played(monkeypatch) as card:
        got = run("card")
        card.forget()
        assert card.given_away == []
        assert card.kernels["graph"] == (3 if network is NETWORK else 0)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)
    logs = [[{**json.loads(line), "seconds per step": 0, "waited": 0} for line in
             (tmp_path / name / "log.jsonl").read_text().splitlines()] for name in ("host", "card")]  # fmt: skip
    assert logs[0] == logs[1]


@pytest.mark.parametrize("changes", OTHERS, ids=lambda each: each[0].split("'")[1])
def test_a_step_is_the_same_on_the_card(everything, monkeypatch, changes):
    def made(device):
        run = trainer(everything(*changes, f"run.device={device!r}", "run.batch=2", "run.graph='off'"))
        batch = run.loader.batches(0)
        run.train_step(batch)
        return run, batch

    expected = learnt(made("cpu")[0])
    with played(monkeypatch) as card:
        run, batch = made("cuda")
        for one, other in zip(learnt(run), expected, strict=True):
            assert torch.equal(one, other)
        card.waits.clear()
        run.forward_backward(batch)
        assert not card.waits


def test_a_step_waits_for_nothing(everything, card):
    run = trainer(everything("run.graph='off'", "data.prefetch=0", NETWORK))
    run.train_step(run.loader.batches(0))  # constants are brought there at the first step
    card.waits.clear()
    card.kernels.clear()
    batch = run.loader.batches(1)
    assert not card.waits
    making = card.kernels.total()
    run.train_step(batch)
    assert not card.waits
    assert run.params.flat.device == batch[0].left.device == CARD
    assert making > 0
    assert 0 < card.kernels.total() - making < 2000

    run.params.flat.grad = torch.zeros_like(run.params.flat)
    card.kernels.clear()
    run.optimiser.step(1e-4)
    assert card.kernels.total() <= 10
    run._read_metrics(keep=0)


def test_a_batch_from_a_pool_is_a_few_launches(everything, card):
    """But for the ones that draw new scenes, which serve many batches; nothing waits in either."""
    changes = ("data.mix=[{synthetic=1.0}]", "data.ring={scenes=32, first=16, frames=[[96, 128]]}", "run.batch=16")
    run = trainer(everything("run.graph='off'", "data.prefetch=0", NETWORK, *changes))
    counts = []
    for n in range(40):
        card.kernels.clear()
        card.waits.clear()
        run.loader.batches(n)
        assert not card.waits
        counts.append(card.kernels.total())
    print("launches:", counts)
    assert sorted(counts)[len(counts) // 2] < 100
    assert sum(count > 100 for count in counts) <= 3


def test_a_batch_of_labelled_windows_waits_for_nothing(card):
    """Turned, of another size and in other colours."""
    shot = moving_shot(7, 60, 97, (2, 1)).to(CARD)
    label = even_label(60, 97, (2, 1), 1)
    labels = Labels({Place(0, 3, 1): Label(flow=label.flow.to(CARD), trust=label.trust.to(CARD))})
    settings = ShotSettings(height=41, width=41, labelled=0.7, zoomed=0.5, coloured=0.5)
    windows = ClipWindowDataset(InMemoryShots([shot]), settings, CARD, labels=labels)
    card.waits.clear()
    batch = windows.draw(12, 1)
    assert not card.waits
    assert batch.known.device == CARD


def test_as_a_graph_a_step_is_a_few_launches(everything, card):
    run = trainer(everything(NETWORK, "data.prefetch=0"))
    batches = [run.loader.batches(position) for position in range(3)]
    run.train_step(batches[0])
    card.kernels.clear()
    card.waits.clear()
    for batch in batches[1:]:
        run.train_step(batch)
    assert card.kernels["graph"] == 2
    assert card.kernels.total() <= 2 * 25
    assert not card.waits


def test_a_graph_that_cannot_be_captured_is_done_without(everything, card, tmp_path, monkeypatch, capsys):
    def run(name, *changes):
        made = trainer(everything(*changes, "data.prefetch=0", f"run.folder={str(tmp_path / name)!r}"))
        for position in range(2):
            made.train_step(made.loader.batches(position))
        return learnt(made)

    expected = run("graph")
    assert card.kernels["graph"] == 2
    captured = cuda.captured

    def refused(work, stream):
        captured(work, stream)
        raise torch.AcceleratorError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(cuda, "captured", refused)
    capsys.readouterr()
    for one, other in zip(run("refused"), expected, strict=True):
        assert torch.equal(one, other)
    assert torch.cuda.current_stream() is card.default
    told = capsys.readouterr().out
    assert told.count("no CUDA graph (operation not permitted when stream is capturing); steps run without one") == 1
    assert card.kernels["graph"] == 2
    for one, other in zip(run("off", "run.graph='off'"), expected, strict=True):
        assert torch.equal(one, other)
    assert card.kernels["graph"] == 2


def test_the_profile_is_of_the_card(everything, card, monkeypatch):
    monkeypatch.setattr(profiles, "_ROUNDS", 1)
    monkeypatch.setattr(profiles, "_WARM", 1)
    assert profiles.profile(trainer(everything("run.batch=2", "data.prefetch=1")), 1).device == "a card that is played"
    assert any("synchronize" in line for line in card.waits)


def test_the_current_device_is_the_runs(card, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert init_process_group("cuda:1") == (ProcessGroup(), torch.device("cuda:1"))
    assert chosen == [torch.device("cuda:1")]


# What the card finds: each of these is a fault that a CPU alone does not show.


def broken(monkeypatch, change):
    """A loss that does something to a batch first."""
    objective = loop.objective

    def changed(lesson, batch, asked, **options):
        change(lesson, batch)
        return objective(lesson, batch, asked, **options)

    monkeypatch.setattr(loop, "objective", changed)


def step(config, position=0):
    run = trainer(config)
    return run.train_step(run.loader.batches(position))


def test_it_finds_tensors_of_both_sides(everything, card, monkeypatch):
    broken(monkeypatch, lambda lesson, batch: lesson.picture * torch.ones(1, 3, 1, 1))
    with pytest.raises(WrongPlace, match=r"^mul of the card's tensors and of the host's \(1, 3, 1, 1\), at "):
        step(everything("run.graph='off'"))


def test_it_finds_a_generator_of_the_other_side(everything, card, monkeypatch):
    monkeypatch.setattr(
        SceneRng, "noise", lambda self, *shape: torch.randn(shape, generator=self._host, device=self.device)
    )
    with pytest.raises(WrongPlace, match=r"^randn on cuda:0 by a generator of cpu"):
        step(everything())


def test_it_finds_what_is_taken_as_an_array(everything, card, monkeypatch):
    broken(monkeypatch, lambda lesson, batch: batch.truth.numpy())
    with pytest.raises(WrongPlace, match=r"^numpy of a tensor of the card"):
        step(everything("run.graph='off'"))


WAITING = [
    lambda x: x.mean().item(),
    lambda x: x.mean().tolist(),
    lambda x: bool(x.mean() > 0),
    lambda x: float(x.mean()),
    lambda x: x.cpu(),
    lambda x: x[x > 0.5],
    lambda x: x.new_tensor([1.0, 2.0]),
    lambda x: torch.tensor([1.0, 2.0], device=x.device),
    lambda x: torch.as_tensor(0.5, device=x.device),
    lambda x: torch.ones(3).to(x.device),
    lambda x: x.copy_(torch.ones(4, 3)),
    lambda x: x[torch.tensor([0, 1])],
    lambda x: x.nonzero(),
    lambda x: torch.where(x > 0.5),
]


@pytest.mark.parametrize("operation", WAITING)
def test_it_finds_what_the_host_waits_for(card, operation):
    x = torch.rand(4, 3, device=CARD)
    assert not card.waits
    operation(x)
    assert card.waits.total() == 1
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with pytest.raises(RuntimeError, match="captur"):
        card.captured(lambda: operation(x), stream)


def test_what_the_host_does_not_wait_for(card):
    x = torch.rand(4, 3).to(CARD, non_blocking=True)
    y = torch.cat([x, torch.zeros_like(x)]).clamp_(min=0.5)[:, :2].sum(0) * torch.tensor(2.0)
    y.to("cpu", non_blocking=True)
    assert y.device == CARD
    assert not card.waits


def test_a_loss_that_asks_is_no_graph(everything, card, monkeypatch, capsys):
    broken(monkeypatch, lambda lesson, batch: lesson.picture.mean().item())
    trainer(everything()).run(until=1)
    assert "no CUDA graph (item: operation not permitted when stream is capturing" in capsys.readouterr().out


def test_it_finds_a_batch_that_is_not_waited_for(everything, card, monkeypatch):
    monkeypatch.setattr(type(card.default), "wait_event", lambda self, event: None)
    with pytest.raises(TooEarly, match=r"reads what another stream has not finished"):
        trainer(everything()).run(until=1)


def test_it_finds_numbers_that_are_read_too_early(everything, card, monkeypatch):
    monkeypatch.setattr(torch.cuda.Event, "synchronize", lambda self: None)
    with pytest.raises(TooEarly, match=r"^tolist reads what another stream has not finished, at training/metrics.py"):
        trainer(everything()).run(until=1)


def test_it_finds_memory_that_is_written_over(everything, monkeypatch):
    with played(monkeypatch) as card:
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)
        trainer(everything()).run(until=2)
        card.forget()
        assert card.given_away
