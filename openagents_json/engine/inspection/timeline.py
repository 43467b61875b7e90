"""When the steps of a run were worked on, when they waited and for what: read from its events alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from eventstore.event import Recorded
from openagents_json.engine.answers.times import ATTEMPT, Bar, Span, Timeline
from openagents_json.engine.inspection.replay import Replays
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import (
    CLOSED_AS,
    ENDED_AS,
    OPENING,
)

QUEUED: Final = "queued"
GATED: Final = "gated"
RETRY: Final = "retry"
WAIT: Final = "wait"
GROUP: Final = "group"

_GROUPS: Final = frozenset({st.FOREACH, st.LOOP, st.BLOCK})

_ONCE_MORE: Final = frozenset({"lost", "given back"})
"""Ends after which a step may be claimed at once, by anybody."""


@dataclass(slots=True)
class _Life:
    """A step while its events are read."""

    path: str
    kind: str = ""
    spans: list[Span] = field(default_factory=list)
    status: str = ""

    def begin(self, kind: str, time_ms: int, **more: Any) -> None:
        """Begin another time, which ends the one before."""
        self.end(time_ms)
        self.spans.append(Span(kind, time_ms, **more))

    def end(self, time_ms: int, **more: Any) -> None:
        """End the time that goes on, if there is one."""
        if self.spans and self.spans[-1].ended_ms is None:
            self.spans[-1] = replace(self.spans[-1], ended_ms=time_ms, **more)

    def bar(self) -> Bar:
        """Return the step with its times."""
        return Bar(
            path=self.path, kind=self.kind, spans=tuple(self.spans), status=self.status
        )


def timeline(run: str, replays: Replays) -> Timeline:
    """Read the times of a run's steps.

    Raises RunNotFound.
    """
    lives: dict[str, _Life] = {}
    course = _Course()
    for item in chain.from_iterable(replays.shown(run)):
        course.read(item)
        _read(item, lives)
    if course.ended_ms is not None:
        for life in lives.values():
            life.end(course.ended_ms)
    return Timeline(
        run=run,
        workflow=course.workflow,
        status=course.status,
        began_ms=course.first_ms,
        ended_ms=course.ended_ms,
        now_ms=max(replays.core.store.now_ms(), course.last_ms),
        bars=tuple([life.bar() for life in lives.values()]),
    )


@dataclass(slots=True)
class _Course:
    """A run while its events are read."""

    workflow: str = ""
    status: str = "running"
    first_ms: int = 0
    last_ms: int = 0
    ended_ms: int | None = None

    def read(self, item: Recorded) -> None:
        """Take the next event in."""
        self.first_ms = self.first_ms or item.time_ms
        self.last_ms = item.time_ms
        self.workflow = self.workflow or str(_data(item).get("workflow") or "")
        if item.type in CLOSED_AS:
            self.status = CLOSED_AS[item.type]
            self.ended_ms = item.time_ms
        elif item.type in OPENING:
            self.status = "running"
            self.ended_ms = None


def _data(item: Recorded) -> Mapping[str, Any]:
    if isinstance(item.data, Mapping):
        return item.data
    return {}


def _read(item: Recorded, lives: dict[str, _Life]) -> None:
    data = _data(item)
    path = str(data.get("compensation") or data.get("step") or "")
    reader = _READERS.get(item.type)
    if not path or reader is None:
        return
    life = lives.setdefault(path, _Life(path))
    reader(life, item, data)


def _schedule(life: _Life, item: Recorded, data: Mapping[str, Any]) -> None:
    life.kind = str(data.get("kind") or "")
    life.status = "open"
    if life.kind:
        life.begin(GROUP if life.kind in _GROUPS else WAIT, item.time_ms)
    else:
        life.begin(GATED if data.get("gates") else QUEUED, item.time_ms)


def _admit(life: _Life, item: Recorded, _: Mapping[str, Any]) -> None:
    life.begin(QUEUED, item.time_ms)


def _start(life: _Life, item: Recorded, data: Mapping[str, Any]) -> None:
    attempt = int(data.get("attempt") or 0)
    worker = str(data.get("worker") or "")
    life.begin(ATTEMPT, item.time_ms, attempt=attempt, worker=worker)


def _retry(life: _Life, item: Recorded, _: Mapping[str, Any]) -> None:
    life.status = "open"
    # The failure has said it already, unless somebody decided on it later.
    if not life.spans or life.spans[-1].kind != RETRY:
        life.begin(RETRY, item.time_ms)


def _skip(life: _Life, _: Recorded, __: Mapping[str, Any]) -> None:
    life.status = st.SKIPPED


def _end(life: _Life, item: Recorded, data: Mapping[str, Any]) -> None:
    end = ENDED_AS[item.type]
    error = data.get("error")
    shown = error if isinstance(error, Mapping) else None
    life.end(item.time_ms, end=end, error=shown)
    life.status = end
    if end in _ONCE_MORE:
        life.status = "open"
        life.begin(QUEUED, item.time_ms)
    elif data.get("retry_ms") is not None:
        _retry(life, item, data)


_READERS: Final[Mapping[str, Callable[[_Life, Recorded, Mapping[str, Any]], None]]] = {
    ev.StepScheduled.__name__: _schedule,
    ev.CompensationScheduled.__name__: _schedule,
    ev.StepAdmitted.__name__: _admit,
    ev.StepStarted.__name__: _start,
    ev.StepRetryScheduled.__name__: _retry,
    ev.StepSkipped.__name__: _skip,
    **dict.fromkeys(ENDED_AS, _end),
}
"""What is read from an event about a step, by its name."""
