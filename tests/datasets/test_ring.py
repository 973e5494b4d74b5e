"""The ring: what is read does not depend on when scenes were made, nor on whether they are still there."""

import ast
import dataclasses
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import vsrife.datasets.remote_maker as elsewhere
import vsrife.datasets.ring as rings
from tests.datasets.conftest import save_picture, smooth_tiles
from vsrife.datasets.batch import Batch
from vsrife.datasets.layers import Layers
from vsrife.datasets.maker import Job, Maker, make_scene
from vsrife.datasets.picture_store import PictureStore
from vsrife.datasets.ring import Plan, Ring, Rings, RingSettings
from vsrife.datasets.scene_file import numbers_in, place_of, read_scene, write_scene
from vsrife.datasets.scene_request import SceneRequest
from vsrife.datasets.scenes import Scenes, scene_times
from vsrife.datasets.serving import draw_picks
from vsrife.datasets.synthetic import Synthetic, SyntheticSettings
from vsrife.errors import ArgumentError, RifeError
from vsrife.network.warp import backward_warp

FRAME = (70, 90)
SMALL = RingSettings(scenes=12, first=4, serves=4.0, frames=(FRAME,), times=3)
PLAN = Plan(rates=((0, 4.0),))
PLAIN = SyntheticSettings(layers=2, blurred=0.0, noisy=0.0, compressed=0.0, drifting=0.0, shaded=0.0, faded=0.0)


@pytest.fixture(scope="module")
def picture_store(tmp_path_factory) -> PictureStore:
    folder = tmp_path_factory.mktemp("pictures")
    for index, tile in enumerate(smooth_tiles(3, 512, 6)):
        save_picture(tile, folder / f"{index}.png")
    return PictureStore(pictures=folder)


class Here:
    """A maker without a process: what the reader waits for is made when it asks."""

    made: int = 0

    def __init__(self, job: Job) -> None:
        self._job = job
        self._source = Synthetic(job.picture_store.bank(), job.settings)

    def ask(self, wanted: SceneRequest) -> None:
        for number in wanted.first:
            make_scene(self._job, self._source, number)
            Here.made += 1

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def make(tmp_path, picture_store, monkeypatch):
    """A ring; all are closed at the end. alone: whether its scenes are made by a process of its own."""
    made = []

    def ring(
        folder: str = "ring", settings: RingSettings = SMALL, synthetic=PLAIN, *, alone: bool = False, **options
    ) -> Ring:
        with monkeypatch.context() as patch:
            if not alone:
                patch.setattr(rings, "Maker", Here)
            options = {"size": (33, 48), "seed": 7, "plan": PLAN, "nice": 0, **options}
            made.append(Ring(tmp_path / folder, settings.frames[0], settings, synthetic, picture_store, **options))
            made[-1]._ask(SceneRequest(keep=0, low=0, high=0))  # a maker is there from now on
        return made[-1]

    yield ring
    for each in made:
        each.close()


@pytest.fixture
def kept(make) -> Ring:
    """A ring whose scenes have four truths, three in four of them at any time."""
    settings = RingSettings(scenes=16, first=16, serves=1e9, frames=((72, 100),), times=4)
    return make("kept", settings, dataclasses.replace(PLAIN, any_time=0.75), size=(40, 64))


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


def read(ring: Ring, positions, count: int = 4) -> list[Batch]:
    return [ring.draw(count, 1000 + n, position=n) for n in positions]


def test_a_run_that_was_killed_and_carried_on_reads_what_it_would_have_read(make, tmp_path) -> None:
    whole = read(make("whole"), range(14))
    begun = make("parts")
    first = read(begun, range(9))
    begun.close()
    before = Here.made
    ring = make("parts")
    rest = read(ring, range(6, 9))  # from a state before the last batch that was read
    assert Here.made == before
    rest += read(ring, range(9, 14))
    for n, batch in enumerate(whole):
        assert same(batch, (first[:6] + rest)[n])


def test_with_a_maker_of_its_own_too_and_when_the_scenes_are_lost(make, tmp_path) -> None:
    whole = read(make("whole"), range(14))
    ring = make("parts", alone=True)
    assert isinstance(ring._maker, Maker)
    for one, other in zip(read(ring, range(10)), whole, strict=False):
        assert same(one, other)
    ring.close()
    for path in (tmp_path / "parts").iterdir():
        path.unlink()
    ring = make("parts", alone=True)
    for one, other in zip(read(ring, range(9, 14)), whole[9:], strict=True):
        assert same(one, other)


def test_several_sizes_in_one_run(make, tmp_path, picture_store) -> None:
    settings = RingSettings(scenes=12, first=4, serves=4.0, frames=(FRAME, (100, 140)))
    rings = Rings([make(str(frame), dataclasses.replace(settings, frames=(frame,))) for frame in settings.frames])
    sizes = [(33, 48), (64, 64), (90, 90), (70, 90), (140, 100)]
    rings.follow([((33, 48), PLAN), ((64, 64), PLAN), ((90, 90), Plan(rates=((0, 1.0),)))])
    for n, size in enumerate(sizes[:4]):
        batch = rings.draw(3, n, size=size, position=n)
        assert batch.left.shape == (3, 3, *size)
        assert batch.flow.shape == (3, 4, *size)
    with pytest.raises(ArgumentError, match=r"^data.ring.frames \(70x90, 100x140\) must hold crops of 140x100; add a "):
        rings.draw(3, 5, size=sizes[4], position=4)


def test_what_is_to_stay_as_it_is_made_is_not_reduced(make) -> None:
    """Of the same scenes: what is reduced moves half as far."""
    settings = RingSettings(scenes=4, first=4, serves=4.0, reduced=1.0, frames=(FRAME,))
    ring = make(settings=settings)
    size = (FRAME[0] // 2 - 1, FRAME[1] // 2 - 1)
    reduced, plain = (ring.draw(40, 3, size=size, as_made=as_made) for as_made in (False, True))
    lengths = [
        float((each.flow[:, :2].norm(dim=1) * each.visible[:, 0]).sum() / each.visible[:, 0].sum())
        for each in (reduced, plain)
    ]
    assert lengths[0] < 0.75 * lengths[1]


def test_the_plan_adds_scenes_then_slides(make) -> None:
    ring = make(plan=Plan(rates=((0, 4.0), (10, 8.0), (20, 0.0))))
    assert [ring.window(n) for n in (0, 1, 7, 8, 9, 10, 11, 20, 90)] == [
        *((0, 4), (0, 5), (0, 11), (0, 12), (1, 13), (2, 14), (4, 16), (22, 34), (22, 34)),
    ]
    both = Plan(rates=((0, 4.0), (10, 8.0))) + Plan(rates=((0, 1.0), (5, 0.0)))
    assert [both.samples(n) for n in (0, 5, 10, 12)] == [0, 25, 45, 61]


def test_each_scene_gives_as_many_samples_as_it_shall() -> None:
    """By the numbers that are drawn alone, over a long run."""
    ring = Ring.__new__(Ring)
    ring.first, ring.scenes, ring.serves, ring.plan = 40, 100, 6.0, Plan(rates=((0, 3.0),))
    counts = np.zeros(1000)
    for n in range(1800):
        counts[ring.chosen(3, np.random.default_rng(n), n)] += 1
    lasting = counts[100:700]  # neither among the first nor among the last
    assert lasting.mean() == pytest.approx(6.0, rel=0.03)
    assert lasting.std() == pytest.approx(6.0**0.5, rel=0.15)


def test_the_flow_leads_from_the_truth_to_both_inputs(kept) -> None:
    """After every augmentation. The pictures are so smooth that a wrong pixel is seen in their colours."""
    count = 400
    batch = kept.draw(count, 5, position=0)
    for side, input_ in enumerate((batch.left, batch.right)):
        sure = (batch.known > 0.95) & (batch.visible[:, side : side + 1] > 0.95)
        off = (backward_warp(input_, batch.flow[:, 2 * side : 2 * side + 2]) - batch.truth).abs().amax(1, keepdim=True)
        assert sure.float().mean() > 0.5
        assert float(off[sure].quantile(0.99)) < 2 / 255
        assert float(off[sure].mean()) < 0.5 / 255
        moved = (backward_warp(input_, -batch.flow[:, 2 * side : 2 * side + 2]) - batch.truth).abs()
        assert float(moved.mean()) > 5 * float(off[sure].mean())


def test_every_augmentation_is_drawn() -> None:
    picks = draw_picks(2000, np.random.default_rng(1))
    for share in (
        *(sum(pick.mirrored[axis] for pick in picks) for axis in range(2)),
        *(sum(pick.turned for pick in picks), sum(pick.backwards for pick in picks)),
        sum(pick.white != (1.0, 1.0, 1.0) for pick in picks),
    ):
        assert share / 2000 == pytest.approx(0.5, abs=0.04)
    assert len({pick.order for pick in picks}) == 6
    assert all(0 <= pick.black < high <= 1 for pick in picks for high in pick.white)


def test_times_are_those_that_are_asked_for(kept) -> None:
    batch = kept.draw(1200, 8, position=0)
    middle = (batch.t == 0.5).float().mean()
    assert float(middle) == pytest.approx(0.25, abs=0.05)
    assert len(batch.t.unique()) > 60
    assert scene_times(1, 2, 3, 0.0)[0] == 0.5
    anywhere = scene_times(1, 2, 4, 1.0)
    assert [int(t * 4) for t in anywhere] == [0, 1, 2, 3]
    one = [scene_times(1, n, 1, 0.4)[0] for n in range(300)]
    assert sum(t == 0.5 for t in one) / 300 == pytest.approx(0.6, abs=0.1)


def test_a_scene_at_several_times_is_the_scene_at_each(smooth_bank) -> None:
    source = Synthetic(smooth_bank, dataclasses.replace(PLAIN, height=60, width=75, barred=1.0, drifting=1.0))
    together = source.scene(5, 9, (0.5, 0.2, 0.9))
    alone = source.scene(5, 9, (0.2,))
    assert torch.allclose(together.frames[:, (0, 2, 4)], alone.frames, atol=1e-6)
    for name in ("motion", "visible", "known"):
        assert torch.allclose(getattr(together, name)[:, 1:2], getattr(alone, name), atol=1e-5)


def test_scenes_in_a_row_have_the_kinds_that_a_batch_has(noise_bank, monkeypatch) -> None:
    asked = []
    source = Synthetic(noise_bank, SyntheticSettings(height=33, width=34, layers=3, blurred=0.3, faded=0.1))
    monkeypatch.setattr(
        Synthetic, "_scenes", lambda _, cards, blur, faded, *__, **___: asked.append((cards, blur)) or [0]
    )
    for number in range(600):
        source.scene(number, 1, (0.5,))
    for cards in (1, 2, 3):
        of = [blur for numbers, blur in asked if numbers[0] == cards]
        assert len(of) == 200
        assert sum(of) / 200 == pytest.approx(0.3, abs=0.04)
    assert sum(len(numbers) == 2 for numbers, _ in asked) / 600 == pytest.approx(0.1, abs=0.04)


def scene(truths: int = 2, height: int = 5, width: int = 7) -> Scenes:
    generator = torch.Generator().manual_seed(1)
    return Scenes(
        frames=torch.randint(0, 256, (1, truths + 2, 3, height, width), generator=generator) / 255,
        t=torch.tensor([[0.5, 0.3][:truths]]),
        motion=torch.randn((1, truths, 2, height, width), generator=generator).half().float(),
        visible=torch.randint(0, 256, (1, truths, 2, height, width), generator=generator) / 255,
        known=torch.randint(0, 256, (1, truths, 1, height, width), generator=generator) / 255,
    )


def test_a_file_holds_the_scene(tmp_path) -> None:
    key = bytes(range(32))
    write_scene(tmp_path, 12, key, scene())
    stored = read_scene(tmp_path, 12, key)
    assert stored is not None
    assert stored.t == (0.5, float(np.float32(0.3)))
    for name in ("frames", "visible", "known"):
        assert torch.equal(torch.from_numpy(getattr(stored, name) / np.float32(255)), getattr(scene(), name)[0])
    assert torch.equal(torch.from_numpy(stored.motion.astype(np.float32)), scene().motion[0])
    assert numbers_in(tmp_path) == {12}


def test_only_a_whole_scene_of_the_same_making_is_read(tmp_path) -> None:
    key = bytes(32)
    write_scene(tmp_path, 3, key, scene())
    path = place_of(tmp_path, 3)
    data = path.read_bytes()
    assert read_scene(tmp_path, 3, bytes([1] * 32)) is None
    assert read_scene(tmp_path, 4, key) is None
    for part in (b"", data[:20], data[:60], data[:-1], data + b"x"):
        path.write_bytes(part)
        assert read_scene(tmp_path, 3, key) is None
    place_of(tmp_path, 5).write_bytes(data)
    assert read_scene(tmp_path, 5, key) is None  # it is scene 3


def test_a_scene_without_a_name_is_not_read(tmp_path, monkeypatch) -> None:
    """As if the machine stopped before the name was given."""
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    write_scene(tmp_path, 3, bytes(32), scene())
    assert list(tmp_path.iterdir())
    assert numbers_in(tmp_path) == set()
    assert read_scene(tmp_path, 3, bytes(32)) is None


def test_scenes_of_other_settings_are_made_anew(make, tmp_path) -> None:
    read(make(), range(1))
    told: list[str] = []
    other = make(synthetic=dataclasses.replace(PLAIN, layers=1), say=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"data.ring ({tmp_path / 'ring'}): ")
    assert told[0].endswith(" scenes of other settings or another version are replaced")
    assert numbers_in(tmp_path / "ring") == set()
    again = read(other, range(2))
    told.clear()
    for one, batch in zip(read(make("fresh", synthetic=other.synthetic), range(2)), again, strict=True):
        assert same(one, batch)
    make(synthetic=dataclasses.replace(PLAIN, layers=1), say=told.append)
    assert not told


def test_a_damaged_scene_is_made_anew(make, tmp_path) -> None:
    expected = read(make(), range(2))
    for path in (tmp_path / "ring").glob("*.scene"):
        path.write_bytes(path.read_bytes()[:-5])
    for one, other in zip(read(make(), range(2)), expected, strict=True):
        assert same(one, other)


def test_a_scene_may_be_lost_again(make, tmp_path) -> None:
    ring = make()
    expected = read(ring, range(1))
    for _ in range(2):
        for number in numbers_in(tmp_path / "ring"):
            place_of(tmp_path / "ring", number).unlink()
        assert same(read(ring, range(1))[0], expected[0])


@pytest.fixture
def pair(make) -> tuple[Ring, Ring]:
    """The rings of two processes that train together: the first one's scenes are made by a process of its own."""
    return make(alone=True), make(alone=True, makes=False)


def test_another_process_is_given_what_it_does_not_find(pair, tmp_path) -> None:
    """Also what the first one has read, so that nobody else asks for it: lost, or damaged."""
    expected = [read(ring, range(3)) for ring in pair]
    for one, other in zip(*expected, strict=True):
        assert same(one, other)
    for number in numbers_in(tmp_path / "ring"):
        path = place_of(tmp_path / "ring", number)
        path.unlink() if number % 2 else path.write_bytes(path.read_bytes()[:-5])
    for one, other in zip(read(pair[1], range(3)), expected[0], strict=True):
        assert same(one, other)


def test_another_process_does_not_wait_for_a_maker_that_has_ended(pair, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(elsewhere, "PATIENCE", 3.0)
    for ring in pair:
        read(ring, range(1))
    pair[0].close()
    for path in (tmp_path / "ring").glob("*.scene"):
        path.unlink()
    with pytest.raises(RifeError) as caught:
        read(pair[1], range(1))
    assert str(caught.value) == (
        f"data.ring ({tmp_path / 'ring'}) must have a running maker of scenes, which gave no sign for 3 s; see "
        "maker.log there, and start the run again to resume it"
    )


def test_scenes_are_kept_for_processes_that_are_behind(make) -> None:
    """A small ring of which each step takes more than are kept for a run that goes back."""
    asked = []
    ring = make("small", dataclasses.replace(SMALL, serves=1.0), behind=4)
    ring._maker.ask = lambda wanted, ask=ring._maker.ask: asked.append(wanted) or ask(wanted)
    read(ring, range(9))
    assert [wanted.keep <= ring.window(max(0, n - 4))[0] for n, wanted in enumerate(asked)] == [True] * 9


def test_all_that_decides_how_a_scene_looks_is_in_the_key() -> None:
    """What the modules of the key use is in it too, but for what only reads, or tells of what is wrong."""
    data = "vsrife.datasets."
    known = {"vsrife.network.warp", *(f"{data}{name}" for name in rings._SCENE_MODULES)}
    used = set()
    for name in known:
        text = importlib.util.find_spec(name).loader.get_source(name)
        used |= {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    others = {name for name in used - known if name.startswith("vsrife")}
    assert others == {"vsrife.errors", f"{data}batch", f"{data}clips", f"{data}scene_request"}


def test_scenes_are_made_ahead_and_old_ones_removed(make, tmp_path) -> None:
    ring = make(alone=True)
    read(ring, (0, 40))
    low, high = ring.window(40)
    deadline = time.monotonic() + 60
    while not (numbers_in(tmp_path / "ring") >= set(range(low, high))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert numbers_in(tmp_path / "ring") >= set(range(low, high))
    assert min(numbers_in(tmp_path / "ring")) >= low - 3


def test_a_maker_that_ends_is_told_in_one_line(make, tmp_path) -> None:
    ring = make(alone=True)
    assert ring._maker is not None
    os.kill(ring._maker._process.pid, signal.SIGKILL)
    with pytest.raises(RifeError) as caught:
        read(ring, range(1, 30))
    line = str(caught.value)
    assert line.startswith(
        f"data.ring ({tmp_path / 'ring'}) must have a running maker of scenes, which ended by signal SIGKILL"
    )
    assert "\n" not in line


def test_a_fault_of_the_maker_is_told(make) -> None:
    ring = make("broken")
    ring.close()
    ring._job = dataclasses.replace(ring._job, picture_store=PictureStore(pictures=Path("/nowhere")))
    with pytest.raises(RifeError, match=r"ended by status 1: FileNotFoundError: .*/nowhere.*; see maker.log there"):
        read(ring, range(1))


ORPHAN = """
import sys
from pathlib import Path
from vsrife.datasets.ring import Plan, Ring, RingSettings
from vsrife.datasets.picture_store import PictureStore
from vsrife.datasets.synthetic import SyntheticSettings

settings = RingSettings(scenes=5000, first=5000, frames=((300, 400),))
ring = Ring(Path(sys.argv[1]), (300, 400), settings, SyntheticSettings(), PictureStore(pictures=Path(sys.argv[2])),
            size=(64, 64), seed=1, plan=Plan(rates=((0, 1.0),)), nice=0)
ring.draw(1, 1)
print(ring._maker._process.pid, flush=True)
ring.draw(100, 1)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_maker_ends_with_the_process_that_reads(picture_store, tmp_path, number) -> None:
    """Also while a scene is being made."""
    arguments = [sys.executable, "-c", textwrap.dedent(ORPHAN), str(tmp_path), str(picture_store.pictures)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout is not None
        maker = int(reader.stdout.readline())
        assert Path(f"/proc/{maker}").is_dir()
        reader.send_signal(number)
        reader.wait(20)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{maker}").is_dir() and "State:\tZ" not in Path(f"/proc/{maker}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_closing_ends_the_maker_and_a_later_draw_starts_another(make) -> None:
    ring = make(alone=True)
    process = ring._maker._process
    ring.close()
    assert process.poll() is not None
    read(ring, range(1))
    assert ring._maker._process.pid != process.pid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenes": 0}, r"^data.ring.scenes \(0\) must be 1 or more$"),
        ({"times": 17}, r"^data.ring.times \(17\) must be at most 16; 3 is usual$"),
        ({"serves": 0.0}, r"^data.ring.serves \(0\) must be above 0; 24 is usual$"),
        ({"serves": float("nan")}, r"^data.ring.serves \(nan\) must be above 0"),
        ({"frames": ((32, 64),)}, r"^data.ring.frames \(\[\[32, 64\]\]\) must be heights and widths of 33 or more"),
        ({"frames": ((64, 64), (64, 64))}, r"must be different sizes; leave one out$"),
        ({"frames": ()}, r"^data.ring.frames \(\[\]\) must be heights and widths"),
    ],
)
def test_what_cannot_be_is_told(change, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        RingSettings(**change)


def test_a_folder_that_cannot_be_written_to_is_named(make, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"^data.ring.folder \(.*file/ring\) must be a folder to write to: "):
        make("file/ring")


def test_drawing_only_what_is_seen_changes_nothing(noise_bank, monkeypatch) -> None:
    """Of cards of every kind, with motion blur, bends and credits, also far out of the frame."""
    settings = SyntheticSettings(height=75, width=110, layers=4, blurred=0.5, scrolled=0.3, lettered=0.3, motion=1.5)
    source = Synthetic(noise_bank, settings)
    made = [source.scene(number, 4, (0.5, 0.1, 0.8)) for number in range(12)]
    monkeypatch.setattr(Layers, "trimmed_look", Layers.look)
    for number, scene in enumerate(made):
        whole = source.scene(number, 4, (0.5, 0.1, 0.8))
        assert torch.allclose(scene.frames, whole.frames, atol=2e-3)  # noise has the steepest edges there are
        assert float((scene.frames - whole.frames).abs().mean()) < 1e-5
        same_surface = (scene.motion - whole.motion).abs().amax(2) < 0.02
        assert same_surface.float().mean() > 0.999
        assert torch.allclose(scene.known, whole.known, atol=2e-3)
