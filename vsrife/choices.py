"""What is to be settled by measuring on a GPU, in one place: the defaults, and what a measuring script sets instead."""

from dataclasses import dataclass

__all__ = ["Choices", "choose", "chosen"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """How frames are made on a CUDA device. Other devices use none of it; none of the defaults has been measured.

    Frame n is the same bytes on every run with the same choices. It may differ in its last bits between choices of
    ``gpu_band`` or ``cudnn_benchmark``, since the library may take other algorithms; not between others.

    pinned: planes in host memory pass through pinned memory, which the GPU copies from and to by itself, for one more
        copy on the host. Otherwise they are copied as they lie, which the driver stages, and the call waits for.
    gpu_band: bytes of a block's input that exist at a time, 1 or more. By default a block at 1080p is one band, which
        takes the fewest launches, and memory at 2160p stays bounded; bands that the device's L2 holds may be faster.
    lanes: frames whose motion is computed at a time, 1 or more: the fine blocks of one fill what the coarse ones leave
        idle. Each costs a working set. Three times as many frames may be on their way, and each lane keeps up to three
        graphs.
    cudnn_benchmark: cuDNN times its algorithms for each size and takes the fastest. Which one that is may change from
        run to run, and the bytes with it, so this must not be a default unless it is shown that they do not.
    """

    pinned: bool = False
    gpu_band: int = 1 << 27
    lanes: int = 2
    cudnn_benchmark: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a number below 1."""
        for name in ("gpu_band", "lanes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be 1 or more")


_chosen = Choices()


def chosen() -> Choices:
    """What holds in this process."""
    return _chosen


def choose(choices: Choices) -> None:
    """Let ``choices`` hold from now on: for scripts that measure, and tests. To be called before the first frame, or
    when none is being made; a filter keeps the band that it was made with.
    """
    global _chosen
    _chosen = choices
