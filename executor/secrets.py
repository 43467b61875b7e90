"""Secrets of a step: put in when it runs, and taken out of what it leaves on the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from openagents_json.workflow.lookup import secret_marker
from openagents_json.workflow.types import Json

Secrets = Callable[[str], str | None]
"""Gives the value of a secret by its name, None when there is none."""

SHORTEST: Final = 4
"""A shorter value is not looked for in outputs: it would be found everywhere."""


class SecretMissing(Exception):
    """The worker has no secret of a name."""

    def __init__(self, step: str, name: str) -> None:
        self.step, self.name = step, name
        super().__init__(f"step {step}: there is no secret {name!r}; set OPENAGENTS_SECRET_{name} for the workers")


def put_in(
    step: str, inputs: Mapping[str, Json], wanted: Mapping[str, tuple[str, ...]], secrets: Secrets
) -> tuple[dict[str, Json], list[str]]:
    """Give the inputs with their secrets, and the values that were put in.

    Raises SecretMissing.
    """
    known: dict[str, str] = {}
    for name in dict.fromkeys(name for names in wanted.values() for name in names):
        value = secrets(name)
        if value is None:
            raise SecretMissing(step, name)
        known[name] = value
    filled = dict(inputs)
    for key, names in wanted.items():
        if key in filled:
            filled[key] = replaced(filled[key], {secret_marker(name): known[name] for name in names})
    return filled, list(known.values())


def take_out(value: Any, values: list[str]) -> Any:
    """Give a JSON value without the secrets that were put in."""
    found = sorted((x for x in values if len(x) >= SHORTEST), key=len, reverse=True)
    return replaced(value, dict.fromkeys(found, "***")) if found else value


def replaced(value: Any, texts: Mapping[str, str]) -> Any:
    """Replace texts in all texts of a JSON value, names of members included."""
    if isinstance(value, str):
        for old, new in texts.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, Mapping):
        return {replaced(key, texts): replaced(item, texts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(item, texts) for item in value]
    return value
