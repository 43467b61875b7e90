"""What goes over the wire to scripts, and what members of the due set are called: stores of today hold it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from eventstore.event import Recorded
from eventstore.redis.commits.options import options_of
from eventstore.redis.run_wire import UnreadEvents, due_reply
from eventstore.run_model import Commit, CommitClaim, Guard
from openagents_json.work_index import (
    DueKey,
    DueKind,
    IndexChanges,
    ReadyStep,
    RequeuedStep,
    RestoredStep,
    Timer,
    timer_of,
    timer_subject,
)

STORED = {
    "l|0-r|a": DueKey(DueKind.LEASE, "0-r", "a"),
    "r|0-r|a": DueKey(DueKind.RETRY, "0-r", "a"),
    "q|0-r|a": DueKey(DueKind.SCHEDULE_TO_START, "0-r", "a"),
    "T|0-r|a": DueKey(DueKind.TOTAL, "0-r", "a"),
    "R|0-r": DueKey(DueKind.RUN_LIMIT, "0-r"),
    "k|0-r": DueKey(DueKind.CANCEL_GRACE, "0-r"),
    "w|0-r": DueKey(DueKind.DECISION, "0-r"),
    "t|0-r|each[2].a|3": DueKey(DueKind.TIMER, "0-r", timer_subject("each[2].a", 3)),
    "n|0-r|a": DueKey(DueKind.SIGNAL, "0-r", "a"),
    "c|0-r|a": DueKey(DueKind.CHILD, "0-r", "a"),
    "x|0-r|1-child": DueKey(DueKind.CANCEL_CHILD, "0-r", "1-child"),
    "g|0-r": DueKey(DueKind.GATES, "0-r"),
    "g|0-r|a": DueKey(DueKind.GATES, "0-r", "a"),
    "u|0-r|a": DueKey(DueKind.GIVE_BACK, "0-r", "a"),
    "p|0-r": DueKey(DueKind.PARENT, "0-r"),
    "s|nightly": DueKey(DueKind.SCHEDULE, "nightly"),
}


@pytest.mark.parametrize("member", STORED)
def test_a_due_member_is_stored_under_one_name(member: str) -> None:
    assert STORED[member].key() == member
    assert DueKey.parse(member) == STORED[member]


def test_each_kind_that_is_stored_has_a_name_here() -> None:
    assert {key.kind for key in STORED.values()} == set(DueKind) - {
        DueKind.START_TO_CLOSE,
        DueKind.UNKNOWN,
    }


def test_a_timer_is_told_from_its_step() -> None:
    assert timer_of(DueKey.parse("t|0-r|each[2].a|3").subject) == ("each[2].a", 3)


def test_a_kind_of_a_later_version_is_unknown_and_keeps_its_name() -> None:
    reply = due_reply(0, [], [5, -1, [[b"Z|0-r|a", b"Z", b"", 0]], [], []])
    [member] = reply.members
    assert (member.kind, member.run, member.step, member.member) == (
        DueKind.UNKNOWN,
        "0-r",
        "a",
        "Z|0-r|a",
    )


ALL = IndexChanges(
    status="running",
    cancel=False,
    held=True,
    ready=(ReadyStep("a", "q", 3, 1000, 20, 300, 4000, 2, 1, "c@1"),),
    requeued=(RequeuedStep("b", 10, 20, 30, "d"),),
    restored=(RestoredStep("e", "q", 1, 2, 3, 4, "Tq", True, "f"),),
    closed=("g",),
    suspended=("h",),
    resumed=("i",),
    timers=(Timer(DueKind.RUN_LIMIT, "", 500), Timer(DueKind.SIGNAL, "a", 0, 99)),
    removed=((DueKind.CHILD, "a"),),
    settled=True,
)
CHANGES: dict[str, Any] = {
    "st": "running",
    "can": "0",
    "hold": "1",
    "open": [["a", "q", 3, 1000, 20, 300, 4000, 2, 1, "c@1"]],
    "reopen": [["b", 10, 20, 30, "d"]],
    "seat": [["e", "q", 1, 2, 3, 4, "Tq", True, "f"]],
    "shut": ["g"],
    "park": ["h"],
    "unpark": ["i"],
    "timers": [["R|0-r", 500, 0], ["n|0-r|a", 0, 99]],
    "untimers": ["c|0-r|a"],
    "settle": True,
}
CLAIM = CommitClaim("w", 30, 2, "q", lambda component: component != "c@1")


@pytest.mark.parametrize(
    ("commit", "wire"),
    [
        (Commit("0-r", "new", "c", ()), {"mode": "new"}),
        (
            Commit(
                "0-r",
                "new",
                "c",
                (),
                workflow="w",
                definition="d",
                wrapped_key="k",
                refers=("s",),
            ),
            {"mode": "new", "wf": "w", "def": "d", "key": "k", "refers": ["s"]},
        ),
        (
            Commit("0-r", "cas", "c", (), 4, "b", changes=ALL),
            {"mode": "cas", "v": 4, "lc": "b", **CHANGES},
        ),
        (
            Commit(
                "0-r",
                "cas",
                "c",
                (),
                4,
                "b",
                guard=Guard("a", "7", True),
                wipe=("key", "snap"),
            ),
            {
                "mode": "cas",
                "v": 4,
                "lc": "b",
                "guard": ["a", "7", True],
                "wipe": ["key", "snap"],
            },
        ),
        (
            Commit(
                "0-r",
                "fact",
                "c",
                (),
                4,
                "b",
                facts=(("a", "7", True), ("b", "8", False)),
                fact_events=2,
            ),
            {
                "mode": "fact",
                "v": 4,
                "lc": "b",
                "facts": [["a", "7", True], ["b", "8", False]],
                "nf": 2,
            },
        ),
        (
            Commit(
                "0-r",
                "fact",
                "c",
                (),
                4,
                "b",
                changes=ALL,
                claim=CLAIM,
                whole=True,
                last_fence=9,
            ),
            {
                "mode": "fact",
                "v": 4,
                "lc": "b",
                "whole": True,
                "f": 9,
                **CHANGES,
            }
            | {"claim": ["w", 30, 2, "q", ["c@1"]]},
        ),
        (
            Commit("0-r", "adopt", "c", (), 4, "b", last_fence=0, back=True),
            {"mode": "adopt", "v": 4, "lc": "b", "f": 0, "back": True},
        ),
    ],
    ids=["new", "begins", "cas", "guarded", "facts", "whole", "adopt"],
)
def test_a_commit_is_told_to_its_script_as_always(
    commit: Commit, wire: dict[str, Any]
) -> None:
    assert json.loads(options_of(commit)) == wire


def test_events_that_come_with_a_claim_are_read_once_and_only_when_somebody_looks() -> (
    None
):
    reads: list[str] = []

    def read(run: str, entries: Sequence[Any]) -> tuple[Recorded, ...]:
        reads.append(run)
        return tuple(entries)

    events: Any = UnreadEvents(read, "0-a", ["first", "second"])
    assert not reads
    assert list(events) == ["first", "second"]
    assert len(events) == 2
    assert events[-1] == "second"
    assert events == ("first", "second")
    assert reads == ["0-a"]
