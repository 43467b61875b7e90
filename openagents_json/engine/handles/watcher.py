"""Runs watched for event loops: one thread looks after all of them, however many are awaited.

It looks now and then. For the first few whose ends are awaited, somebody sleeps until the end itself wakes him, and has
that thread look at once: a run of a few ms would be noticed many times later than it ends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeVar

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.run_model import RunPosition
from eventstore.runs import RunStore

log = logging.getLogger(__name__)

Found = TypeVar("Found")
Look = Callable[[RunPosition | None], Any]

SOONEST_SECONDS: Final = 0.02
LATEST_SECONDS: Final = 0.25
SLEEPERS: Final = 16
"""For so many runs somebody sleeps until the end; each takes a thread and a connection."""

SLEEP_MS: Final = 1000
"""How long a sleeper is there at most for somebody who has been cancelled."""

AWAY_SECONDS: Final = 60.0
"""How long a server that is away is waited for, as who waits in a thread does."""


@dataclass(frozen=True, slots=True, eq=False)
class Interest:
    """One caller that wants to know when a look at a run gives something."""

    run: str
    look: Look
    future: Future[Any]
    at_end: bool = False


class RunWatcher:
    """Looks at the runs that are awaited, all in one round trip, from one thread that ends with the last of them."""

    def __init__(
        self,
        store: RunStore,
        soonest_seconds: float = SOONEST_SECONDS,
        latest_seconds: float = LATEST_SECONDS,
    ) -> None:
        """Look at the runs of a store, again after times between the soonest and the latest."""
        self._store = store
        self._soonest_seconds = soonest_seconds
        self._latest_seconds = latest_seconds
        self._lock = ForkSafeLock(self._begin)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Begin with nobody; those who wait in the parent of a forked child are not here."""
        self._interests: list[Interest] = []
        self._sleepers = 0
        self._thread: threading.Thread | None = None
        self._news = threading.Event()

    async def watch(
        self,
        run: str,
        look: Callable[[RunPosition | None], Found],
        *,
        at_end: bool = False,
    ) -> Any:
        """Wait until a look at the position of a run gives something, and return that; who is cancelled is forgotten.

        `at_end` tells that it gives nothing before the run has ended.

        Raises what the look raises, and StoreUnavailable.
        """
        interest = Interest(run, look, Future(), at_end)
        self._add(interest)
        return await asyncio.wrap_future(interest.future)

    def close(self) -> None:
        """End all waits: the store is left."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._news.set()
        # Only the thread ends waits, so that no two end the same one.
        if thread is not None:
            thread.join(timeout=5)

    def _left(self) -> StoreUnavailable:
        return StoreUnavailable("this engine", "it was closed", "open it again")

    def _add(self, interest: Interest) -> None:
        with self._lock:
            if self._closed:
                raise self._left()
            self._interests.append(interest)
            # Under the lock: a thread that ends has said so under it, so that no interest stays without one.
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look_after, name="openagents-watcher", daemon=True
                )
                self._thread.start()
            sleeps = interest.at_end and self._sleepers < SLEEPERS
            self._sleepers += sleeps
        self._news.set()
        if sleeps:
            threading.Thread(
                target=self._sleep,
                args=(interest,),
                name="openagents-sleeper",
                daemon=True,
            ).start()

    def _sleep(self, interest: Interest) -> None:
        """Sleep until a run has ended, and have it looked at; what cannot be had here, the looks now and then bring."""
        try:
            while not (interest.future.done() or self._closed):
                if self._store.wait_for_end(interest.run, SLEEP_MS) is not None:
                    break
        except EventStoreError as error:
            log.debug("run %s: nobody sleeps until it ends: %s", interest.run, error)
        finally:
            with self._lock:
                self._sleepers -= 1
            self._news.set()

    def _look_after(self) -> None:
        pause = self._soonest_seconds
        away_since = monotonic()
        while interests := self._pending():
            self._news.clear()
            if self._closed:
                _fail_all(interests, self._left())
                continue
            try:
                any_changed = self._look(interests)
                away_since = monotonic()
            except StoreUnavailable as error:
                any_changed = False
                if monotonic() - away_since > AWAY_SECONDS:
                    _fail_all(interests, error)
            except Exception as error:  # who waits is told, whatever it is
                _fail_all(interests, error)
                any_changed = True
            later = min(self._latest_seconds, pause * 1.5)
            pause = self._soonest_seconds if any_changed else later
            # What is new is looked at at once; else it would wait as long as those that have been quiet.
            if self._news.wait(pause):
                pause = self._soonest_seconds

    def _pending(self) -> list[Interest]:
        with self._lock:
            self._interests = [i for i in self._interests if not i.future.done()]
            if not self._interests:
                self._thread = None
            return list(self._interests)

    def _look(self, interests: list[Interest]) -> bool:
        """Look at each run once, and tell whether any look gave something."""
        runs = list(dict.fromkeys(interest.run for interest in interests))
        positions = dict(zip(runs, self._store.positions(runs), strict=True))
        given = [_look_at(interest, positions[interest.run]) for interest in interests]
        return any(given)


def _look_at(interest: Interest, position: RunPosition | None) -> bool:
    if interest.future.done():  # cancelled meanwhile
        return False
    try:
        value = interest.look(position)
    except StoreUnavailable:
        raise
    except Exception as error:  # of this run alone
        return _fail(interest, error)
    if value is None:
        return False
    if interest.future.set_running_or_notify_cancel():
        interest.future.set_result(value)
    return True


def _fail(interest: Interest, error: Exception) -> bool:
    is_awaited = (
        not interest.future.done() and interest.future.set_running_or_notify_cancel()
    )
    if is_awaited:
        interest.future.set_exception(error)
    return True


def _fail_all(interests: list[Interest], error: Exception) -> None:
    for interest in interests:
        _fail(interest, error)
