"""The resident memory of this process, as Linux reports it."""

from pathlib import Path

from vsrife.errors import RifeError

__all__ = ["reset_resident_peak", "resident_peak"]


def reset_resident_peak() -> int:
    """Set the peak of the resident memory to the current value, in bytes, and return it.

    Raises RifeError on other systems than Linux.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        raise RifeError("the peak of a process' memory is read from /proc, which only Linux has") from None


def resident_peak() -> int:
    """The largest resident memory since `reset_resident_peak`, in bytes."""
    return _status("VmHWM")


def _status(field: str) -> int:
    """A field of /proc/self/status in bytes. (ru_maxrss would include the peak of the parent process.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))
