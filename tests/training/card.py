"""A GPU played by the CPU: what is made for "cuda:0" lies in host memory, but is known to be the card's.

Numbers are real, so that whole runs can be made and compared; what is found out besides is what would go wrong or slow
on a GPU alone:

- an operation that is given tensors of both sides, or a generator of the other side: `WrongPlace`;
- a value that is asked for before the work that makes it is waited for, between two streams or from the host:
  `TooEarly`;
- memory of a side stream that another one used without `record_stream`, and that is then freed, so that the first one
  may write over it: `Card.given_away`;
- everything for which the host waits: `Card.waits`, by the lines of the package that did it;
- every operation that would be a kernel: `Card.kernels`.

Streams know what was queued before by counting: each operation of a stream has a number, and a stream, or the host,
knows for each stream up to which number it is done.
"""

import contextlib
import itertools
import os
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from vsrife import cuda
from vsrife.network import points
from vsrife.training import losses

PACKAGE = f"{Path(cuda.__file__).parent}{os.sep}"

HOST = torch.device("cpu")
CARD = torch.device("cuda:0")

_VIEWS = {
    "detach",
    "alias",
    "lift_fresh",
    "_unsafe_view",
    "_reshape_alias",
    "is_pinned",
    "_has_compatible_shallow_copy_type",
}
_MAKES_NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_"}
_DATA_DEPENDENT = {
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
    "bincount",
    "histc",
    "equal",
}
_FACTS = {"numel", "element_size", "dim", "size", "stride", "untyped_storage", "is_contiguous", "data_ptr", "view"}
_ASKS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "numpy", "__array__", "__contains__"}


class WrongPlace(Exception):
    """Tensors of both sides in one operation."""


class TooEarly(Exception):
    """Something that was not waited for."""


_numbers = itertools.count()


class Stream:
    """A queue of the card; `known` by stream: the number up to which it has waited for that stream's work."""

    def __init__(self, device: object = None) -> None:
        self.known: Counter[int] = Counter()
        self.number = next(_numbers)
        self.tick = 0

    def wait_event(self, event: "Event") -> None:
        self.known |= event.known

    def wait_stream(self, other: "Stream") -> None:
        self.wait_event(other.record_event())

    def record_event(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def done(self) -> "Counter[int]":
        return self.known | Counter({self.number: self.tick})


class Event:
    def __init__(self, **_options: object) -> None:
        self.known: Counter[int] = Counter()

    def record(self, stream: Stream | None = None) -> None:
        self.known = (stream or _card().current).done()

    def synchronize(self) -> None:
        _card().host |= self.known

    def query(self) -> bool:
        return True


class Generator(torch.Generator):
    """One that knows its device."""

    def __new__(cls, device: object = "cpu") -> "Generator":
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made

    def manual_seed(self, seed: int) -> "Generator":
        super().manual_seed(seed)
        return self


class _Memory:
    """Of one storage. reference: it is alive. stream, tick: what wrote to it last. home: the stream it was made on."""

    def __init__(self, reference: StorageWeakRef, place: torch.device, stream: Stream | None, tick: int) -> None:
        self.reference = reference
        self.place = place
        self.stream, self.tick, self.home = stream, tick, stream
        self.users: set[int] = set()
        self.borrowed: tuple[Stream, int, str] | None = None


_played: list["Card"] = []


def _card() -> "Card":
    return _played[-1]


class Card:
    """See the module. `played` makes one; work in threads counts where it is in `stream`."""

    def __init__(self) -> None:
        self.default = Stream()
        self.host: Counter[int] = Counter()
        self.waits: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()
        self.given_away: list[str] = []
        self._memory: dict[int, _Memory] = {}
        self._local = threading.local()
        self._lock = threading.RLock()

    @property
    def current(self) -> Stream:
        return getattr(self._local, "stream", None) or self.default

    def set_stream(self, stream: Stream) -> None:
        self._local.stream = stream

    @contextlib.contextmanager
    def stream(self, stream: Stream | None) -> Iterator[None]:
        """`torch.cuda.stream`; in a thread that is not the card's yet it becomes so."""
        before = getattr(self._local, "stream", None)
        self._local.stream = stream or before
        with self._modes():
            try:
                yield
            finally:
                self._local.stream = before

    @contextlib.contextmanager
    def _modes(self) -> Iterator[None]:
        if getattr(self._local, "inside", False):
            yield
            return
        self._local.inside = True
        try:
            with _Asked(self), _Done(self):
                yield
        finally:
            self._local.inside = False

    @contextlib.contextmanager
    def backward(self) -> Iterator[None]:
        """What autograd makes of nothing, such as zeros for what has no gradient, it makes where the gradients are."""
        self._local.backward = True
        try:
            yield
        finally:
            self._local.backward = False

    @property
    def capturing(self) -> bool:
        """Whether this thread captures a graph."""
        return getattr(self._local, "capturing", False)

    def makes_here(self) -> bool:
        """Whether autograd is at work."""
        return getattr(self._local, "backward", False)

    def place(self, tensor: torch.Tensor) -> torch.device:
        memory = self._of(tensor)
        return memory.place if memory else HOST

    def _of(self, tensor: torch.Tensor) -> _Memory | None:
        with torch._C.DisableTorchFunction():
            if tensor.device.type != "cpu":  # meta and the like
                return None
            return self._memory.get(tensor.untyped_storage()._cdata)

    def put(self, tensor: torch.Tensor, place: torch.device, *, written: bool = True) -> None:
        """The tensor's memory is at `place`, as the current stream has left it; on the host: as it will leave it."""
        with self._lock:
            with torch._C.DisableTorchFunction():
                storage = tensor.untyped_storage()
            stream = self.current
            memory = self._memory.get(storage._cdata)
            if memory is None:
                memory = _Memory(StorageWeakRef(storage), place, stream, stream.tick)
                self._memory[storage._cdata] = memory
                if len(self._memory) % 1000 == 0:
                    self.forget()
            memory.place = place
            if written:
                memory.stream, memory.tick = stream, stream.tick

    def forget(self) -> None:
        """Look at all that was freed."""
        # Where a storage lay nothing else lies while there is a reference to it.
        for key, memory in list(self._memory.items()):
            if memory.reference.expired():
                del self._memory[key]
                if memory.borrowed and memory.home.known[memory.borrowed[0].number] < memory.borrowed[1]:
                    self.given_away.append(memory.borrowed[2])

    def use(self, tensor: torch.Tensor, what: str) -> None:
        """On the current stream, or of host memory by the host: everything about it is as it must be."""
        memory = self._of(tensor)
        if memory is None or memory.stream is None:
            return
        stream = self.current
        known = self.host if memory.place == HOST else stream.done()
        if (memory.stream is not stream or memory.place == HOST) and known[memory.stream.number] < memory.tick:
            raise TooEarly(f"{what} reads what another stream has not finished, at {_line()}")
        if memory.place == HOST:
            return
        if memory.home not in (stream, self.default) and stream.number not in memory.users:
            line = memory.borrowed[2] if memory.borrowed else f"{what} at {_line()}"
            memory.borrowed = (stream, stream.tick, line)

    @property
    def shared(self) -> Callable[[torch.Tensor, Stream], None]:
        """`record_stream`."""
        return lambda tensor, stream: self._share(tensor, stream)

    def _share(self, tensor: torch.Tensor, stream: Stream) -> None:
        memory = self._of(tensor)
        assert memory is not None
        memory.users.add(stream.number)

    def captured(self, work: Callable[[], Any], stream: Stream) -> tuple[Callable[[], None], Any]:
        """`cuda.captured`: what a graph would replay is done anew, and its results put into the same memory."""
        kernels, waits = self.kernels.copy(), self.waits.copy()
        self._local.capturing = True
        try:
            with self.stream(stream):
                answer = work()
        finally:
            self._local.capturing = False
        self.kernels, self.waits = kernels, waits
        self.current.wait_stream(stream)  # a capture leaves no work
        for each in _tensors(answer):
            self._memory[each.untyped_storage()._cdata].home = self.default  # it is the graph's, as long as that lives

        def replay() -> None:
            kernels = self.kernels.copy()
            for into, made in zip(_tensors(answer), _tensors(work()), strict=True):
                into.copy_(made)
            self.kernels = kernels
            self.kernels["graph"] += 1

        return replay, answer

    @contextlib.contextmanager
    def waited(self) -> Iterator[None]:
        """What is waited for here is told already."""
        self._local.waited = True
        try:
            yield
        finally:
            self._local.waited = False

    def wait(self, what: str) -> None:
        """The host waits for the current stream."""
        if getattr(self._local, "waited", False):
            return
        if self.capturing:
            raise RuntimeError(f"{what}: operation not permitted when stream is capturing, at {_line()}")
        self.host |= self.current.done()
        self.waits[f"{_line()} {what}"] += 1


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _tensors(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))


def _line() -> str:
    """The innermost line of the package."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        # By the whole path: the folder of a checkout, or one above it, may have the package's name too.
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return "elsewhere"


class _Asked(TorchFunctionMode):
    """What is asked for by name: devices are read and written as the card's."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        card, kwargs = self._card, dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name in _FACTS:
            return function(*args, **kwargs)
        owner = getattr(function, "__self__", None)
        if name == "__get__" and owner is torch.Tensor.device:
            return card.place(args[0]) if args[0].device.type == "cpu" else args[0].device
        if name == "__get__" and owner is torch.Tensor.is_cuda:
            return card.place(args[0]) == CARD
        if function is torch.device or name == "_parse_to":
            return function(*args, **kwargs)
        if name == "backward":
            with card.backward():
                return function(*args, **kwargs)
        if name in _ASKS and args and isinstance(args[0], torch.Tensor):
            if name in ("numpy", "__array__") and card.place(args[0]) == CARD:
                raise WrongPlace(f"{name} of a tensor of the card, at {_line()}")
            if card.place(args[0]) == CARD:
                card.wait(name)
                with torch._C.DisableTorchFunction(), card.waited():
                    return function(*args, **kwargs)
            elif name != "__contains__":
                card.use(args[0], name)
            return function(*args, **kwargs)
        if name in ("to", "cpu", "cuda"):
            return self._moved(name, args, kwargs)
        wanted = _wanted(args, kwargs)
        if name == "new_tensor":
            wanted = wanted or card.place(args[0])
        if wanted is None:
            return function(*args, **kwargs)
        args, kwargs = tree_map(_plain, args), tree_map(_plain, kwargs)
        generator = kwargs.get("generator")
        if generator is not None and getattr(generator, "place", HOST) != wanted:
            raise WrongPlace(f"{name} on {wanted} by a generator of {generator.place}, at {_line()}")
        made = function(*args, **kwargs)
        if wanted == CARD and isinstance(made, torch.Tensor):
            if name in ("tensor", "as_tensor", "new_tensor"):
                data = args[name == "new_tensor"]
                if isinstance(data, torch.Tensor) and card.place(data) == CARD:
                    return made
                if isinstance(data, torch.Tensor):
                    made = made.clone()
                card.wait(f"{name} of the host's numbers")
            card.current.tick += 1
            card.kernels[name] += 1
            card.put(made, CARD)
        return made

    def _moved(self, name: str, args: Any, kwargs: Any) -> Any:
        card, tensor = self._card, args[0]
        rest, options = list(args[1:]), dict(kwargs)
        wanted = {"cpu": HOST, "cuda": CARD}.get(name)
        if name == "to":
            first = rest[0] if rest else None
            if isinstance(first, torch.Tensor):
                wanted, rest = card.place(first), [first.dtype, *rest[1:]]
            elif isinstance(first, str | torch.device):
                wanted, rest = torch.device(first), rest[1:] or [None]
            asked = options.pop("device", None)
            wanted = wanted or (None if asked is None else torch.device(asked))
            options |= zip(("dtype", "non_blocking", "copy"), rest, strict=False)
        if wanted is not None and wanted.type not in ("cpu", "cuda"):
            return tensor.to(wanted, **options)
        if options.get("dtype") is None:
            options["dtype"] = tensor.dtype
        if wanted is None or wanted == card.place(tensor):
            return tensor.to(**options)
        if card.capturing:
            raise RuntimeError(f"{name}: a copy between the sides is captured, at {_line()}")
        card.use(tensor, name)
        made = tensor.to(**options | {"copy": True})
        card.current.tick += 1
        card.put(made, wanted)
        card.kernels["copy to the other side"] += 1
        if not options.get("non_blocking"):
            card.wait(f"copy to {wanted}, {made.numel() * made.element_size()} bytes,")
        return made


def _is_empty(made: Any) -> bool:
    return isinstance(made, torch.Tensor) and not made.numel()


def _wanted(args: Any, kwargs: Any) -> torch.device | None:
    found = kwargs.get("device") or next((each for each in args if isinstance(each, torch.device)), None)
    return torch.device(found) if isinstance(found, str | torch.device) else None


def _plain(value: Any) -> Any:
    return HOST if isinstance(value, torch.device) and value.type == "cuda" else "cpu" if value == "cuda:0" else value


class _Done(TorchDispatchMode):
    """What is done: each operation, forward and backward."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        card, kwargs = self._card, kwargs or {}
        with torch._C.DisableTorchFunction():
            return self._run(card, function, args, kwargs)

    def _run(self, card: Card, function: Any, args: Any, kwargs: Any) -> Any:
        name = function._schema.name.removeprefix("aten::")
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        places = [card.place(each) for each in given]
        on_card = CARD in places or (not given and card.makes_here())
        if given and on_card:
            self._check(name, function, args, given, places)
        made = function(*args, **kwargs)
        if not on_card:
            return made
        if name == "_local_scalar_dense":
            return made
        is_view = function.is_view or name in _VIEWS
        into_host = name == "copy_" and places[0] == HOST
        if not is_view:
            card.current.tick += 1
            if name not in _MAKES_NO_KERNEL and not _is_empty(made):
                card.kernels[name] += 1
        written = {
            id(args[index] if index < len(args) else kwargs.get(each.name))
            for index, each in enumerate(function._schema.arguments)
            if each.alias_info is not None and each.alias_info.is_write
        }
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor):
                new = card._of(each) is None
                if into_host:
                    card.put(each, HOST)
                elif new or id(each) in written:
                    card.put(each, CARD)
        for each in given:
            if id(each) in written and not into_host:
                card.put(each, card.place(each))
        return made

    def _check(self, name: str, function: Any, args: Any, given: list[Any], places: list[torch.device]) -> None:
        card = self._card
        for each, place in zip(given, places, strict=True):
            if place == CARD and not function.is_view:
                card.use(each, name)
        if name == "_local_scalar_dense":
            card.wait("item")
        if name in _DATA_DEPENDENT:
            card.wait(name)
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            for each in tree_leaves(args[1]):
                if isinstance(each, torch.Tensor) and each.dtype == torch.bool:
                    card.wait("index by booleans")
                elif isinstance(each, torch.Tensor) and card.place(each) == HOST:
                    card.wait("index by the host's numbers")
            return
        if name == "copy_":
            if HOST in places and not (args[2:] and args[2]):
                card.wait("copy between the sides")
            return
        strange = [each for each, place in zip(given, places, strict=True) if place == HOST and each.dim()]
        if strange:
            shapes = ", ".join(str(tuple(each.shape)) for each in strange)
            raise WrongPlace(f"{name} of the card's tensors and of the host's {shapes}, at {_line()}")


@contextlib.contextmanager
def played(monkeypatch: Any) -> Iterator[Card]:
    """Within it there is one GPU, "cuda:0"."""
    card = Card()
    _played.append(card)
    for name, value in {
        "Stream": Stream,
        "Event": Event,
        "current_stream": lambda device=None: card.current,
        "stream": card.stream,
        "synchronize": lambda device=None: card.wait("synchronize"),
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "set_device": lambda device: None,
        "set_stream": card.set_stream,
        "get_device_name": lambda device=None: "a card that is played",
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("_cuda_graph_capture_health_check", "_accelerator_graph_capture_health_check"):
        # Asks the driver; by either name, as the release has it.
        monkeypatch.setattr(torch.optim.Optimizer, name, lambda self: None, raising=False)
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch.Tensor, "record_stream", card.shared)
    monkeypatch.setattr(cuda, "own_stream", Stream)
    monkeypatch.setattr(cuda, "captured", card.captured)
    for kept in (losses._resizing, losses._luma_weights, losses._pairs, points._interpolation, points._coordinates):
        kept.cache_clear()
    benchmark, precision = torch.backends.cudnn.benchmark, torch.backends.cudnn.conv.fp32_precision
    try:
        with card.stream(None):
            yield card
    finally:
        _played.pop()
        # What a run sets for a GPU is not for the tests that come after.
        torch.backends.cudnn.benchmark, torch.backends.cudnn.conv.fp32_precision = benchmark, precision
        torch.backends.cuda.matmul.fp32_precision = "none"
