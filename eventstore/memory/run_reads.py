"""What is read of runs in memory, and waited for: their events, heads and ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from eventstore.errors import BlobMissing
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.memory.partition import MISSED_AT_MOST, Partition
from eventstore.memory.records import Head
from eventstore.run_model import RunEnd, RunHead, RunPosition
from openagents_json.statuses import CLOSED_RUN


class MemoryRunReads:
    """Reads runs in memory; safe for threads."""

    def __init__(self, partitions: int) -> None:
        self._keys = Keyspace("memory", partitions)
        self._partitions = [Partition(number) for number in range(partitions)]
        self._changed = threading.Condition(threading.RLock())

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self._keys.partitions

    def partition_of(self, run: str) -> int:
        """Return the partition of a run."""
        return self._keys.partition_of(run)

    def _of(self, run: str) -> Partition:
        return self._partitions[self.partition_of(run)]

    def read(self, ranges: Sequence[tuple[str, int]]) -> list[tuple[Recorded, ...]]:
        """Read the events of several runs, each after a version."""
        with self._changed:
            return [self._of(run).recorded(run, after) for run, after in ranges]

    def first(self, run: str) -> Recorded:
        """Read the first event of a run that has one."""
        return self._of(run).recorded(run, 0, 1)[0]

    def read_one(self, run: str, version: int) -> Recorded | None:
        """Read one event of a run, None when there is none of that version."""
        return next(iter(self._of(run).recorded(run, version - 1, 1)), None)

    def backwards(self, run: str) -> Iterator[list[Recorded]]:
        """Read the events of a run from its end, all of them as one page."""
        events = self._of(run).recorded(run)
        if events:
            yield list(reversed(events))

    def heads(self, runs: Sequence[str]) -> list[RunHead | None]:
        """Read the heads of several runs; None where there is no such run."""
        with self._changed:
            heads = [(run, self._of(run).work.heads.get(run)) for run in runs]
            return [head.shown(run) if head else None for run, head in heads]

    def positions(self, runs: Sequence[str]) -> list[RunPosition | None]:
        """Read how far several runs are; None where there is no such run."""
        return [
            RunPosition(head.status, head.version) if head else None
            for head in self.heads(runs)
        ]

    def statuses(self, runs: Sequence[str]) -> list[str]:
        """Read the statuses of several runs; empty where there is no such run."""
        with self._changed:
            return [self._of(run).work.heads.get(run, Head()).status for run in runs]

    def blobs(self, addresses: Sequence[tuple[int, str]]) -> list[bytes]:
        """Read payloads that are stored beside the log.

        Raises BlobMissing.
        """
        payloads: list[bytes] = []
        for partition, sha in addresses:
            blobs = self._partitions[partition].blobs
            if sha not in blobs:
                raise BlobMissing(partition, sha)
            payloads.append(blobs[sha])
        return payloads

    def is_gone(self, run: str) -> bool:
        """Tell whether a run is in the archive: a store in memory has none."""
        del run
        return False

    def holder_of(self, name: str, partition: int) -> str:
        """Return the run that has a name in a partition, which may have ended since; "" where none has."""
        return self._partitions[partition].names.get(name, "")

    def wait(self, run: str, after: int, block_ms: int) -> tuple[Recorded, ...]:
        """Block until the run has events after a version, at most `block_ms`."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._of(run).recorded(run, after, 1)), block_ms / 1000
            )
            return self._of(run).recorded(run, after, MISSED_AT_MOST)

    def wait_for_end(
        self, run: str, block_ms: int, *, noted: bool = False
    ) -> RunEnd | None:
        """Block until the run has ended or is not there, at most `block_ms`; None when it is still under way."""
        del noted  # whoever waits is woken by each change
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over(run), block_ms / 1000):
                return None
            version = self._of(run).work.heads.get(run, Head()).version
            return RunEnd(self.read_one(run, version))

    def _is_over(self, run: str) -> bool:
        [status] = self.statuses([run])
        return not status or status in CLOSED_RUN
