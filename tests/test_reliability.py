"""docs/reliability.md names tests that exist."""

import re

from .conftest import ROOT


def named(text):
    """(case, file, test) for each test that the table names; a name that ends in … is a test's beginning."""
    for row in re.findall(r"^\| (\d+ \|.*) \|$", text, re.MULTILINE):
        file = None
        for code, group in re.findall(r"`([^`]+)`|\b(Test\w+)", row.rsplit(" | ", 1)[1]):
            if code.endswith(".py"):
                file = code
            yield row.split(" ")[0], file, group or (None if code.endswith(".py") else code)


def missing(case, file, name):
    text = (ROOT / "tests" / file).read_text()
    if name is None or f"class {name}:" in text:
        return None
    found = re.findall(r"def test_(\w+)", text)
    start = name.rstrip("…")
    there = any(each.startswith(start) for each in found) if name.endswith("…") else start in found
    return None if there else f"case {case}: no {name} in {file}"


def test_every_case_names_tests_that_exist():
    all_named = list(named((ROOT / "docs" / "reliability.md").read_text()))
    assert {case for case, _, _ in all_named} == {str(number) for number in range(1, 36)}
    assert [line for each in all_named if (line := missing(*each))] == []


def test_a_test_that_is_not_there_is_seen():
    row = "| 3 | what | happens | `plugin/test_call.py` TestClip `no_such…`, TestNothing |\n"
    assert [line for each in named(row) if (line := missing(*each))] == [
        "case 3: no no_such… in plugin/test_call.py",
        "case 3: no TestNothing in plugin/test_call.py",
    ]
