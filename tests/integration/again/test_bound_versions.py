"""A run goes on with the versions of components that its references meant when it began."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from openagents_json import Registry
from openagents_json.engine import Engine
from tests.conftest import Server, SharedServers

REFERENCES = ("pay", "pay@^1", "pay@stable")


def components(*versions: str) -> Registry:
    registry = Registry()
    for version in versions:
        registry.tool("pay", version=version, build=f"b{version}")(
            lambda version=version: version
        )
    return registry


def asking(*references: str) -> Mapping[str, object]:
    """Return a workflow that waits before it calls a component by each of some references."""
    steps = [
        {"id": f"s{number}", "component": reference, "depends_on": ["wait"]}
        for number, reference in enumerate(references)
    ]
    return {
        "id": "order",
        "steps": [{"id": "wait", "wait_for": "go"}, *steps],
        "output": [f"{{{{ {step['id']}.output }}}}" for step in steps],
    }


@pytest.fixture
def server(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture
def prefix(server: Server) -> str:
    return server.prefix()


def start(server: Server, prefix: str, *references: str) -> str:
    """Start a run while there is one version."""
    first = components("1.0.0")
    with Engine.connect(server.url, components=first, prefix=prefix) as engine:
        engine.catalog.register(first)
        engine.catalog.alias("pay", "stable", "1.0.0")
        return engine.start(asking(*references)).id


def go_on(server: Server, prefix: str, run: str, deployed: Registry) -> object:
    """Let a run end on what is deployed now."""
    with Engine.connect(
        server.url, components=deployed, workers=1, prefix=prefix
    ) as engine:
        engine.catalog.register(deployed)
        engine.signal(run, "go")
        result = engine.wait(run, timeout=120)
        begun = [x for x in engine.history(run) if x.type == "StepStarted"]
        builds = {x.data["build"] for x in begun}
        assert builds == {f"b{result.output[0]}"}
        return result.output


def test_a_newer_version_is_not_run_where_the_bound_one_is(
    server: Server, prefix: str
) -> None:
    run = start(server, prefix, *REFERENCES)
    both = components("1.0.0", "1.1.0")
    assert go_on(server, prefix, run, both) == ["1.0.0"] * len(REFERENCES)


def test_another_that_the_document_allows_is_run_where_the_bound_one_is_gone(
    server: Server, prefix: str
) -> None:
    run = start(server, prefix, "pay@^1")
    assert go_on(server, prefix, run, components("1.1.0")) == ["1.1.0"]
