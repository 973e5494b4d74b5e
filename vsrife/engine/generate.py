"""Writes the C source of a module for a CPU: cffi's glue for its header, then its dispatch.c.

Run by CMake as ``python generate.py FOLDER OUTPUT.c``, FOLDER/NAME.h being the header of the module `_vsrife_NAME` in
the folder of that name; needs cffi and nothing of vsrife installed.
"""

import re
import sys
from pathlib import Path

from cffi import FFI

__all__ = ["main"]


def main(folder: Path, output: Path) -> None:
    """Write the C source to ``output``, creating its folder."""
    output.parent.mkdir(parents=True, exist_ok=True)
    name = folder.name
    builder = FFI()
    builder.cdef(re.sub(r"/\*.*?\*/|#pragma once", "", (folder / f"{name}.h").read_text(), flags=re.DOTALL))
    source = (folder / "dispatch.c").read_text()
    builder.set_source(f"_vsrife_{name}", source, py_limited_api=True)
    builder.emit_c_code(str(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
