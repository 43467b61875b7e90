"""What a forked child may not touch of its parent: connections, and locks that threads held which it does not have.

Python itself says in a child that it has just been forked. Asking the system each time which process this is would cost
a worker a twentieth of a step.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class Heir(Protocol):
    """Something that a forked child has from its parent, and cannot use as it is."""

    def inherit(self) -> None:
        """Hear, in a child that has no other thread yet, that all of this is the parent's."""
        ...


def tell_of_forks(heir: Heir) -> None:
    """Have somebody told, in each child that is forked from now on and for as long as it is there."""
    _heirs().add(heir)


@functools.cache
def _heirs() -> weakref.WeakSet[Heir]:
    """Return those who are told: one set for a process, as Python takes no registration back."""
    heirs: weakref.WeakSet[Heir] = weakref.WeakSet()

    def tell_all() -> None:
        for heir in list(heirs):
            heir.inherit()

    os.register_at_fork(after_in_child=tell_all)
    return heirs


class ForkSafeLock:
    """A lock that a forked child finds free, whoever held it in its parent.

    The first thread of a child that has it begins anew what it guards, as that is the parent's, and may be half done.
    """

    __slots__ = ("__weakref__", "_begin_anew", "_is_inherited", "_lock")

    def __init__(self, begin_anew: Callable[[], None] = lambda: None) -> None:
        self._begin_anew = begin_anew
        self._lock = threading.Lock()
        self._is_inherited = False
        tell_of_forks(self)

    def inherit(self) -> None:
        """Be free in a child: a thread that held this in the parent is not there, and would never give it back."""
        self._lock = threading.Lock()
        self._is_inherited = True

    def condition(self) -> threading.Condition:
        """Return a condition to wait for under this lock, in this process: a child needs another one."""
        return threading.Condition(self._lock)

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._is_inherited:
            self._begin_anew()
            # Last, and under the lock: whoever comes meanwhile waits until all is begun.
            self._is_inherited = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
