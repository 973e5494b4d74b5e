"""Tests that need a CUDA GPU: skipped where there is none, failed where VSRIFE_REQUIRE_GPU=1 says that there is one."""

import os

import pytest
import torch

from vsrife.engine.kernels import Kernels, resolve


def _missing(reason: str) -> None:
    if os.environ.get("VSRIFE_REQUIRE_GPU") == "1":
        pytest.fail(f"VSRIFE_REQUIRE_GPU=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    """The first CUDA device."""
    if not torch.cuda.is_available():
        _missing("torch sees no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def cupy(cuda: torch.device) -> object:
    """The cupy module, on a machine where it works."""
    try:
        import cupy
    except ImportError as error:
        _missing(f"cupy cannot be imported: {error}")
    return cupy


@pytest.fixture(scope="session")
def kernels(cuda: torch.device, cupy: object) -> Kernels:
    """Of the device."""
    found, reason = resolve(cuda)
    assert found is not None, reason
    return found
