"""Runs launches on a CUDA device: each variant compiled by NVRTC through cupy, once a machine, loaded once a process.

cupy keeps compiled code on disk under its source text, options and architecture, so that only the first use of a
variant on a machine compiles it. Importing this module brings no cupy and touches no GPU.
"""

import importlib
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final

import torch

from vsrife.engine.backend.cuda.kernels.kernels import Kernels
from vsrife.engine.backend.cuda.kernels.launch import Launch, Pair
from vsrife.engine.backend.cuda.kernels.pair import new_pair
from vsrife.engine.backend.cuda.kernels.variants import Blocks, Variant

__all__ = ["COMPILER_OPTIONS", "Loader", "resolve"]

COMPILER_OPTIONS: Final = ("-std=c++17",)

_resolving: Final = threading.Lock()
_resolved: Final[dict[torch.device, tuple[Kernels | None, str]]] = {}


_GROUP_J: Final = Blocks(scales=(16, 8, 4, 2), shuffled=True, adds_masks=False, hidden=8)
_PROBES: Final = (
    Variant.convert(torch.uint8, torch.float16, 8),
    Variant.epilogue(torch.float16, 32, residual=True, slopes=False),
    Variant.gather(torch.float16, 8, 1, _GROUP_J),
    Variant.measures(torch.uint8),
    Variant.synthesis(torch.float16, torch.uint8, 3, (1, 1), _GROUP_J),
)
"""A variant of each other source, most of which the usual clip needs anyway: if these can be compiled, all can."""


def resolve(device: torch.device) -> tuple[Kernels | None, str]:
    """The kernels on `device` and what runs them, or None and why not.

    Tried once a process and device, by a launch; waits for it, and must not be called while a graph is captured.
    """
    if device.type != "cuda" or torch.version.cuda is None:
        return None, f"kernels are for NVIDIA GPUs, not for {device.type} of this torch"
    if device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    with _resolving:
        if device not in _resolved:
            _resolved[device] = _try(device)
        return _resolved[device]


def _try(device: torch.device) -> tuple[Kernels | None, str]:
    try:
        loader = Loader(device)
        kernels = Kernels(loader)
        with torch.cuda.device(device):
            pair, source = new_pair(device), torch.zeros((1, 4, 1, 1), device=device)
            kernels.set_pair(pair, source, source, 0.25)
            found = Pair.from_buffer_copy(pair.memory.cpu().numpy().tobytes())
        if (found.left, found.right, found.time) != (source.data_ptr(), source.data_ptr(), 0.25):
            raise RuntimeError("a kernel wrote something else than it should")
        loader.prepare(_PROBES)
    except Exception as error:  # noqa: BLE001 - no cupy, too old a one, no NVRTC, a GPU it cannot compile for
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"cupy cannot run kernels here ({reason}); install cupy-cuda13x 14 or later"
    return kernels, f"cupy {loader.version}, {torch.cuda.get_device_name(device)}"


class Loader:
    """Loaded kernels of one device; a launcher for `Kernels`. Any number of threads may use it at once."""

    def __init__(self, device: torch.device) -> None:
        """Raises ImportError without cupy."""
        # Its number where it has one: torch takes more than a microsecond to find that in a device, twice a launch.
        self._device = device if device.index is None else device.index
        self._cupy: ModuleType = importlib.import_module("cupy")
        self._functions: dict[tuple[Variant, str], Any] = {}
        self._streams: dict[int, Any] = {}
        self._loading = threading.Lock()

    @property
    def version(self) -> str:
        """Of cupy."""
        return str(self._cupy.__version__)

    def __call__(self, launch: Launch) -> None:
        """Queue a launch on torch's current stream of the device.

        The first one of a variant compiles and loads it: raises RuntimeError where that stream is being captured.
        """
        with torch.cuda.device(self._device):
            function = self._functions.get(launch.key) or self._function(*launch.key)
            stream = torch.cuda.current_stream(self._device)
            handle = stream.cuda_stream
            # What cupy makes of a stream is a name for its handle, and good for any stream that has this one.
            wrapped = self._streams.get(handle)
            if wrapped is None:
                wrapped = self._streams[handle] = self._cupy.cuda.Stream.from_external(stream)
            # The driver copies the arguments during the call.
            function(launch.grid, launch.block, (launch.value,), stream=wrapped)

    def prepare(self, variants: Iterable[Variant]) -> None:
        """Compile and load variants that will be launched while a graph is captured."""
        with torch.cuda.device(self._device):
            for variant in variants:
                for name in variant.functions:
                    self._function(variant, name)

    def registers(self, variant: Variant) -> dict[str, tuple[int, int]]:
        """Registers of a thread and bytes it spills to memory, for each kernel of a variant."""
        with torch.cuda.device(self._device):
            functions = {name: self._function(variant, name) for name in variant.functions}
            return {name: (each.num_regs, each.local_size_bytes) for name, each in functions.items()}

    def _function(self, variant: Variant, name: str) -> Any:
        function = self._functions.get((variant, name))
        if function is None:
            with self._loading:
                function = self._functions.get((variant, name))
                if function is None:
                    function = self._functions[variant, name] = self._load(variant, name)
        return function

    def _load(self, variant: Variant, name: str) -> Any:
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(f"{name} {variant.defines} was not loaded before the capture of a graph")
        module = self._cupy.RawModule(code=variant.code, options=COMPILER_OPTIONS)
        function = module.get_function(name)
        # Asking for an attribute makes the driver load the code now; left to the first launch, it may be in a capture.
        if function.num_regs <= 0:
            raise RuntimeError(f"{name} {variant.defines} could not be loaded")
        return function
