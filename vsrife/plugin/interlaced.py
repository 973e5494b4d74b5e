"""Fields are no frames: half of the lines, of one moment each, and which half alternates. They are refused by name."""

from vsrife.errors import RifeError
from vsrife.plugin.vsapi import Frame

__all__ = ["refuse_fields"]


def refuse_fields(index: int, left: Frame, right: Frame | None) -> None:
    """Raise RifeError, with the way out, where source frame ``index`` or the next one, which an output frame is to be
    made of, is interlaced, or where they are fields of two parities. right: None where the left one is shown alone.
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
            "clip.std.SelectEvery(2, 0); where they are frames after all, clip.std.SetFieldBased(0)"
        )


def _refuse_interlaced(index: int, frame: Frame) -> None:
    based = frame.source_props.field_based
    if based:
        raise RifeError(
            f"source frame {index} is interlaced (_FieldBased {based}), and fields cannot be interpolated as frames; "
            "deinterlace it first, or, where it is progressive after all, clip.std.SetFieldBased(0)"
        )
