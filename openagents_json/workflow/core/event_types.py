"""The types of events: which have a trait, what they are called on the log, and the JSON form of an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from openagents_json.workflow.core.event_traits import (
    ENDS_ATTEMPT,
    Attempt,
    Effect,
    Phase,
    Timed,
    Traits,
    traits_of,
)
from openagents_json.workflow.core.events import Event
from openagents_json.workflow.errors import UnknownEvent

EVENT_TYPES: Final[tuple[type[Event], ...]] = Event.__args__
"""Every type of event there is."""


def types_with(trait: Callable[[Traits], bool]) -> frozenset[type[Event]]:
    """Return the types of events that have a trait; to be asked once, where a module is imported."""
    return frozenset(cls for cls in EVENT_TYPES if trait(traits_of(cls)))


def names_with(trait: Callable[[Traits], bool]) -> frozenset[str]:
    """Return the names of the types of events that have a trait, for events as they are stored."""
    return names_of(types_with(trait))


def names_of(types: Iterable[type[Event]]) -> frozenset[str]:
    """Return the names that types of events have on the log."""
    return frozenset(cls.__name__ for cls in types)


def names_by_attempt(words: Mapping[Attempt, str | None]) -> dict[str, str]:
    """Return a word for each type of event that says something of an attempt, by the name of the type.

    `words` has to speak of each `Attempt`, so that none is forgotten: None leaves it out.
    """
    words_by_name = {}
    for cls in EVENT_TYPES:
        attempt = traits_of(cls).attempt
        word = None if attempt is None else words[attempt]
        if word is not None:
            words_by_name[cls.__name__] = word
    return words_by_name


CLOSING: Final = types_with(lambda traits: traits.phase is Phase.CLOSES)
"""What ends a run."""

CLOSED_AS: Final[Mapping[str, str]] = {
    cls.__name__: traits_of(cls).status or "" for cls in CLOSING
}
"""The name of an event that ends a run -> the status that the run has then."""

ENDED_AS: Final[Mapping[str, str]] = names_by_attempt(
    {
        Attempt.COMPLETED: "completed",
        Attempt.FAILED: "failed",
        Attempt.TIMED_OUT: "timed out",
        Attempt.LOST: "lost",
        Attempt.GIVEN_BACK: "given back",
        Attempt.CANCELLED: "cancelled",
        Attempt.OVERRIDDEN: "overridden",
        Attempt.BEGUN: None,
        Attempt.LATE: None,
    }
)
"""The name of an event that ends an attempt -> how the attempt has ended."""

OPENING: Final = names_with(lambda traits: traits.phase is Phase.OPENS)
"""Names of what begins a run, or opens it again."""

AFTERWARDS: Final = names_with(lambda traits: traits.phase is Phase.ANY)
"""Names of what may come after the end of a run, without opening it again."""

OUTCOMES: Final = names_with(lambda traits: traits.attempt in ENDS_ATTEMPT)
"""Names of what says how an attempt went; such an event carries its number."""

SCHEDULES: Final[Mapping[str, str]] = {
    cls.__name__: "compensation" if "compensation" in cls.__annotations__ else "step"
    for cls in types_with(lambda traits: Effect.SCHEDULES in traits.effects)
}
"""The name of an event that schedules a step -> its field that names this step."""

DEFINES: Final = frozenset(
    cls.__name__ for cls in EVENT_TYPES if "definition" in cls.__annotations__
)
"""Names of what pins a run to a definition."""

PAYLOADS: Final[Mapping[str, tuple[str, ...]]] = {
    cls.__name__: payloads
    for cls in EVENT_TYPES
    if (payloads := traits_of(cls).payloads)
}
"""The name of an event's type -> its fields that hold what users work with."""

_TYPES: Final[Mapping[str, type[Event]]] = {cls.__name__: cls for cls in EVENT_TYPES}
_TIMED: Final = frozenset(cls for cls in EVENT_TYPES if issubclass(cls, Timed))
"""What knows when it was stored."""


def _stored(cls: type[Event]) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """Return the names of the fields that are always written, and the others with their defaults."""
    names = cls.__struct_fields__
    defaults = cls.__struct_defaults__
    first_optional = len(names) - len(defaults)
    optional = tuple(zip(names[first_optional:], defaults, strict=True))
    # When it was stored is the last field, and stands beside the data.
    written = optional[:-1] if cls in _TIMED else optional
    return names[:first_optional], written


_STORED: Final = {cls: _stored(cls) for cls in EVENT_TYPES}


def type_name(event: Event) -> str:
    """Return the stored name of an event's type."""
    return type(event).__name__


def to_data(event: Event) -> dict[str, Any]:
    """Return the JSON object that is stored; fields that hold their default are left out."""
    required, optional = _STORED[type(event)]
    data = {name: getattr(event, name) for name in required}
    for name, default in optional:
        value = getattr(event, name)
        if value is default:  # which is nearly always so, and quicker to see
            continue
        if value != default or type(value) is not type(default):
            data[name] = value
    return data


def from_data(event_type: str, data: Mapping[str, Any], time_ms: int = 0) -> Event:
    """Read a stored event back, `time_ms` is when it was stored; fields of a newer version are dropped.

    Raises UnknownEvent.
    """
    cls = _TYPES.get(event_type)
    if cls is None:
        raise UnknownEvent(event_type, "unknown type")
    beside: dict[str, Any] = {"time_ms": time_ms} if cls in _TIMED else {}
    try:
        return cls(**data, **beside)
    except TypeError:  # of a newer version, or damaged: that is told apart below
        pass
    try:
        return cls(**{**_fields_of(cls, data), **beside})
    except TypeError as error:
        raise UnknownEvent(event_type, str(error)) from error


def _fields_of(cls: type[Event], data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in cls.__struct_fields__ if name in data}
