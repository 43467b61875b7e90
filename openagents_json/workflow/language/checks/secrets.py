"""References to secrets where nothing fills them in: they would be passed on as the text that they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector

_REFERENCE: Final = re.compile(
    r"(?<!\\)(?:\{\{|\$\{)\s*secrets\.[A-Za-z_][A-Za-z0-9_]*\s*\}"
)


def check_secrets(locations: Iterable[StepLocation], collector: Collector) -> None:
    """Refuse secrets in the names of members, which are no templates."""
    for location in locations:
        for pointer, name in _names(
            location.step.get("inputs"), f"{location.pointer}/inputs"
        ):
            _refuse(
                pointer=pointer,
                text=name,
                why="the name of a member is no template",
                collector=collector,
                step_id=location.step.get("id"),
            )


def check_default_secrets(document: Mapping[str, Any], collector: Collector) -> None:
    """Refuse secrets in the defaults of inputs, which are no templates."""
    inputs = document.get("inputs")
    for name, spec in (inputs if isinstance(inputs, Mapping) else {}).items():
        default = spec.get("default") if isinstance(spec, Mapping) else None
        pointer = f"/inputs/{escape(name)}/default"
        for at, text in (*_texts(default, pointer), *_names(default, pointer)):
            _refuse(
                pointer=at,
                text=text,
                why="a default is no template",
                collector=collector,
                step_id=None,
            )


def _refuse(
    pointer: str, text: str, why: str, collector: Collector, step_id: str | None
) -> None:
    if _REFERENCE.search(text):
        message = f"{text!r}: {why}: a secret can be used in the inputs of a component only, as {{{{secrets.NAME}}}}"
        collector.error(
            "misplaced_secret", pointer, message, found=text, step_id=step_id
        )


def _names(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    for at, item in _everything(value, pointer):
        if isinstance(item, Mapping):
            yield from ((f"{at}/{escape(name)}", name) for name in item)


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    yield from (
        (at, item) for at, item in _everything(value, pointer) if isinstance(item, str)
    )


def _everything(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Return a value and all that is in it."""
    todo = [(pointer, value)]
    while todo:
        at, item = todo.pop()
        yield at, item
        if isinstance(item, Mapping):
            todo += [(f"{at}/{escape(name)}", member) for name, member in item.items()]
        elif isinstance(item, list | tuple):
            todo += [(f"{at}/{index}", member) for index, member in enumerate(item)]
