"""Secrets of a step: put in when it runs, at the places that its document names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from executor.errors import SecretMissing
from openagents_json.workflow.errors import shown_path
from openagents_json.workflow.expressions.namespace import secret_marker
from openagents_json.workflow.types import Json

Secrets = Callable[[str], str | None]
"""Gives the value of a secret by its name, None when there is none."""


def put_in(
    inputs: Mapping[str, Json], positions: Sequence[Any], secrets: Secrets
) -> tuple[dict[str, Json], list[str]]:
    """Return the inputs with their secrets, and the values that were put in; `positions` are [path, offset, name] each.

    Raises SecretMissing.
    """
    values: dict[str, str] = {}
    for _, _, name in positions:
        if name not in values:
            values[name] = _known(name, secrets)
    filled: dict[str, Json] = dict(inputs)
    # From behind: what is put in must not move the places that are still to come.
    for position in sorted(positions, key=lambda position: -int(position[1])):
        path, _, name = position
        put = partial(_put, position=position, value=values[name])
        filled = _with(filled, path, put)
    return filled, list(values.values())


def _known(name: str, secrets: Secrets) -> str:
    value = secrets(name)
    if value is None:
        raise SecretMissing(name)
    return value


def _with(value: Any, path: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """Return a value with what stands at a path changed; the value itself stays as it is."""
    if not path:
        return change(value)
    key = path[0]
    rest = path[1:]
    if isinstance(value, Mapping) and key in value:
        return {**value, key: _with(value[key], rest, change)}
    if isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
        items = list(value)
        items[key] = _with(items[key], rest, change)
        return items
    return change(None)


def _put(text: Any, position: Sequence[Any], value: str) -> str:
    path, offset, name = position
    marker = secret_marker(name)
    if not isinstance(text, str) or not text.startswith(marker, offset):
        fault = (
            f"input {shown_path(path)} on the log has no place for the secret {name!r}"
        )
        raise SecretMissing(name, fault)
    return text[:offset] + value + text[offset + len(marker) :]
