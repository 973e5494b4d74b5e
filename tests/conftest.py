"""Fixtures that every test may use."""

import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that was started in the background ignores Ctrl-C, and so would the programs whose end it tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of parity fixtures, official checkpoints and clips beside the checkout; skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (parity fixtures, official checkpoints, clips), which is not here")
    return folder


@pytest.fixture(scope="session")
def official_model() -> str:
    """The file of the official 4.0: from ../shared, else from the cache folder; skips where it is in neither."""
    from vsrife.errors import ModelError
    from vsrife.models.store import locate

    file = ROOT.parent / "shared" / "weights" / "flownet_v4.0.pkl"
    if file.is_file():
        return str(file)
    try:
        return str(locate("4.0"))
    except ModelError as error:
        pytest.skip(f"needs the official 4.0: {error}")


def _tiny_network(seed: int):
    """A network of the 4.7 family, 12 channels wide: every part of a real one, in milliseconds."""
    import torch

    from vsrife.network.architecture import Architecture, Head, Trunk
    from vsrife.network.ifnet import IFNet

    torch.manual_seed(seed)
    architecture = Architecture(
        widths=(12, 8, 8, 4),
        scales=(8, 4, 2, 1),
        trunk=Trunk.RESIDUAL,
        outputs=24,
        head=Head.CLAMPED,
        head_width=4,
        features=4,
    )
    return IFNet(architecture)


def _save(network, path: Path) -> Path:
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def average_model(tmp_path_factory) -> str:
    """A checkpoint whose flow is zero and whose mask is a half: every new frame is the average of its neighbours."""
    import torch

    network = _tiny_network(1)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lastconv" in name:
                weight.zero_()
    return str(_save(network, tmp_path_factory.mktemp("models") / "average.safetensors"))


@pytest.fixture(scope="session")
def moving_model(tmp_path_factory) -> str:
    """A checkpoint of random weights: its flow is a few pixels, depends on t and on every pixel, and makes no sense."""
    import torch

    network = _tiny_network(2)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lastconv" in name:
                weight.mul_(20)
    return str(_save(network, tmp_path_factory.mktemp("models") / "moving.safetensors"))
