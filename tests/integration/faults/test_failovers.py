"""Failovers that a Sentinel decides on: at durability `replicated` nothing is lost, and nothing begins twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openagents_json import tool
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import KINDS, wait_for
from tests.integration.faults.failing_over import Aside, count_of, has, runs_on
from tests.integration.faults.replicas import MIN_REPLICAS, Line, Node, nodes, sentinel

ONCE: dict[str, Any] = {
    "id": "w",
    "steps": [{"id": "a", "component": "once", "effect": "at_most_once"}],
}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "survive-a-failover.md"


@tool("once")
def nothing() -> None:
    """Stand for the component where nobody works."""


@dataclass
class Watched:
    """A primary, a replica that may be promoted, a replica of that one, and a Sentinel; one line leads to the primary.

    Clients, the replica and the Sentinel all come by that line, which can be held or shut for each of them.
    """

    primary: Node
    line: Line
    replica: Node
    guard: Node

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.guard.port}/main"

    def replaced(self) -> bool:
        """Tell whether the Sentinel has made the replica the primary."""
        with self.guard.client as client:
            return (
                int(client.sentinel_get_master_addr_by_name("main")[1])
                == self.replica.port
            )

    def opened(self, *components: Any, workers: int = 0) -> Engine:
        return Engine.connect(
            self.url,
            broker=None,
            components=components or (nothing,),
            workers=workers,
            partitions=1,
            durability="replicated",
            replica_timeout_ms=100,
            lease_ms=30_000,
        )


def started(kind: str, ends: ExitStack, *options: str) -> Watched:
    first, second, third = nodes(kind, 3, ends)
    first.start(*options)
    line = Line(first.port)
    ends.callback(line.close)
    for node, port in ((second, line.port), (third, second.port)):
        node.start(*options)
        node.follow(port)
    guard = ends.enter_context(sentinel(kind, line))
    watched = Watched(first, line, second, guard)
    wait_for(lambda: _is_known(watched))
    return watched


def _is_known(servers: Watched) -> bool:
    with servers.guard.client as client:
        return any(
            r["port"] == servers.replica.port and r["flags"] == "slave"
            for r in client.sentinel_slaves("main")
        )


@pytest.fixture(params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with ExitStack() as ends:
        yield started(request.param, ends, *MIN_REPLICAS)


def test_a_primary_is_killed_while_its_replica_is_behind(servers: Watched) -> None:
    begun: list[int] = []

    @tool("once")
    def once(n: int) -> None:
        begun.append(n)

    document = {**ONCE, "steps": [{**ONCE["steps"][0], "inputs": {"n": "{{input.n}}"}}]}
    with servers.opened(once, workers=2) as engine:
        acknowledged = [engine.start(document, {"n": n}) for n in range(10)]
        servers.line.hold("replica")
        starts = [
            Aside(partial(engine.start, document, {"n": n})) for n in range(10, 20)
        ]
        wait_for(lambda: runs_on(servers.primary) == 20)
        servers.primary.kill()
        servers.line.cut()
        wait_for(servers.replaced)
        acknowledged += [start.result() for start in starts]
        assert {engine.wait(run, timeout=60).status for run in acknowledged} == {
            "completed"
        }
        assert all(has(servers.replica, run, "RunCompleted") for run in acknowledged)
    assert sorted(begun) == list(range(20))


def test_an_idle_client_of_an_old_primary_that_lives_on_goes_to_the_new_one(
    servers: Watched,
) -> None:
    with servers.opened() as idle:
        idle.start(ONCE)
        servers.line.hold("replica")
        servers.line.shut("sentinel")
        wait_for(servers.replaced)
        assert servers.primary.ask("ROLE")[0] == b"master"  # type: ignore[index]
        run = idle.start(ONCE)
        assert has(servers.replica, run, "RunStarted")
        assert count_of(servers.replica, "RunStarted") == 2


def test_a_step_that_an_old_primary_would_begin_too_begins_once(
    servers: Watched,
) -> None:
    begun: list[int] = []

    @tool("once")
    def once() -> None:
        begun.append(1)

    with servers.opened() as client:
        servers.line.hold("replica")
        servers.line.shut("sentinel")
        start = Aside(lambda: client.start(ONCE))
        wait_for(lambda: runs_on(servers.primary) == 1)
        with servers.opened(once, workers=1) as engine:
            assert engine.wait(start.result(), timeout=60).ok
    assert begun == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_guide_sets_it_up(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text()
    [settings] = re.findall(r"^```conf\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    [commands] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    options = [word for line in settings.splitlines() for word in _option(line)]
    (tmp_path / "workflow.json").write_text(
        '{"id": "w", "steps": [{"id": "a", "component": "once"}]}'
    )
    (tmp_path / "components.py").write_text(
        'from openagents_json import tool\n\n\n@tool("once")\ndef once() -> None:\n    return None\n'
    )
    with ExitStack() as ends:
        servers = started(kind, ends, *options)
        for line in commands.splitlines():
            verb, *rest = line.split()
            if verb == "export":
                name, _, value = rest[0].partition("=")
                monkeypatch.setenv(
                    name, servers.url if name == "OPENAGENTS_URL" else value
                )
                continue
            done = openagents(*rest, folder=tmp_path)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert servers.primary.ask("EXISTS", "oa:confirmed") == 1


def _option(line: str) -> list[str]:
    name, _, value = line.partition(" ")
    return [f"--{name}", value]
