"""What the run store is asked and what it answers: plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from msgspec import Struct

from eventstore.event import Recorded
from openagents_json.work_index import UNCHANGED, DueKey, DueKind, IndexChanges


class Code(IntEnum):
    """How a commit ended; the negative ones wrote nothing."""

    DONE = 1
    DUPLICATE = 2
    FACTS_ONLY = 3
    CONFLICT = -1
    AHEAD = -2
    FENCED = -3
    UNKNOWN = -4
    EXISTS = -6
    HELD = -8
    DIVERGED = -10
    UNSTAGED = -12
    PAYLOAD_GONE = -14
    IN_PART = -16
    NAMED = -18
    FULL = -20


class Blob(Struct, frozen=True, gc=False):
    """A payload that is stored beside the log, under the hash of its bytes."""

    sha: str
    data: bytes


Ability = bool | str
"""Whether a component can be run; a text says that it can, and which build of it is run then."""


def build_in(ability: Ability) -> str:
    """Return the build that an ability names, "" where it names none."""
    return ability if isinstance(ability, str) else ""


class CommitClaim(Struct, frozen=True, gc=False):
    """A worker that would run newly scheduled steps of the same run at once, those whose component it `can` run."""

    worker: str
    lease_ms: int
    at_most: int
    queue: str
    can: Callable[[str], Ability]


class Guard(NamedTuple):
    """A lease that must have run out; `unbegun` tells that its holder must not have begun the step."""

    step: str
    fence: str
    unbegun: bool = False


class Commit(Struct, frozen=True, gc=False):
    """One atomic step of a run.

    `mode` is new, cas (guarded by version and last commit) or fact (guarded by the fences in `facts`, which are
    (step, fence, final) triples; the first `fact_events` events are theirs), or adopt (to a run that is not there yet,
    behind a history of its own that ends with version and last commit; `back` tells that it was archived here before).
    A fact that comes as a `whole` is stored with its decision or not at all. A decision that `stands` is the same
    whoever has claimed steps meanwhile, and is carried out behind such claims too. `refers` are payloads beside the log
    that are there already, `last_fence` is that of attempts which were begun without a claim. `definition`, `workflow`
    and `wrapped_key` are written into the head where they are given, `wipe` are kinds of keys that go with it.
    `awaited` notes with the start that somebody waits for the end, as `RunStore.wait_for_end` would do. A `name` is one
    that a new run takes, and the run whose it has to be until then, "" for nobody's. A run that needs `room`
    begins only where none of these queues has so many steps ready in its partition.
    """

    run: str
    mode: str
    commit_id: str
    events: tuple[tuple[str, bytes], ...]
    version: int = 0
    last_commit: str = ""
    actor: str = ""
    cause: str = ""
    facts: tuple[tuple[str, str, bool], ...] = ()
    fact_events: int = 0
    guard: Guard | None = None
    claim: CommitClaim | None = None
    blobs: tuple[Blob, ...] = ()
    refers: tuple[str, ...] = ()
    changes: IndexChanges = UNCHANGED
    definition: str = ""
    workflow: str = ""
    wrapped_key: str = ""
    last_fence: int | None = None
    whole: bool = False
    back: bool = False
    wipe: tuple[str, ...] = ()
    awaited: bool = False
    stands: bool = False
    name: tuple[str, str] | None = None
    room: tuple[int, tuple[str, ...]] | None = None


class Lease(NamedTuple):
    """A claimed attempt; `deadline_ms` is 0 when the step has no start-to-close limit.

    A named tuple, as a step looks it up nine times: it hashes in a third of the time of a frozen dataclass.
    """

    run: str
    step: str
    fence: str
    attempt: int
    deadline_ms: int


class Committed(Struct, frozen=True, gc=False):
    """The answer to a commit: `events` are those it had not folded, `fenced` the steps that it lost.

    Where it is done all the same, those are claims that came before it. `holder` is the run that has its name,
    and `full` the queue that has no room for it.
    """

    code: Code
    version: int
    position: int
    time_ms: int
    leases: tuple[Lease, ...] = ()
    events: tuple[Recorded, ...] = ()
    fenced: tuple[str, ...] = ()
    holder: str = ""
    full: str = ""


class Claimed(Struct, frozen=True, gc=False):
    """A step taken from a ready set: `events` hold the whole history of its run if it is short.

    They may be read when they are first looked at. `previous` is the last commit of the run before the claim, "" where
    more may have followed on the claim since; `time_ms` is when `worker` took the step.
    """

    lease: Lease
    version: int
    commit: str
    scheduled_version: int
    events: Sequence[Recorded]
    previous: str = ""
    time_ms: int = 0
    worker: str = ""


class RunPosition(NamedTuple):
    """How far a run is: its status, and the version of its last event."""

    status: str
    version: int


class RunEnd(NamedTuple):
    """The last event of a run that is not under way; None when it is not there."""

    last: Recorded | None


ANY_PARTITION: Final = -1
"""The partition of a claim of somebody who sleeps until one has work."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Take up to `at_most` steps of a queue in a partition; sent again under its `id`, it takes the same ones.

    `having` is the hash of the components of whoever asks: no step is taken that calls another one. `able` tells with
    it of some of them, as `RunStore.tell` does. `dated` asks for the event that scheduled a step also where the history
    of its run is too long to come with it: its time says how long the step has waited. Who asks as he listens does not
    know the partition, which is ANY_PARTITION then.
    """

    partition: int
    queue: str
    at_most: int
    id: str
    having: str
    able: Mapping[str, Ability] = field(default_factory=dict)
    dated: bool = False


@dataclass(frozen=True, slots=True)
class ClaimReply:
    """What was taken, and how much is left that the worker can run.

    `unknown` are components of which the store does not know whether the worker can run them: once it is told
    (`RunStore.tell`), their steps are taken or left to others. `aside` counts steps that were found to be for others.
    """

    partition: int
    left: int
    time_ms: int
    claimed: tuple[Claimed, ...]
    unknown: tuple[str, ...] = ()
    aside: int = 0


class Heard(NamedTuple):
    """What woke a drain: a partition that has work, None for none, and what was claimed as it woke up.

    Where that was claimed in the partition that has the work, it is not named: it has been looked at.
    """

    partition: int | None
    reply: ClaimReply | None = None


@dataclass(frozen=True, slots=True)
class DueMember:
    """Something whose time has come.

    `kind` is that of its `key`, but for a lease whose attempt has no time left (START_TO_CLOSE); `member` is the name
    as it is stored. `begun` tells whether the worker that holds the step may have begun it.
    """

    kind: DueKind
    key: DueKey
    fence: str
    member: str
    begun: bool = True

    @property
    def run(self) -> str:
        """Return the run that it belongs to."""
        return self.key.run

    @property
    def step(self) -> str:
        """Return the step that it belongs to, "" for the run itself."""
        return self.key.subject


@dataclass(frozen=True, slots=True)
class ReadyQueue:
    """What waits for workers: how many steps, the age of the oldest in ms, and the steps set aside by component."""

    queue: str
    count: int
    age_ms: int
    aside: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DueReply:
    """What is due in a partition; `next_ms` is -1 when nothing waits, `refilled` are queues that got a step back."""

    partition: int
    time_ms: int
    next_ms: int
    members: tuple[DueMember, ...]
    ready: tuple[ReadyQueue, ...]
    refilled: frozenset[str]


@dataclass(frozen=True, slots=True)
class RunHead:
    """The head of a run: status, versions and the records of its open steps.

    `adopting` tells that it comes from elsewhere and is not there with all of its history.
    """

    run: str
    version: int
    last_commit: str
    status: str
    definition: str
    workflow: str
    cancel: bool
    steps: Mapping[str, StepRecord]
    adopting: bool = False


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the head knows of an open step; an empty fence means that nobody holds it."""

    queue: str
    priority: int
    attempt: int
    scheduled_version: int
    flags: str
    fence: str
    worker: str
    expiry_ms: int
    deadline_ms: int
