"""A folder of wheels for tools/check_gpu.py, for a machine with a GPU and PyTorch on which nothing can be installed.

    python tools/pack_wheels.py FOLDER [--vulkan] [--also NAME ...] [--limit MB]

Builds this checkout's wheel and downloads those of what it needs beside PyTorch and cupy, for Python 3.12 on Linux
(x86-64), and of cuDNN's Python package, which one stage measures with. Wheels that lie in FOLDER are replaced. Then,
there: python tools/check_gpu.py --wheels FOLDER. The checkout itself, with its tests, has to be there as well.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpu_stages.surroundings import VULKAN

ROOT = Path(__file__).resolve().parent.parent

NEEDED = ("vapoursynth>=81", "cffi>=1.17", "pycparser", "platformdirs>=4.3", "pooch>=1.8")
"""What pyproject.toml names and theirs, without what a machine with PyTorch and pytest has: numpy, packaging, requests,
safetensors.
"""

MEASURED_WITH = "nvidia-cudnn-frontend"

PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)), "manylinux2014_x86_64", "linux_x86_64")

SUITE = "trixie"
"""The Debian release whose libvulkan is 1.4, which VapourSynth needs for frames in GPU memory. It needs glibc 2.38."""


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the folder; 1 where it has become too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vulkan", action="store_true", help="Debian's libvulkan 1.4 too; needs apt-get and dpkg")
    parser.add_argument("--without-cudnn", action="store_true", help=f"leave {MEASURED_WITH} out (12 MB)")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME", help="more packages, as pytest-timeout")
    parser.add_argument("--limit", type=float, default=60.0, metavar="MB", help="no more than this in all (60)")
    options = parser.parse_args(argv)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    cudnn = [] if options.without_cudnn else [MEASURED_WITH]
    try:
        build(folder)
        download([*NEEDED, *cudnn, *options.also], folder)
        if options.vulkan:
            unpack_vulkan(folder / VULKAN)
    except subprocess.CalledProcessError as error:
        print(f"{folder} is not complete: {error}", file=sys.stderr)
        return 1
    return told(folder, options.limit)


def build(folder: Path) -> None:
    """The wheel of this checkout, for any Python from 3.12 and any PyTorch: it has nothing compiled against either."""
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--no-deps", "--wheel-dir", str(folder), f"--config-settings=build-dir={scratch}"]
        subprocess.run([*_pip("wheel"), *options, str(ROOT)], check=True)


def download(packages: Sequence[str], folder: Path) -> None:
    """Wheels of ``packages`` alone, not of what they need."""
    options = ["--no-deps", "--only-binary=:all:", "--python-version=3.12", "--implementation=cp"]
    platforms = [f"--platform={each}" for each in PLATFORMS]
    subprocess.run([*_pip("download"), *options, *platforms, "--dest", str(folder), *packages], check=True)


def _pip(verb: str) -> list[str]:
    return [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check"]


def unpack_vulkan(folder: Path) -> None:
    """Put the library of Debian's libvulkan1, of `SUITE`, into ``folder``; the machine's own package lists are left."""
    with tempfile.TemporaryDirectory() as scratch:
        lists, sources = Path(scratch) / "lists", Path(scratch) / "sources.list"
        (lists / "partial").mkdir(parents=True)
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        signed = f"[arch=amd64 signed-by={key}] " if Path(key).is_file() else "[arch=amd64] "
        sources.write_text(f"deb {signed}http://deb.debian.org/debian {SUITE} main\n", encoding="utf-8")
        settings = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "-",
            "Dir::State::Lists": lists,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", "libvulkan1"], check=True, cwd=scratch)
        (package,) = Path(scratch).glob("libvulkan1_*.deb")
        subprocess.run(["dpkg", "-x", str(package), scratch], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        # The file and not the link to it, which may not outlive the journey.
        for part in ("usr/lib/x86_64-linux-gnu/libvulkan.so.1", "usr/share/doc/libvulkan1/copyright"):
            shutil.copyfile(Path(scratch) / part, folder / Path(part).name)
        print(f"libvulkan.so.1 of {package.name}")


def told(folder: Path, limit: float) -> int:
    """Print what is in the folder; 1 where it is more than ``limit`` megabytes."""
    total = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        total += path.stat().st_size
        if path.suffix == ".whl":
            print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    print(f"{total / 1e6:8.2f} MB  in all")
    if total > 1e6 * limit:
        print(f"more than {limit:g} MB: leave something out, or raise --limit", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
