"""The CUDA sources on the host: each variant compiled with a shim header, its launches run on tensors of the CPU.

$CXXFLAGS is added to the options, so that a sanitizer can watch:
    CXXFLAGS="-g -fsanitize=address,undefined -fno-sanitize-recover" ASAN_OPTIONS=detect_leaks=0 \
    LD_PRELOAD="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so)" \
    pytest tests/engine/backend/cuda/kernels
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from vsrife.engine.backend.cuda.kernels import Variant
from vsrife.engine.backend.cuda.kernels.launch import Launch

HERE = Path(__file__).resolve().parent
OPTIONS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas")


def compiler() -> str | None:
    """The first C++ compiler there is: $CXX, c++, g++, clang++, or $CC and cc by the language they are told."""
    names = [os.environ.get("CXX"), "c++", "g++", "clang++", os.environ.get("CC"), "cc"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Host:
    """Runs launches by code of the host's compiler.

    Compiled code is kept in `folder`, under a digest of all that it is made of, and there dropped after a week.
    """

    def __init__(self, program: str, folder: Path, options: tuple[str, ...] = OPTIONS) -> None:
        more = os.environ.get("CXXFLAGS", "").split()
        self._command = (program, "-x", "c++", *options, *more, f"-I{HERE}")
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self._made_of = "\0".join((version, *self._command, (HERE / "shim.h").read_text()))
        self._folder = folder
        for library in folder.glob("*.so"):
            if library.stat().st_mtime < time.time() - 7 * 24 * 3600:
                library.unlink(missing_ok=True)
        self._libraries: dict[Variant, ctypes.CDLL] = {}
        self._running = threading.Lock()
        self.launched: set[tuple[str, str]] = set()

    def __call__(self, launch: Launch) -> None:
        with self._running:  # the shim's threadIdx is one for the process
            library = self._libraries.get(launch.variant) or self._compiled(launch.variant)
            size = getattr(library, f"{launch.function}_arguments")
            size.restype = ctypes.c_size_t
            assert size() == ctypes.sizeof(launch.arguments), "arguments are laid out otherwise in the source"
            dimensions = ctypes.c_uint * 3
            getattr(library, launch.function)(
                ctypes.byref(launch.arguments), dimensions(*launch.grid), dimensions(*launch.block)
            )
            self.launched.add((launch.variant.source, launch.function))

    def _compiled(self, variant: Variant) -> ctypes.CDLL:
        text = "\0".join((self._made_of, variant.code))
        library = self._folder / f"{variant.source}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                made = Path(scratch) / "made.so"
                done = subprocess.run(
                    [*self._command, "-", "-o", made],
                    input=variant.code, capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, f"{variant}\n{done.stderr[-4000:]}"
                made.replace(library)
        self._libraries[variant] = ctypes.CDLL(str(library))
        return self._libraries[variant]
