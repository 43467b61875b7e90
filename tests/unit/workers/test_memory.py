"""The guard of memory: who is ended, with what outcome, and when a process is replaced between two steps."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from eventstore.run_model import Lease
from executor.attempts.execution import Execution
from executor.attempts.jobs import Job
from executor.attempts.step_limits import (
    MEGABYTE,
    LimitsOfTypes,
    StepLimits,
    TypeLimits,
)
from executor.celery.lost_children import LOGGER, tell_of_lost_children_in_a_line
from executor.clock import SystemClock
from executor.worker.limited import LimitedSteps
from executor.worker.memory import MemoryGuard, resident_bytes
from openagents_json.catalog.registry import Registry
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.plan import StepPlan
from tests.conftest import wait_for

LIMIT_MB = 4096
USED = {"m": {"input_tokens": 3}}
LIMITS = LimitsOfTypes({"tool": TypeLimits(StepLimits(memory_mb=LIMIT_MB))})


def job() -> Job:
    step = StepPlan("a", "a", "component", component="greedy", queue="tool")
    return Job(Lease("run", "a", "1", 1, 0), step, "w", {}, 1)


def done(work: Job) -> cmd.Outcome:
    return cmd.Completed(work.lease.step, work.lease.attempt, "done")


class Memory:
    """A process of which a test says how much memory it has."""

    def __init__(self) -> None:
        self.megabytes = 100
        self.ended: list[cmd.Outcome] = []
        self.over = threading.Event()
        self.replaced = 0
        self.refuses = False
        self.guard = MemoryGuard(LIMITS, self.end, self.replace, self.resident)

    def resident(self) -> int:
        if self.refuses:
            self.refuses = False
            raise MemoryError
        return self.megabytes * MEGABYTE

    def end(self, _job: Job, outcome: cmd.Outcome) -> None:
        self.ended.append(outcome)
        self.megabytes = 100  # as after a process has ended
        self.over.set()

    def replace(self) -> None:
        self.replaced += 1


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_a_step_that_takes_too_much_has_failed_before_its_process_ends(
    memory: Memory,
) -> None:
    def greedy(work: Job) -> cmd.Outcome:
        memory.megabytes = LIMIT_MB + 1
        assert memory.over.wait(60)
        return done(work)

    memory.guard.run(greedy, job())
    [outcome] = memory.ended
    assert isinstance(outcome, cmd.Failed)
    assert outcome.error["type"] == "MemoryLimitExceeded"
    assert outcome.error["retryable"] is True
    assert f"may have {LIMIT_MB} MB" in str(outcome.error["message"])


def test_what_the_kernel_refuses_is_the_failure_of_the_step_that_asked(
    memory: Memory,
) -> None:
    refused = []

    def greedy(work: Job) -> cmd.Outcome:
        try:
            bytearray(1 << 40)
        except MemoryError as error:
            refused.append(error)
        described = {"type": "_ArrayMemoryError"}
        return cmd.Failed(work.lease.step, work.lease.attempt, described, USED)

    outcome = memory.guard.run(greedy, job())
    assert len(refused) == 1
    assert isinstance(outcome, cmd.Failed)
    assert outcome.error["type"] == "MemoryLimitExceeded"
    assert outcome.usage == USED
    assert memory.ended == []


def test_who_looks_and_is_refused_memory_looks_again(memory: Memory) -> None:
    def greedy(work: Job) -> cmd.Outcome:
        memory.refuses = True
        wait_for(lambda: not memory.refuses)
        memory.megabytes = LIMIT_MB + 1
        assert memory.over.wait(10)
        return done(work)

    memory.guard.run(greedy, job())
    assert len(memory.ended) == 1


@pytest.mark.parametrize(("allowed", "is_tried_again"), [(2, True), (1, False)])
def test_a_last_attempt_that_takes_too_much_says_so_and_is_the_last(
    allowed: int, is_tried_again: bool
) -> None:
    registry = Registry()

    @registry.tool("greedy")
    def greedy() -> None:
        raise MemoryError

    usual = StepLimits(memory_mb=LIMIT_MB, attempts=allowed)
    limits = LimitsOfTypes({"tool": TypeLimits(usual)})
    held: Any = SimpleNamespace(held=lambda _: None)
    runtime: Any = SimpleNamespace(settings=SimpleNamespace(limits=limits))
    execution = Execution(
        registry, held, SystemClock(), lambda _: None, lambda *_: None, limits
    )
    steps = LimitedSteps(runtime, execution, "w", lambda: None, threading.Event())
    outcome = steps.run(job())
    steps.close()
    assert isinstance(outcome, cmd.Failed)
    told = (outcome.error["type"], outcome.error["retryable"])
    assert told == ("MemoryLimitExceeded", is_tried_again)


def test_a_process_that_keeps_what_steps_have_taken_is_replaced_between_them(
    memory: Memory,
) -> None:
    def hoarding(work: Job) -> cmd.Outcome:
        memory.megabytes += 1500
        return done(work)

    assert memory.guard.run(hoarding, job()) == done(job())
    assert memory.replaced == 0
    assert memory.guard.run(hoarding, job()) == done(job())
    assert memory.replaced == 1
    assert memory.ended == []


def test_a_step_without_a_limit_is_not_looked_at(memory: Memory) -> None:
    step = StepPlan("a", "a", "component", component="free", queue="other")
    free = Job(Lease("run", "a", "1", 1, 0), step, "w", {}, 1)
    memory.megabytes = 10 * LIMIT_MB
    assert memory.guard.run(done, free) == done(free)
    assert (memory.ended, memory.replaced) == ([], 0)


def test_a_process_knows_how_much_it_has() -> None:
    before = resident_bytes()
    kept = b"x" * (64 * MEGABYTE)
    assert resident_bytes() - before > 32 * MEGABYTE
    assert kept


def test_a_child_that_was_ended_is_told_of_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class WorkerLostError(Exception):
        """As Celery's."""

    tell_of_lost_children_in_a_line()
    tell_of_lost_children_in_a_line()
    log = logging.getLogger(LOGGER)
    for error in (WorkerLostError("exitcode 1"), ValueError("another")):
        log.error("Task handler raised error: %r", error, exc_info=error)
    lost, other = caplog.records
    assert lost.getMessage() == (
        "a child process has ended while it worked; another one begins"
    )
    assert (lost.levelname, lost.exc_info) == ("WARNING", None)
    assert other.exc_info is not None
