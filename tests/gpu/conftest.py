"""Tests that need a CUDA GPU: skipped where there is none, failed where VSRIFE_REQUIRE_GPU=1 says that there is one.

A GPU does not come with Vulkan (servers have none): tests of frames in GPU memory are skipped without it, whatever that
variable says, and failed where VSRIFE_REQUIRE_VULKAN=1 says that there is a driver for Vulkan 1.4 as well.
"""

import os
from typing import NoReturn

import pytest
import torch

from vsrife.engine.backend.cuda.kernels import Kernels, resolve


def missing(what: str, reason: str) -> NoReturn:
    """Skip the test because the machine has no ``what`` (GPU, VULKAN), or fail it where VSRIFE_REQUIRE_... is 1."""
    variable = f"VSRIFE_REQUIRE_{what}"
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    """The first CUDA device."""
    if not torch.cuda.is_available():
        missing("GPU", "torch sees no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture(scope="session")
def cupy(cuda: torch.device) -> object:
    """The cupy module, on a machine where it works."""
    try:
        import cupy
    except ImportError as error:
        missing("GPU", f"cupy cannot be imported: {error}")
    return cupy


@pytest.fixture(scope="session")
def kernels(cuda: torch.device, cupy: object) -> Kernels:
    """Of the device."""
    found, reason = resolve(cuda)
    assert found is not None, reason
    return found
