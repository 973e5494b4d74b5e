"""`vsrife bench` from its arguments to the table and the JSON."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from tests.network.small import network
from vsrife.bench import rows, session
from vsrife.bench.engine import Engine
from vsrife.bench.work import Rates
from vsrife.cli import main

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def run(capsys, *arguments):
    status = main(["bench", *map(str, arguments)])
    written = capsys.readouterr()
    return status, written.out, written.err


COLUMNS = {
    "engine alone": ["ms", "fps", "encode ms", "memory MB", "of operations", "of bytes", "flow px"],
    "whole filter, multi=2, 3 in flight": [
        *("engine+encode fps", "host fps", "of it", "GPU fps", "of it", "again ms", "cold s")
    ],
}


ROW = {
    *("model", "width", "height", "precision", "canvas", "work", "flow_px", "engine_ms", "encode_ms", "floors"),
    *("engine_and_encode_fps", "memory", "filter_host_frames", "filter_gpu_frames", "called_again_ms"),
    *("cold_start_ms", "reasons"),
}


class TestCommand:
    @pytest.fixture
    def few(self, monkeypatch):
        """No processes, and no large matrices: what they answer is given."""
        monkeypatch.setattr(rows, "in_own_process", lambda *_, **__: {"bytes": {"resident": 1_500_000}})
        monkeypatch.setattr(session, "measured_rates", lambda *_: Rates(flop=1e12, bytes=1e10))

    def test_everything(self, capsys, checkpoint, tmp_path):
        status, out, err = run(
            *(capsys, "--quick", "--sizes", "96x64", "--models", checkpoint, "--device", "cpu", "--frames", 2),
            *("--precisions", "float32", "--in-flight", 3, "--json", tmp_path / "bench.json"),
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

    def test_the_engine_only(self, capsys, tmp_path, few):
        unnamed = tmp_path / "own.safetensors"
        save_file(network("D").state_dict(), unnamed)
        status, out, err = run(
            *(capsys, "--quick", "--engine-only", "--sizes", "64x32", "--models", unnamed, "--device", "cpu"),
            *("--precisions", "float32", "float32"),
        )
        assert (status, err) == (0, "")
        assert "whole filter" not in out
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
