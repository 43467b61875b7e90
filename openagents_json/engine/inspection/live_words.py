"""What is said of events where they are shown as they happen, by the names of their types; others are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st

RUN_WORDS: Final[Mapping[str, str]] = {
    ev.RunStarted.__name__: "started",
    ev.RunQueued.__name__: "queued",
    ev.RunAdmitted.__name__: "admitted",
    ev.RunReopened.__name__: "goes on",
    ev.RunForked.__name__: "forked",
    ev.RunImported.__name__: "imported",
    ev.RunPaused.__name__: "paused",
    ev.RunResumed.__name__: "resumed",
    ev.RunCancelRequested.__name__: "cancelling",
    ev.RunCompleted.__name__: "completed",
    ev.RunFailed.__name__: "failed",
    ev.RunCancelled.__name__: "cancelled",
}
STEP_WORDS: Final[Mapping[str, str]] = {
    ev.StepStarted.__name__: "started",
    ev.StepCompleted.__name__: "completed",
    ev.StepFailed.__name__: "failed",
    ev.StepTimedOut.__name__: "timed out",
    ev.StepLeaseLost.__name__: "lost its worker",
    ev.StepReleased.__name__: "given back",
    ev.StepSkipped.__name__: "skipped",
    ev.StepCancelled.__name__: "cancelled",
    ev.StepOverridden.__name__: "overridden",
    ev.StepResultReused.__name__: "result reused",
    ev.CompensationScheduled.__name__: "compensating",
    ev.ChildStarted.__name__: "started a run",
}
KIND_WORDS: Final[Mapping[str, str]] = {
    "wait": "waits for signal",
    "sleep": "sleeps",
    st.FOREACH: "started",
    "loop": "started",
}
"""What is said of a step that the engine carries out itself, when it is scheduled."""

RUN_STARTED: Final = ev.RunStarted.__name__
GOES_ON: Final = frozenset({ev.RunReopened.__name__, ev.RunForked.__name__})
"""Events after which some steps are done again."""

SCHEDULED: Final = ev.StepScheduled.__name__
BEGINS: Final = frozenset({ev.StepStarted.__name__, ev.StepScheduled.__name__})
ENDS_RUN: Final = frozenset(
    {ev.RunCompleted.__name__, ev.RunFailed.__name__, ev.RunCancelled.__name__}
)
TAKES_TIME: Final = frozenset(
    {ev.StepCompleted.__name__, ev.StepFailed.__name__, ev.StepTimedOut.__name__}
)
TROUBLE: Final = frozenset(
    {ev.StepFailed.__name__, ev.StepTimedOut.__name__, ev.StepLeaseLost.__name__}
)
ITEM_ENDS: Final[Mapping[str, str]] = {
    ev.StepCompleted.__name__: st.COMPLETED,
    ev.StepFailed.__name__: st.FAILED,
    ev.StepTimedOut.__name__: st.FAILED,
    ev.StepSkipped.__name__: "skipped",
    ev.StepCancelled.__name__: "cancelled",
    ev.StepOverridden.__name__: st.COMPLETED,
    ev.StepResultReused.__name__: st.COMPLETED,
}
"""How an item has ended after an event that is no retry."""
