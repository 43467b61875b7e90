"""What the status of a run and of a step can be; `state` has a constant for each. And what happens in the catalog."""

from __future__ import annotations

from typing import Final, Literal, get_args

ClosedStatus = Literal["completed", "failed", "cancelled"]
"""How a run ends."""

RunStatus = Literal[
    "new",
    "queued",
    "running",
    "paused",
    "failing",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
]

OpenStepStatus = Literal[
    "scheduled", "started", "retrying", "waiting", "active", "gated"
]
StepStatus = OpenStepStatus | Literal["completed", "failed", "skipped", "cancelled"]

ENDS: Final[tuple[ClosedStatus, ...]] = get_args(ClosedStatus)
CLOSED_RUN: Final[frozenset[str]] = frozenset(ENDS)
"""The statuses of a run that has ended; the store's scripts have a table CLOSED of the same."""

CLAIMED_RUN: Final = frozenset({"running", "failing", "cancelling"})
"""The statuses of a run of which steps may be claimed; the scripts have a table OPEN of the same."""

OPEN_STEP: Final[frozenset[str]] = frozenset(get_args(OpenStepStatus))
"""The statuses of a step that is scheduled and not resolved."""

# -- what may happen to a name of the catalog, as the log calls it -------------------------------------------

COMPONENT: Final = "component"
WORKFLOW: Final = "workflow"
KINDS: Final = (COMPONENT, WORKFLOW)

REGISTERED: Final = "Registered"
UPDATED: Final = "Updated"
DEPRECATED: Final = "Deprecated"
WITHDRAWN: Final = "Withdrawn"
ALIASED: Final = "Aliased"

VERBS: Final = (REGISTERED, UPDATED, DEPRECATED, WITHDRAWN, ALIASED)

EVENTS: Final = {
    f"{kind.capitalize()}{verb}": (kind, verb) for kind in KINDS for verb in VERBS
}
"""The type of an event of the catalog -> of what kind its name is, and what happened to it."""
