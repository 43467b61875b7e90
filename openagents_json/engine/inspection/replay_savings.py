"""What a replay did again and what it did not, with the reason and what that saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from eventstore.event import Recorded
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import names_of
from openagents_json.workflow.history.diff import changes_of


@dataclass(frozen=True, slots=True)
class StepReuse:
    """A step of a replay: reused or done again, why, and what was saved: ms of work, and tokens where results tell."""

    step: str
    reused: bool
    why: str
    saved_ms: int = 0
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """The last replay of a run."""

    version: int
    steps: tuple[StepReuse, ...]

    @property
    def saved_ms(self) -> int:
        """Return the ms of work that were saved."""
        return sum(step.saved_ms for step in self.steps)

    @property
    def saved_tokens(self) -> int:
        """Return the tokens that were saved."""
        return sum(step.saved_tokens for step in self.steps)

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        reused = sum(step.reused for step in self.steps)
        tokens = f" and {self.saved_tokens} tokens" if self.saved_tokens else ""
        yield f"replayed at event {self.version}: {reused} results used again, {self.saved_ms} ms{tokens} saved"
        for step in self.steps:
            verb = "is used again" if step.reused else "is done again"
            yield f"  step {step.step} {verb}: {step.why}"


_CONTAINERS = (*st.GROUPS, st.BLOCK)
"""Kinds of steps that do nothing themselves."""

NAMED = 5
"""How many changed inputs are named."""

_BEGINS = names_of((ev.StepStarted, ev.ChildStarted))
"""With these somebody else has begun to do what a step asks for."""


def replayed(
    recorded: Sequence[Recorded], happened: Sequence[ev.Event], before: st.RunState
) -> Replayed | None:
    """Tell about the last replay of a run, None when there is none; `before` is its state before that."""
    index = last_replay(happened)
    if index is None:
        return None
    opened = happened[index]
    if not isinstance(opened, ev.RunReopened):
        return None
    durations = dict(_durations(recorded[:index]))
    steps: dict[str, StepReuse] = {}
    for event in happened[index + 1 :]:
        if isinstance(event, ev.StepResultReused):
            saved_ms = durations.get(event.step, 0)
            steps[event.step] = _used_again(event.step, before, saved_ms)
        elif isinstance(event, ev.StepScheduled) and event.kind not in _CONTAINERS:
            why = _why_again(event, opened, before)
            steps.setdefault(event.step, StepReuse(event.step, reused=False, why=why))
    return Replayed(recorded[index].version, tuple(steps.values()))


def _used_again(step: str, before: st.RunState, saved_ms: int) -> StepReuse:
    return StepReuse(
        step,
        reused=True,
        why="component, definition and inputs are the same",
        saved_ms=saved_ms,
        saved_tokens=_tokens(before.steps[step].output),
    )


def last_replay(happened: Sequence[ev.Event]) -> int | None:
    """Return the index of the last replay among events; one that kept nothing is a retry."""
    for index in reversed(range(len(happened))):
        event = happened[index]
        if isinstance(event, ev.RunReopened) and (event.kept or event.changed):
            return index
    return None


def _why_again(
    event: ev.StepScheduled, opened: ev.RunReopened, before: st.RunState
) -> str:
    """Say why a step is done again."""
    earlier = before.steps.get(event.step)
    if earlier is None:
        return "it is new"
    if event.step in opened.changed:
        return "its definition or its component has changed"
    if event.step in opened.kept:
        changes = islice(changes_of(earlier.inputs, event.inputs), NAMED)
        names = ", ".join(change.path or "all" for change in changes)
        return f"its inputs have changed: {names}"
    if earlier.status == st.COMPLETED:
        return "what it had done was undone"
    return f"it was {earlier.status}"


def _durations(recorded: Sequence[Recorded]) -> Iterator[tuple[str, int]]:
    """Return how long the last completed attempt of each step took, in ms."""
    begun: dict[str, int] = {}
    for item in recorded:
        data: Mapping[str, Any] = item.data if isinstance(item.data, Mapping) else {}
        step = str(data.get("step", ""))
        if item.type in _BEGINS:
            begun[step] = item.time_ms
        elif item.type == ev.StepCompleted.__name__ and step in begun:
            yield step, item.time_ms - begun[step]


def _tokens(output: Any) -> int:
    """Return the tokens that a result says it took, as models report them: usage.total_tokens."""
    usage = output.get("usage") if isinstance(output, Mapping) else None
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return total if type(total) is int else 0
