"""Which scenes a ring needs from its maker."""

from dataclasses import dataclass

__all__ = ["SceneRequest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneRequest:
    """Make the scenes `low` to `high` - 1, those in `first` before all others; remove those below `keep`."""

    keep: int
    low: int
    high: int
    first: tuple[int, ...] = ()
