"""Networks, loaded once a process: the module that defines the answer, and its convolutions ready to run."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import torch

from vsrife.engine import convolutions, winograd
from vsrife.engine.backend.cuda.kernels import Kernels, resolve
from vsrife.engine.convolutions import RGB, Block, Layout
from vsrife.engine.encoder import Encoder, prepare_encoder
from vsrife.errors import ModelError
from vsrife.models.checkpoint import files_of, load
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.base import LegacyNetwork

__all__ = ["RGB", "BlockNetwork", "Network", "PreparedLegacyNetwork", "load_network"]

KEPT_NETWORKS = 4

ALIGNED_RGB: Final = 4
"""Channels of a source without features, and as the kernels write it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Network:
    """A network on a device, ready to run: shared by every filter of the process that names the same three things.

    module: as vsrife.network defines it.
    dtype: of weights and convolutions. source_dtype: of packed sources; source: their channels.
    kernels: of the device; None where there are none, and torch does it all.
    """

    module: IFNet | LegacyNetwork
    device: torch.device
    dtype: torch.dtype
    source_dtype: torch.dtype
    source: int
    kernels: Kernels | None

    @staticmethod
    def of(
        module: IFNet | LegacyNetwork, device: torch.device, dtype: torch.dtype, kernels: Kernels | None = None
    ) -> "BlockNetwork | PreparedLegacyNetwork":
        """The network ``module``, moved to ``device`` and ``dtype`` in place."""
        module.to(device=device, dtype=dtype).eval().requires_grad_(False)
        network = (
            BlockNetwork.prepared(module, device, dtype, kernels)
            if isinstance(module, IFNet)
            else PreparedLegacyNetwork.prepared(module, device, dtype, kernels)
        )
        if device.type == "cuda":
            # The weights were prepared on this thread's stream, which no lane follows.
            torch.cuda.current_stream(device).synchronize()
        return network


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BlockNetwork(Network):
    """A 4.x network. layout, blocks: its blocks, prepared for `estimator`. encoder: None where the network has none."""

    module: IFNet
    layout: Layout
    blocks: Sequence[Block]
    encoder: Encoder | None

    @classmethod
    def prepared(cls, module: IFNet, device: torch.device, dtype: torch.dtype, kernels: Kernels | None) -> Self:
        """See `Network.of`."""
        layout = Layout.of(module.architecture, aligned=kernels is not None)
        epilogue = None if kernels is None else kernels.epilogue
        parts = [module.get_submodule(f"block{index}") for index in range(len(module.architecture.widths))]
        return cls(
            module=module,
            device=device,
            dtype=dtype,
            # torch samples in float32, and would convert a whole source each time.
            source_dtype=torch.float32 if kernels is None else dtype,
            source=layout.source,
            kernels=kernels,
            layout=layout,
            blocks=convolutions.prepare(parts, module.architecture, layout, epilogue),
            encoder=prepare_encoder(module.get_submodule("encode"), module.architecture, layout, epilogue),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedLegacyNetwork(Network):
    """A network of the paper or of the 3.x line, which `pairs` runs as vsrife.network defines it."""

    module: LegacyNetwork

    @classmethod
    def prepared(cls, module: LegacyNetwork, device: torch.device, dtype: torch.dtype, kernels: Kernels | None) -> Self:
        """See `Network.of`."""
        return cls(
            module=module,
            device=device,
            dtype=dtype,
            source_dtype=torch.float32,  # such a network warps the frames itself, and does that in float32
            source=RGB if kernels is None else ALIGNED_RGB,
            kernels=kernels,
        )


_log: Final = logging.getLogger("vsrife")


def kernels_of(device: torch.device) -> Kernels | None:
    """The kernels of ``device``; where it is a GPU that has none, a log line says why, once."""
    kernels, reason = resolve(device)
    if kernels is None and device.type == "cuda":
        _log_once(f"frames are made by torch alone, several times slower: {reason}")
    return kernels


def _log_once(line: str) -> None:
    if line not in _logged:
        _logged.add(line)
        _log.warning("%s", line)


_logged: set[str] = set()
_networks: OrderedDict[tuple[object, ...], BlockNetwork | PreparedLegacyNetwork] = OrderedDict()
_networks_lock = threading.Lock()


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> BlockNetwork | PreparedLegacyNetwork:
    """The checkpoint at ``path`` on ``device`` with convolutions in ``dtype``.

    Loaded once a process (a player evaluates its script again at every seek), again only where the file has changed.
    Raises ModelError as `checkpoint.load` does, and for weights that float16 cannot hold.
    """
    facts = [(each.resolve(), each.stat().st_mtime_ns, each.stat().st_size) for each in files_of(path)]
    # The name as well as the place: of networks with the same shapes it may tell which one this is.
    key = (*facts, path.name, device, dtype)
    with _networks_lock:
        network = _networks.get(key)
        if network is None:
            network = Network.of(load(path), device, dtype, kernels_of(device))
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
            _networks[key] = network
            while len(_networks) > KEPT_NETWORKS:
                _networks.popitem(last=False)
        _networks.move_to_end(key)
    return network
