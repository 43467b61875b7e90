"""The types of events: which have a trait, what they are called on the log, and the JSON form of an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

from openagents_json.workflow.core.event_traits import (
    ENDS_ATTEMPT,
    Attempt,
    Effect,
    Phase,
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
    attempts = {cls.__name__: traits_of(cls).attempt for cls in EVENT_TYPES}
    said = {
        name: words[attempt]
        for name, attempt in attempts.items()
        if attempt is not None
    }
    return {name: word for name, word in said.items() if word is not None}


CLOSING: Final = types_with(lambda traits: traits.phase is Phase.CLOSES)
"""What ends a run."""

CLOSED_AS: Final[Mapping[str, str]] = {
    cls.__name__: traits_of(cls).status or "" for cls in CLOSING
}
"""The name of an event that ends a run -> the status that the run has then."""

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
_FIELDS: Final = {
    name: tuple(
        (f.name, f.default, f.default is not MISSING)
        for f in fields(cls)
        if "beside" not in f.metadata
    )
    for name, cls in _TYPES.items()
}
_TIMED: Final = frozenset(
    name
    for name, cls in _TYPES.items()
    if any("beside" in f.metadata for f in fields(cls))
)
"""Names of what knows when it was stored."""


def type_name(event: Event) -> str:
    """Return the stored name of an event's type."""
    return type(event).__name__


def to_data(event: Event) -> dict[str, Any]:
    """Return the JSON object that is stored; fields that hold their default are left out."""
    data = {}
    for name, default, optional in _FIELDS[type(event).__name__]:
        value = getattr(event, name)
        if not (optional and value == default and type(value) is type(default)):
            data[name] = value
    return data


def from_data(event_type: str, data: Mapping[str, Any], time_ms: int = 0) -> Event:
    """Read a stored event back, `time_ms` is when it was stored; fields of a newer version are dropped.

    Raises UnknownEvent.
    """
    known = _FIELDS.get(event_type)
    if known is None:
        raise UnknownEvent(event_type, "unknown type")
    try:
        values = {name: data[name] for name, _, _ in known if name in data}
        if event_type in _TIMED:
            values["time_ms"] = time_ms
        return _TYPES[event_type](**values)
    except TypeError as error:
        raise UnknownEvent(event_type, str(error)) from error
