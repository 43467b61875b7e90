"""How commits are told to scripts, and what the replies of scripts mean: the wire format is said here, and in lua/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, overload

import msgspec

from eventstore.event import Recorded
from eventstore.run_model import ClaimWish, Commit, DueMember, DueReply, ReadyQueue
from openagents_json.work_index import DueKey, DueKind, IndexChanges, RestoredStep

_AS_THEY_ARE: Final = (
    ("open", "ready"),
    ("reopen", "requeued"),
    ("shut", "closed"),
    ("park", "suspended"),
    ("unpark", "resumed"),
)
"""Lists that go to the script as they are: by their names there, and among index changes."""

_fast_encode: Final = msgspec.json.Encoder().encode
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def options_of(commit: Commit) -> bytes:
    """Return the options of a commit as its script reads them: lua/commit.lua names them all."""
    options: dict[str, Any] = {"mode": commit.mode}
    _add_mode(options, commit)
    if commit.guard:
        options["guard"] = [
            commit.guard.step,
            commit.guard.fence,
            int(commit.guard.unbegun),
        ]
    if commit.claim:
        options["claim"] = _claim(commit.claim, commit.changes)
    _add_head(options, commit)
    _add_changes(options, commit.run, commit.changes)
    try:
        return _fast_encode(options)
    except UnicodeError:  # half of a character, in a name that users chose
        return _ENCODER.encode(options).encode()


def _add_mode(options: dict[str, Any], commit: Commit) -> None:
    """Add what a script needs in order to tell whether the commit still fits the run that it was decided for."""
    if commit.mode != "new":
        options["v"] = commit.version
        options["lc"] = commit.last_commit
    if commit.mode == "fact":
        options["facts"] = [
            [step, fence, int(final)] for step, fence, final in commit.facts
        ]
        options["nf"] = commit.fact_events
        if commit.whole:
            options["whole"] = True
    if commit.mode == "adopt":
        options["back"] = _flag(commit.back)


def _claim(claim: ClaimWish, changes: IndexChanges) -> list[Any]:
    """Return a claim as its script reads it; components that its worker lacks are left for others."""
    components = {step.component for step in changes.ready}
    lacks = sorted(name for name in components if not claim.can(name))
    return [claim.worker, claim.lease_ms, claim.at_most, claim.queue, lacks]


def _add_head(options: dict[str, Any], commit: Commit) -> None:
    if commit.definition:
        options["def"] = commit.definition
    if commit.workflow:
        options["wf"] = commit.workflow
    if commit.wrapped_key:
        options["key"] = commit.wrapped_key
    if commit.last_fence is not None:
        options["f"] = str(commit.last_fence)
    if commit.refers:
        options["refers"] = commit.refers
    if commit.wipe:
        options["wipe"] = commit.wipe


def _add_changes(options: dict[str, Any], run: str, changes: IndexChanges) -> None:
    """Add index changes, of which most commits have few; the records of steps are in the order of the script."""
    if changes.status:
        options["st"] = changes.status
    if changes.cancel is not None:
        options["can"] = _flag(changes.cancel)
    if changes.held is not None:
        options["hold"] = _flag(changes.held)
    if changes.settled:
        options["settle"] = True
    for name, field in _AS_THEY_ARE:
        steps = getattr(changes, field)
        if steps:
            options[name] = steps
    if changes.restored:
        options["seat"] = [_restored(step) for step in changes.restored]
    if changes.timers:
        options["timers"] = [
            [DueKey(kind, run, subject).key(), d, at]
            for kind, subject, d, at in changes.timers
        ]
    if changes.removed:
        options["untimers"] = [
            DueKey(kind, run, subject).key() for kind, subject in changes.removed
        ]


def _restored(step: RestoredStep) -> list[Any]:
    *fields, ready, component = step
    return [*fields, int(ready), component]


def _flag(value: bool) -> str:
    return "1" if value else "0"


def due_reply(partition: int, queues: Sequence[str], reply: list[Any]) -> DueReply:
    """Read the reply of a look at what is due."""
    now, next_ms, members, report, moved_queues = reply
    due = []
    for raw, kind, fence, unbegun in members:
        member = raw.decode()
        due.append(
            DueMember(
                DueKind(kind.decode()),
                DueKey.parse(member),
                fence.decode(),
                member,
                not unbegun,
            )
        )
    ready = tuple(
        ReadyQueue(
            queue, count, age, {component.decode(): n for component, n in aside if n}
        )
        for queue, (count, age, aside) in zip(queues, report, strict=True)
    )
    return DueReply(
        partition,
        now,
        next_ms,
        tuple(due),
        ready,
        frozenset(queue.decode() for queue in moved_queues),
    )


class UnreadEvents(Sequence[Recorded]):
    """Events of a run as a reply has them, which are read when they are first looked at: most often nobody does.

    A worker that has done the step before knows the run, and a history is many times as long as the claim it came with.
    """

    __slots__ = ("_entries", "_events", "_read", "_run")

    def __init__(
        self,
        read: Callable[[str, Sequence[Any]], Sequence[Recorded]],
        run: str,
        entries: Sequence[Any],
    ) -> None:
        self._read = read
        self._run = run
        self._entries = entries
        self._events: Sequence[Recorded] | None = None

    def _all(self) -> Sequence[Recorded]:
        if self._events is None:
            self._events = self._read(self._run, self._entries)
        return self._events

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Recorded: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Recorded]: ...

    def __getitem__(self, index: int | slice) -> Recorded | Sequence[Recorded]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self._all()) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self._all()))
