"""Changes of inputs, or of parts of them, by path: `name`, `name.part`, `name[0].part`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from openagents_json.workflow.errors import CannotEdit
from openagents_json.workflow.types import Json

_NAME = re.compile(r"([^.\[\]]+)|\[(\d{1,9})\]")
_PATH = re.compile(r"[^.\[\]]+(\.[^.\[\]]+|\[\d{1,9}\])*")


def edited(
    inputs: Mapping[str, Json], edits: Mapping[str, Json]
) -> dict[str, Json] | None:
    """Return the inputs that change, whole, None when none does; `edits` are values by path.

    Raises CannotEdit.
    """
    changed: dict[str, Json] = {}
    for path, value in edits.items():
        root, *keys = _keys_of(path)
        name = str(root)
        before = changed.get(name, inputs.get(name))
        changed[name] = _with(before, keys, value, path)
    return changed or None


def _keys_of(path: str) -> list[str | int]:
    """Return the names and indexes of a path, at least one; the first is always a name.

    Raises CannotEdit.
    """
    if _PATH.fullmatch(path) is None:
        reason = f"{path!r} is no path; write NAME, NAME.part or NAME[0]"
        raise CannotEdit(path, reason)
    return [name or int(index) for name, index in _NAME.findall(path)]


def _with(value: Json, keys: Sequence[str | int], new: Json, path: str) -> Json:
    """Return a value with another one under some keys."""
    if not keys:
        return new
    key, *rest = keys
    match value, key:
        case list(), int() if key < len(value):
            changed = list(value)
            changed[key] = _with(value[key], rest, new, path)
            return changed
        case Mapping(), str():
            member = _with(value.get(key), rest, new, path)
            return {**value, key: member}
        case _:
            reason = f"the input has nothing at {path!r} that could be changed"
            raise CannotEdit(path, reason)
