"""How commits are told to scripts, and what the replies of scripts mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from eventstore.run_model import Commit, DueMember, DueReply, ReadyQueue

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def options_of(commit: Commit) -> str:
    """Give the options of a commit as its script reads them."""
    options = dict(commit.options)
    options["mode"] = commit.mode
    if commit.mode != "new":
        options["v"], options["lc"] = commit.version, commit.last_commit
    if commit.mode == "fact":
        options["facts"] = [[step, fence, int(final)] for step, fence, final in commit.facts]
        options["nf"] = commit.fact_events
    if commit.refers:
        options["refers"] = list(commit.refers)
    if commit.guard:
        options["guard"] = [commit.guard.step, commit.guard.fence, int(commit.guard.unbegun)]
    if commit.claim:
        wish = commit.claim
        lacks = sorted({step[9] for step in options.get("open", ()) if not wish.can(step[9])})
        options["claim"] = [wish.worker, wish.lease_ms, wish.at_most, wish.queue, lacks]
    return _ENCODER.encode(options)


def due_reply(partition: int, queues: Sequence[str], reply: list[Any]) -> DueReply:
    """Read the reply of a look at what is due."""
    now, next_ms, members, report, moved = reply
    found = []
    for member_, kind, fence, unbegun in members:
        member = member_.decode()
        run, _, step = member[2:].partition("|")
        found.append(DueMember(kind.decode(), run, step, fence.decode(), member, not unbegun))
    ready = tuple(
        ReadyQueue(queue, count, age, {component.decode(): n for component, n in aside if n})
        for queue, (count, age, aside) in zip(queues, report, strict=True)
    )
    return DueReply(partition, now, next_ms, tuple(found), ready, frozenset(queue.decode() for queue in moved))
