"""Surroundings of every test of the benchmark, and a small network."""

from pathlib import Path

import pytest
import torch

from tests.network.small import network


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "100")
    # Two threads that wait for each other on a busy machine take seconds for what one does in milliseconds.
    monkeypatch.setattr("vsrife.engine.slots.INTRA_OP_THREADS", 1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A small network of the 4.26 family, under the name that tells which one it is."""
    path = tmp_path_factory.mktemp("models") / "flownet_v4.26.pkl"
    torch.save({f"module.{key}": value for key, value in network("J").state_dict().items()}, path)
    return path
