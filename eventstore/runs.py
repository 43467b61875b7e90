"""RunStore, the port of work: runs are committed, claimed, extended and found again, each in one atomic step.

Two adapters keep it: `RedisRunStore`, and `MemoryRunStore` for simulations. What they have to do is said by
`eventstore.testing.RunStoreContract`, which any adapter can run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from eventstore.errors import EventStoreError
from eventstore.event import Recorded
from eventstore.run_model import (
    Ability,
    ClaimReply,
    ClaimRequest,
    Commit,
    Committed,
    DueReply,
    Heard,
    Lease,
    RunEnd,
    RunHead,
    RunPosition,
)
from openagents_json.work_index import DueKey

Definitions = Mapping[str, bytes]
"""Definitions as they are stored, by their hashes."""

NOTHING: Definitions = MappingProxyType({})


class WakeUp(NamedTuple):
    """That partitions have work for a queue."""

    queue: str
    partitions: Sequence[int]


class HintRequest(NamedTuple):
    """What a drain asks that has nothing left to do: up to `at_most` partitions of its queue that have work.

    It counts as awake for `awake_ms` from then on, for `asleep_ms` where there is no work.
    """

    queue: str
    drain: str
    at_most: int
    awake_ms: int
    asleep_ms: int


class PipelineReplies(NamedTuple):
    """The answers to commits, and for each wake-up whether somebody has to be woken from outside."""

    commits: Sequence[Committed]
    unheard: Sequence[bool]


class Offered(NamedTuple):
    """The answers to commits, errors among them, and for each wake-up whether somebody has to be woken from outside.

    `hints` are the partitions that a request was answered with; None where nobody has answered it.
    """

    commits: Sequence[Committed | EventStoreError]
    unheard: Sequence[bool]
    hints: Sequence[bytes] | None = None


class RunStore(Protocol):
    """Commits, claims, leases and due members of runs; times are those of the store's own clock."""

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        ...

    @property
    def is_cluster(self) -> bool:
        """Tell whether partitions lie on several nodes, one of which may be away while others are there."""
        ...

    def partition_of(self, run: str) -> int:
        """Return the partition of a run."""
        ...

    def now_ms(self) -> int:
        """Return the store's time, the only one that is compared with what it holds."""
        ...

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit: all of it, or the facts in it alone, or nothing; `Code` says which.

        Sent again, it is answered DUPLICATE. A decision is carried out only on the version and last commit that it
        names; facts only by whoever holds the leases of their steps, on any version.
        """
        ...

    def exchange(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
    ) -> PipelineReplies:
        """Carry out commits in one round trip, with the definitions that they refer to and hints for whoever waits."""
        ...

    def offer(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
        request: HintRequest | None = None,
    ) -> Offered:
        """Carry out commits as `exchange` does, each with an answer or an error of its own: none hinders another.

        Behind them, and behind the hints that they leave, a drain may ask for hints itself.

        Raises StoreUnavailable when nobody knows what was carried out; the same commits can be sent again.
        """
        ...

    def claim(
        self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int
    ) -> list[ClaimReply]:
        """Take ready steps, by priority and age; each claim is a commit of its own that appends StepStarted.

        Partitions that cannot answer now are left out while others can.
        """
        ...

    def listen(
        self, claim: ClaimRequest, *, worker: str, lease_ms: int, block_ms: int
    ) -> Heard:
        """Sleep until a partition has work for a queue, at most `block_ms`; claim there with it, if that can be.

        Should the answer be lost, so is what was claimed, until its leases have run out. Raises EventStoreError.
        """
        ...

    def tell(self, partition: int, having: str, able: Mapping[str, Ability]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash.

        A build that is told is named by the StepStarted of each claim of such a worker.
        """
        ...

    def weigh(self, weights: Mapping[str, int | None]) -> None:
        """Say which weights fairness keys have from now on, whatever their steps say; None for what those say."""
        ...

    def beat(
        self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False
    ) -> list[int]:
        """Extend leases; for each of them 1 held, 2 held and the run is asked to cancel, 0 lost, -1 nobody knows.

        With `begin`, the store knows from then on that their steps may have begun.
        """
        ...

    def due(
        self,
        partitions: Sequence[int],
        queues: Sequence[str],
        *,
        at_most: int = 200,
        push_ms: int = 5000,
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward by `push_ms`, not removed.

        Only a commit removes a member, so whoever takes it may die. Retries whose wait is over become ready here.
        """
        ...

    def postpone(self, key: DueKey, at_ms: int) -> bool:
        """Have a member that is there be due at a time; False when it is not there any more."""
        ...

    def read(self, ranges: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        ...

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        ...

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        ...

    def backwards(self, run: str) -> Iterator[list[Recorded]]:
        """Read the events of a run from its end, page by page, each newest first."""
        ...

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        ...

    def positions(self, runs: Sequence[str]) -> list[RunPosition | None]:
        """Read how far several runs are; None where there is no such run."""
        ...

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        ...

    def blobs(self, addresses: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log, by partition and hash.

        Raises BlobMissing and BlobChanged.
        """
        ...

    def is_gone(self, run: str) -> bool:
        """Tell whether a run is in the archive, which keeps its id for it."""
        ...

    def holder_of(self, name: str, partition: int) -> str:
        """Return the run that has a name in a partition, which may have ended since; "" where none has."""
        ...

    def put_definitions(self, definitions: Definitions) -> None:
        """Store definitions by their hashes, unless they are there."""
        ...

    def definitions(self, names: Sequence[str]) -> list[bytes | None]:
        """Read definitions by their hashes, as they are stored; None where there is none."""
        ...

    def begin_reading(
        self, runs: Sequence[str], most: int, *, keys: bool = False
    ) -> list[tuple[bytes | None, bytes | None, tuple[Recorded, ...]]]:
        """Read the wrapped keys (with `keys`), the snapshots and the first events of runs, at most so many of each."""
        ...

    def put_snapshot(
        self, run: str, commit: str, snapshot: bytes, seconds: int
    ) -> None:
        """Keep a snapshot up to a commit for a while; one of a closed run that has moved on since is not kept."""
        ...

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`."""
        ...

    def wait_for_end(
        self, run: str, block_ms: int, *, noted: bool = False
    ) -> RunEnd | None:
        """Block until the run has ended or is not there, at most `block_ms`; None when it is still under way.

        `noted` tells that the start of the run has just noted that somebody waits (`Commit.awaited`).
        """
        ...
