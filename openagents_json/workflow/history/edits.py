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
    """Return the inputs that change, whole, None when none does; `wanted` are values by path.

    Raises CannotEdit.
    """
    changed: dict[str, Json] = {}
    for path, value in edits.items():
        if _PATH.fullmatch(path) is None:
            reason = f"{path!r} is no path; write NAME, NAME.part or NAME[0]"
            raise CannotEdit(path, reason)
        keys = [name or int(index) for name, index in _NAME.findall(path)]
        root = str(keys[0])
        before = changed.get(root, inputs.get(root))
        changed[root] = _with(before, keys[1:], value, path)
    return changed or None


def _with(value: Json, keys: Sequence[str | int], new: Json, path: str) -> Json:
    """Return a value with another one under some keys."""
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    if isinstance(key, int) and isinstance(value, list) and key < len(value):
        return [*value[:key], _with(value[key], rest, new, path), *value[key + 1 :]]
    if isinstance(key, str) and isinstance(value, Mapping):
        return {**value, key: _with(value.get(key), rest, new, path)}
    raise CannotEdit(path, f"the input has nothing at {path!r} that could be changed")
