"""Curves as an SVG, so that a plot needs no plotting library."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

__all__ = ["chart"]

_WIDTH, _HEIGHT = 860, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 210, 40, 50
_COLOURS: Final = ("#000000", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf")

type Curve = Sequence[tuple[float, float]]


def chart(curves: Mapping[str, Curve], *, title: str, across: str, up: str) -> str:
    """Points (across, up) by the curve's name, joined by lines, with axes and names. No points: empty axes."""
    points = [point for curve in curves.values() for point in curve]
    low_x, high_x = _range([x for x, _ in points])
    low_y, high_y = _range([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        share_x, share_y = (x - low_x) / (high_x - low_x), (y - low_y) / (high_y - low_y)
        return _LEFT + share_x * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - share_y * (_HEIGHT - _TOP - _BOTTOM)

    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        _text(_LEFT, 24, title, size=16),
        _text((_LEFT + right) / 2, _HEIGHT - 12, across, anchor="middle"),
        _text(_LEFT, _TOP - 2, up, anchor="middle"),
    ]
    for value in _marks(low_x, high_x):
        x, _ = place(value, low_y)
        parts += [_line(x, bottom, x, bottom + 5), _text(x, bottom + 20, f"{value:g}", anchor="middle")]
    for value in _marks(low_y, high_y):
        _, y = place(low_x, value)
        parts += [_line(_LEFT, y, right, y, "#dddddd"), _text(_LEFT - 8, y + 4, f"{value:g}", anchor="end")]
    parts += [_line(_LEFT, bottom, right, bottom), _line(_LEFT, _TOP, _LEFT, bottom)]
    for index, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        places = [place(*point) for point in curve]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = _TOP + 18 * index
        last = f" {curve[-1][1]:.2f}" if curve else ""
        parts += [_line(right + 12, y, right + 32, y, colour, 3), _text(right + 38, y + 4, f"{name}{last}")]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Least and largest, apart."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _marks(low: float, high: float) -> Iterator[float]:
    """Round numbers in a range, four to nine of them."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step *= next(factor for factor in (0.5, 1, 2, 5) if (high - low) / (step * factor) <= 8)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield round(number * step, 10)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#000000", width: int = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{html.escape(words)}</text>'
