"""The comparison with vs-rife: a stand-in for its package runs under another name, and the figures are of both."""

import contextlib
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import ROOT
from tests.network.small import network
from vsrife.bench.engine import Engine, working_on
from vsrife.bench.synthetic_input import ARCHITECTURES, moving_frames, save_seeded
from vsrife.errors import ArgumentError

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")

NETWORK_FILE = """
import torch
from torch import nn

from .warplayer import warp
from tests.network.small import ARCHITECTURES
from vsrife.network.ifnet import IFNet as Ours


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
    monkeypatch.setattr("vsrife.engine.slots.INTRA_OP_THREADS", 1)
    # The stand-in imports the tests, also in the process that measures its memory.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "vs_rife_package"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A small network of the 4.26 family, under the name that selects the network of vs-rife."""
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
    (folder / "IFNet_HDv3_v4_26.py").write_text(NETWORK_FILE)
    return folder.parent


def test_the_package_is_found_in_the_folder_and_as_the_folder(tool, stand_in):
    for path in (stand_in, stand_in / "vsrife"):
        found = tool("vs_rife.package").find_package(path)
        assert found.folder == (stand_in / "vsrife").resolve()
        assert (found.release, found.versions) == ("5.0.1", ("4.26",))


def test_it_runs_under_another_name_and_copies_of_it_are_kept_apart(tool, stand_in, checkpoint, tmp_path):
    import vsrife

    package, vs_rife = tool("vs_rife.package"), tool("vs_rife.network")
    with torch.inference_mode():
        net = vs_rife.VsRifeNetwork(package.find_package(stand_in), "4.26", checkpoint, CPU, torch.float32, (64, 128))
        rgb = torch.rand(1, 3, 64, 128)
        kept = net.prepare(rgb)
        assert kept[1].shape == (1, 4, 64, 128)
        assert net.new_frame(kept, kept).shape == (1, 3, 64, 128)
    assert sys.modules["vsrife"] is vsrife
    assert importlib.import_module(f"{package.ALIAS}.warplayer").warp.shift == 0.125
    other = tmp_path / "other"
    other.mkdir()
    (other / "warplayer.py").write_text(WARP_FILE.replace("0.125", "0.5"))
    (other / "IFNet_HDv3_v4_26.py").write_text(NETWORK_FILE)
    with torch.inference_mode():
        vs_rife.VsRifeNetwork(package.find_package(other), "4.26", checkpoint, CPU, torch.float32, (64, 128))
    assert importlib.import_module(f"{package.ALIAS}.warplayer").warp.shift == 0.5


def test_weights_that_it_does_not_take(tool, stand_in, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(network("D").state_dict(), path)
    found = tool("vs_rife.package").find_package(stand_in)
    with pytest.raises(ArgumentError, match=r"its network 4\.26 does not take"):
        tool("vs_rife.network").VsRifeNetwork(found, "4.26", path, CPU, torch.float32, (64, 128))


def test_its_settings_are_torch_s_own_and_ours_come_back(tool):
    backends = torch.backends

    def state():
        cudnn = backends.cudnn
        return cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic

    before = state()
    try:
        backends.cudnn.conv.fp32_precision = backends.cuda.matmul.fp32_precision = "ieee"
        backends.cudnn.deterministic = True
        ours = state()
        with contextlib.suppress(KeyError), tool("vs_rife.network").plugin_settings():
            its = state()
            raise KeyError
        assert its == ("tf32", "tf32", False, False)
        assert state() == ours
    finally:
        backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision = before[:2]
        backends.cudnn.benchmark, backends.cudnn.deterministic = before[2:]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_real_one_gives_our_frame(tool, name, tmp_path):
    found = [*ROOT.parent.glob("vs-rife-*"), *ROOT.parent.glob("*/vs-rife-*")]
    if not found:
        pytest.skip("needs an unpacked wheel of vs-rife beside the checkout, in a folder vs-rife-VERSION")
    path = tmp_path / f"{name}.safetensors"
    save_seeded(ARCHITECTURES[name], path)
    frames = moving_frames(128, 64, 2)
    package = tool("vs_rife.package").find_package(found[0])
    with working_on(CPU) as held:
        engine = Engine(path, CPU, torch.float32, (128, 64))
        left, right = (engine.encode(frame) for frame in frames)
        net = tool("vs_rife.network").VsRifeNetwork(package, name, path, CPU, torch.float32, engine.canvas)
        made = net.new_frame(*(net.prepare(engine.rgb(frame)) for frame in frames))
        assert (made - engine.merged(held, left, right)).abs().max() < 1e-4


def run(tool, capsys, *arguments):
    status = tool("compare_vs_rife").main([*map(str, arguments)])
    written = capsys.readouterr()
    return status, written.out, written.err


HEAD = "model size precision ours ms theirs ms ratio graph ms ratio ours MB theirs MB ratio difference"


def test_the_table_and_the_json(tool, capsys, stand_in, checkpoint, tmp_path):
    status, out, err = run(
        *(tool, capsys, stand_in, "--quick", "--sizes", "96x64", "--models", checkpoint, "--device", "cpu"),
        *("--precisions", "float32", "--threads", 1, "--json", tmp_path / "rows.json"),
    )
    assert (status, err) == (0, "")
    lines = out.splitlines()
    head, row = lines[lines.index("against vs-rife 5.0.1") + 1 :][:2]
    assert head.split() == HEAD.split()
    assert row.split()[:3] == ["flownet_v4.26.pkl", "96x64", "float32"]
    assert len(row) == len(head), "aligned at the right"
    assert lines[-1] == "graph: CUDA graphs need CUDA"
    written = json.loads((tmp_path / "rows.json").read_text())
    assert set(written) == {"machine", "release", "rows"}
    (row,) = written["rows"]
    assert row["ratio"] == pytest.approx(row["theirs_ms"]["median"] / row["ours_ms"]["median"])
    assert row["memory_ratio"] == pytest.approx(row["memory"]["resident"] / row["our_memory"]["resident"])
    assert row["graph_ms"] is None
    assert row["largest_difference"] == pytest.approx(0.125, abs=1e-3)


def test_a_case_that_it_cannot_run_is_a_reason(tool, capsys, monkeypatch, stand_in, tmp_path):
    monkeypatch.setattr(tool("compare_vs_rife"), "in_own_process", lambda *_, **__: {"bytes": {"resident": 1_500_000}})
    own, other = tmp_path / "own.safetensors", tmp_path / "flownet_v4.6.safetensors"
    for path in (own, other):
        save_file(network("D").state_dict(), path)
    status, out, err = run(
        *(tool, capsys, stand_in, "--quick", "--sizes", "64x32", "--device", "cpu", "--models", own, other),
        *("--precisions", "float32"),
    )
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[-2:] == [
        "theirs: models (own.safetensors) must have the name of an official file, such as flownet_v4.26",
        "theirs: models (flownet_v4.6.safetensors): vs-rife has no network 4.6",
    ]
    rows = lines[lines.index("against vs-rife 5.0.1") + 2 :][:2]
    assert [line.split()[-8:] for line in rows] == [["-", "-", "-", "-", "1.50", "-", "-", "-"]] * 2


@pytest.mark.parametrize("package", ["nowhere", str(ROOT)])
def test_a_folder_without_the_package_is_one_line_and_status_2(tool, capsys, package):
    status, out, err = run(tool, capsys, package)
    assert (status, out) == (2, "")
    assert err.startswith(f"compare_vs_rife.py: package ({package}) must be a folder with the package of vs-rife")
    assert err.count("\n") == 1
