"""`vsrife bench`: what it counts, what it draws, that it measures what it says, and what it says of wrong arguments."""

import contextlib
import importlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import ROOT
from tests.network.small import ARCHITECTURES as SMALL
from tests.network.small import network
from vsrife.bench import end_to_end, peer, rows, session, synthetic_input, worker
from vsrife.bench.engine import Engine, rate_in_flight, working_on
from vsrife.bench.timing import QUICK, Pace, Subject, Timing, alternate, several, timed
from vsrife.bench.work import Rates, measured_rates, work_of
from vsrife.cli import main
from vsrife.errors import ArgumentError, RifeError

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SIZE = (96, 64)

PEER_FILE = """
import torch
from torch import nn

from .warplayer import warp
from tests.network.small import ARCHITECTURES
from vsrife.network import IFNet as Ours


class IFNet(nn.Module):
    def __init__(self, scale=1, ensemble=False):
        super().__init__()
        ours = Ours(ARCHITECTURES["J"])
        for name, child in ours.named_children():
            setattr(self, name, child)
        self.__dict__["ours"] = ours

    def forward(self, img0, img1, timestep, tenFlow_div, backwarp_tenGrid, f0, f1):
        assert torch.is_inference_mode_enabled() and timestep.unique().tolist() == [0.5]
        assert tenFlow_div.tolist() == [(img0.shape[-1] - 1) / 2, (img0.shape[-2] - 1) / 2]
        assert backwarp_tenGrid.shape == (1, 2, *img0.shape[-2:])
        motion = self.ours(img0, img1, f0, f1, 0.5)
        return self.ours.merge(img0, img1, motion) + warp.shift
"""

WARP_FILE = """
class warp:
    shift = 0.125
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "100")
    # Two threads that wait for each other on a busy machine take seconds for what one does in milliseconds.
    monkeypatch.setattr("vsrife.engine.slots.INTRA_OP_THREADS", 1)
    # A comparison's package is tests' own only where that can be imported, also in a process that bench starts.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == peer.ALIAS]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A small network of the 4.26 family, under the name that tells which one it is."""
    path = tmp_path_factory.mktemp("models") / "flownet_v4.26.pkl"
    torch.save({f"module.{key}": value for key, value in network("J").state_dict().items()}, path)
    return path


@pytest.fixture
def stand_in(tmp_path) -> Path:
    """A package that looks like vs-rife: its `__init__` must not be run, and its frames are lighter by an eighth."""
    folder = tmp_path / "unpacked" / "vsrife"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('raise SystemExit("run")\n__version__ = "5.0.1"\n')
    (folder / "warplayer.py").write_text(WARP_FILE)
    (folder / "IFNet_HDv3_v4_26.py").write_text(PEER_FILE)
    return folder.parent


def run(capsys, *arguments):
    status = main(["bench", *map(str, arguments)])
    written = capsys.readouterr()
    return status, written.out, written.err


class TestWork:
    @pytest.mark.parametrize(("name", "gflop", "encoder"), [("4.6", 175.2, 0.0), ("4.26", 80.2, 6.3)])
    @pytest.mark.parametrize(("height", "factor"), [(1088, 1), (2176, 4)])
    def test_operations_are_those_of_the_published_count(self, name, gflop, encoder, height, factor):
        width = 1920 * height // 1088
        work = work_of(synthetic_input.ARCHITECTURES[name], (height, width), 2)
        assert work.flop / 1e9 == pytest.approx(factor * gflop, abs=0.05 * factor)
        assert work.encode_flop / 1e9 == pytest.approx(factor * encoder, abs=0.05 * factor)

    def test_one_convolution_by_hand(self):
        # Blocks of the paper's kind: 7 channels at half size, then 8 layers of 16 at a quarter, then up by two.
        architecture = SMALL["D"]
        cells = (64 // 8) * (128 // 8)
        flop = (
            2 * 9 * 7 * 8 * cells // 4 + 2 * 9 * (8 * 16 + 8 * 16 * 16) * cells // 16 + 2 * 16 * 16 * 24 * cells // 16
        )
        rest = work_of(architecture, (64, 128), 4).flop - flop
        widths = architecture.widths
        assert rest == sum(
            (2 * 9 * 12 * w // 2 * area // 4)
            + 2 * 9 * (w // 2 * w + 8 * w * w) * area // 16
            + 2 * 16 * w * 24 * area // 16
            for w, area in zip(widths[1:], (16 * 32, 32 * 64, 64 * 128), strict=True)
        )

    @pytest.mark.parametrize("name", sorted(SMALL))
    def test_every_kind_of_network_is_counted(self, name):
        half, single = (work_of(SMALL[name], (128, 256), size) for size in (2, 4))
        assert half.flop == single.flop > 0
        assert half.bytes < single.bytes < 2 * half.bytes  # the planes are bytes in both
        assert (half.encode_flop > 0) == (SMALL[name].features > 0)

    def test_rates_are_of_this_machine(self):
        rates = measured_rates(CPU, torch.float32, QUICK)
        assert 1e9 < rates.flop < 1e14
        assert 1e8 < rates.bytes < 1e13


class TestTiming:
    def test_median_and_spread(self):
        timing = Timing(samples=(5.0, 1.0, 2.0, 4.0, 3.0))
        assert (timing.median, timing.spread) == (3.0, 1.0)
        assert Timing(samples=(7.0,)).spread == 0.0

    def test_subjects_take_turns_in_the_state_they_want(self):
        calls = []

        class Around:
            def __enter__(self):
                calls.append("(")

            def __exit__(self, *_):
                calls.append(")")

        subjects = {
            "a": Subject(call=lambda: calls.append("a")),
            "b": Subject(call=lambda: calls.append("b"), around=Around),
        }
        pace = Pace(warm_up=0.0, sample=0.0, rounds=3, least=3, budget=0.0, runs=1)
        times = alternate(subjects, CPU, pace)
        assert "".join(calls) == "a(b)" + "a(b)" * 3
        assert {name: len(timing.samples) for name, timing in times.items()} == {"a": 3, "b": 3}

    def test_a_sample_holds_as_many_calls_as_it_takes(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: now[0])
        calls = []

        def call():
            calls.append(now[0])
            now[0] += 0.01

        pace = Pace(warm_up=0.05, sample=0.1, rounds=4, least=1, budget=0.15, runs=1)
        timing = timed(call, CPU, pace)
        # Five to warm up, then ten each for as long as the budget lasts.
        assert len(calls) == 5 + 2 * 10
        assert timing.samples == pytest.approx((0.01, 0.01))

    def test_several_stops_at_the_budget(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: now[0])

        def call():
            now[0] += 1.0
            return now[0]

        pace = Pace(warm_up=0.0, sample=0.0, rounds=1, least=1, budget=2.5, runs=9)
        assert several(call, pace) == (1.0, 2.0, 3.0)


class TestScenery:
    def test_frames_are_the_same_every_time_and_move(self):
        frames, again = (synthetic_input.moving_frames(160, 90, 3) for _ in range(2))
        assert all(
            torch.equal(a, b) for one, two in zip(frames, again, strict=True) for a, b in zip(one, two, strict=True)
        )
        for luma, blue, red in frames:
            assert (luma.shape, blue.shape, red.shape) == ((90, 160), (45, 80), (45, 80))
            assert luma.dtype == blue.dtype == torch.uint8
            assert 16 <= luma.min() < 60 < 180 < luma.max() <= 235
        right, down = synthetic_input.STEP
        before, after = (frame[0].float() for frame in frames[:2])
        corner = slice(down, 30), slice(right, 60)
        shifted = slice(0, 30 - down), slice(0, 60 - right)
        assert torch.equal(after[corner], before[shifted])
        assert not torch.equal(after, before)

    @pytest.mark.parametrize("name", synthetic_input.ARCHITECTURES)
    def test_seeded_flow_is_smooth_and_some_pixels_long(self, name):
        net = synthetic_input.seeded_network(synthetic_input.ARCHITECTURES[name])
        planes = synthetic_input.moving_frames(256, 192, 2)
        frames = [luma.float().div(255).expand(1, 3, -1, -1).contiguous() for luma, _, _ in planes]
        with torch.inference_mode():
            motion = net(*frames, *(net.encode(frame) for frame in frames), 0.5)
        flow = motion.flow[0].view(2, 2, 192, 256)
        length = flow.norm(dim=1)
        assert 5 < length.median() < 20
        assert length.max() < 40
        assert (flow[..., 1:] - flow[..., :-1]).abs().mean() < 0.5
        assert flow.std((2, 3)).min() > 0.2, "it must depend on the picture"
        assert 0.01 < motion.mask.std() < 0.45


class TestEngine:
    def test_new_frames_and_their_rate(self, checkpoint):
        frames = synthetic_input.moving_frames(*SIZE, 2)
        with working_on(CPU) as held:
            engine = Engine(checkpoint, CPU, torch.float32, SIZE)
            left, right = (engine.encode(frame) for frame in frames)
            made = engine.new_frame(held, left, right)
            merged = engine.merged(held, left, right)
        assert engine.canvas == (64, 128)
        assert [plane.shape for plane in made] == [plane.shape for plane in frames[0]]
        assert merged.shape == (1, 3, 64, 128)
        before = threading.active_count()
        seen = []

        def job():
            engine.fresh_frame(left, frames[1])
            seen.append(threading.current_thread().name)

        assert rate_in_flight(CPU, job, 3, 7) > 0
        assert len(seen) == 3 + 7
        assert threading.active_count() == before


class TestWholeFilter:
    def frames(self, count=4):
        return [[plane.numpy() for plane in frame] for frame in synthetic_input.moving_frames(*SIZE, count)]

    def test_clips_go_to_and_fro(self, tmp_path):
        end_to_end.save(self.frames(), tmp_path / "frames.npz")
        frames = end_to_end.load(tmp_path / "frames.npz")
        clip = end_to_end.looped(frames, 9)
        assert (clip.num_frames, clip.format.name, clip.width, clip.height) == (9, "YUV420P8", *SIZE)
        shown = [bytes(clip.get_frame(n)[0]) for n in range(9)]
        drawn = [frame[0].tobytes() for frame in frames]
        assert shown == [drawn[n] for n in (0, 1, 2, 3, 2, 1, 0, 1, 2)]

    def test_rate_and_first_frame(self, checkpoint):
        call = {"model": str(checkpoint), "device": "cpu"}
        clip = end_to_end.looped(self.frames(), 7)
        finished = []
        rate = end_to_end.new_frames_a_second(
            clip, in_flight=2, finish=lambda: finished.append(1), resident=False, **call
        )
        assert rate > 0
        assert finished == [1]
        assert 0 < end_to_end.first_frame(clip, **call) < 60

    def test_frames_that_are_no_new_ones_are_no_figure(self, checkpoint):
        still = end_to_end.looped(self.frames(1) * 3, 5)
        call = {"model": str(checkpoint), "device": "cpu"}
        with pytest.raises(RifeError, match="only copies"):
            end_to_end.new_frames_a_second(still, in_flight=1, finish=lambda: None, resident=False, **call)
        with pytest.raises(RifeError, match=r"a copy \(still\)"):
            end_to_end.first_frame(still, **call)

    def test_a_host_clip_is_no_gpu_clip(self, checkpoint):
        with pytest.raises(RifeError, match="host's memory"):
            end_to_end.new_frames_a_second(
                end_to_end.looped(self.frames(), 5),
                in_flight=1,
                finish=lambda: None,
                resident=True,
                model=str(checkpoint),
            )


class TestPeer:
    def test_it_is_found_in_the_folder_and_as_the_package(self, stand_in):
        for path in (stand_in, stand_in / "vsrife"):
            found = peer.find_peer(path)
            assert found.folder == (stand_in / "vsrife").resolve()
            assert (found.release, found.versions) == ("5.0.1", ("4.26",))

    def test_it_runs_under_another_name_and_is_told_apart(self, stand_in, checkpoint, tmp_path):
        import vsrife

        found = peer.find_peer(stand_in)
        with torch.inference_mode():
            net = peer.PeerNetwork(found, "4.26", checkpoint, CPU, torch.float32, (64, 128))
            rgb = torch.rand(1, 3, 64, 128)
            kept = net.prepare(rgb)
            assert kept[1].shape == (1, 4, 64, 128)
            assert net.new_frame(kept, kept).shape == (1, 3, 64, 128)
        assert sys.modules["vsrife"] is vsrife
        assert importlib.import_module(f"{peer.ALIAS}.warplayer").warp.shift == 0.125
        # Another copy of the package is another package.
        other = tmp_path / "other"
        other.mkdir()
        (other / "warplayer.py").write_text(WARP_FILE.replace("0.125", "0.5"))
        (other / "IFNet_HDv3_v4_26.py").write_text(PEER_FILE)
        with torch.inference_mode():
            peer.PeerNetwork(peer.find_peer(other), "4.26", checkpoint, CPU, torch.float32, (64, 128))
        assert importlib.import_module(f"{peer.ALIAS}.warplayer").warp.shift == 0.5

    def test_weights_that_it_does_not_take(self, stand_in, tmp_path):
        path = tmp_path / "other.safetensors"
        save_file(network("D").state_dict(), path)
        with pytest.raises(ArgumentError, match=r"its network 4\.26 does not take"):
            peer.PeerNetwork(peer.find_peer(stand_in), "4.26", path, CPU, torch.float32, (64, 128))

    def test_its_settings_are_torch_s_own_and_ours_come_back(self):
        backends = torch.backends

        def state():
            cudnn = backends.cudnn
            return cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic

        before = state()
        try:
            backends.cudnn.conv.fp32_precision = backends.cuda.matmul.fp32_precision = "ieee"
            backends.cudnn.deterministic = True
            ours = state()
            with contextlib.suppress(KeyError), peer.its_settings():
                its = state()
                raise KeyError
            assert its == ("tf32", "tf32", False, False)
            assert state() == ours
        finally:
            backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision = before[:2]
            backends.cudnn.benchmark, backends.cudnn.deterministic = before[2:]

    @pytest.mark.parametrize("name", synthetic_input.ARCHITECTURES)
    def test_the_real_one_gives_our_answer(self, name, tmp_path):
        found = [*ROOT.parent.glob("vs-rife-*"), *ROOT.parent.glob("*/vs-rife-*")]
        if not found:
            pytest.skip("needs an unpacked wheel of vs-rife beside the checkout, in a folder vs-rife-VERSION")
        path = tmp_path / f"{name}.safetensors"
        synthetic_input.save_seeded(synthetic_input.ARCHITECTURES[name], path)
        frames = synthetic_input.moving_frames(128, 64, 2)
        with working_on(CPU) as held:
            engine = Engine(path, CPU, torch.float32, (128, 64))
            left, right = (engine.encode(frame) for frame in frames)
            net = peer.PeerNetwork(peer.find_peer(found[0]), name, path, CPU, torch.float32, engine.canvas)
            made = net.new_frame(*(net.prepare(engine.rgb(frame)) for frame in frames))
            assert (made - engine.merged(held, left, right)).abs().max() < 1e-4


class TestChild:
    def test_why_it_failed_is_one_line(self, tmp_path):
        with pytest.raises(RifeError, match=r"^RIFE: model \(.*gone\.pkl\) must be a file that exists") as failure:
            worker.ask(
                "start", model=str(tmp_path / "gone.pkl"), device="cpu", precision="auto", frames=self.two(tmp_path)
            )
        assert "\n" not in str(failure.value)

    def two(self, folder):
        end_to_end.save(
            [[plane.numpy() for plane in frame] for frame in synthetic_input.moving_frames(64, 48, 2)], folder / "f.npz"
        )
        return str(folder / "f.npz")


COLUMNS = {
    "engine alone": ["ms", "fps", "encode ms", "memory MB", "of operations", "of bytes", "flow px"],
    "whole filter, multi=2, 3 in flight": [
        *("engine+encode fps", "host fps", "of it", "GPU fps", "of it", "again ms", "cold s")
    ],
    "against vs-rife 5.0.1": [
        *("ours ms", "theirs ms", "ratio", "graph ms", "ratio", "ours MB", "theirs MB", "ratio", "difference")
    ],
}

ROW = {
    *("model", "width", "height", "precision", "canvas", "work", "flow_px", "engine_ms", "encode_ms", "floors"),
    *("engine_and_encode_fps", "memory", "filter_host_frames", "filter_gpu_frames", "called_again_ms"),
    *("cold_start_ms", "against", "reasons"),
}


class TestCommand:
    @pytest.fixture
    def few(self, monkeypatch):
        """No processes, and no large matrices: what they answer is given."""
        monkeypatch.setattr(rows, "ask", lambda *_, **__: {"bytes": {"resident": 1_500_000}})
        monkeypatch.setattr(session, "measured_rates", lambda *_: Rates(flop=1e12, bytes=1e10))

    def test_everything(self, capsys, checkpoint, stand_in, tmp_path):
        status, out, err = run(
            *(capsys, "--quick", "--sizes", "96x64", "--models", checkpoint, "--device", "cpu", "--frames", 2),
            *("--precisions", "float32", "--in-flight", 3, "--against", stand_in, "--json", tmp_path / "bench.json"),
        )
        assert (status, err) == (0, "")
        lines = out.splitlines()
        for title, columns in COLUMNS.items():
            head, row = lines[lines.index(title) + 1 :][:2]
            wanted = "  ".join(["model", "size", "precision", *columns])
            assert head.split() == wanted.split()
            assert row.split()[:3] == ["flownet_v4.26.pkl", "96x64", "float32"]
            assert len(row) == len(head), "aligned at the right"
        assert "gpu: frames in GPU memory need a network on a GPU" in lines
        assert "against.graph: CUDA graphs need CUDA" in lines

        written = json.loads((tmp_path / "bench.json").read_text())
        assert set(written) == {"machine", "options", "rates", "rows"}
        assert written["options"]["in_flight"] == 3
        assert written["machine"]["torch"] == torch.__version__.partition("+")[0]
        assert set(written["rates"]["float32"]) == {"flop", "bytes"}
        (row,) = written["rows"]
        assert set(row) == ROW
        assert row["canvas"] == {"width": 128, "height": 64}
        for name in ("engine_ms", "encode_ms", "called_again_ms", "cold_start_ms"):
            assert set(row[name]) == {"median", "spread", "samples"}
            assert all(sample > 0 for sample in row[name]["samples"])
        assert row["filter_host_frames"]["share"] == pytest.approx(
            row["filter_host_frames"]["new_fps"] / row["engine_and_encode_fps"]
        )
        assert row["filter_gpu_frames"] is None
        # What the network takes, in processes of their own: torch and Python alone are more than that here.
        assert 1 << 20 < row["memory"]["resident"] < 150 << 20
        assert 0 < row["floors"]["operations"] < 1
        against = row["against"]
        assert against["ratio"] == pytest.approx(against["network_ms"]["median"] / row["engine_ms"]["median"])
        assert against["memory_ratio"] == pytest.approx(against["memory"]["resident"] / row["memory"]["resident"])
        assert against["graph_ms"] is None
        assert against["largest_difference"] == pytest.approx(0.125, abs=1e-3)

    def test_the_engine_only(self, capsys, tmp_path, few):
        unnamed = tmp_path / "own.safetensors"
        save_file(network("D").state_dict(), unnamed)
        status, out, err = run(
            *(capsys, "--quick", "--engine-only", "--sizes", "64x32", "--models", unnamed, "--device", "cpu"),
            *("--precisions", "float32", "float32"),
        )
        assert (status, err) == (0, "")
        assert "whole filter" not in out
        assert "against" not in out
        lines = [line.split()[:3] for line in out.splitlines() if line.startswith("own")]
        assert lines == [["own.safetensors", "64x32", "float32"]], "the same precision twice is one row"

    def test_threads(self, capsys, few, checkpoint, monkeypatch):
        seen = set()
        inner = Engine.new_frame
        monkeypatch.setattr(Engine, "new_frame", lambda *given: seen.add(torch.get_num_threads()) or inner(*given))
        status, out, _ = run(
            *(capsys, "--quick", "--engine-only", "--threads", 2, "--sizes", "64x32", "--models", checkpoint),
            *("--device", "cpu", "--precisions", "float32"),
        )
        assert status == 0
        assert seen == {2}
        assert "threads a frame on a CPU: 2" in out

    def test_a_peer_that_cannot_run_a_row_is_a_reason(self, capsys, stand_in, tmp_path, few):
        own, other = tmp_path / "own.safetensors", tmp_path / "flownet_v4.6.safetensors"
        for path in (own, other):
            save_file(network("D").state_dict(), path)
        (stand_in / "vsrife" / "IFNet_HDv3_v4_7.py").write_text("")
        status, out, err = run(
            *(capsys, "--quick", "--engine-only", "--sizes", "64x32", "--device", "cpu", "--models", own, other),
            *("--precisions", "float32", "--against", stand_in),
        )
        assert (status, err) == (0, "")
        assert out.splitlines()[-2:] == [
            "against: which of the peer's networks takes own.safetensors cannot be told from that name",
            "against: the peer has no network 4.6",
        ]
        table = out[out.index("against vs-rife") :].splitlines()
        assert [line.split()[-8:] for line in table[2:4]] == [["-", "-", "-", "-", "1.50", "-", "-", "-"]] * 2

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--sizes", "1920"), "sizes (1920) must be WIDTHxHEIGHT in pixels, e.g. 1920x1080"),
            (("--sizes", "64x32", "12x"), "sizes (12x) must be WIDTHxHEIGHT"),
            (("--sizes", "64x33"), "sizes (64x33) must be even numbers from 16"),
            (("--sizes", "8x64"), "sizes (8x64) must be even numbers from 16"),
            (("--models", "seeded:4.7"), "model (seeded:4.7) must be seeded:4.26 or seeded:4.6, a model's name"),
            (("--models", "4.99"), "model (4.99) must be a model's name"),
            (("--models", "4.26"), "model (4.26) is not on this machine; run: python -m vsrife models fetch 4.26"),
            (("--precisions", "half"), "precision (half) must be one of auto, float32"),
            (("--device", "gpu"), 'device (gpu) must be "auto"'),
            (("--device", "meta"), "device (meta) cannot be used here"),
            (("--frames", "1"), "frames (1) must be 2 or more"),
            (("--in-flight", "0"), "in-flight (0) must be 1 or more"),
            (("--threads", "2"), "threads (2) must come with --engine-only: how many the filter has is its own rule"),
            (("--threads", "0", "--engine-only"), "threads (0) must be 1 or more"),
            (("--against", "nowhere"), "against (nowhere) must be a folder with the package of vs-rife"),
            (("--against", str(ROOT)), f"against ({ROOT}) must be a folder with the package of vs-rife"),
            (("--json", "nowhere/b.json"), "json (nowhere/b.json) must be a file, no folder, in a folder that exists"),
        ],
    )
    def test_a_wrong_argument_is_one_line_and_status_2(self, capsys, arguments, complaint):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(f"vsrife: {complaint}")
        assert err.count("\n") == 1

    def test_without_torch_it_says_what_is_missing(self):
        code = "import sys; sys.modules['torch'] = None; from vsrife.cli import main; sys.exit(main(['bench']))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "vsrife: bench needs torch, which is not installed: python -m pip install torch\n"
