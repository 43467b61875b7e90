"""What a store says of a lease."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from eventstore.errors import InvalidRequest

LeaseState = Literal["held", "free", "broken"]

MOST_MS: Final = 86_400_000
"""How long a lease may be; who needs it longer renews it."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.:/@+-]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease: who may do something alone, since when and until when by the store's clock.

    Of all leases there ever were in a store, a later one has a higher `token`. `state` is "free" when it was given
    back, and "broken" when it was taken away, `by` somebody for a `reason`; one that ran out stays "held", see
    `is_stale`.
    """

    name: str
    token: int
    holder: str
    since_ms: int
    until_ms: int
    lease_ms: int
    state: LeaseState
    by: str = ""
    reason: str = ""

    def is_held(self, now_ms: int) -> bool:
        """Tell whether its holder has it at a time of the store's clock."""
        return self.state == "held" and now_ms < self.until_ms

    def is_stale(self, now_ms: int) -> bool:
        """Tell whether it ran out without being given back: its holder died, or hung."""
        return self.state == "held" and now_ms >= self.until_ms


@dataclass(frozen=True, slots=True)
class LeaseReply:
    """What became of a call, the store's time, and the record as it is now, None where there is none."""

    done: bool
    now_ms: int
    record: LeaseRecord | None


def check_name(name: str) -> None:
    """Refuse what is no name of a lease.

    Raises InvalidRequest.
    """
    if not _NAME.match(name):
        raise InvalidRequest(
            f"{name!r} is no name of a lease",
            remedy="give 1 to 200 letters, digits and . _ : / @ + -",
        )


def checked_ms(seconds: float) -> int:
    """Return the length of a lease in ms.

    Raises InvalidRequest.
    """
    if not 1 <= 1000 * seconds <= MOST_MS:
        raise InvalidRequest(
            f"a lease of {seconds} s makes no sense",
            remedy="give 0.001 to 86400 seconds; it is renewed while it is held",
        )
    return round(1000 * seconds)
