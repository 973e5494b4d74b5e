"""The kernels, run on the host."""

from pathlib import Path

import pytest
import torch

from vsrife.engine.backend.cuda.kernels import Kernels

from .host import Host, compiler


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The launcher; skips where there is no compiler of C++."""
    program = compiler()
    if program is None:
        pytest.skip("needs a C++ compiler: $CXX, $CC, c++, g++ or clang++")
    cache = getattr(request.config, "cache", None)
    folder = Path(cache.mkdir("kernels")) if cache else tmp_path_factory.mktemp("kernels")
    return Host(program, folder)


@pytest.fixture(scope="session")
def kernels(host: Host) -> Kernels:
    """The kernels on tensors of the CPU."""
    return Kernels(host)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where those tensors are."""
    return torch.device("cpu")
