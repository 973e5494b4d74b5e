"""A maker of scenes that another process has started, one of those that train together and see the same folder.

maker.alive     changed every second while a maker works there
wanted/NUMBER   an empty file for a scene that a process did not find; removed when the scene is there
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vsrife.datasets.scene_file import read_scene
from vsrife.errors import RifeError

if TYPE_CHECKING:
    from vsrife.datasets.maker import Wanted

__all__ = ["PATIENCE", "RemoteMaker", "beat", "requested"]

PATIENCE: Final = 120.0
"""Seconds without a sign of the maker after which it is not waited for any more; it needs some to begin."""

_ALIVE: Final = "maker.alive"
_WANTED: Final = "wanted"
_BEAT: Final = 1.0


class RemoteMaker:
    """As `maker.Maker`, which another process tells what comes next; here only what is missing is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._sign()
        self._since = time.monotonic()

    def ask(self, wanted: "Wanted") -> None:
        """For the scenes that are not there; raises nothing."""
        self._since = time.monotonic()
        for number in wanted.first:
            asked = self._folder / _WANTED / str(number)
            asked.parent.mkdir(exist_ok=True)
            asked.touch()

    def check(self) -> None:
        """Raises RifeError where there was no sign of the maker for too long."""
        # Clocks of two machines may differ, so it is only asked whether the sign changes.
        seen, now = self._sign(), time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif now - self._since > PATIENCE:
            raise RifeError(
                f"data.ring ({self._folder}) must have its maker of scenes, which was not heard of for {PATIENCE:g} s; "
                "see maker.log there, and start the run again to carry on"
            )

    def close(self) -> None:
        """The maker is another process' own."""

    def _sign(self) -> int | None:
        try:
            return (self._folder / _ALIVE).stat().st_mtime_ns
        except FileNotFoundError:
            return None


def beat(folder: Path) -> None:
    """From now on show to other processes that this one is alive."""

    def work() -> None:
        while True:
            with contextlib.suppress(OSError):  # a sign that is missed does no harm, the next one is near
                (folder / _ALIVE).touch()
            time.sleep(_BEAT)

    threading.Thread(target=work, daemon=True).start()


def requested(folder: Path, key: bytes) -> list[int]:
    """The scenes that are asked for and still missing."""
    numbers = []
    for path in (folder / _WANTED).glob("[0-9]*"):
        if read_scene(folder, int(path.name), key) is None:
            numbers.append(int(path.name))
        else:
            path.unlink(missing_ok=True)
    return sorted(numbers)
