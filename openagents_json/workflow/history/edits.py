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
            raise CannotEdit(
                path, f"{path!r} is no path; write NAME, NAME.part or NAME[0]"
            )
        names = [name or int(index) for name, index in _NAME.findall(path)]
        root = str(names[0])
        changed[root] = _with(
            changed.get(root, inputs.get(root)), names[1:], value, path
        )
    return changed or None


def _with(value: Json, names: Sequence[str | int], new: Json, path: str) -> Json:
    if not names:
        return new
    name, rest = names[0], names[1:]
    if isinstance(name, int) and isinstance(value, list) and name < len(value):
        return [
            _with(item, rest, new, path) if i == name else item
            for i, item in enumerate(value)
        ]
    if isinstance(name, str) and isinstance(value, Mapping):
        return {**value, name: _with(value.get(name), rest, new, path)}
    raise CannotEdit(path, f"the input has nothing at {path!r} that could be changed")
