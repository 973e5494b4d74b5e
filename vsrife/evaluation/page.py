"""The results as one self-contained HTML page."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from vsrife.evaluation.examples import GAIN, Example
from vsrife.evaluation.report import MOST_ROWS, Line, Table, tables
from vsrife.evaluation.run import Result

__all__ = ["as_html"]

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.5rem; max-width: 110rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p, dl { color: light-dark(#555, #aaa); margin: .2rem 0; }
.tables { display: flex; flex-wrap: wrap; gap: 0 3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid light-dark(#ddd, #444); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tbody.means td { background: light-dark(#f3f3f3, #222); }
td.best { font-weight: 700; }
.example { display: grid; gap: .4rem; overflow-x: auto; margin-top: .5rem; }
.example img { width: 100%; display: block; }
.example .part { image-rendering: pixelated; }
.label { align-self: center; text-align: right; }
.head { text-align: center; font-size: .9rem; }
.whole { position: relative; }
.box { position: absolute; outline: 2px solid #ff3bd4; }
"""


def as_html(result: Result, facts: Mapping[str, Any]) -> str:
    """The tables, then the pictures. facts: as in `as_json`."""
    about = "; ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int))
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(result.title)}</title>',
        f"<style>{STYLE}</style>",
        f"<h1>{escape(result.title)}</h1><p>{escape(about)}</p>",
        *(f"<p>{escape(about)}: {escape(reason)}</p>" for about, reason in result.notes.items()),
        '<div class="tables">',
        *(_table(table) for table in tables(result)),
        "</div>",
    ]
    if result.examples:
        first = escape(result.methods[1])
        parts.append(
            f"<h2>Pictures</h2><p>Of each row the frame where {first} does worst; below it, enlarged, where it errs "
            "most. Differences: black, red, yellow, white.</p>"
        )
        parts += [_example(example) for example in result.examples]
    return "\n".join([*parts, "</html>", ""])


def _table(table: Table) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("", "frames", *table.heads))
    rows = table.rows if len(table.rows) <= MOST_ROWS else ()
    return (
        f"<section><h2>{escape(table.measure.title)}</h2><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(_line(table, line) for line in rows)}</tbody>"
        f'<tbody class="means">{"".join(_line(table, line) for line in table.means)}</tbody></table></section>'
    )


def _line(table: Table, line: Line) -> str:
    texts = [table.measure.text(value) for value in line.values]
    there = [value for value in line.values if value is not None]
    best = table.measure.text((max if table.measure.higher_is_better else min)(there)) if there else None
    cells = "".join(f'<td class="best">{text}</td>' if text == best else f"<td>{text}</td>" for text in texts)
    return f"<tr><td>{escape(line.name)}</td><td>{line.frames}</td>{cells}</tr>"


def _example(example: Example) -> str:
    where = " ".join(text for text in (example.group, example.row) if text)
    when = f", frame {example.name}" if example.name else ""
    return (
        f"<h2>{escape(where + when)}, t = {float(example.time):g}</h2>"
        f'<div class="example" style="grid-template-columns: repeat({len(example.columns)}, minmax(15rem, 1fr))">'
        f"{''.join(_cells(example))}</div>"
    )


def _cells(example: Example) -> Iterator[str]:
    """Row by row: titles, whole frames, their differences, enlarged parts, their differences."""
    box, (width, height) = example.box, example.size
    place = (
        f"left:{100 * box.left / width:.2f}%;top:{100 * box.top / height:.2f}%;"
        f"width:{100 * box.width / width:.2f}%;height:{100 * box.height / height:.2f}%"
    )
    for column in example.columns:
        yield f'<div class="head">{escape(column.title)}</div>'
    for column in example.columns:
        yield f'<div class="whole">{_image("", column.whole)}<div class="box" style="{place}"></div></div>'
    for column in example.columns:
        yield _image("", column.whole_difference)
    for column in example.columns:
        yield _image("part", column.part)
    for column in example.columns:
        yield _image("part", column.part_difference)


def _image(kind: str, uri: str | None) -> str:
    return (
        f'<p class="label">difference from the truth, {GAIN} times</p>'
        if uri is None
        else f'<img class="{kind}" src="{uri}" alt="">'
    )
