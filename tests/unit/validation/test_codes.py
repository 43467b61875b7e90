"""The reference lists the codes of problems: each that there is, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from openagents_json.workflow.validation.modes import FOR_READERS, MAY_COME

ROOT = Path(__file__).parents[3]
WORKFLOW = ROOT / "openagents_json" / "workflow"
PAGE = ROOT / "docs/reference/validation.md"
ENDS = ("source", "target")


def codes_in(path: Path) -> Iterator[str]:
    """Return the codes that a module gives to problems; one that is made of words stands for all that it makes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(x.value) if isinstance(x, ast.Constant) else "*"
                for x in node.values
            )
            yield from (re.sub(r"\*", end, text, count=1) for end in ENDS)


def listed() -> set[str]:
    text = PAGE.read_text().partition("## Codes")[2]
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}


def test_the_reference_lists_the_codes_that_there_are() -> None:
    texts = {code for path in WORKFLOW.rglob("*.py") for code in codes_in(path)}
    assert listed() - texts == set()
    noted = re.compile(r"\.(?:error|warn|_error|_refuse|_missing)\(\s*\"([a-z_]+)\"")
    given = {
        code
        for folder in ("language", "validation")
        for path in (WORKFLOW / folder).rglob("*.py")
        for code in noted.findall(path.read_text())
    }
    assert given - listed() == set()


def test_modes_name_codes_that_there_are() -> None:
    assert (FOR_READERS | MAY_COME) - listed() == set()
