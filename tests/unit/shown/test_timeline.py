"""When the steps of a run were worked on and when they waited, read from its events."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from eventstore.event import Position, Recorded
from openagents_json.engine.answers.times import Bar
from openagents_json.engine.inspection.replay import Replays
from openagents_json.engine.inspection.timeline import timeline

BUSY = {"type": "ConnectionError", "message": "the line is busy"}


def recorded(version: int, time_ms: int, kind: str, **data: Any) -> Recorded:
    position = Position(0, version)
    return Recorded(
        "0-x", version, position, time_ms, str(version), "", "", kind, data, {}
    )


def only_bar(*events: Recorded) -> Bar:
    def shown(_: str) -> list[Sequence[Recorded]]:
        return [events]

    store = SimpleNamespace(now_ms=lambda: events[-1].time_ms)
    replays = SimpleNamespace(shown=shown, core=SimpleNamespace(store=store))
    [bar] = timeline("0-x", cast(Replays, replays)).bars
    return bar


TRIED = (
    recorded(1, 100, "RunStarted", workflow="w"),
    recorded(2, 100, "StepScheduled", step="a", inputs={}),
    recorded(3, 110, "StepStarted", step="a", attempt=1, worker="w1"),
    recorded(4, 120, "StepFailed", step="a", attempt=1, error=BUSY, retry_ms=300),
)


def test_between_two_attempts_a_step_waits_for_the_next() -> None:
    bar = only_bar(
        *TRIED,
        recorded(5, 420, "StepStarted", step="a", attempt=2, worker="w2"),
        recorded(6, 430, "StepCompleted", step="a", attempt=2, output=1),
    )
    times = [(span.kind, span.began_ms, span.ended_ms) for span in bar.spans]
    assert times == [
        ("queued", 100, 110),
        ("attempt", 110, 120),
        ("retry", 120, 420),
        ("attempt", 420, 430),
    ]
    assert [(x.end, x.error) for x in bar.attempts] == [
        ("failed", BUSY),
        ("completed", None),
    ]
    assert bar.status == "completed"


def test_a_step_that_is_to_be_tried_again_is_open() -> None:
    bar = only_bar(*TRIED)
    assert bar.status == "open"
    last = bar.spans[-1]
    assert (last.kind, last.began_ms, last.ended_ms) == ("retry", 120, None)


def test_a_failure_that_is_not_tried_again_is_the_end_of_its_step() -> None:
    failed = recorded(4, 120, "StepFailed", step="a", attempt=1, error=BUSY)
    bar = only_bar(*TRIED[:3], failed)
    assert (bar.status, bar.spans[-1].kind) == ("failed", "attempt")


def test_a_retry_that_somebody_decides_on_later_begins_then() -> None:
    failed = recorded(4, 120, "StepFailed", step="a", attempt=1, error=BUSY)
    bar = only_bar(*TRIED[:3], failed, recorded(5, 150, "StepRetryScheduled", step="a"))
    last = bar.spans[-1]
    assert (bar.status, last.kind, last.began_ms) == ("open", "retry", 150)
