"""The catalog of components: events in a log of its own, and what is found by them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.keys import CATALOG
from eventstore.redis.coordination.catalog import STREAM
from openagents_json.catalog.errors import (
    EntryUnreadable,
    SpecDiffers,
    UnknownEntry,
)
from openagents_json.engine import Engine, Settings
from openagents_json.engine.cataloging.catalog import CatalogFilter
from openagents_json.engine.diagnosis.doctor import diagnose
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess


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


def spec(name: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, **more}


def behind(engine: Engine) -> int:
    """Return how many events the view of the catalog is behind its log."""
    return next(x.lag for x in engine.projections.status() if x.name == "catalog")


def names(engine: Engine, **criteria: Any) -> list[str]:
    return [row.name for row in engine.catalog.search(CatalogFilter(**criteria)).items]


def test_what_is_registered_is_bound_by_range(engine: Engine) -> None:
    versions = ("1.0.0", "1.2.0", "2.0.0")
    engine.catalog.register(
        [spec("pay", version, queue=f"v{version[0]}") for version in versions]
    )
    document = {"id": "w", "steps": [{"id": "a", "component": "pay@^1"}]}
    bound = engine.plan(document).definition["bindings"]["a"]
    assert (bound["version"], bound["queue"]) == ("1.2.0", "v1")
    engine.catalog.withdraw("pay", "1.2.0", reason="wrong")
    latest = engine.catalog.find("pay@^1")
    assert latest is not None
    assert latest.version == "1.0.0"
    assert engine.catalog.find("pay@^3") is None


def test_who_writes_a_document_is_told_of_what_is_deprecated(engine: Engine) -> None:
    engine.catalog.register([spec("pay"), spec("pay", "2.0.0"), spec("charge")])
    engine.catalog.deprecate("pay", "1.0.0", reason="slow", instead="charge@1")
    old = {"id": "w", "steps": [{"id": "a", "component": "pay@^1"}]}
    [problem] = engine.validate(old).problems
    assert (problem.code, problem.severity) == ("deprecated_component", "warning")
    assert "slow" in problem.message
    assert problem.expected == "charge@1"
    newer = {"id": "w", "steps": [{"id": "a", "component": "pay@^2"}]}
    assert engine.validate(newer).problems == ()


def test_what_a_published_workflow_gives_is_compared_with_what_is_taken(
    engine: Engine,
) -> None:
    taken = {"name": "n", "type": "integer"}
    engine.catalog.register(
        [spec("text", output="string"), spec("add", inputs=[taken])]
    )
    child = {"id": "child", "steps": [{"id": "a", "component": "text"}]}
    engine.publish({**child, "output": {"text": "{{a.output}}"}})
    steps: list[dict[str, Any]] = [
        {"id": "c", "workflow": "child"},
        {"id": "s", "component": "add", "inputs": {"n": "{{c.output.text}}"}},
    ]
    [problem] = engine.validate({"id": "w", "steps": steps}).problems
    assert (problem.code, problem.severity) == ("cannot_fit", "warning")
    engine.publish({**child, "version": "2.0.0", "output": {"text": 1}})
    assert engine.validate({"id": "w", "steps": steps}).problems == ()
    steps[0]["workflow"] = "child@^1"
    assert len(engine.validate({"id": "w", "steps": steps}).problems) == 1


def test_its_history_says_what_who_and_why_and_its_past_is_asked_for(
    engine: Engine,
) -> None:
    engine.catalog.register(spec("pay"), reason="first")
    engine.catalog.deprecate("pay", reason="slow", instead="charge")
    first, second = engine.catalog.history("pay")
    told = (first.type, first.version, first.actor, first.reason)
    assert told == ("ComponentRegistered", "1.0.0", "ann", "first")
    assert (second.type, second.reason) == ("ComponentDeprecated", "slow")
    assert engine.catalog.show("pay").status == "deprecated"
    before = engine.catalog.show("pay", as_of_ms=first.time_ms)
    is_later = second.time_ms > first.time_ms
    assert before.status == ("active" if is_later else "deprecated")
    with pytest.raises(UnknownEntry):
        engine.catalog.show("pay", as_of_ms=first.time_ms - 1)
    assert engine.catalog.as_of(first.time_ms - 1) == []
    assert [row.name for row in engine.catalog.as_of(second.time_ms)] == ["pay"]


def test_who_acts_in_the_name_of_another_stands_in_the_history(engine: Engine) -> None:
    engine.catalog.register(spec("pay"))
    engine.acting_as("key:eve").catalog.deprecate("pay", reason="slow")
    actors = [change.actor for change in engine.catalog.history("pay")]
    assert actors == ["ann", "key:eve"]


def test_the_view_is_rebuilt_and_verified_as_every_other(engine: Engine) -> None:
    engine.catalog.register([spec(f"c{n}", tags=["x"]) for n in range(5)])
    assert len(names(engine, tags=("x",))) == 5
    assert engine.projections.verify("catalog") == []
    engine.projections.rebuild("catalog")
    assert engine.projections.finish_rebuild("catalog")
    assert len(names(engine, tags=("x",))) == 5
    assert engine.projections.verify("catalog") == []
    assert engine.doctor() == []


def test_names_are_found_by_what_they_are_like_the_best_first(engine: Engine) -> None:
    engine.catalog.register(
        [
            spec("text.summarize", description="Makes it short", tags=["text"]),
            spec("summaries.list", description="Lists", queue="io"),
            spec("report", description="Sends a summary", tags=["text", "mail"]),
            spec("clerk.file", kind="agent", inputs=[{"name": "a", "type": "object"}]),
        ]
    )
    assert names(engine, text="summarize") == ["text.summarize"]
    assert names(engine, text="summar")[-1] == "report"
    assert set(names(engine, text="summ")) == {
        "text.summarize",
        "summaries.list",
        "report",
    }
    assert set(names(engine, tags=("text",))) == {"text.summarize", "report"}
    assert names(engine, tags=("text", "mail")) == ["report"]
    assert names(engine, worker_type="io") == ["summaries.list"]
    assert names(engine, agent="clerk", capability="file") == ["clerk.file"]
    assert names(engine, takes="object", parameter="a") == ["clerk.file"]
    assert names(engine, text="nothing") == []
    engine.catalog.withdraw("report", reason="gone")
    assert names(engine, tags=("mail",)) == []
    assert names(engine, status="withdrawn") == ["report"]


def test_pages_do_not_shift_while_others_register(engine: Engine) -> None:
    engine.catalog.register([spec(f"c.n{n}", description="thing") for n in range(7)])
    chosen = CatalogFilter(text="thing")
    first = engine.catalog.search(chosen, limit=3)
    engine.catalog.register(spec("c.late", description="thing"))
    second = engine.catalog.search(chosen, limit=3, after=first.next)
    third = engine.catalog.search(chosen, limit=3, after=second.next)
    pages = [row.name for page in (first, second, third) for row in page.items]
    assert sorted(pages) == [f"c.n{n}" for n in range(7)]
    assert third.next == ""
    listed, behind = engine.catalog.page("c.n", limit=5)
    rest, end = engine.catalog.page("c.n", limit=5, after=behind)
    assert [row.name for row in (*listed, *rest)] == [f"c.n{n}" for n in range(7)]
    assert end == ""


def test_what_is_cached_follows_the_log_of_the_catalog(
    engine: Engine, server: Server, prefix: str
) -> None:
    clock = engine.core.registered.names
    with opened(server, prefix, "ben") as other:
        assert engine.catalog.find("pay") is None
        other.catalog.register(spec("pay"))
        assert other.catalog.find("pay") is not None
        clock.fresh_until = 0.0  # as if the time were over for which a look counts
        assert engine.catalog.find("pay") is not None
        other.catalog.withdraw("pay", reason="gone")
        assert other.catalog.find("pay") is None
        clock.fresh_until = 0.0
        assert engine.catalog.find("pay") is None
        engine.catalog.register(spec("own"))
        assert engine.catalog.find("own") is not None
        other.catalog.withdraw("own", reason="gone")
        clock.fresh_until = 0.0
        assert engine.catalog.find("pay") is None  # a look at one tells of all
        assert engine.catalog.find("own") is None


REGISTERS = """
import json, sys
from openagents_json.engine import Engine
url, prefix, me = sys.argv[1:]
with Engine.connect(url, components=(), prefix=prefix, actor=me) as engine:
    print("ready", flush=True)
    sys.stdin.readline()
    specs = [{"name": f"c{n}", "version": "1.0.0", "description": me} for n in range(20)]
    results = engine.catalog.register_all(specs)
print(json.dumps([[x.name, x.outcome, str(x.error or "")] for x in results]))
"""


def test_of_eight_processes_one_registers_each_version_and_the_others_are_told_why(
    engine: Engine, server: Server, prefix: str
) -> None:
    processes = [
        ForkedProcess(
            [sys.executable, "-c", REGISTERS, server.url, prefix, f"p{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        answers.append(json.loads(out))
    for number in range(20):
        outcomes = [answer[number][1] for answer in answers]
        assert sorted(set(outcomes)) == ["refused", "registered"]
        assert outcomes.count("registered") == 1
        winner = f"p{outcomes.index('registered')}"
        complaint = next(a[number][2] for a in answers if a[number][1] == "refused")
        assert f"description is '{winner}' in the catalog" in complaint
        [event] = engine.catalog.history(f"c{number}")
        assert event.actor == winner
    assert engine.projections.verify("catalog") == []


def test_a_change_whose_reply_is_lost_is_not_made_again_over_that_of_another(
    engine: Engine, server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.catalog.register([spec("pay"), spec("pay", "2.0.0"), spec("other")])
    store = engine.core.registered.names.store
    commit = store.commit

    def sent_twice(changes: Any, **who: str) -> Any:
        monkeypatch.setattr(store, "commit", commit)
        commit(changes, **who)
        with opened(server, prefix, "bob") as bob:
            assert bob.catalog.alias("pay", "stable", "2.0.0")
        return commit(changes, **who)

    monkeypatch.setattr(store, "commit", sent_twice)
    assert engine.catalog.alias("pay", "stable", "1.0.0")
    assert engine.catalog.show("pay").aliases == {"stable": {"version": "2.0.0"}}
    aliased = [x.actor for x in engine.catalog.history("pay")][2:]
    assert aliased == ["ann", "bob"]


def test_what_older_versions_have_published_is_told_and_carried_over_once(
    engine: Engine, server: Server, prefix: str
) -> None:
    old = {"pay@1.0.0": {"name": "pay", "version": "1.0.0", "queue": "io"}}
    engine.core.directory.publish(old)
    settings = Settings(url=server.url, prefix=prefix)
    document = {"id": "w", "steps": [{"id": "a", "component": "pay"}]}
    assert engine.plan(document).definition["bindings"]["a"]["queue"] == "io"
    findings = diagnose(engine, settings).findings
    assert [x.what[:28] for x in findings if x.code == "catalog"] == [
        "1 component specs of an olde"
    ]
    assert [(x.run, x.done) for x in engine.repair()] == [("pay@1.0.0", True)]
    [event] = engine.catalog.history("pay")
    assert event.actor == "upgrade"
    assert engine.repair() == []
    assert not [x for x in diagnose(engine, settings).findings if x.code == "catalog"]


def test_a_worker_announces_its_components(server: Server, prefix: str) -> None:
    from openagents_json import Registry

    registry = Registry()
    registry.tool("pay", version="1.0.0", tags=["money"])(lambda amount: amount)
    with Engine.connect(
        server.url, components=registry, workers=1, prefix=prefix, actor="w"
    ) as engine:
        # The worker folds the log of the catalog by itself, before anybody asks for the view.
        wait_for(lambda: behind(engine) == 0)
        assert names(engine, tags=("money",)) == ["pay"]
        shown = engine.catalog.show("pay@^1")
        assert shown.tool("mcp")["inputSchema"]["required"] == ["amount"]
        assert shown.spec["build"] == registry.build("pay")
        with pytest.raises(SpecDiffers):
            engine.catalog.register(spec("pay", queue="other"))


DAMAGES: dict[str, Callable[[Any, bytes, bytes], Any]] = {
    "gone": lambda call, key, name: call(b"HDEL", key, name),
    "garbage": lambda call, key, name: call(b"HSET", key, name, b"garbage"),
    "no entry": lambda call, key, name: call(b"HSET", key, name, b"1@5|{"),
    "another past": lambda call, key, name: call(
        b"HSET", key, name, b'7@5|{"versions":{}}'
    ),
    "nobody's": lambda call, key, name: call(
        b"HSET", key, b"component:ghost", b"1@5|{}"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_name_that_is_not_what_its_events_come_to_is_told_and_written_anew(
    engine: Engine, server: Server, prefix: str, damage: str
) -> None:
    engine.catalog.register([spec("pay"), spec("pay", "2.0.0"), spec("other")])
    engine.catalog.deprecate("pay", "1.0.0", reason="old")
    before = engine.catalog.show("pay"), engine.catalog.history("pay")
    settings = Settings(url=server.url, prefix=prefix)

    def told() -> list[str]:
        findings = diagnose(engine, settings, deep=True).findings
        return [x.what for x in findings if x.code == "catalog"]

    assert told() == []
    key = engine.core.store.keys.catalog()
    DAMAGES[damage](engine.core.connection.command, key, b"component:pay")
    [what] = told()
    if damage in ("garbage", "no entry"):
        with (
            opened(server, prefix, "bob") as bob,
            pytest.raises(EntryUnreadable, match=r"component:pay .* repair the store"),
        ):
            bob.catalog.show("pay")
    name = "component:ghost" if damage == "nobody's" else "component:pay"
    assert what == f"1 names of the catalog are not what their events come to: {name}"
    assert [(x.run, x.done) for x in engine.repair()] == [(name, True)]
    assert told() == []
    assert (engine.catalog.show("pay"), engine.catalog.history("pay")) == before
    with opened(server, prefix, "bob") as bob:
        assert bob.catalog.register([spec("pay", "3.0.0")])
        keys = bob.core.registered.names.all_beginning("component:")
        assert keys == ["component:other", "component:pay"]
    assert told() == []


def test_a_name_of_which_a_later_version_has_written_is_left_as_it_is(
    engine: Engine, server: Server, prefix: str
) -> None:
    engine.catalog.register([spec("pay"), spec("other")])
    stream, head = engine.core.store.keys.of_run(CATALOG, STREAM)
    event = {"t": "ComponentRated", "d": '{"name":"pay"}', "m": 1, "n": 3, "c": "x"}
    fields = [text for pair in {**event, "a": "", "y": ""}.items() for text in pair]
    engine.core.connection.command(b"XADD", stream, b"3-0", *fields)
    engine.core.connection.command(b"HSET", head, b"v", 3)
    names_key, name = engine.core.store.keys.catalog(), b"component:pay"
    positions, _, entry = engine.core.connection.command(
        b"HGET", names_key, name
    ).partition(b"|")
    later = positions + b",3@1|" + entry
    engine.core.connection.command(b"HSET", names_key, name, later)
    assert engine.repair() == []
    assert engine.catalog.show("pay").version == "1.0.0"
    findings = diagnose(engine, Settings(url=server.url, prefix=prefix), deep=True)
    assert not [x for x in findings.findings if x.code == "catalog"]
