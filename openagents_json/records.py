"""Records as JSON types: by the names of their fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """Return a value as JSON types."""
    names = _fields_of(value)
    if names:
        return _record(value, names)
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(map(plain, value))
    return value


def _record(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return a record as an object."""
    values = _values_of(value, names)
    return dict(zip(names, map(plain, values), strict=True))


def _values_of(value: Any, names: Sequence[str]) -> list[Any]:
    """Return what fields of a record hold."""
    return [getattr(value, name) for name in names]


def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a mapping as an object, whatever its keys are."""
    names = map(str, value.keys())
    values = map(plain, value.values())
    return dict(zip(names, values, strict=True))


def _fields_of(value: Any) -> Sequence[str]:
    """Return the names of the fields of a record, none for anything else."""
    if isinstance(value, type):
        return ()
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    names: Sequence[str] = getattr(value, "__struct_fields__", ())
    return names
