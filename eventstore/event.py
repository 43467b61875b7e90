"""What is stored: events before and after they are on the log, and positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the log: the n-th event of a partition, counted from 1 without gaps."""

    partition: int
    n: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event that somebody proposes to store."""

    type: str
    data: Json = None
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored event."""

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
