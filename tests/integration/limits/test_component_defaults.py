"""Retries and time limits that a component declares hold where a step says nothing, and stay with the run."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json import Context, Registry
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.engine import Engine
from openagents_json.workflow.component_spec import from_json, to_json
from openagents_json.workflow.definition import Definition
from openagents_json.workflow.language.bind import bind
from openagents_json.workflow.language.compile import compile_plan
from tests.conftest import Server

TWICE = {"max_retries": 2, "delay_seconds": 0, "retry_on": ("ValueError",)}


def registry_of(**options: Any) -> Registry:
    registry = Registry()

    @registry.tool("third", **options)
    def third(context: Context) -> int:
        if context.attempt < 3:
            raise ValueError("not yet")
        return context.attempt

    return registry


def document(**step: Any) -> dict[str, Any]:
    gate = {"id": "gate", "wait_for": "go"}
    third = {"id": "s", "component": "third", "depends_on": ["gate"], **step}
    return {"id": "d", "steps": [gate, third]}


def test_what_a_component_declares_holds_where_the_step_says_nothing(
    server: Server,
) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url, prefix=prefix, components=registry_of(retry=TWICE), workers=1
    ) as engine:
        pinned = engine.start(document())
        own = engine.start(document(retry={"max_retries": 1, "delay_seconds": 0}))
        engine.signal(own, "go")
        assert engine.wait(own, timeout=120).status == "failed"
        assert engine.state(own).steps[-1].attempt == 2
    # The component says something else now; the run goes on by what held when it began.
    with Engine.connect(
        server.url, prefix=prefix, components=registry_of(), workers=1
    ) as engine:
        engine.signal(pinned, "go")
        assert engine.wait(pinned, timeout=120).ok
        assert engine.state(pinned).steps[-1].output == 3


def test_the_catalog_shows_it_and_other_definitions_stay_as_they_were() -> None:
    spec = registry_of(retry=TWICE, timeout=7).find("third")
    assert spec is not None
    shown = to_json(spec)
    assert shown["retry"] == {**TWICE, "retry_on": ["ValueError"]}
    assert shown["timeout_ms"] == 7000
    assert from_json(shown) == spec
    plain: Definition = bind(document(), registry_of())
    assert plain.hash != bind(document(), registry_of(retry=TWICE)).hash
    assert plain.hash == bind(document(), registry_of(retry=None)).hash


def test_time_limits_of_a_component_give_way_one_by_one_to_those_of_a_step() -> None:
    limits = {"heartbeat": 3, "total": 60}
    registry = registry_of(timeout=7, timeouts=limits)

    def holding(**step: Any) -> tuple[int, int, int]:
        compiled = compile_plan(bind(document(**step), registry))
        times = compiled.steps["s"].timeouts
        return times.start_to_close_ms, times.heartbeat_ms, times.total_ms

    assert holding() == (7000, 3000, 60_000)
    assert holding(timeout=1, timeouts={"heartbeat": 0}) == (1000, 0, 60_000)
    assert holding(timeouts={"start_to_close": 2}) == (2000, 3000, 60_000)
    spec = registry.find("third")
    assert spec is not None
    assert from_json(to_json(spec)) == spec
    plain = bind(document(), registry_of())
    assert plain.hash == bind(document(), registry_of(timeouts=None)).hash
    for wrong, complaint in (
        ({"heartbeats": 3}, "did you mean 'heartbeat'"),
        ({"total": -1}, "is wrong at total"),
        (5, "is no mapping"),
    ):
        with pytest.raises(InvalidDeclaration, match=complaint):
            registry_of(timeouts=wrong)


@pytest.mark.parametrize(
    ("retry", "complaint"),
    [
        (3, "is no mapping"),
        ({"max_retrys": 3}, "did you mean 'max_retries'"),
        ({"max_retries": -1}, "is wrong at max_retries"),
        ({"max_retries": True}, "is wrong at max_retries"),
        ({"delay_seconds": "5"}, "is wrong at delay_seconds"),
    ],
)
def test_a_retry_that_is_none_is_refused(retry: Any, complaint: str) -> None:
    with pytest.raises(InvalidDeclaration, match=complaint):
        registry_of(retry=retry)
