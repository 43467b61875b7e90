"""Locks: leases that a process holds for as long as it works, renewed by a thread of it.

A lock is never more than a lease. Its holder may be paused for longer than that at any line, and not know; so what
counts is not what it believes, but what the store compares with each write, see eventstore/redis/leases/fenced.py.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final

from eventstore.errors import EventStoreError, LockLost, LockTaken
from eventstore.redis.client import RedisClient
from eventstore.redis.leases.fenced import fenced_client, fenced_streams
from eventstore.redis.leases.record import LeaseRecord, check_name, checked_ms
from eventstore.redis.leases.store import LeaseStore

if TYPE_CHECKING:
    from eventstore.redis.streams import RedisStreamStore

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.25
"""How often somebody who waits for a lease asks for it."""

RENEWALS: Final = 3
"""So many times in each length of a lease it is renewed: two of them may fail."""


class Lease:
    """A lease that this process has taken. What it holds may be lost at any time: the store says so with each write."""

    def __init__(
        self, leases: LeaseStore, store: RedisClient, record: LeaseRecord
    ) -> None:
        self.name = record.name
        self.token = record.token
        self.holder = record.holder
        self._leases = leases
        self._store = store
        self._record = record

    @property
    def until_ms(self) -> int:
        """Return until when it is held by the store's clock, as far as is known here; it grows with each renewal."""
        return self._record.until_ms

    def check(self) -> None:
        """Ask the store whether it is still held: true of the past, as soon as it is answered.

        Raises LockLost.
        """
        reply = self._leases.look(self.name, self.token)
        self._require(reply.done, reply.record)

    def renew(self) -> None:
        """Hold it for its whole length from now on.

        Raises LockLost.
        """
        reply = self._leases.renew(self.name, self.token, self._record.lease_ms)
        self._require(reply.done, reply.record)
        if reply.record is not None:
            self._record = reply.record

    def give_back(self) -> None:
        """Let others have it.

        Raises LockLost when they may have had it already.
        """
        reply = self._leases.give_back(self.name, self.token)
        self._require(reply.done, reply.record)
        if reply.record is not None:
            self._record = (
                reply.record
            )  # what is still written through it is refused, as it is over

    def _require(self, is_held: bool, record: LeaseRecord | None) -> None:
        """Raise LockLost unless it is held; `record` says who has it."""
        if is_held:
            return
        if record is None or record.token != self.token:
            why = "another has had it since"
        elif record.state == "broken":
            why = f"{record.by or 'somebody'} has taken it away"
            why += f" ({record.reason})" if record.reason else ""
        elif record.state == "held":
            why = "it ran out, and was not renewed in time"
        else:
            why = f"it is {record.state}"
        raise LockLost(self.name, self.token, why)

    @cached_property
    def events(self) -> RedisStreamStore:
        """Return the log of the store; an append through it raises LockLost, and writes nothing, if this is lost."""
        return fenced_streams(self._store.connection, self._store.keys, self)

    @cached_property
    def client(self) -> RedisClient:
        """Return what stores are made of whose writes are refused when this is lost."""
        return fenced_client(self._store.connection, self._store.keys, self)


class _Renewal:
    """A thread that renews a lease until it is stopped, or the lease is lost."""

    def __init__(self, lease: Lease, lease_seconds: float) -> None:
        self._lease = lease
        self._pause_seconds = lease_seconds / RENEWALS
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name=f"openagents-lease-{lease.name}", daemon=True
        )

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(self._pause_seconds):
            try:
                self._lease.renew()
            except LockLost as error:
                log.warning("%s", error)
                return
            except EventStoreError as error:  # it may be there again in time
                log.info("lease %s could not be renewed: %s", self._lease.name, error)


class Locks:
    """The leases of a store, for the engine and for programs."""

    def __init__(
        self,
        store: RedisClient,
        holder: Callable[[], str],
        steady_ms: Callable[[], float],
        actor: str = "",
    ) -> None:
        self._store = store
        self._leases = LeaseStore(store)
        self._holder = holder
        self._steady_ms = steady_ms
        self._actor = actor

    @contextmanager
    def hold(
        self,
        name: str,
        *,
        lease_seconds: float = 30.0,
        timeout: float | None = 0.0,
        renew: bool = True,
    ) -> Iterator[Lease]:
        """Do something alone: nobody else holds the lease of this name meanwhile, in any process.

        It is waited for `timeout` seconds, without end for None. While the block lasts, a thread of this process renews
        it, unless `renew` is false. If the process is paused for longer than `lease_seconds`, others may have it: then
        what is written through the lease raises LockLost, and the end of the block does.

        Raises LockTaken, LockLost and InvalidRequest.
        """
        lease = self._take(name, lease_seconds, timeout)
        try:
            with _Renewal(lease, lease_seconds) if renew else nullcontext():
                yield lease
        except BaseException:
            # What went wrong in the block is what is told; the lease ends by itself if it cannot be given back.
            with suppress(EventStoreError):
                lease.give_back()
            raise
        lease.give_back()

    @contextmanager
    def fenced(
        self, name: str, *, lease_seconds: float, timeout: float, renew: bool = True
    ) -> Iterator[RedisClient]:
        """Give a client for work of the engine that must run once: all that it writes is refused if the lease is lost.

        So it is no matter whether it is still held at the end. Raises LockTaken.
        """
        lease = self._take(name, lease_seconds, timeout)
        try:
            with _Renewal(lease, lease_seconds) if renew else nullcontext():
                yield lease.client
        finally:
            with suppress(EventStoreError):
                lease.give_back()

    def _take(self, name: str, lease_seconds: float, timeout: float | None) -> Lease:
        check_name(name)
        lease_ms = checked_ms(lease_seconds)
        request = secrets.token_hex(8)
        holder = self._holder()
        begun = self._steady_ms()
        pause = FIRST_PAUSE_SECONDS
        while True:
            is_ours, now_ms, record = self._leases.take(name, holder, request, lease_ms)
            if is_ours:
                return Lease(self._leases, self._store, record)
            waited = (self._steady_ms() - begun) / 1000
            if timeout is not None and waited >= timeout:
                raise LockTaken(name, record.holder, record.token, record.until_ms)
            # No later than when it runs out: its holder may be dead.
            left = max(0.001, (record.until_ms - now_ms) / 1000)
            threading.Event().wait(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def all(self, *, broken: bool = False) -> list[LeaseRecord]:
        """Return the leases that are held, and those that ran out within a day without being given back, by name.

        With `broken`, those too that were taken away within a day, by whom and why.
        """
        records = self._leases.all()
        return [x for x in records if broken or x.state == "held"]

    def find(self, name: str) -> LeaseRecord | None:
        """Return a lease that is held, or ran out within a day without being given back; None where there is none.

        Raises InvalidRequest.
        """
        check_name(name)
        record = self._leases.look(name).record
        return record if record is not None and record.state == "held" else None

    def take_away(
        self, name: str, *, token: int | None = None, reason: str = ""
    ) -> LeaseRecord | None:
        """Take a lease from its holder, which cannot write under it from then on; None where there is none to take.

        With a `token`, from the holder that has this one, and from none that has taken the lease since. Who took it
        away and why is told to its holder, and stays in the list for a day. Raises InvalidRequest.
        """
        record = self.find(name)
        if record is None or token not in (None, record.token):
            return None
        reply = self._leases.take_away(
            name, record.token, by=self._actor, reason=reason
        )
        return record if reply.done else None
