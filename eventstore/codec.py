"""Between values and bytes: canonical JSON, and the fields of stream entries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from eventstore.errors import EventUnreadable, NotJson
from eventstore.event import Json, Position, Recorded

_fast_encode: Final = msgspec.json.Encoder(order="sorted").encode
_fast_decode: Final = msgspec.json.Decoder().decode
_encoder: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_raw_decode: Final = json.JSONDecoder().raw_decode
_SCALARS: Final = frozenset({str, bool, type(None)})
_CONTAINERS: Final = frozenset({dict, list, tuple})

MAX_DEPTH: Final = 256
"""How deep a value from outside may be nested: whoever reads it needs so much of its stack, wherever it stands then."""

MAX_WRAPPED: Final = MAX_DEPTH + 64
"""How deep what is written may be nested, with all that events and documents put around values."""

MAX_DIGITS: Final = 4300
"""How long a whole number may be: Python reads no longer one (`sys.set_int_max_str_digits`)."""

MAX_MEMBERS: Final = 5_000_000
"""How many members a value may have: small ones that hold each other many times over are large when written."""

_SURELY_SHORT: Final = 14_284
"""So many bits have no more than MAX_DIGITS digits."""


def encode(value: Json) -> bytes:
    """Return a value as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises NotJson with the path.
    """
    if _is_written_alike(value):
        try:
            return _fast_encode(value)
        except (UnicodeError, TypeError):  # halves of characters, odd names
            pass
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError) as error:
        _check(value)  # also refuses what contains itself
        path, reason = _blame(value, "")
        raise NotJson(path, reason or str(error)) from error
    except RecursionError as error:
        raise NotJson("", _TOO_DEEP) from error
    if (
        text.count("[") + text.count("{") > MAX_WRAPPED
    ):  # else it cannot be nested deeper
        _check_depth(value)
    return text.encode("utf-8", "surrogatepass")


def same(one: Json, other: Json) -> bool:
    """Tell whether two values are equal as JSON; 1 and 1.0 are, 1 and true are not.

    Raises NotJson.
    """
    return encode(_whole(one)) == encode(_whole(other))


def _whole(value: Json) -> Json:
    """Return a value in which each whole number is an integer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value


def _is_written_alike(value: Json) -> bool:
    """Tell whether the fast encoder surely writes a value as the careful one does.

    It would not write every float in the same way, and it would take what is no JSON: sets, times, infinity.
    """
    if type(value) not in _CONTAINERS:
        return False
    todo: list[Any] = [value]
    for item in todo:  # it grows meanwhile
        for member in item.values() if type(item) is dict else item:
            kind = type(member)
            if kind in _SCALARS:
                continue
            if kind is int and -_SMALL < member < _SMALL:
                continue
            if kind is float and _LEAST_PLAIN <= member < _MOST_PLAIN:
                continue
            # A value that is as large as that may also be too deep, or contain itself.
            if kind not in _CONTAINERS or len(todo) == MAX_DEPTH:
                return False
            todo.append(member)
    return True


def decode(raw: bytes) -> Json:
    """Return the value of canonical JSON, which has no spaces around it."""
    if raw[:1] > b" " and raw[-1:] > b" ":  # the fast decoder takes spaces
        # It refuses numbers and characters that only Python knows, which old events may hold.
        try:
            return _fast_decode(raw)
        except (msgspec.MsgspecError, UnicodeError):
            pass
    text = raw.decode("utf-8", "surrogatepass")
    value, end = _raw_decode(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def decode_foreign(raw: str | bytes) -> Any:
    """Read JSON that others have made.

    Raises ValueError, also for a name that stands twice in one object: who checks takes one of the two values, and who
    is shown the file may see the other.
    """
    return json.loads(raw, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def members_of(raw: bytes) -> dict[str, Json]:
    """Return the members of an object as stored, none for what is no object: who looks for damage has to go on."""
    try:
        data = decode(raw)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def normalise(value: Json) -> Json:
    """Return a value as a replay would give it: tuples as lists, plain types throughout.

    Raises NotJson with the path, whatever the value does when it is read.
    """
    if type(value) in _SCALARS:
        return value
    return settle(value)[0]


def settle(value: Json) -> tuple[Json, bytes]:
    """Return a value as a replay would give it, and its canonical JSON.

    Raises NotJson with the path, whatever the value does when it is read.
    """
    try:
        _check(value)
        raw = encode(value)
        return decode(raw), raw
    except NotJson:
        raise
    except RecursionError as error:
        raise NotJson("", _TOO_DEEP) from error
    except Exception as error:  # of a container with a mind of its own
        raise NotJson("", f"reading it raised {type(error).__name__}") from error


_TOO_DEEP: Final = f"it is nested too deeply (more than {MAX_DEPTH} levels)"


_NEVER_WRONG: Final = _SCALARS | {float}
"""Types of members that `_check` need not look at."""

_LEAST_PLAIN: Final = 1e-4
_MOST_PLAIN: Final = 1e16
"""Between these, whoever writes a number writes it without an exponent."""

_SMALL: Final = 1 << 63
"""Nor at whole numbers below this, which are nearly all."""


def _check(value: Any) -> None:
    """Refuse names that are no texts, which the encoder would turn into texts, and what is too deep, long or large.

    Where a member stands is kept as a trail of names: its path is put together only if something is wrong there.
    """
    todo: list[tuple[Any, Any, int]] = [(value, None, 0)]
    members = 0
    while todo:
        item, trail, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise NotJson(f"{_path(trail)[:60]}…", _TOO_DEEP)
        # Asked by the type first: whether something is some other mapping takes as long as all the rest.
        is_object = type(item) is dict or isinstance(item, Mapping)
        for key, member in item.items() if is_object else _members_by_index(item):
            if is_object and not isinstance(key, str):
                raise NotJson(_path(trail), f"the name {key!r} is not a text")
            members += 1
            kind = type(member)
            fine = kind in _NEVER_WRONG or (kind is int and -_SMALL < member < _SMALL)
            if not fine or depth == MAX_DEPTH:
                todo.append((member, (trail, key), depth + 1))
        if isinstance(item, int) and _is_too_long(item):
            raise _too_long(_path(trail))
        if members > MAX_MEMBERS:
            raise NotJson("", f"it has more than {MAX_MEMBERS} members")


def _members_by_index(item: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(item, list | tuple):
        return enumerate(item)
    return ()


def _too_long(path: str) -> NotJson:
    shown = path if len(path) <= 200 else f"{path[:200]}…"
    return NotJson(shown, f"the number has more than {MAX_DIGITS} digits")


def _path(trail: Any) -> str:
    """Return the path of a trail, which is None or (trail of what holds it, name or index)."""
    steps: list[Any] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    path = ""
    for step in reversed(steps):
        if isinstance(step, str):
            path = f"{path}.{step}" if path else step
        else:
            path = f"{path}[{step}]"
    return path


def _is_too_long(number: int) -> bool:
    return number.bit_length() > _SURELY_SHORT and abs(number) >= 10**MAX_DIGITS


def _check_depth(value: Any) -> None:
    """Refuse what is nested too deeply, level by level: values with many members are common, deep ones are not."""
    level: list[Any] = [value]
    for _ in range(MAX_WRAPPED + 1):
        level = [
            member
            for item in level
            for member in _members(item)
            if isinstance(member, dict | list | tuple)
        ]
        if not level:
            return
    raise NotJson("", _TOO_DEEP)


def _members(item: dict[str, Any] | list[Any] | tuple[Any, ...]) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item


def _blame(value: Any, path: str) -> tuple[str, str]:
    """Find what is not JSON."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return path, f"{value} is not a JSON number"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return path, f"the name {key!r} is not a text"
            blamed = _blame(item, f"{path}.{key}" if path else key)
            if blamed[1]:
                return blamed
        return path, "" if isinstance(
            value, dict
        ) else f"{type(value).__name__} is not JSON"
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            blamed = _blame(item, f"{path}[{index}]")
            if blamed[1]:
                return blamed
        return path, ""
    if value is None or isinstance(value, str | int | float):
        return path, ""
    return path, f"{type(value).__name__} is not JSON"


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:  # halves of characters, in names that users chose
        return raw.decode("utf-8", "surrogatepass")


def parse_entry(stream: str, partition: int, entry: Sequence[Any]) -> Recorded:
    """Read a stream entry; fields stand in a fixed order, see `Keyspace`.

    Raises EventUnreadable.
    """
    identity, f = entry
    try:
        return Recorded(
            stream=stream,
            version=int(identity[: identity.index(b"-")]),
            position=Position(partition, int(f[7])),
            time_ms=int(f[5]),
            commit=_text(f[9]),
            actor=_text(f[11]),
            cause=_text(f[13]),
            type=_text(f[1]),
            data=decode(f[3]),
            metadata=decode(f[15]) if len(f) > 14 else {},
        )
    except (ValueError, IndexError, RecursionError) as error:
        version = int(
            identity.partition(b"-")[0]
        )  # the server itself makes sure that this is a number
        raise EventUnreadable(
            stream, version, f"{type(error).__name__}: {error}"
        ) from error
