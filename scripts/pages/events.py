"""The page of the events: each type with its fields, and what its declaration says of it."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec.structs

from eventstore.event import Recorded
from openagents_json.workflow.core.event_traits import Origin, Phase, Subject, traits_of
from openagents_json.workflow.core.event_types import EVENT_TYPES
from pages.text import code, docstring, table, value

BEGIN = """# Events of a run

<!-- Written by scripts/reference from openagents_json/workflow/core/events.py. -->

A run is its events, oldest first. `openagents runs history RUN --json`, `engine.history(run)` and `handle.events()`
show them as [`HistoryEvent`](json-output.md#historyevent): there, `type` is a name of this page, and `data` has its
fields. A field that holds its default may be left out of `data`. Types and fields are only ever added; what is stored
stays readable.

Large payloads stand beside the log, and in `data` by reference. Those of encrypted runs are shown as far as the process
has the keys.

"""

ORIGINS = {
    Origin.FACT: "a fact: it came from outside, and is true whatever follows from it",
    Origin.DECISION: "a decision: it follows from the document and the events before it",
    Origin.FORCED: "a decision, or a limit that was reached",
    Origin.NOTE: "a note: the course of the run does not depend on it",
}
PHASES = {
    Phase.OPENS: "opens the run",
    Phase.OPEN: "while the run is open",
    Phase.CLOSES: "closes the run",
    Phase.ANY: "also after the end",
}
TITLES = {Subject.RUN: "Of the run", Subject.STEP: "Of its steps"}


def page() -> str:
    """Return the page."""
    kinds = sorted(EVENT_TYPES, key=_place_in_source)
    lines = ["| type | meaning |", "|---|---|"]
    lines += [
        f"| [`{kind.__name__}`](#{kind.__name__.lower()}) | {_first(kind)} |"
        for kind in kinds
    ]
    for subject, title in TITLES.items():
        lines += ["", f"## {title}"]
        for kind in kinds:
            if traits_of(kind).subject is subject:
                lines += ["", *_event(kind)]
    lines += ["", "## What stands on the log beside the data", "", *_envelope()]
    return BEGIN + "\n".join(lines)


def _place_in_source(kind: type[Any]) -> int:
    return inspect.getsourcelines(kind)[1]


def _first(kind: type[Any]) -> str:
    return docstring(kind)[0].replace("|", "\\|")


def _event(kind: type[Any]) -> list[str]:
    traits = traits_of(kind)
    lines = [f"### {kind.__name__}", ""]
    for paragraph in docstring(kind):
        lines += [paragraph, ""]
    says = [ORIGINS[traits.origin], PHASES[traits.phase]]
    if traits.status:
        says.append(f"the run is `{traits.status}` then")
    if traits.payloads:
        says.append(f"payloads: {', '.join(f'`{name}`' for name in traits.payloads)}")
    lines += [f"{'; '.join(says)[0].upper()}{'; '.join(says)[1:]}.", ""]
    rows = _fields(kind)
    return [*lines, *table(["field", "is", "default"], rows)] if rows else lines


def _fields(kind: type[Any]) -> list[list[str]]:
    annotations = inspect.get_annotations(kind)
    rows = []
    for field in msgspec.structs.fields(kind):
        default = "" if field.required else value(field.default)
        rows.append([code(field.name), code(annotations[field.name]), code(default)])
    return rows


def _envelope() -> list[str]:
    annotations = inspect.get_annotations(Recorded)
    rows = [
        [code(name), code(annotations[name])] for name in Recorded.__struct_fields__
    ]
    return [
        "`eventstore.event.Recorded`: " + docstring(Recorded)[0],
        "",
        *table(["field", "is"], rows),
    ]
