"""The options of a commit, as its script reads them: the wire format is said here, and in lua/commit.lua."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from msgspec import Struct

from eventstore.run_model import Commit, CommitClaim, Guard, build_in
from openagents_json.work_index import (
    DueKey,
    IndexChanges,
    ReadyStep,
    RequeuedStep,
    RestoredStep,
    Share,
)

AWAITED_MS: Final = 10_000
"""How long a note that somebody waits is kept which comes with the start of a run: longer than one call may wait."""

_SHORT: Final = {
    "version": "v",
    "last_commit": "lc",
    "fact_events": "nf",
    "last_fence": "f",
    "definition": "def",
    "workflow": "wf",
    "awaited_ms": "await",
    "status": "st",
    "cancel": "can",
    "held": "hold",
    "ready": "open",
    "requeued": "reopen",
    "restored": "seat",
    "shares": "fair",
    "closed": "shut",
    "suspended": "park",
    "resumed": "unpark",
    "removed": "untimers",
    "settled": "settle",
}
_FLAGS: Final = {None: None, False: "0", True: "1"}
"""What is written into the head for a flag; nothing where it stays as it is."""

_fast_encode: Final = msgspec.json.Encoder().encode
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class _Options(Struct, frozen=True, gc=False, omit_defaults=True, rename=_SHORT):
    """What most commits have little of; what is as it is by default is not sent."""

    mode: str
    version: int = 0
    last_commit: str = ""
    facts: tuple[tuple[str, str, bool], ...] = ()
    fact_events: int = 0
    whole: bool = False
    stands: bool = False
    back: bool = False
    guard: Guard | None = None
    claim: tuple[Any, ...] | None = None
    last_fence: int | None = None
    definition: str = ""
    workflow: str = ""
    key: str = ""
    refers: tuple[str, ...] = ()
    wipe: tuple[str, ...] = ()
    awaited_ms: int = 0
    name: tuple[str, str] | None = None
    room: tuple[int, tuple[str, ...]] | None = None
    status: str | None = None
    cancel: str | None = None
    held: str | None = None
    ready: tuple[ReadyStep, ...] = ()
    requeued: tuple[RequeuedStep, ...] = ()
    restored: tuple[RestoredStep, ...] = ()
    shares: tuple[Share, ...] = ()
    closed: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    timers: tuple[tuple[str, int, int], ...] = ()
    removed: tuple[str, ...] = ()
    settled: bool = False


def options_of(commit: Commit) -> bytes:
    """Return the options of a commit as its script reads them: lua/commit.lua names them all."""
    options = _options_of(commit)
    try:
        return _fast_encode(options)
    except UnicodeError:  # half of a character, in a name that users chose
        return _ENCODER.encode(msgspec.to_builtins(options)).encode()


def _options_of(commit: Commit) -> _Options:
    changes = commit.changes
    return _Options(
        mode=commit.mode,
        version=commit.version,
        last_commit=commit.last_commit,
        facts=commit.facts,
        fact_events=commit.fact_events,
        whole=commit.whole,
        stands=commit.stands,
        back=commit.back,
        guard=commit.guard,
        claim=_claim(commit.claim, changes),
        last_fence=commit.last_fence,
        definition=commit.definition,
        workflow=commit.workflow,
        key=commit.wrapped_key,
        refers=commit.refers,
        wipe=commit.wipe,
        awaited_ms=AWAITED_MS * commit.awaited,
        name=commit.name,
        room=commit.room,
        status=changes.status,
        cancel=_FLAGS[changes.cancel],
        held=_FLAGS[changes.held],
        ready=changes.ready,
        requeued=changes.requeued,
        restored=changes.restored,
        shares=changes.shares,
        closed=changes.closed,
        suspended=changes.suspended,
        resumed=changes.resumed,
        timers=_timers(commit.run, changes),
        removed=_removed(commit.run, changes),
        settled=changes.settled,
    )


def _timers(run: str, changes: IndexChanges) -> tuple[tuple[str, int, int], ...]:
    """Return the timers of a commit by their names in the store; most have none."""
    return tuple(
        [
            (DueKey(timer.kind, run, timer.subject).key(), timer.delay_ms, timer.at_ms)
            for timer in changes.timers
        ]
    )


def _removed(run: str, changes: IndexChanges) -> tuple[str, ...]:
    return tuple([DueKey(kind, run, name).key() for kind, name in changes.removed])


def _claim(claim: CommitClaim | None, changes: IndexChanges) -> tuple[Any, ...] | None:
    """Return a claim as its script reads it; components that its worker lacks are left for others."""
    if claim is None:
        return None
    components = {step.component for step in changes.ready}
    able = {name: claim.can(name) for name in components}
    lacks = sorted(name for name, can in able.items() if not can)
    builds = {name: build for name, can in able.items() if (build := build_in(can))}
    always = (claim.worker, claim.lease_ms, claim.at_most, claim.queue, lacks)
    return (*always, builds) if builds else always
