"""What is said of a server that was looked at, and what the levels of durability ask of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eventstore.errors import InvalidRequest
from eventstore.redis.driver.replication import REPLICATED

LEVELS: Final = {"memory": 0, "everysec": 1, REPLICATED: 1, "always": 2}
"""What a level asks of the log of one server at least; what `replicated` promises beyond that is for its replicas."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the server: an error forbids its use, a warning does not."""

    level: str
    code: str
    what: str
    remedy: str


def check_level(durability: str) -> None:
    """Refuse a level of durability that there is not.

    Raises InvalidRequest.
    """
    if durability not in LEVELS:
        raise InvalidRequest(
            f"there is no durability {durability!r}",
            remedy=f"it must be one of {', '.join(LEVELS)}",
        )


def level_of_fsync(fsync: str) -> int:
    """Return the level that a policy of writing the log comes to, -1 for one that is not known."""
    return LEVELS.get({"no": "memory"}.get(fsync, fsync), -1)
