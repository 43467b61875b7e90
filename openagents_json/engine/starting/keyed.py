"""Starts under business keys: what a caller asks for, and waiting for the run that has the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openagents_json.errors import InvalidArgument

if TYPE_CHECKING:
    from executor.runs.beginnings import Start
    from executor.runs.committer import Handled
    from openagents_json.engine.wiring.client import Core

USE_EXISTING: Final = "use-existing"
REJECT: Final = "reject"
POLICIES: Final = (USE_EXISTING, REJECT, "replace", "after-closed")
BEHIND: Final = frozenset({"replace", "after-closed"})
"""Policies by which a run begins when that has ended which has its key; the first cancels it."""

LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Keyed:
    """A business key, and what becomes of a start whose key an open run has."""

    business_key: str
    policy: str

    def __post_init__(self) -> None:
        """Refuse what is no key, and what is no policy.

        Raises InvalidArgument.
        """
        if not 0 < len(self.business_key) <= LONGEST:
            raise InvalidArgument(
                f"a business key has 1 to {LONGEST} characters",
                remedy="use the name that your program has for it, as an order's number",
            )
        if self.policy not in POLICIES:
            raise InvalidArgument(
                f"{self.policy!r} is no conflict policy",
                remedy=f"use one of {', '.join(POLICIES)}",
            )

    def name(self, workflow: str) -> str:
        """Return what stands for the key in the store."""
        from executor.coordination.business_keys import stored_name

        return stored_name(workflow, self.business_key)

    def labels(self) -> dict[str, str]:
        """Return the label by which lists find the runs of the key."""
        from executor.runs.handler import LABEL

        return {LABEL: self.business_key}


def keyed(business_key: str | None, on_conflict: str | None) -> Keyed | None:
    """Return the business key of a start and its policy, None where it has none.

    Raises InvalidArgument.
    """
    if business_key is not None:
        return Keyed(business_key, on_conflict or REJECT)
    if on_conflict is not None:
        raise InvalidArgument(
            "a conflict policy is about a business key, and there is none",
            remedy="give a business key, under which one run is open at a time",
        )
    return None


def started_under_key(
    core: Core, start: Start, asked: Keyed, actor: str, timeout: float | None = None
) -> Handled:
    """Start a run under its business key; where it begins behind another one, wait for the end of that.

    `timeout` is in seconds. Raises BusinessKeyTaken, also when that has not ended by then, and as `RunStarter.start`
    does.
    """
    from executor.errors import RunNotFound
    from executor.runs.errors import BusinessKeyTaken
    from openagents_json.engine.errors import WaitTimeout
    from openagents_json.engine.waiting import Waiter

    ends_ms = None if timeout is None else core.clock.steady_ms() + timeout * 1000
    while True:
        try:
            return core.keyed_starts.start(start, asked.policy, actor=actor)
        except BusinessKeyTaken as taken:
            left = None if ends_ms is None else ends_ms - core.clock.steady_ms()
            if asked.policy not in BEHIND or (left is not None and left <= 0):
                raise
            try:
                Waiter(core, taken.run, left and left / 1000).result()
            except RunNotFound:
                continue  # it was deleted meanwhile, which is an end too
            except WaitTimeout:
                raise taken from None
