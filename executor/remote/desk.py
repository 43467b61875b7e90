"""The desk at which workers over HTTP wait: one thread for each ready queue, however many they are.

It listens where drains listen, and hears of work as they do. What it hears of is claimed for those who wait, in their
order, each with its own components: the store sees no difference between them and processes of ours.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.driver.outages import level_of
from eventstore.run_model import ANY_PARTITION, ClaimReply, ClaimRequest
from eventstore.runs import RunStore
from executor.remote.served import ServedComponents
from executor.remote.waiters import TakenSteps, Waiter
from executor.wakeup import Waker
from executor.worker.abilities import Abilities
from executor.worker.hints import Hints

log = logging.getLogger(__name__)

LINGER_MS: Final = 1000
"""How long it sleeps at a time; so long may its thread outlive the last of those who wait."""


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What desks stand on; `seen` is told again and again who waits."""

    store: RunStore
    ringer: Waker
    abilities_of: Callable[[ServedComponents], Abilities]
    new_id: Callable[[], str]
    seen: Callable[[Sequence[Waiter]], None]


class QueueDesk:
    """Those who wait for steps of one ready queue; safe for threads."""

    def __init__(self, parts: DeskParts, queue: str, worker: str) -> None:
        self._parts = parts
        self._queue = queue
        self._worker = worker
        self._lock = threading.Lock()
        self._waiters: dict[Waiter, None] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._looks_everywhere = False

    def enter(self, waiter: Waiter, *, is_new: bool) -> None:
        """Let somebody wait; one whose components are new here may have steps that were set aside long ago.

        One who waits no more by now is left alone: nobody would come to take it from here again.
        """
        with self._lock:
            if self._closed:
                raise _left()
            if not waiter.is_open:
                return
            self._waiters[waiter] = None
            self._looks_everywhere |= is_new
            # Under the lock: a thread that ends has said so under it, so that nobody waits without one.
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve,
                    name=f"openagents-desk-{self._queue}",
                    daemon=True,
                )
                self._thread.start()

    def leave(self, waiter: Waiter) -> None:
        """Forget one who waits no more."""
        with self._lock:
            self._waiters.pop(waiter, None)

    def close(self) -> None:
        """End: nobody waits here any more; the thread ends by itself."""
        with self._lock:
            self._closed = True
            waiters = list(self._waiters)
            self._waiters.clear()
        for waiter in waiters:
            waiter.fail(_left())

    def join(self) -> None:
        """Wait until the thread has ended, which may be using the store."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout=2 * LINGER_MS / 1000)

    def _open_waiters(self) -> list[Waiter]:
        with self._lock:
            return [waiter for waiter in self._waiters if waiter.is_open]

    def _serve(self) -> None:
        name = f"{self._worker}/{self._parts.new_id()}"
        hints = Hints(
            self._parts.ringer, self._queue, name, LINGER_MS, lambda: self._listen(name)
        )
        try:
            while not self._is_over():
                self._turn(hints, name)
        except Exception as error:
            self._fail(error)
        finally:
            with suppress(EventStoreError):  # what was heard of is for others
                hints.end()

    def _is_over(self) -> bool:
        """End where nobody waits; said under the lock, so that the next who comes has a thread of his own."""
        with self._lock:
            if any(waiter.is_open for waiter in self._waiters):
                return False
            self._thread = None
            return True

    def _fail(self, error: Exception) -> None:
        """Tell those who wait that nothing can be claimed; they may ask again."""
        if isinstance(error, EventStoreError):
            log.log(
                level_of(error), "nobody gets steps of %s now: %s", self._queue, error
            )
        else:
            log.exception(
                "claiming steps of %s met a defect of the engine", self._queue
            )
        with self._lock:
            waiters = list(self._waiters)
            self._waiters.clear()
            self._thread = None
        for waiter in waiters:
            waiter.fail(error)

    def _turn(self, hints: Hints, name: str) -> None:
        """Look where there may be work, or sleep until there is some."""
        if self._looks_everywhere:
            self._looks_everywhere = False
            hints.add(range(self._parts.store.partitions))
        waiters = self._open_waiters()
        self._parts.seen(waiters)
        hints.take()
        while hints.partitions and waiters:
            for partition in hints.next(1):
                self._look(partition, name, waiters)
            waiters = self._open_waiters()
        if waiters and not hints.partitions:
            hints.listen()

    def _listen(self, name: str) -> int | None:
        """Sleep until a partition has work. Nothing is claimed with that: for whom, is seen by who waits then."""
        request = ClaimRequest(ANY_PARTITION, self._queue, 0, self._parts.new_id(), "")
        heard = self._parts.store.listen(
            request, worker=name, lease_ms=LINGER_MS, block_ms=LINGER_MS
        )
        return heard.partition

    def _look(self, partition: int, name: str, waiters: Sequence[Waiter]) -> None:
        """Claim in a partition for those who wait, and tell others of what is left."""
        exhausted: set[str] = set()
        replies = []
        for waiter in waiters:
            having = waiter.request.components.fingerprint
            if having in exhausted:
                continue
            reply = self._claim_for(waiter, partition)
            if reply is None or not reply.claimed or not reply.left:
                # Who has the same components would find no more.
                exhausted.add(having)
            replies += [] if reply is None else [reply]
        if any(reply.aside for reply in replies):
            self._parts.ringer.for_others(self._queue, [partition])
        if replies and replies[-1].left:
            self._parts.ringer.hand_over(self._queue, name, [partition])

    def _claim_for(self, waiter: Waiter, partition: int) -> ClaimReply | None:
        with waiter.lock:
            if not waiter.is_open:
                return None
            reply = self._claim(waiter, partition)
            if reply is not None and reply.claimed:
                waiter.take(TakenSteps(self._queue, partition, reply.claimed))
        return reply

    def _claim(self, waiter: Waiter, partition: int) -> ClaimReply | None:
        request = waiter.request
        abilities = self._parts.abilities_of(request.components)
        claim = ClaimRequest(
            partition,
            self._queue,
            request.at_most,
            request.id,
            abilities.having,
            abilities.introduction(partition),
        )
        for _ in range(2):
            replies = self._parts.store.claim(
                [claim], worker=request.worker, lease_ms=request.lease_ms
            )
            abilities.answer(replies)
            # Where the store had to ask what the worker can run, it is asked again with the answer.
            if not replies or replies[0].claimed or not replies[0].unknown:
                break
        return replies[0] if replies else None


def _left() -> StoreUnavailable:
    return StoreUnavailable("this engine", "it was closed", "open it again")
