"""Limits of time: of an attempt, of a wait for a worker, of a step with all its attempts, of a run."""

from __future__ import annotations

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import WaitTimeout
from tests.integration.opened_engine import LIVELY, Open, steps, types


@pytest.mark.parametrize("component", ["stubborn", "sleeper", "obedient"])
def test_an_attempt_ends_at_its_start_to_close_limit_and_is_retried(
    opened: Open, component: str
) -> None:
    engine = opened()
    step = {
        "id": "a",
        "component": component,
        "inputs": {"seconds": 0.8},
        "timeout": 0.2,
    }
    result = engine.run(
        steps({**step, "retry": {"max_retries": 1, "delay_seconds": 0}}), timeout=20
    )
    assert (result.status, result.error and result.error["type"]) == (
        "failed",
        "TimeoutError",
    )
    assert types(engine, result.id).count("StepTimedOut") == 2


def test_a_step_that_no_worker_takes_ends_at_its_schedule_to_start_limit(
    opened: Open,
) -> None:
    engine = opened(workers=1)
    document = steps(
        {"id": "a", "component": "quick", "timeouts": {"schedule_to_start": 0.3}}
    )
    idle = opened(workers=0)
    engine.close()
    run = idle.start(document)
    with pytest.raises(WaitTimeout, match="still running"):
        idle.wait(run, timeout=0.5)
    opened(components=load([str(LIVELY)]))
    result = idle.wait(run, timeout=120)
    assert (result.status, result.error and result.error["kind"]) == (
        "failed",
        "schedule_to_start",
    )


def test_all_attempts_together_end_at_the_total_limit(opened: Open) -> None:
    engine = opened()
    retry = {"max_retries": 100, "delay_seconds": 0.1}
    step = {"id": "a", "component": "fail", "retry": retry, "timeouts": {"total": 0.6}}
    result = engine.run(steps(step), timeout=20)
    assert (result.status, result.error and result.error["kind"]) == ("failed", "total")


def test_a_component_without_heartbeat_is_timed_out_and_its_late_result_ignored(
    opened: Open,
) -> None:
    engine = opened()
    silent = {
        "id": "a",
        "component": "beating",
        "inputs": {"beats": 3, "pause": 1.5},
        "timeouts": {"heartbeat": 0.3},
    }
    result = engine.run(steps(silent), timeout=20)
    assert (result.status, result.error and result.error["kind"]) == (
        "failed",
        "heartbeat",
    )
    lively = {
        "id": "a",
        "component": "beating",
        "inputs": {"beats": 30, "pause": 0},
        "timeouts": {"heartbeat": 20},
    }
    assert engine.run(steps(lively), timeout=20).output == {"a": 30}


def test_a_run_ends_at_its_limit(opened: Open) -> None:
    result = opened().run(
        steps({"id": "a", "component": "sleeper"}, timeout=0.4), timeout=20
    )
    assert (result.status, result.error and result.error["kind"]) == ("failed", "run")
