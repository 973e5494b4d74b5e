"""Writes the C source of the module `_vsrife_winograd`: cffi's glue for winograd.h, then dispatch.c.

Run by CMake as ``python generate.py OUTPUT.c``; needs cffi and nothing of vsrife installed.
"""

import re
import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent


def main(output: Path) -> None:
    """Write the C source to ``output``, creating its folder."""
    output.parent.mkdir(parents=True, exist_ok=True)
    builder = FFI()
    builder.cdef(re.sub(r"/\*.*?\*/", "", (HERE / "winograd.h").read_text(), flags=re.DOTALL))
    source = (HERE / "dispatch.c").read_text()
    builder.set_source("_vsrife_winograd", source, py_limited_api=True)
    builder.emit_c_code(str(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
