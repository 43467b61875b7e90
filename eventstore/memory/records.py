"""What a store in memory keeps of open work: sets of members by score, records of open steps, heads of runs."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from eventstore.run_model import RunHead, StepRecord
from openagents_json.work_index import DueKind, Share

Key = TypeVar("Key", bound=Hashable)


class ScoredSet(Generic[Key]):
    """Members by score; those of one score in the order in which they came."""

    __slots__ = ("_buckets", "_scores", "_scores_in_use")

    def __init__(self) -> None:
        self._scores: dict[Key, int] = {}
        self._buckets: dict[int, dict[Key, None]] = {}
        self._scores_in_use: list[int] = []

    def __len__(self) -> int:
        return len(self._scores)

    def __contains__(self, key: Key) -> bool:
        return key in self._scores

    def __iter__(self) -> Iterator[tuple[Key, int]]:
        for score in self._scores_in_use:
            for key in self._buckets[score]:
                yield key, score

    def score(self, key: Key) -> int | None:
        """Return the score of a member."""
        return self._scores.get(key)

    def add(self, key: Key, score: int) -> None:
        """Add a member, or give it another score."""
        if self._scores.get(key) == score:
            return
        self.discard(key)
        self._scores[key] = score
        if score not in self._buckets:
            self._buckets[score] = {}
            insort(self._scores_in_use, score)
        self._buckets[score][key] = None

    def discard(self, key: Key) -> None:
        """Remove a member, if it is there."""
        score = self._scores.pop(key, None)
        if score is None:
            return
        bucket = self._buckets[score]
        del bucket[key]
        if not bucket:
            del self._buckets[score]
            del self._scores_in_use[bisect_right(self._scores_in_use, score) - 1]


@dataclass(slots=True)
class Record:
    """An open step; an empty fence means that nobody holds it, `begun` that its holder may have begun it."""

    queue: str
    priority: int
    attempt: int
    scheduled_version: int
    start_to_close_ms: int
    component: str = ""
    key: str = ""
    weight: int = 1
    flags: frozenset[DueKind] = frozenset()
    fence: str = ""
    worker: str = ""
    begun: bool = True
    expiry_ms: int = 0
    deadline_ms: int = 0

    def take_share(self, share: Share | None) -> None:
        """Note the part that the step has in its queue."""
        if share is not None:
            self.key, self.weight = share.key, share.weight

    def free(self) -> None:
        """Have nobody hold it."""
        self.fence = self.worker = ""
        self.begun = True
        self.expiry_ms = self.deadline_ms = 0


@dataclass(slots=True)
class Head:
    """What is known of a run without its events."""

    version: int = 0
    commit: str = ""
    status: str = ""
    cancel: bool = False
    held: bool = False
    definition: str = ""
    workflow: str = ""
    wrapped_key: str = ""
    last_fence: int = 0
    steps: dict[str, Record] = field(default_factory=dict)

    def next_fence(self, now_ms: int) -> str:
        """Return a fence behind all earlier ones, which is a time wherever clocks go on."""
        self.last_fence = max(now_ms * 1000, self.last_fence + 1)
        return str(self.last_fence)

    def shown(self, run: str) -> RunHead:
        """Return it as the port shows it."""
        steps = {name: _shown(record) for name, record in self.steps.items()}
        return RunHead(
            run=run,
            version=self.version,
            last_commit=self.commit,
            status=self.status,
            definition=self.definition,
            workflow=self.workflow,
            cancel=self.cancel,
            steps=steps,
        )


def _shown(record: Record) -> StepRecord:
    flags = "".join(
        kind
        for kind in (DueKind.TOTAL, DueKind.SCHEDULE_TO_START)
        if kind in record.flags
    )
    return StepRecord(
        queue=record.queue,
        priority=record.priority,
        attempt=record.attempt,
        scheduled_version=record.scheduled_version,
        flags=flags,
        fence=record.fence,
        worker=record.worker,
        expiry_ms=record.expiry_ms,
        deadline_ms=record.deadline_ms,
    )
