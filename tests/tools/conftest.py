"""The scripts of tools/, importable as they are there."""

import importlib

import pytest

from tests.conftest import ROOT
from tests.training.conftest import alone, folders, make, table

__all__ = ["alone", "folders", "make", "table", "tool"]


@pytest.fixture
def tool(monkeypatch):
    """A module of tools/ by its name."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module
