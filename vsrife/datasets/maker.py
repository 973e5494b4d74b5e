"""A process that makes synthetic scenes ahead: `Maker` starts and controls it, and this module is its program.

It reads lines from its standard input: a job as JSON, then, whenever it changes, which scenes are wanted. It exits as
soon as that input ends, which also happens when its parent is killed.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vsrife.datasets.picture_store import PictureStore
from vsrife.datasets.remote_maker import beat, requested
from vsrife.datasets.scene_file import numbers_in, place_of, read_scene, write_scene
from vsrife.datasets.scene_request import SceneRequest
from vsrife.datasets.scenes import scene_times
from vsrife.datasets.synthetic import Synthetic, SyntheticSettings
from vsrife.errors import RifeError

__all__ = ["Job", "Maker", "make_scene"]

_LOG: Final = "maker.log"
_UNFINISHED: Final = 60  # seconds after which an unfinished file is left over from a process that has ended
_IDLE: Final = 0.5  # seconds between checks for requests of other processes while there is nothing to do


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The job of a maker. key: of the scenes, as in `write_scene`, in hexadecimal. truths: true frames of each scene.

    nice: added to the niceness of the process, on systems that have it.
    """

    folder: Path
    key: str
    seed: int
    picture_store: PictureStore
    settings: SyntheticSettings
    truths: int
    nice: int


class Maker:
    """A running maker process. It ends with this object."""

    def __init__(self, job: Job) -> None:
        """Start the process. The folder of the job must exist."""
        self._folder = job.folder
        with (job.folder / _LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                start_new_session=True,  # Ctrl-C must reach the trainer only, which then ends this process
            )
        self.close = weakref.finalize(self, _end, self._process)
        """Kill the process and wait until it has ended."""
        self._send(json.dumps(_plain(job)))

    def ask(self, wanted: SceneRequest) -> None:
        """Set the scenes to make from now on. Raises RifeError if the process has ended."""
        self._send(" ".join(map(str, (wanted.keep, wanted.low, wanted.high, *wanted.first))))

    def check(self) -> None:
        """Raise RifeError if the process has ended."""
        status = self._process.poll()
        if status is None:
            return
        path = self._folder / _LOG
        lines = path.read_text(errors="replace").strip().splitlines() if path.is_file() else []
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        last = f": {lines[-1]}" if lines else ""
        raise RifeError(
            f"data.ring ({self._folder}) must have a running maker of scenes, which ended by {how}{last}; "
            f"see {path.name} there, and start the run again to resume it"
        )

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._process.wait()
            self.check()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()  # an unfinished scene has a temporary name
    process.wait()
    if process.stdin is not None:
        try:
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None


def make_scene(job: Job, source: Synthetic, number: int) -> None:
    """Make a scene and write its file. source: with the pictures and settings of the job."""
    times = scene_times(job.seed, number, job.truths, job.settings.any_time)
    write_scene(job.folder, number, bytes.fromhex(job.key), source.scene(number, job.seed, times))


def _plain(job: Job) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(job), default=str))  # type: ignore[no-any-return]


def _job(plain: dict[str, Any]) -> Job:
    picture_store = {key: None if path is None else Path(path) for key, path in plain.pop("picture_store").items()}
    settings, folder = SyntheticSettings(**plain.pop("settings")), Path(plain.pop("folder"))
    return Job(folder=folder, picture_store=PictureStore(**picture_store), settings=settings, **plain)


class _Orders:
    """The newest wanted scenes, read from the parent by a thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = SceneRequest(keep=0, low=0, high=0)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            keep, low, high, *first = map(int, line.split())
            with self._changed:
                self._wanted = SceneRequest(keep=keep, low=low, high=high, first=tuple(first))
                self._changed.notify()
        os._exit(0)  # the parent has ended, so the scenes are not needed

    def newest(self) -> SceneRequest:
        return self._wanted

    def wait_for_change(self, current: SceneRequest) -> None:
        """Wait until other scenes are wanted, or for a moment."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted is not current, _IDLE)


def _tidy(folder: Path) -> None:
    """Remove unfinished files of killed processes, but not those that another process is writing."""
    for left in folder.glob("*.making-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _UNFINISHED:
                left.unlink()


def _numbers(orders: _Orders, folder: Path, key: bytes) -> Iterator[int]:
    """The scenes to make, one after the other; waits while there are none."""
    made = numbers_in(folder)
    while True:
        wanted = orders.newest()
        for number in [number for number in made if number < wanted.keep]:
            place_of(folder, number).unlink(missing_ok=True)
            made.discard(number)
        # Readers request what they did not find, even if it was made here before.
        missing = (number for number in wanted.first if read_scene(folder, number, key) is None)
        rest = (number for number in range(wanted.low, wanted.high) if number not in made)
        chosen = next(itertools.chain(missing, requested(folder, key), rest), None)
        if chosen is None:
            orders.wait_for_change(wanted)
            continue
        yield chosen
        made.add(chosen)


def _work() -> None:
    torch.set_num_threads(1)
    job = _job(json.loads(sys.stdin.readline()))
    if hasattr(os, "nice"):
        os.nice(job.nice)
    orders = _Orders()
    beat(job.folder)
    _tidy(job.folder)
    source = Synthetic(job.picture_store.bank(), job.settings)
    for number in _numbers(orders, job.folder, bytes.fromhex(job.key)):
        make_scene(job, source, number)


if __name__ == "__main__":
    _work()
