"""A network on a device: the module that defines its output, and its convolutions prepared to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import torch

from vsrife.engine import convolutions
from vsrife.engine.backend.base import Backend
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.convolutions import RGB, Block, Layout
from vsrife.engine.encoder import Encoder, prepare_encoder
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.base import LegacyNetwork

__all__ = ["RGB", "BlockNetwork", "Network", "PreparedLegacyNetwork"]

ALIGNED_RGB: Final = 4
"""Channels of a source without features, and as the kernels write it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Network:
    """A network on a device, ready to run: shared by every filter of the process that names the same three things.

    module: as vsrife.network defines it.
    dtype: of weights and convolutions. source_dtype: of packed sources; source: their channels.
    backend: of the device.
    """

    module: IFNet | LegacyNetwork
    device: torch.device
    dtype: torch.dtype
    source_dtype: torch.dtype
    source: int
    backend: Backend

    @staticmethod
    def of(
        module: IFNet | LegacyNetwork, device: torch.device, dtype: torch.dtype, backend: Backend = TORCH
    ) -> "BlockNetwork | PreparedLegacyNetwork":
        """The network ``module``, moved to ``device`` and ``dtype`` in place."""
        module.to(device=device, dtype=dtype).eval().requires_grad_(False)
        network = (
            BlockNetwork.prepared(module, device, dtype, backend)
            if isinstance(module, IFNet)
            else PreparedLegacyNetwork.prepared(module, device, dtype, backend)
        )
        if device.type == "cuda":
            # Weights are prepared on the current stream; synchronize, because the lanes' streams do not wait for it.
            torch.cuda.current_stream(device).synchronize()
        return network


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BlockNetwork(Network):
    """A 4.x network. layout, blocks: its blocks, prepared for `block_estimator`. encoder: None where there is none."""

    module: IFNet
    layout: Layout
    blocks: Sequence[Block]
    encoder: Encoder | None

    @classmethod
    def prepared(cls, module: IFNet, device: torch.device, dtype: torch.dtype, backend: Backend) -> Self:
        """See `Network.of`."""
        layout = Layout.of(module.architecture, aligned=backend.padded_channels)
        parts = [module.get_submodule(f"block{index}") for index in range(len(module.architecture.widths))]
        return cls(
            module=module,
            device=device,
            dtype=dtype,
            source_dtype=backend.source_dtype(dtype),
            source=layout.source,
            backend=backend,
            layout=layout,
            blocks=convolutions.prepare(parts, module.architecture, layout, backend.epilogue),
            encoder=prepare_encoder(module.get_submodule("encode"), module.architecture, layout, backend.epilogue),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedLegacyNetwork(Network):
    """A network of the paper or of the 3.x line, which `legacy_estimator` runs as vsrife.network defines it."""

    module: LegacyNetwork

    @classmethod
    def prepared(cls, module: LegacyNetwork, device: torch.device, dtype: torch.dtype, backend: Backend) -> Self:
        """See `Network.of`."""
        return cls(
            module=module,
            device=device,
            dtype=dtype,
            source_dtype=torch.float32,  # such a network warps the frames itself, and does that in float32
            source=ALIGNED_RGB if backend.padded_channels else RGB,
            backend=backend,
        )
