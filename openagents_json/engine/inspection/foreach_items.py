"""The items of one foreach as they stand: how many there are, and how each has ended that has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.paths import item

if TYPE_CHECKING:
    from executor.runs.repository import SessionCache

_ENDED: Final = frozenset({st.COMPLETED, st.FAILED, st.SKIPPED, st.CANCELLED})


@dataclass(frozen=True, slots=True)
class ForeachItems:
    """How many items a foreach has; `ends` are the statuses of those that have ended, by their paths."""

    total: int
    ends: Mapping[str, str] = field(default_factory=dict)


def foreach_items(sessions: SessionCache, run: str, path: str) -> ForeachItems | None:
    """Return the items of a foreach at a path, None for what is none, or has not begun.

    Raises RunNotFound.
    """
    steps = sessions.load(run).state.steps
    group = steps.get(path, st.NO_STEP).group
    # A loop has iterations, of which nobody knows how many there will be.
    if group is None or group.total < 0:
        return None
    opened = [item(path, index) for index in range(group.opened)]
    statuses = {name: steps[name].status for name in opened if name in steps}
    ends = {name: status for name, status in statuses.items() if status in _ENDED}
    return ForeachItems(group.total, ends)
