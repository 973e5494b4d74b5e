"""Interlaced frames and single fields, which cannot be interpolated as frames: they raise an error with the way out."""

from vsrife.errors import RifeError
from vsrife.plugin.vsapi import Frame

__all__ = ["refuse_fields"]


def refuse_fields(index: int, left: Frame, right: Frame | None) -> None:
    """Raise RifeError where source frame ``index`` or the next one is interlaced, or where they are fields of different
    parity. right: None where the left frame is not interpolated.
    """
    _refuse_interlaced(index, left)
    if right is None:
        return
    _refuse_interlaced(index + 1, right)
    first, second = left.source_props.field, right.source_props.field
    if first is not None and second is not None and first != second:
        raise RifeError(
            f"source frames {index} and {index + 1} are fields of both parities (_Field {first} and {second}), as "
            "SeparateFields makes them: one lies half a line higher. Deinterlace instead, or interpolate one parity, "
            "clip.std.SelectEvery(2, 0); if they are frames after all, clip.std.SetFieldBased(0)"
        )


def _refuse_interlaced(index: int, frame: Frame) -> None:
    based = frame.source_props.field_based
    if based:
        raise RifeError(
            f"source frame {index} is interlaced (_FieldBased {based}), and fields cannot be interpolated as frames; "
            "deinterlace it first, or, if it is progressive after all, clip.std.SetFieldBased(0)"
        )
