"""Values in addresses, headers and cookies, by the styles that OpenAPI has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

_RESERVED: Final = ":/?[]@!$'()*,;"
"""Characters that are left as they are where a parameter allows it, without those that would begin something else."""


class Styled(Protocol):
    """What says how a value is written."""

    @property
    def name(self) -> str:
        """Return the name of the parameter."""
        ...

    @property
    def style(self) -> str:
        """Return its style."""
        ...

    @property
    def explode(self) -> bool:
        """Tell whether each part is written on its own."""
        ...

    @property
    def reserved(self) -> bool:
        """Tell whether reserved characters are left as they are."""
        ...

    @property
    def media(self) -> str:
        """Return a media type when the value is written as that."""
        ...


Quoted = Callable[[str], str]
Part = tuple[str | None, str]
"""A name and a value, both quoted; None is the name of what has none: an item of an array, or the value itself."""

_SEPARATORS: Final = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}


def plain(value: Any) -> str:
    """Return a value as a text: texts as they are, anything else as JSON has it."""
    return value if isinstance(value, str) else as_json_text(value)


def as_json_text(value: Any) -> str:
    """Return a value as JSON, in characters as they are."""
    return json.dumps(value, ensure_ascii=False)


def path_text(slot: Styled, value: Any) -> str:
    """Return a value as a part of a path."""
    name = _quoted(slot.name)
    parts = _parts(slot, value, _quoted)
    if slot.style == "label":
        separator, between = (".", "=") if slot.explode else (",", ",")
        return f".{_joined(parts, separator, between)}"
    if slot.style == "matrix" and slot.explode:
        return "".join([f";{key or name}={text}" for key, text in parts])
    between = "=" if slot.explode else ","
    prefix = f";{name}=" if slot.style == "matrix" else ""
    return f"{prefix}{_joined(parts, ',', between)}"


def query_pairs(slot: Styled, value: Any) -> list[str]:
    """Return a value as `name=value` pairs of a query."""
    name = _quoted(slot.name)
    quoted = _left_reserved if slot.reserved else _quoted
    parts = _parts(slot, value, quoted)
    if slot.style == "deepObject":
        return [f"{name}%5B{key}%5D={text}" for key, text in parts]
    if slot.explode:
        return [f"{key or name}={text}" for key, text in parts]
    separator = _SEPARATORS.get(slot.style, ",")
    return [f"{name}={_joined(parts, separator, separator)}"]


def header_text(slot: Styled, value: Any) -> str:
    """Return a value as that of a header."""
    between = "=" if slot.explode else ","
    return _joined(_parts(slot, value, str), ",", between)


def cookie_text(slot: Styled, value: Any) -> str:
    """Return a value as a cookie."""
    text = _joined(_parts(slot, value, str), ",", ",")
    return f"{slot.name}={_quoted(text)}"


def _parts(slot: Styled, value: Any, quoted: Quoted) -> list[Part]:
    """Return what a value consists of: items of an array, members of an object, or itself."""
    if slot.media:
        return [(None, quoted(as_json_text(value)))]
    if isinstance(value, Mapping):
        return [(_quoted(key), quoted(plain(item))) for key, item in value.items()]
    items = value if isinstance(value, list) else [value]
    return [(None, quoted(plain(item))) for item in items]


def _joined(parts: Iterable[Part], separator: str, between: str) -> str:
    texts = [text if key is None else f"{key}{between}{text}" for key, text in parts]
    return separator.join(texts)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _left_reserved(text: str) -> str:
    return quote(text, safe=_RESERVED, errors="replace")
