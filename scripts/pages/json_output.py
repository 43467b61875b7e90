"""The page of what commands print with --json: the types, with their fields."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from typing import Any

from pages.text import annotation, code, docstring, table

BEGIN = """# What commands print as JSON

<!-- Written by scripts/reference from the types. -->

With `--json`, a command prints one JSON value on stdout: an object, or an array where it lists something. Fields are
only ever added. Times that end in `_ms` are milliseconds since 1970 in UTC. A command that fails prints nothing there;
the last line on stderr is [the error as JSON](errors.md#errors-as-json).

"""

COMMANDS: tuple[tuple[str, str, bool], ...] = (
    ("run", "openagents_json.engine.answers.runs:Result", False),
    ("runs show", "openagents_json.engine.answers.runs:RunInfo", False),
    ("runs list", "openagents_json.engine.answers.lists:RunRow", True),
    ("runs failures", "openagents_json.engine.answers.lists:FailureClass", True),
    ("runs waiting", "openagents_json.engine.answers.waits:WaitingStep", True),
    ("runs timeline", "openagents_json.engine.answers.times:Timeline", False),
    ("runs history", "openagents_json.engine.answers.runs:HistoryEvent", True),
    ("runs explain", "openagents_json.engine.inspection.explain:Explanation", False),
    ("runs diff", "openagents_json.workflow.history.diff:Comparison", False),
    ("steps", "openagents_json.engine.answers.lists:OpenStep", True),
    ("components stats", "projections.steps:ComponentStatistics", True),
    ("workers list", "openagents_json.engine.answers.lists:WorkerRow", True),
    ("doctor", "openagents_json.engine.diagnosis.doctor:Diagnosis", False),
)
"""A command, the type that it prints, and whether it prints an array of it."""


def type_of(place: str) -> type[Any]:
    """Return the class that "module:name" names."""
    module, _, name = place.partition(":")
    kind: type[Any] = getattr(importlib.import_module(module), name)
    return kind


def page() -> str:
    """Return the page."""
    rows = []
    for command, place, is_array in COMMANDS:
        name = type_of(place).__name__
        link = f"[`{name}`](#{name.lower()})"
        rows.append(
            [
                f"[`openagents {command}`](cli.md#openagents-{command.replace(' ', '-')})",
                f"array of {link}" if is_array else link,
            ]
        )
    lines = table(["command", "prints"], rows)
    for kind in _with_parts([type_of(place) for _, place, _ in COMMANDS]):
        lines += _type(kind)
    return BEGIN + "\n".join(lines)


def _with_parts(kinds: list[type[Any]]) -> list[type[Any]]:
    """Return types with those that their fields hold, each behind the first that holds it."""
    listed: list[type[Any]] = []
    for kind in kinds:
        if kind not in listed:
            listed += [kind]
            parts = [part for part in _parts(kind) if part not in kinds]
            listed += [part for part in _with_parts(parts) if part not in listed]
    return listed


def _parts(kind: type[Any]) -> list[type[Any]]:
    names = vars(sys.modules[kind.__module__])
    words = " ".join(str(field.type) for field in dataclasses.fields(kind))
    parts = [names.get(word) for word in re.findall(r"\w+", words)]
    return [
        part
        for part in parts
        if isinstance(part, type) and dataclasses.is_dataclass(part)
    ]


def _type(kind: type[Any]) -> list[str]:
    lines = [f"## {kind.__name__}", ""]
    for paragraph in docstring(kind):
        lines += [paragraph, ""]
    rows = [
        [code(field.name), code(annotation(field.type))]
        for field in dataclasses.fields(kind)
    ]
    return [*lines, *table(["field", "is"], rows)]
