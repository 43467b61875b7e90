"""What servers have acknowledged to this process, and doubt whether it is all still there.

A server that takes the place of another one, or comes back without the end of its log, says nothing of what is gone.
But whoever was told of a commit knows where it stood. So each process remembers the newest commits that it was told of,
and looks for them again when it has reason to: after a new connection to a server that it knew, after an error, when
a position is given out twice, and when somebody else has met a loss (the epoch of a partition rises then).
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from eventstore.redis.driver.forking import ForkSafeLock

NEWEST: Final = 24
"""So many of the newest commits of a partition are remembered."""

OLDER: Final = 40
"""So many older ones are remembered beside them."""

APART_MS: Final = 100
"""So far apart are the older ones at least: together they reach back for seconds."""

KEPT_MS: Final = 90 * 86_400_000
"""So long a loss is kept on record, after the last one of its partition."""

KEPT: Final = 100
"""So many losses of a partition are kept on record."""

PLACES: Final[Mapping[str, tuple[int, int]]] = {
    "commit": (2, 3),
    "begin": (2, 3),
    "adopt": (2, 3),
    "redact": (2, 3),
    "append": (3, 4),
    "catalog": (3, 4),
    "free": (1, 2),
}
"""Where the replies of scripts that write to the log have the position and the time of what was written."""

WRITTEN: Final = frozenset({1, 3})
"""Their codes for what has just been written: all of it, or the facts alone."""


class Told(NamedTuple):
    """A commit that was acknowledged: the position of its last event, and the server's time."""

    n: int
    time_ms: int


@dataclass(slots=True)
class _Partition:
    """What is known of a partition: commits in their order, and the epoch, which rises with each loss that was met."""

    epoch: int = 0
    newest: deque[Told] = field(default_factory=deque)
    older: deque[Told] = field(default_factory=lambda: deque(maxlen=OLDER))

    def add(self, told: Told) -> None:
        """Remember a commit, unless a later one is known: another thread was told of that, or it was lost."""
        if self.newest and told.n <= self.newest[-1].n:
            return
        self.newest.append(told)
        if len(self.newest) > NEWEST:
            old = self.newest.popleft()
            if not self.older or old.time_ms - self.older[-1].time_ms >= APART_MS:
                self.older.append(old)

    def all(self) -> tuple[Told, ...]:
        """Return all that is remembered, oldest first."""
        return (*self.older, *self.newest)

    def forget(self, lost: Sequence[Told]) -> None:
        """Forget commits that are gone."""
        self.newest = deque(one for one in self.newest if one not in lost)
        self.older = deque((one for one in self.older if one not in lost), maxlen=OLDER)


class Acknowledged:
    """The commits that a connection's clients were told of; `in_doubt` says that they should be looked for."""

    def __init__(self) -> None:
        self.in_doubt = False
        self._partitions: dict[bytes, _Partition] = {}
        self._addresses: set[object] = set()
        self._lines: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = ForkSafeLock()

    def connected(self, line: Any) -> None:
        """Greet a server as the driver would; one that is met again may have changed, and so may a new one."""
        line.on_connect()
        address = getattr(line, "path", None) or (line.host, line.port)
        # Threads of a process open connections side by side: of two, one must see that the other has been here.
        with self._lock:
            if line in self._lines or address not in self._addresses:
                self.suspect()
            self._addresses.add(address)
            self._lines.add(line)

    def newest(self, meta: bytes) -> int:
        """Return the newest position of a partition that was acknowledged, 0 for none."""
        partition = self._partitions.get(meta)
        if partition is None or not partition.newest:
            return 0
        return partition.newest[-1].n

    def note(self, name: str, meta: bytes, reply: Any, before: int) -> None:
        """Remember what a script has written; `before` was the newest position when it was sent."""
        at_n, at_ms = PLACES[name]
        if not isinstance(reply, list) or reply[0] not in WRITTEN:
            return
        told = Told(int(reply[at_n]), int(reply[at_ms]))
        logged, epoch = (
            (int(reply[-2]), int(reply[-1])) if name in TELLS_EPOCH else (1, None)
        )
        with self._lock:
            partition = self._partitions.get(meta)
            if (
                partition is None
            ):  # asked first: what `setdefault` is given would be made anew with each commit
                partition = self._partitions[meta] = _Partition(epoch or 0)
            if (logged and told.n <= before) or (
                epoch is not None and epoch != partition.epoch
            ):
                self.in_doubt = True
            if epoch is not None:
                partition.epoch = epoch
            if logged:
                partition.add(told)

    def doubts(self) -> dict[bytes, tuple[Told, ...]]:
        """Take what should be looked for, by partition; it is not in doubt any more then."""
        # Under the lock: a doubt that comes up after what is taken here stays for the next look.
        with self._lock:
            self.in_doubt = False
            doubts = {}
            for meta, partition in self._partitions.items():
                told = partition.all()
                if told:
                    doubts[meta] = told
            return doubts

    def suspect(self) -> None:
        """Doubt what is known, if anything is."""
        self.in_doubt = self.in_doubt or bool(self._partitions)

    def found(self, meta: bytes, epoch: int, lost: Sequence[Told]) -> list[Told]:
        """Forget what is gone, which has been recorded, and return what no other thread has found before."""
        # Several threads may have looked for the same commits: each loss is told by one of them.
        with self._lock:
            partition = self._partitions[meta]
            partition.epoch = epoch
            remembered = partition.all()
            new = [one for one in lost if one in remembered]
            if new:
                partition.forget(new)
            return new


TELLS_EPOCH: Final = frozenset({"commit", "begin", "adopt", "append", "catalog"})
"""Scripts whose replies end with whether the log has an entry of that position and time, and the partition's epoch."""


def arguments(told: Sequence[Told]) -> list[int]:
    """Return what look_back is asked."""
    return [KEPT_MS, KEPT, *(x for one in told for x in (one.n, one.time_ms))]


def lost_of(told: Sequence[Told], there: Sequence[int]) -> list[Told]:
    """Return the commits that are gone."""
    return [one for one, is_there in zip(told, there, strict=True) if not is_there]
