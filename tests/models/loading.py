"""Checkpoints with the official keys, and the one line of the error with which loading a file fails."""

import pytest
import torch

from vsrife.errors import ModelError
from vsrife.models.checkpoint import load


def official(state):
    """With the keys as the official files have them."""
    return {f"module.{key}": value for key, value in state.items()}


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def fails(path, state=None):
    if state is not None:
        torch.save(state, path)
    with pytest.raises(ModelError) as error:
        load(path)
    text = one_line(error)
    assert str(path) in text
    return text
