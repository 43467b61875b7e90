"""Parts of the configuration of worker types by their paths: a layer may say one, and leave the others as they are.

A path is `(type, name)`, or `(type, "components", component, name)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

from openagents_json.engine.errors import InvalidSetting
from openagents_json.engine.profiles.nearest import hint
from openagents_json.engine.profiles.worker_type import (
    NAMES,
    OF_COMPONENTS,
    WORKER_TYPES,
    StepSettings,
)

_COMPONENTS: Final = "components"
_BETWEEN: Final = "__"
_NAME: Final = re.compile(r'"([^"]*)"|([^."]+)')

_KINDS: Final[Mapping[str, type]] = {"queue": str, "pool": str, "step_seconds": float}
"""Of what type the parts are that are no whole numbers."""

Path = tuple[str, ...]


def parts_of(tables: Any) -> dict[Path, Any]:
    """Return what tables of worker types say, by path.

    Raises InvalidSetting.
    """
    return dict(_parts_of(tables))


def _parts_of(tables: Any) -> Iterator[tuple[Path, Any]]:
    for name, table in _members((), tables):
        for key, value in _members((name,), table):
            path = (name, key)
            if key != _COMPONENTS:
                yield _checked(path, NAMES), value
                continue
            for component, limits in _members(path, value):
                for limit, amount in _members((*path, component), limits):
                    yield _checked((*path, component, limit), OF_COMPONENTS), amount


def _members(path: Path, table: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(table, StepSettings):
        table = table.model_dump(exclude_unset=True)
    if not isinstance(table, Mapping):
        raise InvalidSetting(spelled(path), "has to be a table")
    yield from table.items()


def _checked(path: Path, names: tuple[str, ...]) -> Path:
    if path[-1] not in names:
        reason = f"is no setting of a worker type{hint(path[-1], names)}"
        raise InvalidSetting(spelled(path), reason)
    return path


def parts_of_variables(variables: Mapping[str, str]) -> dict[Path, str]:
    """Return what `WORKER_TYPES__<TYPE>__<NAME>` variables say, by path; their names come in lower case.

    Raises InvalidSetting.
    """
    begin = f"{WORKER_TYPES}{_BETWEEN}"
    parts: dict[Path, str] = {}
    for variable, value in variables.items():
        if variable.startswith(begin):
            path = tuple(variable.removeprefix(begin).split(_BETWEEN))
            if len(path) != 2:
                raise InvalidSetting(
                    spelled(path), "names no worker type and its setting"
                )
            parts[_checked(path, NAMES)] = value
    return parts


def tables_of(parts: Mapping[Path, Any]) -> dict[str, Any]:
    """Return the tables in which parts stand."""
    tables: dict[str, Any] = {}
    for path, value in parts.items():
        *outer, name = path
        table = reduce(_table_in, outer, tables)
        table[name] = value
    return tables


def _table_in(tables: dict[str, Any], name: str) -> dict[str, Any]:
    table: dict[str, Any] = tables.setdefault(name, {})
    return table


def kind_of(path: Path) -> type:
    """Return of what type a part is."""
    return _KINDS.get(path[-1], int)


def spelled(path: Path) -> str:
    """Return a path as people write it."""
    return ".".join(map(_quoted, (WORKER_TYPES, *path)))


def _quoted(name: str) -> str:
    """Return a name as TOML has it in a path."""
    return f'"{name}"' if "." in name else name


def keys_of(text: str) -> tuple[str, ...]:
    """Return the names of a setting, or of a part of one, that people write as `spelled`."""
    return tuple(quoted or plain for quoted, plain in _NAME.findall(text))
