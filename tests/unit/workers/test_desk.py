"""The desk of workers over HTTP: its thread is there while somebody waits, and no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from eventstore.run_model import Heard
from executor.remote.desk import DeskParts, QueueDesk
from executor.remote.served import ServedComponents
from executor.remote.waiters import TakenSteps, Waiter, WorkRequest
from executor.wakeup import NoDoorbell, Waker


class QuietBell:
    """A bell that nobody rings; it notes which drains have ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def take(self, *_: Any) -> list[int]:
        return []

    def leave(self, _queue: str, drain: str) -> list[int]:
        self.ended.append(drain)
        return []


class QuietStore:
    """A store in which nothing is ever ready."""

    partitions = 1

    def listen(self, *_: Any, **__: Any) -> Heard:
        return Heard(None)

    def claim(self, *_: Any, **__: Any) -> list[Any]:
        return []


class Desk:
    """A desk on such a store; who waits there is given steps as soon as it is seen."""

    def __init__(self) -> None:
        self.bell = QuietBell()
        parts = DeskParts(
            cast(Any, QuietStore()),
            Waker(cast(Any, self.bell), NoDoorbell()),
            cast(Any, None),
            lambda: "thread",
            self.give,
        )
        self.desk = QueueDesk(parts, "tool", "http")

    def give(self, waiters: Sequence[Waiter]) -> None:
        for waiter in waiters:
            with waiter.lock:
                waiter.take(TakenSteps("tool", 0, ()))


def waiting() -> Waiter:
    components = ServedComponents(())
    return Waiter(WorkRequest("claim", "worker", "tool", 1, 1000, components))


def test_no_thread_turns_round_for_who_was_given_steps_and_has_not_left_yet() -> None:
    desk, waiter = Desk(), waiting()
    desk.desk.enter(waiter, is_new=False)
    desk.desk.join()
    assert waiter.taken.done()
    assert desk.bell.ended == ["http/thread"]


def test_nobody_is_entered_who_does_not_wait_any_more() -> None:
    desk, waiter = Desk(), waiting()
    waiter.close()
    desk.desk.enter(waiter, is_new=False)
    desk.desk.join()
    assert desk.bell.ended == []
