"""How values of a state are written: as JSON, with the tags that 0.1.4 gave to what JSON has no form for."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from openagents_json.core.errors import (
    StateDeserializationError,
    StateSerializationError,
)

TAG: Final = "__type__"


class Serializer(abc.ABC):
    """Writes values as text, and reads them again."""

    @abc.abstractmethod
    def serialize(self, value: Any) -> Any:
        """Return a value as text.

        Raises StateSerializationError.
        """

    @abc.abstractmethod
    def deserialize(self, data: Any, cls: type | None = None) -> Any:
        """Read a value.

        Raises StateDeserializationError.
        """

    @abc.abstractmethod
    def supports_type(self, cls: type) -> bool:
        """Tell whether values of a type can be written."""


class JsonSerializer(Serializer):
    """JSON; times, UUIDs, sets and bytes come back as what they were, enums and models as tagged objects."""

    def serialize(self, value: Any) -> str:
        """Return a value as JSON."""
        try:
            return json.dumps(value, default=_tagged, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            what = f"a value of type {type(value).__name__} cannot be written as JSON"
            raise StateSerializationError(f"{what}: {error}") from error

    def deserialize(self, data: str, cls: type | None = None) -> Any:
        """Read a value from JSON; no text is no value."""
        del cls
        if not data:
            return None
        try:
            return json.loads(data, object_hook=_untagged)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            what = f"a value cannot be read: {error}"
            raise StateDeserializationError(what) from error

    def supports_type(self, cls: type) -> bool:
        """Tell whether values of a type can be written; what one holds shows when it is."""
        plain = (str, int, float, bool, list, tuple, dict, type(None))
        return issubclass(cls, (*plain, *_WRITERS)) or _own_form(cls) is not None


def _own_form(thing: Any) -> Callable[..., Any] | None:
    """Return what a value says of itself, None when it says nothing."""
    forms = (
        getattr(thing, name, None) for name in ("__serialize__", "model_dump", "dict")
    )
    return next(filter(callable, forms), None)


_WRITERS: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    datetime: ("datetime", datetime.isoformat),  # before date, which it is one of
    date: ("date", date.isoformat),
    UUID: ("uuid", str),
    set: ("set", list),
    bytes: ("bytes", bytes.hex),
}

_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "uuid": UUID,
    "set": set,
    "bytes": bytes.fromhex,
}


def _tagged(value: Any) -> Any:
    """Return what stands for a value that JSON has no form for."""
    for kind, (name, form) in _WRITERS.items():
        if isinstance(value, kind):
            return {TAG: name, "value": form(value)}
    if isinstance(value, Enum):
        return {TAG: "enum", "class": type(value).__name__, "value": value.value}
    own = getattr(value, "__serialize__", None)
    if callable(own):
        return own()
    form_of = _own_form(value)
    if form_of is None:
        raise TypeError(f"there is no form for {type(value).__name__}")
    return {TAG: "model", "class": type(value).__name__, "value": form_of()}


def _untagged(value: dict[str, Any]) -> Any:
    reader = _READERS.get(str(value.get(TAG)))
    if reader is None:
        return value
    return reader(value["value"])


_SERIALIZERS: Final[dict[str, Serializer]] = {"json": JsonSerializer()}


def get_serializer(name: str = "json") -> Serializer:
    """Return a serializer by its name.

    Raises StateError, when there is none.
    """
    serializer = _SERIALIZERS.get(name)
    if serializer is None:
        names = ", ".join(sorted(_SERIALIZERS))
        what = f"there is no serializer {name!r}"
        remedy = f"register it, or take one of {names}"
        raise StateSerializationError(what, remedy=remedy)
    return serializer


def register_serializer(name: str, serializer: Serializer) -> None:
    """Make a serializer known by a name."""
    _SERIALIZERS[name] = serializer
