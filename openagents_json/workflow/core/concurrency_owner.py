"""Whose place a child run has: a limit counts the run that others wait below, not those that it waits for.

A child that needed a place of its own would wait for its parent to end, which waits for the child. So what a run waits
for runs under the place that the run has. A detached child is waited for by nobody, and is counted like any start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from openagents_json.workflow.core.state import RunState
from openagents_json.workflow.types import Json

LIMIT: Final = "concurrency"


def parent_of_child(state: RunState, step: str, *, detached: bool) -> dict[str, Json]:
    """Return what a child run is told of its parent: run, step and depth, and the keys `under` whose places it runs."""
    parent: dict[str, Json] = {"run": state.run, "step": step, "depth": state.depth + 1}
    if detached:
        return parent
    own = {gate[1] for gate in state.queue if gate[0] == LIMIT}
    keys = own | _under(state.parent)
    if keys:
        parent["under"] = sorted(keys)
    return parent


def still_needed(
    gates: Sequence[Json], parent: Mapping[str, Json] | None
) -> tuple[Json, ...]:
    """Return the gates before a run without the limits under whose places it runs."""
    covered = {(LIMIT, key) for key in _under(parent)}
    return tuple([gate for gate in gates if (gate[0], gate[1]) not in covered])


def _under(parent: Mapping[str, Json] | None) -> frozenset[str]:
    if parent:
        return frozenset(parent.get("under", ()))
    return frozenset()
