"""Nothing that an encrypted run was given is found anywhere once its key is destroyed, whatever became of the run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.event import Event
from eventstore.redis.emissions import Emissions
from executor.encryption import make_key
from executor.errors import RunSealed
from openagents_json.engine import Engine, Fix, HealRequest, RunFilter
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import pack
from openagents_json.engine.errors import InvalidHeal
from tests.acceptance.processes import openagents
from tests.conftest import Server, wait_for
from tests.integration.ledger.test_erased_files import logs
from tests.integration.secrecy.canaries import one, tools
from tests.integration.secrecy.encrypted import places_of

KEY = make_key(secrets.token_bytes)
CANARY = "canary-zq7731"
"""Stands in all values that somebody gives to a run, and in what its components return and show."""


ECHO = {"component": "echo", "inputs": {"x": "{{input.x}}"}}
FAILS = {"component": "breaks", "inputs": {"x": "{{input.x}}"}}
PICKY = {"component": "picky", "inputs": {"color": "{{input.x}}"}}
KID: dict[str, Any] = {
    "id": "kid",
    "inputs": {
        "x": {"type": "any"},
        "n": {"type": "string", "pattern": "^[0-9]*$", "default": "1"},
    },
    "steps": [{"id": "k", **ECHO}],
    "output": "{{k.output}}",
}


WELL = [
    one(
        "all-kinds",
        ECHO,
        {
            "component": "shaky",
            "inputs": {"x": "{{input.x}}"},
            "retry": {"delay_seconds": 0.01},
        },
        {"component": "echo", "foreach": "{{input.xs}}", "inputs": {"x": "{{item}}"}},
        {"loop": {"max_iterations": 2, "steps": [{"id": "again", **ECHO}]}},
        {
            "foreach": "{{input.xs}}",
            "steps": [
                {"id": "inner", "component": "echo", "inputs": {"x": "{{item}}"}}
            ],
        },
        {"sleep": 0.01},
        {"workflow": "kid", "inputs": {"x": "{{input.x}}"}},
        {**ECHO, "condition": "{{input.x == 'another'}}"},
        {**ECHO, "outputs": {"mine": "{{output}}", "workflow.total": "{{output}}"}},
        {"wait_for": {"signal": "go"}},
        outputs={"total": {"type": "any"}},
        output="{{input.x}}",
    ),
    one(
        "ends-well",
        {"terminate": {"status": "success", "output": {"said": "{{input.x}}"}}},
    ),
    one("in-batches", ECHO, ECHO, persistence="checkpoint", output="{{s1.output}}"),
    one("goes-to", {**FAILS, "on_error": [{"then": {"goto": "s1"}}]}, ECHO),
    one("async", {"component": "later", "inputs": {"x": "{{input.x}}"}}),
    one(
        "goes-on",
        {**FAILS, "on_error": [{"then": "continue", "output": "{{input.x}}"}]},
        ECHO,
    ),
]
BADLY = [
    one("broken", ECHO, FAILS),
    one(
        "undone",
        {**ECHO, "compensate": ECHO},
        FAILS,
        on_failure=[{"id": "tell", **ECHO}],
    ),
    one("no-member", {"component": "echo", "inputs": {"x": "{{input.o[input.x]}}"}}),
    one("no-number", {"component": "echo", "inputs": {"x": "{{input.x + 1}}"}}),
    one("names", {"component": "echo", "inputs": {"x": "{{input.keyed.other}}"}}),
    one("no-time", {"sleep": "{{input.x}}"}),
    one("no-list", {**ECHO, "foreach": "{{input.x}}"}),
    one("no-color", {"component": "picky", "inputs": {"color": "{{input.x}}"}}),
    one(
        "no-int", {"component": "picky", "inputs": {"color": "red", "n": "{{input.x}}"}}
    ),
    one("no-json", {"component": "sloppy", "inputs": {"x": "{{input.x}}"}}),
    one("ends-badly", {"terminate": {"status": "failure", "output": "{{input.x}}"}}),
    one(
        "ends-worse",
        {"terminate": {"status": "failure", "output": {"said": "{{input.x}}"}}},
    ),
    one(
        "item",
        {
            "component": "picky",
            "foreach": "{{input.xs}}",
            "inputs": {"color": "{{item}}"},
        },
    ),
    one(
        "bad-kid",
        {"workflow": "kid", "inputs": {"x": "{{input.x}}", "n": "{{input.x}}"}},
    ),
    one("odd-kid", {"workflow": "odd", "inputs": {"x": "{{input.x}}"}}),
    one("no-moment", {"sleep": {"until": "{{input.x}}"}}),
    one("undo-fails", {**ECHO, "compensate": PICKY}, FAILS),
    one("tell-fails", FAILS, on_failure=[{"id": "tell", **PICKY}]),
    one("no-condition", {**ECHO, "condition": "{{input.o[input.x]}}"}),
    one("no-outputs", {**ECHO, "outputs": {"mine": "{{input.o[input.x]}}"}}),
    one(
        "no-loop",
        {
            "loop": {
                "max_iterations": 2,
                "while": "{{input.o[input.x]}}",
                "steps": [{"id": "in", **ECHO}],
            }
        },
    ),
    one(
        "no-way-on",
        {**FAILS, "on_error": [{"then": "continue", "output": "{{input.o[input.x]}}"}]},
    ),
    one(
        "no-filter",
        {"component": "echo", "inputs": {"x": "{{input.x | int(default=none) + 1}}"}},
    ),
    one("no-method", {"component": "echo", "inputs": {"x": "{{input.x.index('zz')}}"}}),
    one("no-key", ECHO, output="{{input.keyed[input.keyed]}}"),
    one(
        "in-block",
        {
            "foreach": "{{input.xs}}",
            "steps": [{"id": "inner", **PICKY, "inputs": {"color": "{{item}}"}}],
        },
    ),
    one(
        "late",
        {"component": "echo", "inputs": {"x": "{{input.x}}"}, "timeout": 5},
        output="{{s0.output.none}}",
    ),
]
ODD: dict[str, Any] = {
    "id": "odd",
    "inputs": {"x": {"type": "any"}},
    "steps": [{"id": "k", "terminate": {"status": "failure", "output": "{{input.x}}"}}],
}
LONG = [CANARY] * 5000
"""So much that it lies beside the log."""

INPUTS = {
    "x": CANARY,
    "xs": [CANARY, {"a": CANARY}],
    "o": {},
    "keyed": {CANARY: CANARY},
}


@pytest.fixture
def engine(private_server: Server) -> Iterator[Engine]:
    with opening(private_server, KEY) as opened:
        opened.publish(KID)
        opened.publish(ODD)
        yield opened


def opening(server: Server, *keys: str, workers: int = 4) -> Engine:
    given: dict[str, Any] = {
        "components": tools(),
        "workers": workers,
        "partitions": 4,
        "broker": None,
    }
    return Engine.connect(server.url, encryption_keys=keys, **given)


def kids_of(engine: Engine, runs: list[str]) -> list[str]:
    """Return the child runs that have begun."""
    named = [child for run in runs for child in engine.state(run).children.values()]
    return [
        run
        for run, status in zip(named, engine.core.store.statuses(named), strict=True)
        if status
    ]


def ran(engine: Engine) -> list[str]:
    """Let runs of all kinds come to all kinds of ends, steered in all ways."""
    many = [engine.start(document, INPUTS) for document in (*WELL, *BADLY)]
    engine.pause(many[0])
    engine.resume(many[0])
    engine.signal(many[0], "go", {"said": CANARY})
    ends = [engine.wait(run, timeout=60).status for run in many]
    assert ends == ["completed"] * len(WELL) + ["failed"] * len(BADLY)
    broken, waits = (
        many[len(WELL)],
        engine.start(one("waits", {"wait_for": "go"}), INPUTS),
    )
    engine.cancel(waits)
    engine.wait(waits, timeout=60)
    steered = [engine.run(BADLY[0], INPUTS, timeout=60).id for _ in range(3)]
    engine.retry(steered[0], inputs={**INPUTS, "x": f"{CANARY}-again"})
    engine.replay.complete(steered[1], "s1", {"by hand": CANARY})
    engine.replay.skip(steered[2], "s1")
    for run in steered:
        engine.wait(run, timeout=60)
    engine.replay.replay(many[1])
    fork = engine.replay.fork(broken, 2, inputs={**INPUTS, "x": f"{CANARY}-fork"})
    for run in (many[1], fork):
        engine.wait(run, timeout=60)
    ending = [*WELL[1:2], *BADLY[10:12]]
    large = [
        engine.run(document, {"x": x}, timeout=60).id
        for document in ending
        for x in (LONG, "".join(LONG))
    ]
    return [*many, waits, *steered, fork, *large]


def test_what_an_encrypted_run_was_given_is_nowhere_after_it_is_shredded(
    engine: Engine, private_server: Server, tmp_path: Path
) -> None:
    runs = ran(engine)
    everybody = [*runs, *kids_of(engine, runs)]
    assert CANARY in repr([engine.state(run) for run in everybody])
    assert {
        path for path in places_of(engine, CANARY) if ":emit:" not in path
    } == set()  # emissions are for an hour
    archived = everybody.pop(0)
    gone = engine.archive.leave(archived, Departure(str(tmp_path)))
    capsules = [pack(engine.core, run, actor="t", proofs=None) for run in everybody]
    assert CANARY.encode() not in Path(gone.url).read_bytes() + b"".join(capsules)
    engine.archive.restore(archived)
    everybody.append(archived)
    for run in everybody:
        assert engine.shred(run, wait_seconds=0)
    assert engine.shred(everybody[0], wait_seconds=60).log == "done"
    assert CANARY not in repr([engine.state(run) for run in everybody])
    assert CANARY not in repr([engine.history(run) for run in everybody])
    assert places_of(engine, CANARY) == set()
    assert CANARY.encode() not in logs(private_server.directory)


def test_who_has_the_key_reads_what_the_engine_says_and_others_read_what_kind_of_failure_it_is(
    engine: Engine, private_server: Server
) -> None:
    run = engine.run(one("no-time", {"sleep": "{{input.x}}"}), INPUTS, timeout=60).id
    ended = engine.run(BADLY[10], {"x": LONG}, timeout=60)
    assert CANARY in engine.state(run).error["message"]  # type: ignore[index]
    assert (ended.error["output"], ended.error["type"]) == (LONG, "Terminated")  # type: ignore[index]
    assert CANARY in repr(engine.explain(run))
    [failure] = [row for row in engine.views.failures() if row.workflow == "no-time"]
    assert (failure.step, failure.type, failure.message) == (
        "s0",
        "InvalidTime",
        "(encrypted)",
    )
    engine.shred(run)
    with opening(private_server, workers=0) as other:
        assert other.state(run).error == {
            "type": "InvalidTime",
            "message": "(encrypted)",
            "retryable": False,
        }


def test_what_a_step_shows_after_its_run_was_erased_is_not_kept(engine: Engine) -> None:
    shown, erased = [engine.run(BADLY[0], INPUTS, timeout=60).id for _ in range(2)]
    engine.shred(erased)
    engine.archive.hold(erased, "a note behind it")
    emissions = Emissions(engine.core.connection, engine.core.store)
    for run in (erased, shown):
        emissions.emit(run, "s0", 1, {"late": CANARY})
    wait_for(
        lambda: any(item.value == {"late": CANARY} for item in engine.emitted(shown))
    )
    assert engine.emitted(erased) == []
    engine.archive.release(erased)


MOCK = f"{CANARY}-mock"


def healed(engine: Engine, *, dry: bool = False) -> str:
    """Test a fix, which comes with values, and heal what it mends."""
    chosen = RunFilter(workflow=("no-color",))
    fix = Fix(None, {"x": "red", "keyed": {"said": CANARY}}, {"s0": MOCK})
    report = engine.heal.backtest(engine.heal.begin(HealRequest(chosen, fix)).id, ())
    return report.id if dry else engine.heal.go_on(report.id).id


@pytest.mark.parametrize("keys", [(KEY,), ()])
def test_the_report_of_a_heal_tells_its_values_until_it_is_redacted(
    private_server: Server, keys: tuple[str, ...]
) -> None:
    with opening(private_server, *keys) as engine:
        run = engine.run(BADLY[7], {**INPUTS, "keyed": 0}, timeout=60).id
        lost = one(
            "no-color", {"component": "echo", "inputs": {"x": "{{input.o[input.x].y}}"}}
        )
        other = engine.run(lost, {**INPUTS, "o": {"red": 1}}, timeout=60)
        heals = healed(engine), healed(engine, dry=True)
        report = engine.heal.report(heals[0])
        assert (report.request["mocks"], report.request["fix"]["inputs"]["x"]) == (
            {"s0": MOCK},
            "red",
        )
        assert (report.status, set(report.healed)) == ("closed", {run})
        assert engine.wait(run, timeout=60).ok
        paths = places_of(engine, CANARY)
        assert not any("heal-" in path for path in paths), paths
        for heal in heals:
            assert engine.heal.redact(heal, "asked for", wait_seconds=60).log == "done"
            assert not engine.heal.redact(heal)
        erased = engine.heal.report(heals[0])
        assert (erased.request["mocks"], erased.request["fix"]["inputs"]) == (
            None,
            None,
        )
        assert (erased.status, erased.healed) == ("closed", report.healed)
        with pytest.raises(
            InvalidHeal, match="were erased, so nobody can go on with it"
        ):
            engine.heal.go_on(heals[1])
        for each in (run, other.id):
            assert engine.shred(each) if keys else engine.redact(each).events
        assert places_of(engine, CANARY) == set()
        assert CANARY.encode() not in logs(private_server.directory)
        assert engine.doctor() == []


def test_a_report_of_an_earlier_version_is_gone_on_with_and_cannot_be_redacted(
    engine: Engine,
) -> None:
    run = engine.run(BADLY[7], INPUTS, timeout=60).id
    fix = {"definition": "", "workflow": "", "version": "", "inputs": {"x": "red"}}
    request = {
        "where": {"workflow": ["no-color"]},
        "fix": fix,
        "mocks": {"s0": "red"},
        "waves": ["100%"],
        "stop": "1",
    }
    engine.events.append(
        "heal-old", [Event("HealStarted", {**request, "limit": 10, "reason": ""})]
    )
    assert engine.heal.backtest("heal-old", ()).counts["fixed"] == 1
    assert set(engine.heal.go_on("heal-old").healed) == {run}
    with pytest.raises(
        InvalidHeal, match="earlier version: its values lie in the log, where they stay"
    ):
        engine.heal.redact("heal-old")


def test_who_has_not_the_key_of_a_report_does_not_go_on_with_it(
    engine: Engine, private_server: Server
) -> None:
    run = engine.run(BADLY[7], INPUTS, timeout=60).id
    heal = healed(engine, dry=True)
    with opening(private_server, workers=0) as blind:
        assert blind.heal.report(heal).unread
        with pytest.raises(RunSealed, match=heal):
            blind.heal.go_on(heal)
    engine.core.keyring.rotate()
    assert engine.heal.go_on(heal).healed.get(run)


def test_commands_name_reports_and_redact_them(
    engine: Engine, private_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = engine.run(BADLY[7], INPUTS, timeout=60).id
    heal = healed(engine)
    engine.wait(run, timeout=60)
    monkeypatch.setenv("OPENAGENTS_ENCRYPTION_KEYS", KEY)
    monkeypatch.setenv("OPENAGENTS_URL", private_server.url)
    shredded = openagents("runs", "shred", run, "--yes")
    assert (shredded.stdout, f"redact that as well: {heal}" in shredded.stderr) == (
        f"{run} is shredded\n",
        True,
    )
    assert (
        "erased as a whole" in openagents("runs", "redact", heal, "--step", "s0").stderr
    )
    redacted = json.loads(
        openagents(
            *("runs", "redact", heal, "--reason", "asked for", "--json", "--yes")
        ).stdout
    )
    assert redacted == {"id": heal, "changed": True, "log": "done"}
    assert (
        openagents("runs", "shred", heal, "--yes").stdout
        == f"{heal}: its values were already erased\n"
    )
    assert CANARY not in openagents("runs", "history", heal, "--json").stdout
    assert openagents("runs", "redact", "heal-none").returncode == 6
