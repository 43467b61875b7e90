"""Runs watched for event loops: one thread looks after all of them, however many are awaited."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeVar

from eventstore.errors import StoreUnavailable
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.run_model import RunHead
from eventstore.runs import RunStore

log = logging.getLogger(__name__)

Found = TypeVar("Found")
Look = Callable[[RunHead | None], Any]

SOONEST_SECONDS: Final = 0.02
LATEST_SECONDS: Final = 0.25
AWAY_SECONDS: Final = 60.0
"""How long a server that is away is waited for, as who waits in a thread does."""


@dataclass(frozen=True, slots=True, eq=False)
class Interest:
    """One caller that wants to know when a look at a run gives something."""

    run: str
    look: Look
    future: Future[Any]


class RunWatcher:
    """Looks at the runs that are awaited, all in one round trip, from one thread that ends with the last of them."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._interests: list[Interest] = []
        self._lock = ForkSafeLock()
        self._thread: threading.Thread | None = None
        self._news = threading.Event()
        self._closed = False

    async def watch(self, run: str, look: Callable[[RunHead | None], Found]) -> Any:
        """Wait until a look at the head of a run gives something, and return that; who is cancelled is forgotten.

        Raises what the look raises, and StoreUnavailable.
        """
        interest = Interest(run, look, Future())
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
            # In a forked child, the thread of its parent is not alive.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._look_after, name="openagents-watcher", daemon=True
                )
                self._thread.start()
        self._news.set()

    def _look_after(self) -> None:
        pause, away_since = SOONEST_SECONDS, monotonic()
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
            pause = SOONEST_SECONDS if any_changed else min(LATEST_SECONDS, pause * 1.5)
            # What is new is looked at at once; else it would wait as long as those that have been quiet.
            if self._news.wait(pause):
                pause = SOONEST_SECONDS

    def _pending(self) -> list[Interest]:
        with self._lock:
            self._interests = [i for i in self._interests if not i.future.done()]
            if not self._interests:
                self._thread = None
            return list(self._interests)

    def _look(self, interests: list[Interest]) -> bool:
        """Look at each run once, and tell whether any look gave something."""
        runs = list(dict.fromkeys(interest.run for interest in interests))
        heads = dict(zip(runs, self._store.heads(runs), strict=True))
        given = [_look_at(interest, heads[interest.run]) for interest in interests]
        return any(given)


def _look_at(interest: Interest, head: RunHead | None) -> bool:
    if interest.future.done():  # cancelled meanwhile
        return False
    try:
        value = interest.look(head)
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
    if not interest.future.done() and interest.future.set_running_or_notify_cancel():
        interest.future.set_exception(error)
    return True


def _fail_all(interests: list[Interest], error: Exception) -> None:
    for interest in interests:
        _fail(interest, error)
