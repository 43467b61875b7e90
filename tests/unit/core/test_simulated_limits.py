"""A simulated run knows the limits of its steps as an engine does: they are members of the same index."""

from __future__ import annotations

from typing import Any

from openagents_json.testing import Play, outcomes, play
from openagents_json.workflow.core import events as ev

RETRIED: dict[str, Any] = {
    "id": "w",
    "steps": [
        {
            "id": "a",
            "component": "c",
            "retry": {
                "max_retries": 9,
                "delay_seconds": 60,
                "backoff_multiplier": 1,
                "jitter": False,
            },
            "timeouts": {"total": 150},
        }
    ],
}


def test_a_step_that_takes_too_long_with_all_of_its_attempts_has_failed() -> None:
    run = Play(RETRIED, components={"c": ValueError("no")}, now=0).advance(149)
    assert (run.status, len(run.calls())) == ("running", 3)
    run.advance(1)
    assert (run.status, len(run.calls())) == ("failed", 3)
    [timed_out] = run.of_type("StepTimedOut")
    assert isinstance(timed_out, ev.StepTimedOut)
    assert (timed_out.step, timed_out.kind) == ("a", "total")


def test_a_step_that_ends_in_time_leaves_no_limit_behind() -> None:
    run = play(RETRIED, components={"c": outcomes(ValueError("no"), 1)}, now=0).finish()
    run.assert_completed()
    assert run.world.due == {}


def test_what_is_not_json_fails_a_step_as_it_does_for_a_worker() -> None:
    document = {"id": "w", "steps": [{"id": "a", "component": "numbered"}]}
    run = Play(document, components={"numbered": {1: "one"}}).finish()
    assert (run.error or {})["type"] == "InvalidComponentOutput"
