"""How commits are told to scripts, and what the replies of scripts mean: the wire format is said here, and in lua/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from eventstore.event import Recorded
from eventstore.run_model import DueMember, DueReply, ReadyQueue
from openagents_json.work_index import DueKey, DueKind


def due_reply(partition: int, queues: Sequence[str], reply: list[Any]) -> DueReply:
    """Read the reply of a look at what is due."""
    now, next_ms, members, report, moved_queues = reply
    due = []
    for raw, kind, fence, unbegun in members:
        member = raw.decode()
        due.append(
            DueMember(
                kind=DueKind(kind.decode()),
                key=DueKey.parse(member),
                fence=fence.decode(),
                member=member,
                begun=not unbegun,
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
