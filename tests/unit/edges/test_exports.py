"""Histories for other systems: every event, and every attempt, with ids that are the same each time."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.event import Position, Recorded
from openagents_json.engine.inspection.formats import cloud_event, spans

HISTORY = [
    (
        "RunStarted",
        {
            "workflow": "w",
            "version": "1.0.0",
            "labels": {"t": "a"},
            "parent": {"run": "1-p", "step": "c"},
        },
        "cli",
    ),
    ("StepScheduled", {"step": "a", "inputs": {}}, "cli"),
    ("StepStarted", {"step": "a", "attempt": 1, "worker": "w1", "fence": "1"}, "w1"),
    (
        "StepFailed",
        {
            "step": "a",
            "attempt": 1,
            "error": {"type": "Boom", "message": "no"},
            "retry_ms": 1,
        },
        "w1",
    ),
    ("StepStarted", {"step": "a", "attempt": 2, "worker": "w2", "fence": "2"}, "w2"),
    ("StepCompleted", {"step": "a", "attempt": 2, "output": 1}, "w2"),
    ("StepStarted", {"step": "b", "attempt": 1, "worker": "w2", "fence": "3"}, "w2"),
]


def recorded(events: list[Any]) -> list[Recorded]:
    return [
        Recorded(
            "0-r",
            i,
            Position(0, 10 + i),
            1000 * i,
            f"c{i}",
            actor,
            f"c{i - 1}",
            kind,
            data,
            {},
        )
        for i, (kind, data, actor) in enumerate(events, 1)
    ]


def test_a_cloud_event_says_who_what_when_and_why() -> None:
    event = cloud_event(recorded(HISTORY)[3], "openagents:oa")
    required = {"specversion", "id", "source", "type"}
    assert required <= event.keys()
    assert all(name.isalnum() and name.islower() for name in event)
    assert (event["id"], event["type"], event["subject"]) == (
        "0-r/4",
        "openagents.StepFailed",
        "a",
    )
    assert (event["time"], event["actor"], event["cause"]) == (
        "1970-01-01T00:00:04.000Z",
        "w1",
        "c3",
    )
    assert event["data"]["error"]["type"] == "Boom"


def test_a_trace_has_a_span_for_the_run_and_one_for_each_attempt() -> None:
    [resource] = spans(recorded(HISTORY))["resourceSpans"]
    run, *attempts = resource["scopeSpans"][0]["spans"]
    assert [span["name"] for span in attempts] == ["step a", "step a", "step b"]
    assert [span["status"]["code"] for span in (run, *attempts)] == [0, 2, 1, 0]
    assert {span["parentSpanId"] for span in attempts} == {run["spanId"]}
    assert len({span["spanId"] for span in (run, *attempts)}) == 4
    assert {
        (len(span["traceId"]), len(span["spanId"])) for span in (run, *attempts)
    } == {(32, 16)}
    assert [
        int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"]) for s in attempts
    ] == [10**9, 10**9, 0]
    assert run["links"][0]["traceId"] != run["traceId"]
    assert spans(recorded(HISTORY)) == spans(recorded(HISTORY))
    closed = [
        *HISTORY,
        ("RunFailed", {"error": {"type": "Boom", "message": "no"}, "step": "b"}, "w2"),
    ]
    assert (
        spans(recorded(closed))["resourceSpans"][0]["scopeSpans"][0]["spans"][0][
            "status"
        ]["message"]
        == "Boom: no"
    )


def traced(events: list[Any], run: str = "0-r") -> list[dict[str, Any]]:
    history = [replace(item, stream=run) for item in recorded(events)]
    traces: list[dict[str, Any]] = spans(history)["resourceSpans"][0]["scopeSpans"][0][
        "spans"
    ]
    return traces


def test_the_link_of_a_child_leads_to_the_span_that_waits_for_it() -> None:
    begun = {"workflow": "w", "version": "1.0.0"}
    children = [
        ("ChildStarted", {"step": "c", "child": f"0-c{i}", "workflow": "v"}, "w1")
        for i in range(3)
    ]
    closed = [
        ("ChildClosed", {"step": "c", "child": f"0-c{i}", "status": s}, "w1")
        for i, s in enumerate(["failed", "completed"])
    ]
    parent = traced([("RunStarted", begun, "cli"), *children, *closed], "1-p")
    assert [(span["name"], span["status"]["code"]) for span in parent[1:]] == [
        ("step c", 2),
        ("step c", 1),
        ("step c", 0),
    ]
    for i in range(3):
        [child, *_] = traced(
            [("RunStarted", {**begun, "parent": {"run": "1-p", "step": "c"}}, "w1")],
            f"0-c{i}",
        )
        [link] = child["links"]
        assert (link["traceId"], link["spanId"]) == (
            parent[0]["traceId"],
            parent[1:][[0, 1, 2][i]]["spanId"],
        )


@pytest.mark.parametrize(
    ("ends", "run", "attempt"),
    [
        ([("StepCompleted", {}), ("RunCompleted", {})], 1, 1),
        ([("StepCancelled", {"reason": "x"}), ("RunCancelled", {})], 0, 0),
        ([("StepReleased", {})], 0, 0),
        ([("StepOverridden", {"status": "completed"}), ("RunCompleted", {})], 1, 0),
        ([("StepLeaseLost", {"worker": "w1"})], 0, 2),
        (
            [
                ("StepTimedOut", {"error": {}}),
                ("RunFailed", {"error": {}}),
                ("RunHeld", {}),
            ],
            2,
            2,
        ),
        (
            [
                ("StepCompleted", {}),
                ("RunCompleted", {}),
                ("RunReopened", {"forgotten": []}),
            ],
            0,
            1,
        ),
    ],
)
def test_only_what_completed_is_ok_and_only_what_failed_is_an_error(
    ends: list[Any], run: int, attempt: int
) -> None:
    begun = [
        HISTORY[0],
        (
            "StepStarted",
            {"step": "a", "attempt": 1, "worker": "w1", "fence": "1"},
            "w1",
        ),
    ]
    statuses = traced(
        [
            *begun,
            *((kind, {"step": "a", "attempt": 1, **data}, "w1") for kind, data in ends),
        ]
    )
    assert [span["status"]["code"] for span in statuses] == [run, attempt]
