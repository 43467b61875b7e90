"""One idempotency key for each life of a step: equal for its attempts, another once it has completed and is redone."""

from __future__ import annotations

from msgspec.structs import replace

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import to_data
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.snapshot import dump, load
from openagents_json.workflow.core.state import initial
from tests.simulation import Simulation, plan_of, steps

PLAN = plan_of(
    steps({"id": "charge", "compensate": "refund"}, {"id": "ship"}, {"id": "thank"})
)


def keys(run: Simulation) -> list[str]:
    names = ("charge", "charge~compensate", "ship")
    return [run.state.idempotency_key(name).removeprefix("0-r/") for name in names]


def undone() -> Simulation:
    run = Simulation(PLAN)
    run.start()
    run.complete("charge")
    run.fail("ship")
    run.complete("charge~compensate")
    return run


def test_what_was_undone_is_done_again_under_another_key() -> None:
    run = undone()
    assert keys(run) == ["charge", "charge~compensate", "ship"]
    for life in (2, 3):
        run.give(cmd.ReopenRun())
        assert keys(run) == [f"charge#{life}", f"charge~compensate#{life}", "ship"]
        run.fail(
            "charge"
        )  # it may have had its effect: tried again by hand, it keeps its key
        run.give(cmd.ReopenRun())
        assert keys(run)[0] == f"charge#{life}"
        run.complete("charge")
        run.fail("ship")
        run.complete("charge~compensate")
        assert load(dump(run.state)).lives == run.state.lives
    assert keys(run) == ["charge#3", "charge~compensate#3", "ship"]


def test_what_is_run_again_on_purpose_has_another_key_with_all_that_follows() -> None:
    run = Simulation(PLAN)
    run.start()
    for name in ("charge", "ship", "thank"):
        run.complete(name)
    run.give(cmd.ReopenRun("ship"))
    assert keys(run) == ["charge", "charge~compensate", "ship#2"]
    run.give(cmd.OverrideStep("ship", "completed"))
    run.complete("thank")
    run.give(cmd.ReopenRun("charge"))
    assert keys(run) == ["charge#2", "charge~compensate", "ship#3"]


def test_a_run_that_an_older_version_opened_again_keeps_its_keys() -> None:
    run = undone()
    run.give(cmd.ReopenRun())
    history = [
        replace(event, anew=()) if isinstance(event, ev.RunReopened) else event
        for event in run.history
    ]
    assert all("anew" not in to_data(event) for event in history)
    assert evolve_all(initial(), history).idempotency_key("charge") == "0-r/charge"
