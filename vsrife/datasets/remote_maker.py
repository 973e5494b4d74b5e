"""The maker of scenes of another training process, which shares the folder.

maker.alive     touched every second while a maker works there
wanted/NUMBER   an empty file that requests a missing scene; removed when the scene exists
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import Final

from vsrife.datasets.scene_file import read_scene
from vsrife.datasets.scene_request import SceneRequest
from vsrife.errors import RifeError

__all__ = ["PATIENCE", "RemoteMaker", "beat", "requested"]

PATIENCE: Final = 120.0
"""Seconds without a sign of the maker after which waiting for it is given up; it needs some to start."""

_ALIVE: Final = "maker.alive"
_WANTED: Final = "wanted"
_BEAT: Final = 1.0


class RemoteMaker:
    """As `maker.Maker`, but the maker belongs to another process; only missing scenes are requested."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._sign()
        self._since = time.monotonic()

    def ask(self, wanted: SceneRequest) -> None:
        """Request the scenes `wanted.first`; raises nothing."""
        self._since = time.monotonic()
        for number in wanted.first:
            request = self._folder / _WANTED / str(number)
            request.parent.mkdir(exist_ok=True)
            request.touch()

    def check(self) -> None:
        """Raise RifeError if there was no sign of the maker for too long."""
        # Clocks of two machines may differ, so only changes of the time stamp are used.
        seen, now = self._sign(), time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif now - self._since > PATIENCE:
            raise RifeError(
                f"data.ring ({self._folder}) must have a running maker of scenes, which gave no sign for "
                f"{PATIENCE:g} s; see maker.log there, and start the run again to resume it"
            )

    def close(self) -> None:
        """Does nothing: the maker belongs to another process."""

    def _sign(self) -> int | None:
        try:
            return (self._folder / _ALIVE).stat().st_mtime_ns
        except FileNotFoundError:
            return None


def beat(folder: Path) -> None:
    """Show other processes from now on that this one is alive."""

    def work() -> None:
        while True:
            with contextlib.suppress(OSError):  # a missed sign does no harm, the next one follows soon
                (folder / _ALIVE).touch()
            time.sleep(_BEAT)

    threading.Thread(target=work, daemon=True).start()


def requested(folder: Path, key: bytes) -> list[int]:
    """The requested scenes that are still missing."""
    numbers = []
    for path in (folder / _WANTED).glob("[0-9]*"):
        if read_scene(folder, int(path.name), key) is None:
            numbers.append(int(path.name))
        else:
            path.unlink(missing_ok=True)
    return sorted(numbers)
