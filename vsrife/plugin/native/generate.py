"""Writes the C file of the native library: cffi's glue for interface.h, then bridge.c.

Run by CMake as ``python generate.py OUTPUT.c``; needs cffi and nothing of vsrife installed.
"""

import json
import re
import runpy
import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

PRELUDE = """
#define VS_USE_API_43
#include <VapourSynth4.h>
"""


def main(output: Path) -> None:
    """Write the generated C source to ``output``, creating its folder."""
    names = runpy.run_path(str(HERE.parent / "signature.py"))
    signature: str = names["SIGNATURE"]
    builder = FFI()
    cdef = re.sub(r"/\*.*?\*/", "", (HERE / "interface.h").read_text(), flags=re.DOTALL)
    builder.cdef(cdef)
    signature_line = f"#define RIFE_SIGNATURE {json.dumps(signature)}\n"
    bridge = signature_line + (HERE / "bridge.c").read_text()
    builder.set_source("_rife", PRELUDE + bridge, py_limited_api=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    builder.emit_c_code(str(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
