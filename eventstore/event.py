"""Events before and after they are stored, and positions in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

Json = Any
"""A JSON value: None, bool, int, float, str, a sequence of them, or a mapping from str to them."""


class Position(Struct, frozen=True, order=True, gc=False):
    """A place in the log: the n-th event of a partition, counted from 1 without gaps."""

    partition: int
    n: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event that somebody proposes to store."""

    type: str
    data: Json = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


class Recorded(Struct, frozen=True, gc=False):
    """A stored event: where it stands, when (ms, by the server's clock), in which commit, by whom and why."""

    stream: str
    version: int
    position: Position
    time_ms: int
    commit: str
    actor: str
    cause: str
    type: str
    data: Json
    metadata: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a named consumer has come in a partition."""

    consumer: str
    position: Position


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append came to; `position` is that of its last event, `duplicate` tells that it was done before."""

    stream: str
    first_version: int
    last_version: int
    position: Position
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Emitted:
    """Something that a component showed; `id` is its place in the side stream."""

    id: str
    step: str
    attempt: int
    value: Any
