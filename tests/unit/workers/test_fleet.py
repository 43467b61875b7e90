"""The processes of worker types: replaced when they end by themselves, as many as are needed, ended in good order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cli.commands.fleet.fleet import Fleet
from openagents_json.engine import Settings
from openagents_json.engine.worker_types.autoscaling import Load
from openagents_json.engine.worker_types.settle import TypeProcesses


class Process:
    """A process of a test: it says at once that it is ready, unless it cannot begin."""

    def __init__(self, worker_type: TypeProcesses, code: int | None) -> None:
        self.name = worker_type.name
        self.code = code
        self.stops = 0
        self.is_ready = False
        self.is_open = True
        self.closed = False
        self.reader, self._writer = os.pipe()
        self._unread: list[Mapping[str, Any]] = (
            [] if code is not None else [{"ready": []}]
        )
        os.write(self._writer, b".")

    def fileno(self) -> int:
        return self.reader

    def messages(self) -> Iterator[Mapping[str, Any]]:
        message, self._unread = self._unread, []
        yield from message

    def status(self) -> int | None:
        return self.code

    def stop(self) -> None:
        self.stops += 1
        if self.name != "stubborn" or self.stops > 1:
            self.code = 0

    def kill(self) -> None:
        self.code = -9

    def close(self) -> None:
        self.closed = True
        os.close(self.reader)
        os.close(self._writer)


class World:
    """What a fleet sees: its processes, steps that wait, and a clock that goes on with each look at it."""

    def __init__(self, *types: TypeProcesses) -> None:
        self.types = types
        self.processes: list[Process] = []
        self.told: list[str] = []
        self.now = 0.0
        self.load = Load()
        self.codes: dict[str, int] = {}
        self.script: list[Callable[[], object]] = []

    def steady_ms(self) -> float:
        self.now += 50.0
        if self.script and self.are_at_work():
            self.script.pop(0)()
        return self.now

    def are_at_work(self) -> bool:
        ready = [process for process in self.processes if process.is_ready]
        return len(ready) >= sum(x.at_least for x in self.types)

    def start(self, worker_type: TypeProcesses) -> Any:
        code = self.codes.pop(worker_type.name, None)
        self.processes.append(Process(worker_type, code))
        return self.processes[-1]

    def run(self, *script: Callable[[], object]) -> int:
        fleet = Fleet(
            self.types,
            start=self.start,
            loads=lambda: {x.queue: self.load for x in self.types},
            grace_seconds=1.0,
            steady_ms=self.steady_ms,
            tell=self.told.append,
        )
        self.script += [*script, lambda: os.kill(os.getpid(), signal.SIGTERM)]
        code = fleet.run()
        assert all(process.closed for process in self.processes)
        return code


def of(name: str, at_least: int = 1, at_most: int = 1) -> TypeProcesses:
    return TypeProcesses(name, name, Settings(), "threads", at_least, at_most)


def test_each_type_has_its_processes_until_a_signal_ends_them() -> None:
    world = World(of("agent", 2, 2), of("tool"))
    assert world.run() == 0
    assert [process.name for process in world.processes] == ["agent", "agent", "tool"]
    assert [process.stops for process in world.processes] == [1, 1, 1]


def test_a_process_that_ends_by_itself_is_replaced() -> None:
    world = World(of("agent"), of("tool"))

    def dies() -> None:
        world.processes[0].code = -9

    def lives_again() -> bool:
        if len(world.processes) < 3:
            world.script.insert(0, lives_again)
        return True

    assert world.run(dies, lives_again) == 0
    assert [process.name for process in world.processes] == ["agent", "tool", "agent"]
    assert "agent: a process has ended (status -9); another one begins" in world.told


def test_a_type_that_cannot_begin_ends_all_with_its_status() -> None:
    world = World(of("agent"), of("tool"))
    world.codes["agent"] = 2
    assert world.run() == 2
    assert len(world.processes) == 2


def test_one_that_is_told_to_end_before_it_is_ready_is_replaced() -> None:
    world = World(of("agent"))
    world.codes["agent"] = 0
    assert world.run() == 0
    assert [process.is_ready for process in world.processes] == [False, True]
    assert "agent: a process has ended (status 0); another one begins" in world.told


def test_there_are_more_processes_while_steps_wait() -> None:
    world = World(of("agent", 1, 2), of("tool"))

    def steps_wait() -> None:
        world.load = Load(3, 5000)

    def enough() -> None:
        if len(world.processes) < 3:
            world.script.insert(0, enough)

    assert world.run(steps_wait, enough) == 0
    assert [process.name for process in world.processes] == ["agent", "tool", "agent"]
    assert "agent: 2 processes, after 1" in world.told


def test_steps_that_do_not_end_in_time_are_given_back() -> None:
    world = World(of("stubborn"))
    assert world.run() == 0
    assert [process.stops for process in world.processes] == [2]
