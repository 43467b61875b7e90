"""What a replay did again and what it did not, with the reason and what that saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
            yield f"  step {step.step} {'is used again' if step.reused else 'is done again'}: {step.why}"


_BEGINS = names_of((ev.StepStarted, ev.ChildStarted))
"""With these somebody else has begun to do what a step asks for."""


def replayed(
    recorded: Sequence[Recorded], happened: Sequence[ev.Event], before: st.RunState
) -> Replayed | None:
    """Tell about the last replay of a run, None when there is none; `before` is its state before that."""
    place = last_replay(happened)
    if place is None:
        return None
    opened = happened[place]
    if not isinstance(opened, ev.RunReopened):
        return None
    took = dict(_durations(recorded[:place]))
    steps: dict[str, StepReuse] = {}
    for event in happened[place + 1 :]:
        if isinstance(event, ev.StepResultReused):
            known = before.steps[event.step]
            tokens = _tokens(known.output)
            why = "component, definition and inputs are the same"
            steps[event.step] = StepReuse(
                event.step, True, why, took.get(event.step, 0), tokens
            )
        elif isinstance(event, ev.StepScheduled) and event.kind not in (
            *st.GROUPS,
            st.BLOCK,
        ):
            steps.setdefault(
                event.step, StepReuse(event.step, False, _why(event, opened, before))
            )
    return Replayed(recorded[place].version, tuple(steps.values()))


def last_replay(happened: Sequence[ev.Event]) -> int | None:
    """Return the place of the last replay among events; one that kept nothing is a retry."""
    for place in range(len(happened) - 1, -1, -1):
        event = happened[place]
        if isinstance(event, ev.RunReopened) and (event.kept or event.changed):
            return place
    return None


def _why(event: ev.StepScheduled, opened: ev.RunReopened, before: st.RunState) -> str:
    known = before.steps.get(event.step)
    if known is None:
        return "it is new"
    if event.step in opened.changed:
        return "its definition or its component has changed"
    if event.step not in opened.kept:
        return (
            f"it was {known.status}"
            if known.status != st.COMPLETED
            else "what it had done was undone"
        )
    changes = [
        change.path or "all"
        for change, _ in zip(
            changes_of(known.inputs, event.inputs), range(5), strict=False
        )
    ]
    return f"its inputs have changed: {', '.join(changes)}"


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
    return total if isinstance(total, int) and not isinstance(total, bool) else 0
