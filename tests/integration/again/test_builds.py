"""Each attempt says which build of its component ran it, and people are told where that changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from tests.conftest import Server

DOCUMENT: dict[str, Any] = {
    "id": "shop",
    "steps": [
        {"id": "add", "component": "add"},
        {"id": "pay", "component": "pay@^1", "depends_on": ["add"]},
    ],
    "connections": [],
}


@pytest.fixture
def prefix(server: Server) -> str:
    return server.prefix()


@pytest.fixture
def first(server: Server, prefix: str) -> Iterator[Engine]:
    with deployed(server, prefix, "one", fails=True) as engine:
        yield engine


def deployed(server: Server, prefix: str, build: str, *, fails: bool = False) -> Engine:
    """Open an engine whose worker has components of a build, the one of which fails."""
    registry = Registry()

    def pay() -> str:
        if fails:
            raise ValueError("no money")
        return "paid"

    registry.tool("add", effect="pure", build=build)(lambda: 1)
    registry.tool("pay", version="1.0.0", build=build)(pay)
    return Engine.connect(
        server.url, components=registry, workers=1, prefix=prefix, partitions=2
    )


def builds(engine: Engine, run: str) -> list[str]:
    started = [event for event in engine.history(run) if event.type == "StepStarted"]
    return [event.data["build"] for event in started]


def test_who_mends_a_component_sees_which_build_ran_what(
    first: Engine, server: Server, prefix: str
) -> None:
    run = first.start(DOCUMENT)
    assert first.wait(run, timeout=120).status == "failed"
    assert builds(first, run) == ["one", "one"]
    assert first.explain(run).attempts[0].build == "one"
    first.close()
    with deployed(server, prefix, "two") as second:
        other = second.run(DOCUMENT, timeout=120).id
        text = "\n".join(second.explain(run).lines())
        assert "component pay ran build one here, two there" in text
        second.retry(run)
        assert second.wait(run, timeout=120).status == "completed"
        assert builds(second, run) == ["one", "one", "two"]
        [change] = second.overview(run).builds
        assert (change.step, change.before, change.after) == ("pay", "one", "two")
        assert change.sentence() in "\n".join(second.explain(run).lines())
        differing = {item.component for item in second.replay.diff(run, other).builds}
        assert differing == {"add", "pay"}


@pytest.mark.parametrize("mode", ["checkpoint", "outcome"])
def test_steps_that_begin_without_a_claim_say_it_too(first: Engine, mode: str) -> None:
    document = {
        "id": "sums",
        "persistence": {"mode": mode},
        "steps": [
            {"id": "a", "component": "add"},
            {"id": "b", "component": "add", "depends_on": ["a"]},
        ],
    }
    run = first.run(document, timeout=120).id
    assert set(builds(first, run)) == {"one"}
