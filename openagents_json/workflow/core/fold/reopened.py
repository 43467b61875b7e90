"""What a run is after it was opened again, or somewhere else: the fold of RunReopened, RunForked and RunImported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from immutables import Map
from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import asks
from openagents_json.workflow.core.paths import item
from openagents_json.workflow.core.state import (
    ACTIVE,
    GATED,
    NO_PAST,
    NO_STEP,
    OPEN_STEP,
    PAUSED,
    RUNNING,
    SCHEDULED,
    STARTED,
    Group,
    RunState,
    StepState,
)
from openagents_json.workflow.core.usage import NOTHING
from openagents_json.workflow.types import Json

Steps = Map[str, StepState]
Past = Map[str, tuple[int, int, tuple[Json, ...]]]


def reopen(state: RunState, event: ev.RunReopened) -> RunState:
    """Fold that a closed run goes on, without what is done again."""
    steps, past = _without(state.steps, state.past, event.forgotten)
    kept = [path for path in event.kept if path in state.steps]
    memo = Map({path: state.steps[path] for path in kept})
    lives = _another_life(state.lives, event.anew)
    # What was used stays used; who opens a run again lets it use as much again.
    state = replace(state, past=past, memo=memo, lives=lives, granted_at=state.used)
    if event.definition:
        state = replace(state, definition=event.definition, version=event.version)
    return _open_again(state, event, steps)


def fork(state: RunState, event: ev.RunForked) -> RunState:
    """Fold that a run goes another way than the one whose past it has, without what is done again."""
    steps, past = _without(state.steps, state.past, event.forgotten)
    # What the other run has used is its own.
    state = replace(
        state,
        past=past,
        memo=Map(),
        used=NOTHING,
        granted_at=NOTHING,
        over_budget="",
    )
    return _open_again(state, event, _begun_anew(steps))


def _open_again(
    state: RunState, event: ev.RunReopened | ev.RunForked, steps: Steps
) -> RunState:
    """Return a run that goes on with some of its steps."""
    steps = _going_on(steps, [path for path in event.resumed if path in steps])
    is_open = [path for path, step in steps.items() if step.status in OPEN_STEP]
    asking = [path for path, step in steps.items() if asks(steps, path, step)]
    return replace(
        state,
        status=RUNNING,
        inputs=state.inputs if event.inputs is None else event.inputs,
        steps=steps,
        open_steps=Map(dict.fromkeys(is_open, True)),
        unsettled=Map(dict.fromkeys(asking, True)),
        pending=(),
        sets=_sets(steps),
        output=None,
        error=None,
        failed_step=None,
        reason="",
    )


def _without(steps: Steps, past: Past, forgotten: Iterable[str]) -> tuple[Steps, Past]:
    """Take steps away; their attempts and children go on counting, and their gates are still theirs."""
    gone = [path for path in dict.fromkeys(forgotten) if path in steps]
    for path in gone:
        step = steps[path]
        # What was skipped since has neither attempts nor children nor gates of its own.
        attempt, children, waits = past.get(path, NO_PAST)
        counted = (
            max(attempt, step.attempt),
            max(children, step.children),
            step.waits or waits,
        )
        steps = steps.delete(path)
        past = past.set(path, counted)
    return steps, past


def _another_life(lives: Map[str, int], paths: Iterable[str]) -> Map[str, int]:
    for path in paths:
        lives = lives.set(path, lives.get(path, 1) + 1)
    return lives


def _going_on(steps: Steps, holders: Sequence[str]) -> Steps:
    """Let steps go on that hold others; first all of them, as some are counted among the items of others."""
    for path in holders:
        again = replace(
            steps[path],
            status=ACTIVE,
            error=None,
            output=None,
            outputs=None,
            then="fail",
            sets=None,
        )
        steps = steps.set(path, again)
    for path in holders:
        group = steps[path].group
        if group is not None:
            recounted = _recounted(steps, path, group)
            steps = steps.set(path, replace(steps[path], group=recounted))
    return steps


def _begun_anew(steps: Map[str, StepState]) -> Map[str, StepState]:
    """Forget since when steps are tried: what waits to be tried again in a fork is another life of it."""
    for path, step in steps.items():
        if step.since_ms and step.status in OPEN_STEP:
            steps = steps.set(path, replace(step, since_ms=0))
    return steps


def _sets(steps: Map[str, StepState]) -> dict[str, Json]:
    """Return the outputs of the workflow that are set by steps whose results are kept, the latest of each name."""
    outputs: dict[str, Json] = {}
    setting = [step for step in steps.values() if step.sets]
    for step in sorted(setting, key=lambda step: step.sequence):
        outputs |= step.sets or {}
    return outputs


def imported(state: RunState, event: ev.RunImported) -> RunState:
    steps = _given_back(state.steps, event.lost)
    for path in event.gated:
        if path in state.open_steps:
            gated = replace(steps[path], status=GATED, gates=None)
            steps = steps.set(path, gated)
    state = replace(state, imported=event.at, steps=steps)
    if event.paused and state.status == RUNNING:
        return replace(state, status=PAUSED, reason=event.reason)
    return state


def _given_back(steps: Steps, paths: Iterable[str]) -> Steps:
    """Let steps be claimed again whose workers are in another store."""
    for path in paths:
        step = steps.get(path, NO_STEP)
        if step.status == STARTED:
            steps = steps.set(path, replace(step, status=SCHEDULED))
    return steps


def _recounted(steps: Map[str, StepState], path: str, group: Group) -> Group:
    """Count the items of a step anew."""
    paths = {index: item(path, index) for index in range(group.opened)}
    items = {index: steps[name] for index, name in paths.items() if name in steps}
    opened = group.opened
    if group.total < 0:  # items of a loop that are gone are behind those that are left
        opened = max(items, default=-1) + 1
    failed = [index for index, step in items.items() if step.failed_for_good]
    return Group(
        total=group.total,
        opened=opened,
        active=sum(step.status in OPEN_STEP for step in items.values()),
        completed=sum(step.counts_as_completed for step in items.values()),
        failed=len(failed),
        first_failed=min(failed, default=-1),
        missing=tuple(index for index in range(opened) if index not in items),
    )
