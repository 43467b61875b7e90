"""Published workflows: events in the log of the catalog, with their past, and what differs between versions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import StoreUnavailable
from eventstore.redis.coordination.members import Directory
from openagents_json.catalog.errors import (
    UnknownWorkflow,
    VersionExists,
    VersionWithdrawn,
)
from openagents_json.engine import Engine, Settings
from openagents_json.engine.diagnosis.doctor import diagnose
from openagents_json.workflow.core.plan import canonical
from tests.conftest import Server
from tests.integration.faults.proxy import StirringProxy


@pytest.fixture
def prefix(server: Server) -> str:
    return server.prefix()


@pytest.fixture
def engine(server: Server, prefix: str) -> Iterator[Engine]:
    with opened(server, prefix, "ann") as engine:
        yield engine


def opened(server: Server, prefix: str, actor: str) -> Engine:
    return Engine.connect(
        server.url, components=(), prefix=prefix, partitions=2, actor=actor
    )


def order(version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    steps = [{"id": "take", "sleep": 3600}]
    return {"id": "order", "version": version, "steps": steps, **more}


def types(engine: Engine) -> list[str]:
    changes = engine.workflows.history("order")
    return [f"{x.type.removeprefix('Workflow')} {x.version}" for x in changes]


def keep_as_older_versions_did(engine: Engine, document: dict[str, Any]) -> str:
    """Publish a document in the two hashes that older versions had, and give its definition."""
    plan = engine.plan(document)
    engine.core.definitions.keep(plan)
    hashed = sha256(canonical(plan.definition["document"])).hexdigest()
    engine.core.directory.add_workflow(
        f"{plan.id}@{plan.version}",
        {"definition": plan.hash, "document": hashed, "added_ms": 5},
    )
    return plan.hash


def test_what_happens_to_a_workflow_is_on_the_log_with_who_and_why(
    engine: Engine, server: Server, prefix: str
) -> None:
    engine.publish(order(), alias="stable")
    engine.publish(order())
    between = engine.workflows.history("order")[-1].time_ms
    with opened(server, prefix, "bob") as bob:
        bob.publish(order("2.0.0", description="The newer one."))
        bob.workflows.deprecate("order", "1.0.0", reason="slow", instead="order@2")
        bob.workflows.withdraw("order", "2.0.0", reason="wrong")
    assert types(engine) == [
        "Registered 1.0.0",
        "Aliased stable",
        "Registered 2.0.0",
        "Deprecated 1.0.0",
        "Withdrawn 2.0.0",
    ]
    last = engine.workflows.history("order")[-1]
    assert (last.actor, last.reason) == ("bob", "wrong")
    assert engine.plan("order").version == "1.0.0"
    with pytest.raises(VersionWithdrawn, match="wrong"):
        engine.publish(order("2.0.0", description="The newer one."))
    [past] = engine.workflows.as_of(between)
    assert (past.versions, past.aliases) == (("1.0.0",), ("stable",))
    entry = engine.workflows.entry("order")
    assert [x.status for x in entry.versions.values()] == ["deprecated", "withdrawn"]


def test_the_view_finds_workflows_and_components_each_among_their_own(
    engine: Engine,
) -> None:
    engine.publish(order(description="Takes what is ordered."))
    engine.catalog.register({"name": "order", "version": "3.0.0"})
    [row] = engine.workflows.search("ordered").items
    assert (row.kind, row.name, row.version) == ("workflow", "order", "1.0.0")
    assert [x.version for x in engine.catalog.search("order").items] == ["3.0.0"]
    engine.projections.rebuild("catalog")
    assert engine.projections.finish_rebuild("catalog")
    assert engine.workflows.search("ordered").items == (row,)
    assert engine.projections.verify("catalog") == []


def test_of_many_who_publish_one_version_one_does_and_the_others_are_told_what_differs(
    engine: Engine,
) -> None:
    def publish(seconds: int) -> str:
        steps = [{"id": "take", "sleep": seconds}]
        try:
            return engine.publish({**order(), "steps": steps})
        except VersionExists as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(publish, range(8)))
    [winner] = [n for n, answer in enumerate(answers) if answer == "order@1.0.0"]
    others = [answer for n, answer in enumerate(answers) if n != winner]
    assert all(f"steps[0].sleep is {winner} in the catalog and" in x for x in others), (
        others
    )
    assert types(engine) == ["Registered 1.0.0"]


def test_who_dies_between_the_definition_and_the_event_leaves_nothing_half_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the test says so", "the connection is gone")

    with monkeypatch.context() as patched:
        patched.setattr(engine.core.registered.names.store, "commit", gone)
        with pytest.raises(StoreUnavailable):
            engine.publish(order())
    with pytest.raises(UnknownWorkflow):
        engine.plan("order")
    assert engine.publish(order()) == "order@1.0.0"
    assert engine.plan("order").version == "1.0.0"


def test_a_version_is_taken_away_with_its_aliases_in_one_go(engine: Engine) -> None:
    engine.publish(order(), alias="stable")
    engine.unpublish("order@1.0.0", force=True)
    assert types(engine)[2:] == ["Aliased stable", "Withdrawn 1.0.0"]
    [aliased, _] = engine.workflows.history("order")[2:]
    number = engine.core.registered.names.store.look([], 0).position
    assert number - aliased.number == 1
    assert (engine.workflows.published(), engine.workflows.aliases()) == ({}, {})
    assert engine.publish(order(timeout=5)) == "order@1.0.0"


def test_what_older_versions_have_kept_counts_and_is_carried_over_once(
    engine: Engine, server: Server, prefix: str
) -> None:
    definition = keep_as_older_versions_did(engine, order())
    engine.core.directory.set_alias("order@stable", {"version": "1.0.0"})
    settings = Settings(url=server.url, prefix=prefix)

    def told() -> list[str]:
        findings = diagnose(engine, settings).findings
        return [x.what[:20] for x in findings if x.code == "catalog"]

    assert engine.plan("order@stable").hash == definition
    assert engine.workflows.published().keys() == {"order@1.0.0"}
    assert told() == ["1 workflows of an ol"]
    with pytest.raises(VersionExists):
        engine.publish(order(timeout=5))
    assert types(engine) == ["Registered 1.0.0", "Aliased stable"]
    assert {x.actor for x in engine.workflows.history("order")} == {"upgrade"}
    assert told() == []
    assert engine.plan("order@stable").hash == definition
    assert engine.repair() == []


def test_a_workflow_is_found_by_its_name_in_one_round_trip(
    engine: Engine, server: Server, prefix: str, tmp_path: Path
) -> None:
    engine.publish(order(), alias="stable")
    proxy = StirringProxy(server.directory / "s.sock", tmp_path / "p.sock")
    try:
        with Engine.connect(proxy.url, components=(), prefix=prefix) as other:
            document = other.workflows.document("order@stable")
            proxy.requests = 0
            assert other.workflows.document("order@stable") == document
            assert proxy.requests == 1
    finally:
        proxy.close()


def test_a_repair_that_died_behind_the_events_goes_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_as_older_versions_did(engine, order())

    def gone(*_: Any) -> None:
        raise StoreUnavailable("the test says so", "the connection is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Directory, "forget_workflows", gone)
        with pytest.raises(StoreUnavailable):
            engine.repair()
    assert engine.plan("order").version == "1.0.0"
    assert [(x.run, x.done) for x in engine.repair()] == [("order", True)]
    assert types(engine) == ["Registered 1.0.0"]
    assert engine.repair() == []


def test_versions_are_compared_and_the_open_runs_of_the_older_one_counted(
    engine: Engine,
) -> None:
    engine.publish(order(inputs={"n": {"type": "integer"}}, output="{{ inputs.n }}"))
    steps = [
        {"id": "take", "sleep": 60},
        {"id": "tell", "sleep": 1},
    ]
    engine.publish(
        order("2.0.0", inputs={"n": {"type": "string"}}, steps=steps, timeout=9)
    )
    run = engine.start("order@1.0.0", {"n": 1})
    diff = engine.workflows.diff("order@1.0.0", "order@^2")
    assert (diff.added, diff.removed, diff.open_runs) == (("tell",), (), 1)
    [changed] = diff.changed
    [field] = changed.changes
    assert (changed.step, field.path, field.one, field.other) == (
        "take",
        "sleep",
        3600,
        60,
    )
    assert [x.path for x in diff.inputs] == ["n.type"]
    assert [(x.path, x.missing) for x in diff.outputs] == [("output", "other")]
    assert [x.path for x in diff.settings] == ["timeout"]
    [edge] = diff.connections.added
    assert (edge.source, edge.target) == ("take", "tell")
    assert engine.workflows.diff("order@2.0.0", "order").same
    engine.cancel(run)
    assert engine.workflows.diff("order@1.0.0", "order").open_runs == 0
