"""Stand-ins for official checkpoints and frames: the same numbers on every machine, from a key and a seed.

The networks they make interpolate nothing useful, but every branch counts. The answers in the parity fixtures were
computed from exactly these numbers, so nothing here may change.
"""

import zlib

import numpy as np
import torch


def seeded_array(key, shape, seed):
    """float32 array of `shape` for the checkpoint key `key`."""
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    values = rng.standard_normal(tuple(shape)).astype(np.float32)
    if key.endswith("beta"):
        return (0.3 * values + 0.5).astype(np.float32)
    if len(shape) == 1:  # a bias, or the slopes of a PReLU
        return (0.05 * values + (0.2 if ".1.weight" in key else 0.0)).astype(np.float32)
    last = "lastconv" in key
    fan_in = shape[0] * 4 if last else np.prod(shape[1:])
    return (values * (0.35 if last else 1.0) / np.sqrt(fan_in)).astype(np.float32)


def seeded_state(shapes, seed, multiply=None):
    """A checkpoint with the official keys of `shapes`; `multiply` scales some of its tensors."""
    factors = multiply or {}
    return {
        key: torch.from_numpy(seeded_array(key, shape, seed)) * factors.get(key, 1.0) for key, shape in shapes.items()
    }


def seeded_frames(height, width, seed):
    """Two uint8 frames [height, width, 3]: smooth texture that moves, and a square that moves otherwise."""
    rng = np.random.Generator(np.random.PCG64([seed, 7]))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [(rng.uniform(0.02, 0.9, 2), rng.uniform(0, 6.28, 3)) for _ in range(6)]
    frames = []
    for shift in (0.0, 5.0):
        picture = np.zeros((height, width, 3))
        for frequency, phase in waves:
            wave = np.sin((x + shift) * frequency[0] + (y - 0.5 * shift) * frequency[1])
            picture += wave[..., None] * np.cos(phase) * 22
        picture += 128
        top, left = int(height * 0.4), int(width * 0.3 + 2 * shift)
        picture[top : top + height // 6, left : left + width // 6] = (220, 60, 90)
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames
