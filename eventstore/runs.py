"""RunStore, the port of work: runs are committed, claimed, extended and found again, each in one atomic step.

Two adapters keep it: `RedisRunStore`, and `MemoryRunStore` for simulations. What they have to do is said by
`eventstore.testing.RunStoreContract`, which any adapter can run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eventstore.event import Recorded
from eventstore.run_model import ClaimReply, ClaimRequest, Commit, Committed, DueReply, Lease, RunHead


class RunStore(Protocol):
    """Commits, claims, leases and due members of runs; times are those of the store's own clock."""

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
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

    def claim(self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int) -> list[ClaimReply]:
        """Take ready steps, by priority and age; each claim is a commit of its own that appends StepStarted.

        Partitions that cannot answer now are left out while others can.
        """
        ...

    def tell(self, partition: int, having: str, able: Mapping[str, bool]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        ...

    def beat(self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False) -> list[int]:
        """Extend leases; for each of them 1 held, 2 held and the run is asked to cancel, 0 lost, -1 nobody knows.

        With `begin`, the store knows from then on that their steps may have begun.
        """
        ...

    def due(
        self, partitions: Sequence[int], queues: Sequence[str], *, at_most: int = 200, push_ms: int = 5000
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward by `push_ms`, not removed.

        Only a commit removes a member, so whoever takes it may die. Retries whose wait is over become ready here.
        """
        ...

    def read(self, wanted: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        ...

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        ...

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        ...

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        ...

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        ...

    def blobs(self, wanted: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log, by partition and hash.

        Raises BlobMissing and BlobChanged.
        """
        ...

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`."""
        ...
