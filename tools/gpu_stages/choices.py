"""The engine's choices, each tried in a process of its own, as they are made before the first frame."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gpu_stages.engine_choices import CHOICES, defaults
from gpu_stages.measured import seeded_model
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of

_MIB = 1 << 20

TRIED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "cuDNN's benchmark": {"benchmark": True},
    "bands of 8 MB": {"band": 8 * _MIB},
    "bands of 16 MB": {"band": 16 * _MIB},
    "bands of 32 MB": {"band": 32 * _MIB},
    "1 lane": {"lanes": 1},
    "2 lanes": {"lanes": 2},
    "3 lanes": {"lanes": 3},
    "pageable copies": {"pinned": False},
    "pinned staging": {"pinned": True},
}
"""By what they are called in the results. What the engine does not let choose is left out."""

TRIED_QUICKLY: dict[str, dict[str, Any]] = {"another": {"benchmark": True, "band": 8 * _MIB, "lanes": 1}}


def tried(told: Told, settings: Settings) -> None:
    """gpu_stages.frames with each of them."""
    with tempfile.TemporaryDirectory() as folder:
        model = seeded_model("seeded:4.26", Path(folder))
        for name, changes in (TRIED_QUICKLY if settings.quick else TRIED).items():
            if not changes.keys() <= CHOICES.keys():
                told.note(f"{name}: nothing that this engine lets choose")
                continue
            if changes and changes.items() <= defaults().items():
                told.note(f"{name}: as it is")
                continue
            with told.part(name):
                arguments = [settings.as_argument(), name, json.dumps(changes), str(model)]
                subprocess.run([sys.executable, "-m", "gpu_stages.frames", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main_of({"choices": tried}))
