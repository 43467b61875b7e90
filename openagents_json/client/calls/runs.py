"""Looking at runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import msgspec

from openagents_json.client.calls.call import Call, FeedCall, as_is, as_type, get, path
from openagents_json.engine import Emitted
from openagents_json.engine.answers.runs import HistoryEvent, Result, RunInfo
from openagents_json.engine.answers.steps import Overview
from openagents_json.engine.answers.times import Timeline

if TYPE_CHECKING:
    from openagents_json.engine import Comparison
    from openagents_json.engine.inspection.explain import Explanation

PAGE: Final = 1_000
"""How many events of a history are asked for at a time."""


def state(run: str) -> Call[RunInfo]:
    """Return the call for a run as it is now."""
    return get(path("runs", run), as_type(RunInfo))


def status(run: str) -> Call[str]:
    """Return the call for the status of a run alone."""

    def read(value: Any) -> str:
        return str(value["status"])

    return get(path("runs", run, "result"), read)


def result(run: str, wait_seconds: int) -> Call[Result | str]:
    """Return the call for how a run ended, or its status when it has not by then."""

    def read(value: Any) -> Result | str:
        if "output" in value:
            return msgspec.convert(value, Result)
        return str(value["status"])

    return get(path("runs", run, "result"), read, wait_seconds=wait_seconds)


def history(
    run: str, after: int, limit: int, wait_seconds: int = 0
) -> Call[list[HistoryEvent]]:
    """Return the call for events of a run behind a version."""

    def read(value: Any) -> list[HistoryEvent]:
        return msgspec.convert(value["items"], list[HistoryEvent])

    return get(
        path("runs", run, "history"),
        read,
        wait_seconds=wait_seconds,
        after=after,
        limit=limit,
    )


@dataclass(slots=True)
class Pages:
    """A history while it is read: what has been, and how much of it is size still."""

    after: int
    limit: int | None
    events: list[HistoryEvent] = field(default_factory=list)
    _is_over: bool = False

    def next_size(self) -> int:
        """Return how many events to ask for next, 0 for none."""
        if self._is_over:
            return 0
        return PAGE if self.limit is None else min(PAGE, self.limit - len(self.events))

    def take(self, page: list[HistoryEvent], size: int) -> None:
        """Add a page; one that is not full is the last."""
        self.events += page
        self._is_over = len(page) < size
        if page:
            self.after = page[-1].version


def watch(run: str, after: int, block_ms: int) -> Call[list[HistoryEvent]]:
    """Return the call that waits for the next events of a run."""
    return history(run, after, PAGE, wait_seconds=ceil(block_ms / 1000))


def events(run: str, after: int) -> FeedCall[HistoryEvent]:
    """Return the feed of the events of a run."""
    return FeedCall(path("runs", run, "events"), as_type(HistoryEvent), str(after))


def emissions(run: str, after: str) -> FeedCall[Emitted]:
    """Return the feed of what the components of a run show."""
    return FeedCall(path("runs", run, "output"), as_type(Emitted), after)


def overview(run: str) -> Call[Overview]:
    """Return the call for a run as people look at it."""
    return get(path("runs", run, "steps"), as_type(Overview))


def timeline(run: str) -> Call[Timeline]:
    """Return the call for the times of a run's steps."""
    return get(path("runs", run, "timeline"), as_type(Timeline))


def explain(run: str) -> Call[Explanation]:
    """Return the call for why a run is as it is."""
    from openagents_json.engine.inspection.explain import Explanation

    return get(path("runs", run, "explanation"), as_type(Explanation))


def state_at(run: str, version: int | None, time_ms: int | None) -> Call[RunInfo]:
    """Return the call for a run as it was."""
    return get(
        path("runs", run, "state"), as_type(RunInfo), version=version, time_ms=time_ms
    )


def diff(one: str, other: str) -> Call[Comparison]:
    """Return the call that compares two runs."""
    from openagents_json.engine import Comparison

    return get(path("runs", one, "diff", other), as_type(Comparison))


def workers() -> Call[dict[str, dict[str, Any]]]:
    """Return the call for the live worker processes."""
    return get(path("workers"), as_is)
