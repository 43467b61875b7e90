"""Turns at runs: of the threads of a process, one at a time records outcomes of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from eventstore.redis.driver.forking import ForkSafeLock
from executor.runs.turns import Turns
from executor.worker.hints import Hints


def begun(act: Callable[[], None]) -> tuple[threading.Thread, threading.Event]:
    done = threading.Event()

    def run() -> None:
        act()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, done


def test_a_turn_at_a_run_is_one_threads_at_a_time() -> None:
    turns = Turns()
    turns.take(["a", "b"])
    waiting, has_it = begun(lambda: turns.take(["b", "c"]))
    # Who waits for several has none of them meanwhile, so that no two wait for each other.
    turns.take(["c"])
    turns.give_back(["c"])
    assert not has_it.is_set()
    turns.give_back(["a", "b"])
    waiting.join(20)
    assert has_it.is_set()
    passing, passed = begun(lambda: turns.let_pass(["b"], 20))
    assert not passed.is_set()
    turns.give_back(["b", "c"])
    passing.join(20)
    turns.take(["a", "b", "c"])


def test_who_lets_others_pass_goes_on_when_they_are_held_up() -> None:
    turns = Turns()
    turns.take(["a"])
    passing, passed = begun(lambda: turns.let_pass(["a", "b"]))
    passing.join(20)
    assert passed.is_set()
    # Others still have to wait for their turn, and it was not given away.
    taking, taken = begun(lambda: turns.take(["a"]))
    assert not taken.is_set()
    turns.give_back(["a"])
    taking.join(20)
    assert taken.is_set()


class Bell:
    """A bell that has nothing, and a waker that keeps what it is told."""

    def __init__(self) -> None:
        self.bell = self
        self.told: list[int] = []

    def take(self, *_: object) -> list[int]:
        return []

    def leave(self, *_: object) -> list[int]:
        return []

    def hand_over(self, _queue: str, _drain: str, partitions: list[int]) -> None:
        self.told += partitions


def test_what_a_drain_keeps_is_told_when_it_gives_it_up_or_ends() -> None:
    bell = Bell()
    hints = Hints(bell, "q", "d", 1000, lambda: None)  # type: ignore[arg-type]
    hints.keep([3, 3])
    hints.keep([3])
    hints.add([4])
    hints.hand_over()
    assert bell.told == [4]
    hints.take()
    assert hints.partitions == [3]
    hints.keep(hints.next(1))
    hints.give_up()
    hints.give_up()
    assert bell.told == [4, 3]
    hints.keep([5])
    hints.end()
    assert bell.told == [4, 3, 5]


def test_a_drain_that_is_woken_with_a_claim_looks_where_something_was_left() -> None:
    bell = Bell()
    hints = Hints(bell, "q", "d", 1000, lambda: hints.add([7]))  # type: ignore[arg-type]
    assert hints.listen()
    assert hints.partitions == [7]


def test_a_forked_child_finds_all_turns_free() -> None:
    turns = Turns()
    turns.take(["a"])
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is ended
        turns.take(["a"])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_threads_of_a_forked_child_that_meet_at_a_lock_begin_anew_once() -> None:
    happened: list[str] = []
    others: list[threading.Thread] = []

    def use(name: str) -> None:
        with lock:
            happened.append(name)

    def begin_anew() -> None:
        happened.append("begun")
        # The other one comes while this one begins: it has to wait, and finds all begun.
        others.append(threading.Thread(target=use, args=["other"], daemon=True))
        others[-1].start()
        others[-1].join(0.1)

    lock = ForkSafeLock(begin_anew)
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs is ended
            holder = threading.Thread(target=use, args=["one"], daemon=True)
            holder.start()
            holder.join()
            others[0].join()
            os._exit(0 if happened == ["begun", "one", "other"] else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert happened == []
