"""What is told of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WebhookInfo:
    """A webhook as it is on record: `spec` is what it was registered with.

    `since` are the positions of the log behind which it is told of events, by partition.
    """

    name: str
    spec: Mapping[str, Any]
    since: Mapping[str, int]
    created_ms: int
    created_by: str
