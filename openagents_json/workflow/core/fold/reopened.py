"""What a run is after it was opened again, or somewhere else: the fold of RunReopened, RunForked and RunImported."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.fold.steps import asks
from openagents_json.workflow.core.state import (
    ACTIVE,
    COMPLETED,
    FAILED,
    GATED,
    OPEN_STEP,
    PAUSED,
    RUNNING,
    SCHEDULED,
    STARTED,
    Group,
    RunState,
    StepState,
)
from openagents_json.workflow.types import Json


def reopened(state: RunState, event: ev.RunReopened | ev.RunForked) -> RunState:
    steps, past = state.steps, state.past
    kept = event.kept if isinstance(event, ev.RunReopened) else ()
    memo = Map({path: steps[path] for path in kept if path in steps})
    lives = state.lives
    for path in event.anew if isinstance(event, ev.RunReopened) else ():
        lives = lives.set(path, lives.get(path, 1) + 1)
    for path in event.forgotten:
        known = steps.get(path)
        if known is not None:
            attempt, children, waits = past.get(
                path, (0, 0, ())
            )  # what was skipped since has neither
            counted = (
                max(attempt, known.attempt),
                max(children, known.children),
                known.waits or waits,
            )
            steps, past = steps.delete(path), past.set(path, counted)
    if isinstance(event, ev.RunForked):
        steps = _begun_anew(steps)
    held = [path for path in event.resumed if path in steps]
    for path in held:
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
    for path in held:
        group = steps[path].group
        if group is not None:
            steps = steps.set(
                path, replace(steps[path], group=_recounted(steps, path, group))
            )
    if isinstance(event, ev.RunReopened) and event.definition:
        state = replace(state, definition=event.definition, version=event.version)
    return replace(
        state,
        status=RUNNING,
        inputs=state.inputs if event.inputs is None else event.inputs,
        steps=steps,
        open_steps=Map(
            {path: True for path, step in steps.items() if step.status in OPEN_STEP}
        ),
        unsettled=Map(
            {path: True for path, step in steps.items() if asks(steps, path, step)}
        ),
        pending=(),
        past=past,
        memo=memo,
        lives=lives,
        sets=_sets(steps),
        output=None,
        error=None,
        failed_step=None,
        reason="",
    )


def _begun_anew(steps: Map[str, StepState]) -> Map[str, StepState]:
    """Forget since when steps are tried: what waits to be tried again in a fork is another life of it."""
    for path, known in steps.items():
        if known.since_ms and known.status in OPEN_STEP:
            steps = steps.set(path, replace(known, since_ms=0))
    return steps


def _sets(steps: Map[str, StepState]) -> dict[str, Json]:
    """Return the outputs of the workflow that are set by steps whose results are kept, the latest of each name."""
    found: dict[str, Json] = {}
    for step in sorted(
        (step for step in steps.values() if step.sets), key=lambda step: step.sequence
    ):
        found |= step.sets or {}
    return found


def imported(state: RunState, event: ev.RunImported) -> RunState:
    state, steps = replace(state, imported=event.at), state.steps
    for path in event.lost:
        known = steps.get(path)
        if known is not None and known.status == STARTED:
            steps = steps.set(path, replace(known, status=SCHEDULED))
    for path in event.gated:
        known = steps.get(path)
        if known is not None and path in state.open_steps:
            steps = steps.set(path, replace(known, status=GATED, gates=None))
    if event.paused and state.status == RUNNING:
        return replace(state, steps=steps, status=PAUSED, reason=event.reason)
    return replace(state, steps=steps)


def _recounted(steps: Map[str, StepState], path: str, group: Group) -> Group:
    """Count the items of a step anew; items of a loop that are gone are behind those that are left."""
    items = {
        i: found
        for i in range(group.opened)
        if (found := steps.get(f"{path}[{i}]")) is not None
    }
    opened = group.opened if group.total >= 0 else max(items, default=-1) + 1
    failed = [i for i, x in items.items() if x.status == FAILED and x.then == "fail"]
    done = sum(
        x.status == COMPLETED or (x.status == FAILED and x.then != "fail")
        for x in items.values()
    )
    return Group(
        total=group.total,
        opened=opened,
        active=sum(x.status in OPEN_STEP for x in items.values()),
        completed=done,
        failed=len(failed),
        first_failed=min(failed, default=-1),
        missing=tuple(i for i in range(opened) if i not in items),
    )
