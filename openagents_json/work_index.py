"""What waits, and for what: the records in which the core tells a store what to keep in its indexes of open work.

The core derives them from events, and a store finds by them which steps may be claimed and what time has to bring. Both
stand above this module, so each of these facts is written down once. The fields of a step are in the order in which
scripts of stores read them.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

STARTED: Final = "StepStarted"
"""The type of the event that a store writes by itself: with it, a claim says that somebody begins a step."""


class DueKind(StrEnum):
    """What time brings to a run or a step; the values are the letters with which stored members begin."""

    LEASE = "l"
    """A worker holds the step until then."""

    RETRY = "r"
    """The step may be claimed again from then on."""

    SCHEDULE_TO_START = "q"
    """Until then, a worker has to have begun the step."""

    TOTAL = "T"
    """Until then, the step has to be over, with all of its attempts."""

    RUN_LIMIT = "R"
    """Until then, the run has to be over."""

    CANCEL_GRACE = "k"
    """Until then, steps under way may end by themselves in a run that is cancelled."""

    DECISION = "w"
    """Somebody has to decide on what the log holds."""

    TIMER = "t"
    """A timer of a step; the subject is its step and number."""

    SIGNAL = "n"
    """The step waits, and nothing but a signal wakes it."""

    CHILD = "c"
    """The child run of a step has to be looked after."""

    CANCEL_CHILD = "x"
    """A child run, which is the subject, has to be cancelled."""

    GATES = "g"
    """A step or a queued run asks to be let in."""

    GIVE_BACK = "u"
    """A step or a run has locks to give back."""

    PARENT = "p"
    """The parent of a closed run has to be told."""

    SCHEDULE = "s"
    """A schedule, which stands in the place of the run, has to begin one."""

    START_TO_CLOSE = "o"
    """How a store calls a lease that is over because its attempt has no time left; never stored."""

    UNKNOWN = "?"
    """A kind that a later version has stored."""

    @classmethod
    def _missing_(cls, _value: object) -> DueKind:
        return cls.UNKNOWN


OF_RECORDS: Final = frozenset(
    {DueKind.LEASE, DueKind.RETRY, DueKind.SCHEDULE_TO_START, DueKind.TOTAL}
)
"""Kinds that belong to a step of which the store has a record."""

NEVER_MS: Final = 4_000_000_000_000_000
"""The time of what only a signal wakes."""


class DueKey(NamedTuple):
    """Names a due member: what is due to which run, and to which of its steps, timers or children ("" for itself)."""

    kind: DueKind
    run: str
    subject: str = ""

    def key(self) -> str:
        """Return the name as it is stored."""
        owner = f"{self.kind}|{self.run}"
        if self.subject:
            return f"{owner}|{self.subject}"
        return owner

    @classmethod
    def parse(cls, member: str) -> DueKey:
        """Read a stored name."""
        run, _, subject = member[2:].partition("|")
        return cls(DueKind(member[:1]), run, subject)


def timer_subject(step: str, number: int) -> str:
    """Return the subject of a timer of a step."""
    return f"{step}|{number}"


def timer_of(subject: str) -> tuple[str, int]:
    """Return the step and the number of a timer."""
    step, _, number = subject.rpartition("|")
    return step, int(number)


class Timer(NamedTuple):
    """Something of a run that becomes due after a delay, or at a time in ms since 1970 (0 for none)."""

    kind: DueKind
    subject: str
    delay_ms: int
    at_ms: int = 0


class ReadyStep(NamedTuple):
    """A step that may be claimed, after a delay; `event_index` counts the events up to its StepScheduled, from 1.

    `attempt` counts the attempts that it has had: more than none where a worker made them before the step was stored.
    """

    step: str
    queue: str
    priority: int
    start_to_close_ms: int
    delay_ms: int
    schedule_to_start_ms: int
    total_ms: int
    event_index: int
    attempt: int = 0
    component: str = ""


class RequeuedStep(NamedTuple):
    """A step that may be claimed again after a delay."""

    step: str
    delay_ms: int
    schedule_to_start_ms: int
    start_to_close_ms: int
    component: str = ""


class RestoredStep(NamedTuple):
    """The record of a step that was opened elsewhere, with its attempts so far; `ready` to be claimed.

    `flags` tell with q and T that such members are due.
    """

    step: str
    queue: str
    priority: int
    start_to_close_ms: int
    attempt: int
    scheduled_version: int
    flags: str
    ready: bool
    component: str = ""


class Share(NamedTuple):
    """The part that a step has in its queue: in each round of the keys that wait there, one gets `weight` steps."""

    step: str
    key: str
    weight: int


class IndexChanges(Struct, frozen=True, gc=False):
    """What a commit changes in the head of its run and in the indexes; what is None or empty stays as it is.

    `shares` are those of the steps that become `ready` or are `restored`, where they have a fairness key.
    `closed` steps leave all indexes, `suspended` ones wait for no worker until they are `resumed`. `removed` are due
    members of the run that go, by kind and subject; with `settled`, so does the one that a decision is missing.
    """

    status: str | None = None
    cancel: bool | None = None
    held: bool | None = None
    ready: tuple[ReadyStep, ...] = ()
    requeued: tuple[RequeuedStep, ...] = ()
    restored: tuple[RestoredStep, ...] = ()
    closed: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    timers: tuple[Timer, ...] = ()
    removed: tuple[tuple[DueKind, str], ...] = ()
    settled: bool = False
    shares: tuple[Share, ...] = ()

    def of_commit(
        self,
        final: Collection[str],
        drop: Collection[DueKey],
        *,
        settled: bool,
        unfinished: bool,
    ) -> IndexChanges:
        """Return the changes as a commit carries them: what the core says of its events, and what comes with them.

        Steps whose outcomes are `final` facts leave with those; due members to `drop` are acted on with this commit;
        where the decision is `unfinished`, somebody has to go on with it.
        """
        timers = self.timers
        removed = self.removed
        if unfinished:
            timers = (*timers, Timer(DueKind.DECISION, "", 0))
        if drop:
            removed = (*((key.kind, key.subject) for key in drop), *removed)
        closed = self.closed
        if closed and final:
            closed = tuple(step for step in closed if step not in final)
        return replace(
            self, closed=closed, timers=timers, removed=removed, settled=settled
        )


UNCHANGED: Final = IndexChanges()
