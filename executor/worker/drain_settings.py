"""How a drain works, as its worker says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """`budget_ms` 0 means until stopped; `linger_ms` is how long an idle drain waits before it ends."""

    queue: str
    budget_ms: int = 10_000
    linger_ms: int = 1_000
    batch: int = 32
    forever: bool = False

    @property
    def takes_one(self) -> bool:
        """Tell whether no step may wait behind another.

        Then what is claimed with an outcome would be all that a drain ever sees: when it is time to look up, it claims
        what is first in line instead.
        """
        return self.batch == 1
