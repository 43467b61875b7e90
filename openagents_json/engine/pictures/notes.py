"""What a picture says of a step below its name: a few lines, each of them one line whatever is in the document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from openagents_json.workflow.language.graph import goto_target

LONGEST: Final = 60
"""How long a line of a note is at most."""

_WHOLE: Final = re.compile(r"\{\{\s*((?:(?!\}\}).)*?)\s*\}\}", re.DOTALL)
"""A template that is one expression."""


def one_line(text: str, most: int = LONGEST) -> str:
    """Return a text as one line without anything that cannot be seen, cut where it is too long."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(x if x.isprintable() else repr(x)[1:-1] for x in line)
    if len(line) <= most:
        return line
    return f"{line[: most - 1]}…"


def short_expression(value: Any) -> str:
    """Return a template as one line, without the braces around it."""
    if not isinstance(value, str):
        return one_line(json.dumps(value, ensure_ascii=False))
    whole = _WHOLE.fullmatch(value.strip())
    return one_line(whole[1] if whole else value)


def notes_of(kind: str, step: Mapping[str, Any]) -> Iterator[str]:
    """Return what is said of a step: what it does, then what makes it special."""
    yield from filter(None, (_WORK[kind](step),))
    for option, say in _SPECIAL.items():
        if option in step:
            yield from filter(None, (say(step[option]),))


def _component(step: Mapping[str, Any]) -> str:
    return one_line(str(step.get("component", "")))


def _workflow(step: Mapping[str, Any]) -> str:
    name = one_line(str(step["workflow"]))
    if step.get("detached"):
        return f"starts {name}"
    return f"workflow {name}"


def _wait(step: Mapping[str, Any]) -> str:
    awaited = step["wait_for"]
    if isinstance(awaited, Mapping) and "any" in awaited:
        return f"waits for {' or '.join(map(_branch, awaited['any']))}"
    return f"waits for {_branch(awaited)}"


def _branch(awaited: Any) -> str:
    """Name one of the things that a step waits for."""
    if not isinstance(awaited, Mapping):
        return f"signal {short_expression(awaited)}"
    if "signal" in awaited:
        return f"signal {short_expression(awaited['signal'])}"
    return _time(awaited.get("sleep", awaited))


def _sleep(step: Mapping[str, Any]) -> str:
    return f"sleeps {_time(step['sleep'])}"


def _time(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"{short_expression(value)} s"
    if "until" in value:
        return f"until {short_expression(value['until'])}"
    return " ".join(
        f"{short_expression(much)} {unit}" for unit, much in sorted(value.items())
    )


def _loop(step: Mapping[str, Any]) -> str:
    loop = step["loop"]
    words = [
        f"{word} {short_expression(loop[word])}"
        for word in ("while", "until")
        if word in loop
    ]
    return ", ".join([*words, f"at most {loop['max_iterations']} times"])


def _terminate(step: Mapping[str, Any]) -> str:
    ending = step["terminate"]
    if isinstance(ending, Mapping):
        ending = ending.get("status", "success")
    return f"ends the run: {ending}"


def _nothing(_: Mapping[str, Any]) -> str:
    return ""


_WORK: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "component": _component,
    "workflow": _workflow,
    "wait": _wait,
    "sleep": _sleep,
    "loop": _loop,
    "terminate": _terminate,
    "block": _nothing,
}
"""What a step does, by its kind."""


def _on_error(handlers: Any) -> str:
    targets = [target for handler in handlers if (target := goto_target(handler))]
    if targets:
        return f"on error: {', '.join(targets)}"
    return ""


def _compensate(undo: Any) -> str:
    component = undo.get("component", "") if isinstance(undo, Mapping) else undo
    return f"undone by {one_line(str(component))}"


_SPECIAL: Final[Mapping[str, Callable[[Any], str]]] = {
    "condition": lambda value: f"if {short_expression(value)}",
    "foreach": lambda value: f"for each of {short_expression(value)}",
    "on_error": _on_error,
    "compensate": _compensate,
}
"""What else is worth a line, by the option."""
