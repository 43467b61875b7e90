"""What to write instead where a value cannot fit, if that can be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.validation.schemas.comparison import cannot_fit, is_open
from openagents_json.workflow.validation.schemas.contradictions import (
    Schema,
    refuses,
    types_of,
)
from openagents_json.workflow.validation.schemas.members import any_item

_NUMBERS: Final = frozenset({"integer", "fraction"})

_FILTERS: Final = (
    ("string", _NUMBERS | {"boolean"}, {"type": "string"}),
    ("int", frozenset({"string", "fraction"}), {"type": "integer"}),
    ("float", frozenset({"string"}), {"type": "number"}),
)
"""Filters, from which types they lead, and what they give."""


def instead_of_literal(value: Any, taken: Schema) -> str:
    """Say how a value of the document itself has to be written, "" where that is not known."""
    if isinstance(value, str):
        return _without_quotes(value, taken)
    is_scalar = isinstance(value, int | float)
    text = json.dumps(value) if is_scalar else ""
    if is_scalar and not refuses(taken, text):
        return f'write "{text}", in quotes'
    return ""


def _without_quotes(text: str, taken: Schema) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    return "" if refuses(taken, value) else f"write {text.strip()}, without quotes"


def instead_of_reference(path: str, given: Schema, taken: Schema) -> str:
    """Say what to write in the place of a reference, "" where that is not known."""
    return next(_for_reference(path, given, taken), "")


def _for_reference(path: str, given: Schema, taken: Schema) -> Iterator[str]:
    types = types_of([object_of(given)])
    for name, convertible, result in _FILTERS:
        if types <= convertible and not cannot_fit(result, taken):
            yield f"write {{{{ {path} | {name} }}}}"
    members = object_of(object_of(given).get("properties"))
    fitting = [name for name in members if _may_be_meant(members[name], taken)]
    if len(fitting) == 1:
        yield f"did you mean {{{{ {path}.{fitting[0]} }}}}?"
    if _may_be_meant(any_item(given), taken):
        yield f"say foreach: {{{{ {path} }}}}, and refer to {{{{item}}}} here"


def _may_be_meant(schema: Schema, taken: Schema) -> bool:
    return not is_open(schema) and not cannot_fit(schema, taken)
