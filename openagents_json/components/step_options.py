"""Options of decorators that are what they are in a step, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

OF_STEPS: Final[Mapping[str, str]] = {
    "retry": '{"max_retries": 2}',
    "timeouts": '{"heartbeat": 30}',
}
"""Options that are what they are in a step, each with an example."""


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a step of a document has them."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in options.items()
    }


def wrong_for_steps(name: str, given: Any) -> str:
    """Say what is wrong with an option that is what it is in a step, empty when nothing is."""
    if not isinstance(given, Mapping):
        return f"is no mapping, as {OF_STEPS[name]}"
    from jsonschema import Draft202012Validator

    from openagents_json.workflow.language.options import Object
    from openagents_json.workflow.language.steps import Retry, Timeouts

    kinds: dict[str, type[Object]] = {"retry": Retry, "timeouts": Timeouts}
    schema = kinds[name].json_schema()
    options = schema["properties"]
    for key in given:
        if key not in options:
            return f"has an unknown {key!r}; {nearest(key, options)}"
    for error in Draft202012Validator(schema).iter_errors(plain(given)):
        return f"is wrong at {'.'.join(map(str, error.path))}: {error.message}"
    return ""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return what is probably meant by a name, or which names there are."""
    near = difflib.get_close_matches(name, list(names), 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(sorted(names))}"
