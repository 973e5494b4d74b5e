"""The scripts of tools/, importable as they are there."""

import importlib

import pytest

from tests.conftest import ROOT


@pytest.fixture
def tool(monkeypatch):
    """A module of tools/ by its name."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module
