"""Instances of agent classes: made once, looked after, reused by one call at a time, thrown away when broken.

Synchronous calls take an instance out of the pool, and put it back. Coroutines share one instance of each event loop,
on which its hooks run too: what they open is bound to that loop. A class that says `shared` has one instance for all
calls. Each process has instances of its own: what a child inherits at a fork belongs to its parent, and is neither used
nor closed.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from openagents_json.components.errors import NoInstance
from openagents_json.components.instances import (
    InUse,
    Kept,
    clean,
    clean_on_loop,
    create,
    create_on_loop,
    is_healthy,
    is_healthy_on_loop,
)

MOST_IDLE: Final = 32
"""So many instances are kept at most while nobody uses them, where their number is not limited."""


COUNTED: Final = ("hits", "created", "waits", "timeouts", "broken", "expired")
"""What a pool counts: calls that had an instance at once, and instances by what became of them."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many instances live at a time (0: any number), how long one idles, and how long a call waits for one."""

    instances: int = 0
    idle_seconds: float = 300.0
    checkout_seconds: float = 30.0


@dataclass(slots=True)
class _Here:
    """What one process has of a pool; all of it is changed under the lock of `changed`, except what is of a loop."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    idle: list[Kept] = field(default_factory=list)
    alive: int = 0
    generation: int = 0
    one: InUse | None = None
    loops: dict[asyncio.AbstractEventLoop, asyncio.Task[InUse]] = field(
        default_factory=dict
    )
    counts: Counter[str] = field(default_factory=Counter)
    since: dict[int, float] = field(default_factory=dict)


class InstancePool:
    """The instances of one class with one configuration."""

    def __init__(
        self,
        cls: type,
        config: Any = None,
        *,
        build: str = "",
        shared: bool = False,
        limits: PoolLimits = PoolLimits(),
        steady_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cls = cls
        self._config = config
        self._build = build
        self._shared = shared
        self._limits = limits
        self._seconds = steady_seconds
        self._by_process: dict[int, _Here] = {}

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what instances have to have in common to be one another's: code, build and configuration."""
        return self.cls, self._build, repr(self._config), self._shared, self._limits

    def _here(self) -> _Here:
        # What was inherited stays where it is: a lock in it may have been held at the fork, and to let go of an
        # instance could close what the parent uses. One step for all threads, so that they agree on who was first.
        return self._by_process.setdefault(os.getpid(), _Here())

    # -- calls -------------------------------------------------------------------------------------------

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """Return an instance for the time of a block; one whose health check fails is replaced.

        Raises NoInstance when none becomes free in time, and whatever the class raises when one is made.
        """
        if self._shared:
            with self._shared_one() as thing:
                yield thing
            return
        here = self._here()
        kept = self._check_out(here)
        try:
            yield kept.thing
        finally:
            self._give(here, kept)

    @asynccontextmanager
    async def borrowed_on_loop(self) -> AsyncIterator[Any]:
        """Return the instance of the running event loop for the time of a block; a broken one is replaced."""
        if self._shared:
            with self._shared_one() as thing:
                yield thing
            return
        here = self._here()
        kept = await self._of_loop(here)
        kept.users += 1
        try:
            yield kept.thing
        finally:
            kept.users -= 1
            if kept.is_broken and not kept.users:
                await self._end_on_loop(here, kept)

    def shared(self) -> Any:
        """Return the one instance that all calls share, which may be replaced later."""
        with self._shared_one() as thing:
            return thing

    @contextmanager
    def _shared_one(self) -> Iterator[Any]:
        here = self._here()
        kept = self._hold_one(here)
        try:
            yield kept.thing
        finally:
            self._let_go_of_one(here, kept)

    def _hold_one(self, here: _Here) -> InUse:
        while True:
            # The first one is made under the lock: others wait for it rather than make a second one.
            with here.changed:
                kept, is_new = here.one, here.one is None
                if kept is None:
                    kept = here.one = InUse(create(self.cls, self._config))
                    self._note_birth(here, kept.thing)
                kept.users += 1
            if is_new or is_healthy(kept.thing):
                here.counts["hits"] += not is_new
                return kept
            with here.changed:
                here.counts["broken"] += not kept.is_broken
                kept.is_broken = True
                here.one = None if here.one is kept else here.one
            self._let_go_of_one(here, kept)

    def _let_go_of_one(self, here: _Here, kept: InUse) -> None:
        with here.changed:
            kept.users -= 1
            is_over = kept.is_broken and not kept.users and not kept.is_clean
            kept.is_clean = kept.is_clean or is_over
        if is_over:
            here.since.pop(id(kept.thing), None)
            clean(kept.thing)

    # -- taking and giving back --------------------------------------------------------------------------

    def _check_out(self, here: _Here) -> Kept:
        while True:
            kept = self._idle_or_room(here)
            if kept is None:
                return self._make(here)
            if is_healthy(kept.thing):
                here.counts["hits"] += 1
                return kept
            self._throw_away(here, kept, "broken")

    def _idle_or_room(self, here: _Here) -> Kept | None:
        """Return an idle instance, or None when there is room for one more, which counts from here on.

        Raises NoInstance.
        """
        ends = self._seconds() + self._limits.checkout_seconds
        waits = False
        with here.changed:
            while True:
                if here.idle:
                    return here.idle.pop()
                if not self._limits.instances or here.alive < self._limits.instances:
                    here.alive += 1
                    return None
                if not waits:
                    waits = True
                    here.counts["waits"] += 1
                left = ends - self._seconds()
                if left <= 0:
                    here.counts["timeouts"] += 1
                    raise NoInstance(
                        self.cls.__name__, here.alive, self._limits.checkout_seconds
                    )
                here.changed.wait(left)

    def _make(self, here: _Here) -> Kept:
        try:
            thing = create(self.cls, self._config)
        except BaseException:
            self._count_less(here)
            raise
        with here.changed:
            self._note_birth(here, thing)
            return Kept(thing, here.generation)

    def _give(self, here: _Here, kept: Kept) -> None:
        kept.idle_since = self._seconds()
        with here.changed:
            is_wanted = kept.generation == here.generation
            if is_wanted and len(here.idle) < (self._limits.instances or MOST_IDLE):
                here.idle.append(kept)
                here.changed.notify()
                return
        self._throw_away(here, kept, "closed")

    def _throw_away(self, here: _Here, kept: Kept, why: str) -> None:
        here.counts[why] += 1
        # Without the lock: what authors wrote may take its time. It counts until it has cleaned up.
        try:
            clean(kept.thing)
        finally:
            here.since.pop(id(kept.thing), None)
            self._count_less(here)

    def _count_less(self, here: _Here) -> None:
        with here.changed:
            here.alive -= 1
            here.changed.notify()

    def _note_birth(self, here: _Here, thing: Any) -> None:
        here.counts["created"] += 1
        here.since[id(thing)] = self._seconds()

    # -- event loops -------------------------------------------------------------------------------------

    async def _of_loop(self, here: _Here) -> InUse:
        """Return the instance of this loop; of coroutines that come at once, the first has it made."""
        loop = asyncio.get_running_loop()
        while True:
            task = here.loops.get(loop)
            is_first = task is None
            if task is None:
                task = here.loops[loop] = loop.create_task(self._make_on_loop(here))
            try:
                # Shielded: whoever is cancelled while it is made does not take it from the others.
                kept = await asyncio.shield(task)
            except BaseException:
                if task.done():
                    self._forget(here, loop, task)
                raise
            if is_first or await is_healthy_on_loop(kept):
                here.counts["hits"] += not is_first
                return kept
            here.counts["broken"] += not kept.is_broken
            kept.is_broken = True
            self._forget(here, loop, task)
            if not kept.users:
                await self._end_on_loop(here, kept)

    @staticmethod
    def _forget(
        here: _Here, loop: asyncio.AbstractEventLoop, task: asyncio.Task[InUse]
    ) -> None:
        if here.loops.get(loop) is task:
            del here.loops[loop]

    async def _make_on_loop(self, here: _Here) -> InUse:
        thing = await create_on_loop(self.cls, self._config)
        self._note_birth(here, thing)
        return InUse(thing)

    async def _end_on_loop(self, here: _Here, kept: InUse) -> None:
        here.since.pop(id(kept.thing), None)
        await clean_on_loop(kept)

    async def close_on_loop(self) -> None:
        """Close the instance of the running event loop, which is about to end."""
        here = self._here()
        task = here.loops.pop(asyncio.get_running_loop(), None)
        if (
            task is not None
            and task.done()
            and not task.cancelled()
            and not task.exception()
        ):
            await self._end_on_loop(here, task.result())

    # -- looking after -----------------------------------------------------------------------------------

    def reap(self) -> None:
        """Throw away what has been idle for too long."""
        here = self._here()
        latest = self._seconds() - self._limits.idle_seconds
        with here.changed:
            expired = [kept for kept in here.idle if kept.idle_since < latest]
            here.idle = [kept for kept in here.idle if kept.idle_since >= latest]
        for kept in expired:
            self._throw_away(here, kept, "expired")

    def close(self) -> None:
        """Close the instances that are idle and the one that is shared; those in use are closed when given back."""
        here = self._here()
        with here.changed:
            here.generation += 1
            idle, here.idle = here.idle, []
            one, here.one = here.one, None
            if one is not None:
                one.is_broken = True  # whoever uses it last cleans it up
                one.users += 1
        for kept in idle:
            self._throw_away(here, kept, "closed")
        if one is not None:
            self._let_go_of_one(here, one)

    def statistics(self) -> dict[str, float]:
        """Return what has happened to the instances of this process, how many there are, and how old the oldest is."""
        here = self._here()
        with here.changed:
            since = list(here.since.values())
            idle = len(here.idle)
            counts = dict(here.counts)
        oldest = self._seconds() - min(since) if since else 0.0
        return {
            "alive": len(since),
            "idle": idle,
            "oldest_seconds": round(oldest, 1),
            **{name: counts.get(name, 0) for name in COUNTED},
        }
