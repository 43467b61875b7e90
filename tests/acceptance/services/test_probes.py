"""What probes are told of a service: whether its store answers, and whether runs make progress."""

from __future__ import annotations

from pathlib import Path

import pytest
from httpx import Client

from eventstore.redis.driver.scripts import PlainCall
from openagents_json.engine import Engine
from openagents_json.engine.components import load_components
from openagents_json.engine.diagnosis.progress import progress_of
from tests.acceptance.processes import COMMAND, COMPONENTS
from tests.acceptance.services.test_serving import serving
from tests.conftest import Server, SharedServers, wait_for
from tests.fork_server import ForkedProcess

LONG_MS = 600_000
SLEEPING = {"id": "sleeping", "steps": [{"id": "s", "sleep": 0.01}]}
WORKING = {
    "id": "working",
    "steps": [{"id": "s", "component": "quick"}],
}


@pytest.fixture(scope="module")
def valkey(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


def make_older(engine: Engine, key: bytes) -> bool:
    """Let what stands in a set by its time have stood there for long; tells whether there is something."""
    store = engine.core.store
    members = store.call([PlainCall((b"ZRANGE", key, 0, -1))])[0]
    store.call([PlainCall((b"ZINCRBY", key, -LONG_MS, each)) for each in members])
    return bool(members)


def failed(ready: dict[str, list[dict[str, object]]]) -> list[object]:
    return [check["name"] for check in ready["checks"] if not check["ok"]]


def test_who_is_ready_says_that_nobody_works_and_stays_in_its_balancer(
    valkey: Server, tmp_path: Path
) -> None:
    prefix = valkey.prefix()
    where = ("--url", valkey.url, "--prefix", prefix)
    loaded = load_components([COMPONENTS])
    with Engine.connect(
        valkey.url, prefix=prefix, components=loaded, partitions=1
    ) as engine:
        keys = engine.core.store.keys
        runs = [engine.start(document) for document in (SLEEPING, WORKING)]
        assert [check.ok for check in progress_of(engine)] == [True] * 3
        wait_for(lambda: make_older(engine, keys.due(0)))
        assert make_older(engine, keys.ready(0, "tool"))
        with (
            serving("--open", *where, log=tmp_path / "log") as (_, url),
            Client(base_url=url, timeout=120) as client,
        ):
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert failed(ready.json()) == ["due", "workers"]
            strict = client.get("/ready?strict=true")
            assert (strict.status_code, strict.json()["code"]) == (
                503,
                "progress_stalled",
            )
            with (tmp_path / "worker").open("wb") as out:
                worker = ForkedProcess(
                    [*COMMAND, "worker", "-c", str(COMPONENTS), *where],
                    stdout=out,
                    stderr=out,
                )
            try:
                for run in runs:
                    assert engine.wait(run, timeout=120).ok
                wait_for(lambda: client.get("/ready?strict=true").status_code == 200)
            finally:
                worker.kill()
                worker.wait()


def test_a_view_that_is_far_behind_is_told(valkey: Server) -> None:
    with Engine.connect(
        valkey.url, prefix=valkey.prefix(), components=[], partitions=1
    ) as engine:
        engine.start(SLEEPING)
        assert not progress_of(engine, far_behind=0)[2].ok
        for name in engine.projections.names():
            engine.projections.current(name)
        assert progress_of(engine, far_behind=0)[2].ok
