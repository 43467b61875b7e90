"""What is told of inbound hooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HookInfo:
    """An inbound hook as it is on record; `spec` is what it was registered with."""

    name: str
    spec: Mapping[str, Any]
    created_ms: int
    created_by: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery to a hook: `status` is received, filtered, started, signalled or failed.

    `run` is the one that it has come to, `error` what went wrong. `body` and `headers` are as expressions see them, and
    left out of lists.
    """

    id: str
    status: str
    received_ms: int
    run: str = ""
    error: str = ""
    replays: int = 0
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedDelivery:
    """What is answered to the sender of a delivery; `repeated` tells that it had come before.

    `challenge` is what a service is answered that only asks whether somebody is there.
    """

    id: str
    status: str
    run: str = ""
    repeated: bool = False
    challenge: str = ""
