"""Checkpoints as networks that are ready to run, each loaded once a process."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

import torch

from vsrife.engine import winograd
from vsrife.engine.backend.base import Backend
from vsrife.engine.backend.resolve import resolve_backend
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.networks import BlockNetwork, Network, PreparedLegacyNetwork
from vsrife.errors import ModelError
from vsrife.models.checkpoint import files_of, load

__all__ = ["KEPT_NETWORKS", "load_network", "loaded_networks"]

KEPT_NETWORKS = 4

_log: Final = logging.getLogger("vsrife")


def _backend_of(device: torch.device) -> Backend:
    """The backend of ``device``; where it is a GPU that has none of its own, a log line says why, once."""
    backend, reason = resolve_backend(device)
    if backend is TORCH and device.type == "cuda":
        _log_once(f"frames are made by torch alone, several times slower: {reason}")
    return backend


def _log_once(line: str) -> None:
    if line not in _logged:
        _logged.add(line)
        _log.warning("%s", line)


_logged: set[str] = set()
loaded_networks: OrderedDict[tuple[object, ...], BlockNetwork | PreparedLegacyNetwork] = OrderedDict()
_networks_lock = threading.Lock()


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> BlockNetwork | PreparedLegacyNetwork:
    """The checkpoint at ``path`` on ``device`` with convolutions in ``dtype``.

    Loaded once a process (a player evaluates its script again at every seek), again only where the file has changed.
    Raises ModelError as `checkpoint.load` does, and for weights that float16 cannot hold.
    """
    facts = [(each.resolve(), each.stat().st_mtime_ns, each.stat().st_size) for each in files_of(path)]
    # The name as well as the place: of networks with the same shapes it may decide which one this is.
    key = (*facts, path.name, device, dtype)
    with _networks_lock:
        network = loaded_networks.get(key)
        if network is None:
            network = Network.of(load(path), device, dtype, _backend_of(device))
            if isinstance(network, BlockNetwork) and device.type == "cpu" and dtype is torch.float32:
                lanes, reason = winograd.resolve(device, dtype)
                if not lanes:
                    _log_once(f"convolutions are done by torch alone, which takes about twice as long: {reason}")
            # Only float16 has less range than the file, whose weights `load` has found finite.
            if dtype is torch.float16 and not all(
                bool(weight.isfinite().all()) for weight in network.module.parameters()
            ):
                raise ModelError(
                    f'model ({path}) has weights beyond the range of float16; pass precision="float32" or "bfloat16"'
                )
            loaded_networks[key] = network
            while len(loaded_networks) > KEPT_NETWORKS:
                loaded_networks.popitem(last=False)
        loaded_networks.move_to_end(key)
    return network
