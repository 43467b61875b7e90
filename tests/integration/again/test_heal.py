"""Healing classes of failed runs: verdicts of the backtest, and waves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, HealReport, HealRequest, RunFilter
from openagents_json.engine.errors import HealNotFound, InvalidHeal
from tests.conftest import Server
from tests.integration.again.failures import (
    ORDERS,
    TEMPTATIONS,
    Failed,
    document,
    mend,
    tried,
)


def noting() -> dict[str, Any]:
    return {
        "id": "note",
        "component": "note",
        "inputs": {"text": "{{book.output}}", "folder": "{{input.folder}}"},
    }


def only(report: HealReport) -> tuple[str, str]:
    [verdict] = report.verdicts.values()
    return verdict.verdict, verdict.reason


def test_mended_components_heal_what_the_backtest_proves_and_nothing_else(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    good, bad = fail(document(), 1, 3, 5), fail(document(), -2)
    before = {run: engine.history(run) for run in (*good, *bad)}
    assert tried(engine).counts == {
        "fixed": 0,
        "still failing": 4,
        "would diverge": 0,
        "unproven": 0,
    }
    mend(tmp_path)
    report = tried(engine)
    assert report.counts == {
        "fixed": 3,
        "still failing": 1,
        "would diverge": 0,
        "unproven": 0,
    }
    failing = report.verdicts[bad[0]]
    assert (failing.step, (failing.error or {})["message"]) == (
        "book",
        "-200 cents cannot be booked",
    )
    assert (
        failing.fingerprint
        == engine.views.runs(RunFilter(status=("failed",))).items[0].fingerprint
    )
    one = report.verdicts[good[0]]
    assert (one.version, list(one.again), list(one.reused)) == (
        len(before[good[0]]),
        ["book"],
        ["price"],
    )
    assert {run: engine.history(run) for run in before} == before
    done = engine.heal.go_on(report.id)
    assert (done.status, done.well, dict(done.ended)) == (
        "closed",
        True,
        {"completed": 3, "failed": 0, "cancelled": 0},
    )
    assert [len(wave.runs) for wave in done.waves] == [1, 2]
    assert engine.state(bad[0]).status == "failed"
    for run in good:
        [opened] = [e for e in engine.history(run) if e.type == "RunReopened"]
        assert (opened.cause, opened.data["reason"]) == (
            report.id,
            f"healed by {report.id}",
        )
        assert opened.version == done.healed[run]
        assert f"healed by {report.id}" in "\n".join(engine.explain(run).lines())
        assert engine.state(run).status == "completed"
    again = engine.heal.go_on(report.id)
    assert again == done
    assert engine.heal.report(report.id) == done


def test_another_version_heals_and_its_definition_is_there_for_whoever_goes_on(
    engine: Engine, server: Server, fail: Failed
) -> None:
    [run] = fail(document(), 1)
    mended = document(version="1.1.0")
    mended["steps"][1] = {
        "id": "book",
        "component": "fine",
        "inputs": {"x": "{{price.output}}"},
    }
    mended["output"] = "{{book.output.x}}"
    report = tried(engine, plan=engine.plan(mended))
    assert only(report) == ("fixed", "")
    with Engine.connect(server.url, prefix=engine.core.store.keys.prefix) as other:
        assert other.heal.go_on(report.id).well
    assert (engine.wait(run).output, engine.replay.state_at(run).workflow) == (
        100,
        "order",
    )
    assert engine.views.runs(RunFilter(version=("1.1.0",))).items[0].id == run


def test_edited_inputs_heal_where_what_completed_stays_the_same(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    [run] = fail(document(), 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mend(elsewhere)
    verdict, reason = only(tried(engine, edits={"x": 2}))
    assert (verdict, reason) == (
        "would diverge",
        "step price returns something else under the fix than it did on record",
    )
    assert only(tried(engine, edits={"x.part": 2}))[0] == "unproven"
    assert only(tried(engine, edits={"x": "two"}))[0] == "unproven"
    report = tried(engine, edits={"folder": str(elsewhere)})
    assert only(report) == ("fixed", "")
    assert engine.heal.go_on(report.id).well
    assert engine.state(run).inputs["folder"] == str(elsewhere)


def test_a_version_that_drops_or_changes_what_completed_would_diverge(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    fail(document(), 1)
    mend(tmp_path)
    smaller = document(version="2.0.0")
    del smaller["steps"][0]
    smaller["steps"][0]["inputs"]["cents"] = 1
    assert only(tried(engine, plan=engine.plan(smaller))) == (
        "would diverge",
        "step price completed on record, and has no place under the fix",
    )
    skipping = document(version="2.1.0")
    skipping["steps"][0]["condition"] = "input.x > 5"
    skipping["steps"][1]["inputs"]["cents"] = 1
    report = tried(engine, plan=engine.plan(skipping))
    assert only(report) == (
        "would diverge",
        "step price completed on record, and is skipped under the fix",
    )
    assert not engine.heal.go_on(report.id).well
    assert only(tried(engine, plan=engine.plan(document(id="other"))))[0] == "unproven"


def test_what_has_effects_is_never_run_and_can_be_mocked(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    [run] = fail(document(noting()), 1)
    mend(tmp_path)
    verdict, reason = only(tried(engine))
    assert verdict == "unproven"
    assert reason == (
        "step note: its effect is at_most_once, so it is not run to find out; --mock 'note=JSON' says what it returns"
    )
    report = tried(engine, mocks={"note": "noted"})
    assert only(report) == ("fixed", "")
    assert list(report.verdicts[run].mocked) == ["note"]
    assert not (tmp_path / "notes").exists()
    assert engine.heal.go_on(report.id).well
    assert (tmp_path / "notes").read_text() == f"{run}\n"


@pytest.mark.parametrize(
    ("component", "inputs", "why"),
    [
        (
            "writes",
            {"how": "open", "path": "{{input.folder}}/new"},
            "the sandbox does not allow writing",
        ),
        ("hides", {"port": 9}, "the sandbox does not allow socket."),
        ("leaves", {"code": 3}, "it ended its process (exit code 3)"),
        ("hangs", {}, "it takes longer than 0.5 s"),
        ("fine", {"x": "{{secrets.NAME}}"}, "it needs secrets"),
    ],
)
def test_a_step_with_an_effect_that_nobody_declared_leaves_a_run_unproven(
    engine: Engine,
    fail: Failed,
    tmp_path: Path,
    component: str,
    inputs: dict[str, Any],
    why: str,
) -> None:
    fail(document({"id": "then", "component": component, "inputs": inputs}), 1)
    mend(tmp_path)
    verdict, reason = only(tried(engine, limit_ms=500))
    assert (verdict, reason.startswith(f"step then: {why}")) == ("unproven", True), (
        reason
    )
    assert not (tmp_path / "new").exists()


def test_waits_and_other_runs_need_mocks_and_sleeps_do_not(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    engine.publish({"id": "child", "steps": [{"id": "s", "sleep": 0}]})
    rest = (
        {"id": "nap", "sleep": 86_400},
        {
            "id": "each",
            "foreach": "{{[1, 2]}}",
            "component": "price",
            "inputs": {"x": "{{item}}"},
        },
        {"id": "ok", "wait_for": {"signal": "go", "timeout": 100}},
        {"id": "kid", "workflow": "child"},
    )
    fail(document(*rest, output="{{kid.output}} {{ok.output}} {{each.output}}"), 1)
    mend(tmp_path)
    verdicts = [
        only(tried(engine, mocks=mocks))
        for mocks in ({}, {"ok": "yes"}, {"ok": "yes", "kid": 1})
    ]
    assert [verdict for verdict, _ in verdicts] == ["unproven", "unproven", "fixed"]
    assert "step ok: it waits for a signal" in verdicts[0][1]
    assert "step kid: it starts another run" in verdicts[1][1]
    limited = document(*rest[:1], timeout=60, version="1.0.1")
    assert only(tried(engine, plan=engine.plan(limited)))[0] == "still failing"


def test_retries_run_as_they_would_and_a_hang_is_a_time_out(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    flaky = {
        "id": "slow",
        "component": "hangs",
        "timeout": 0.2,
        "retry": {"max_retries": 1, "delay_seconds": 60},
    }
    fail(document(flaky), 1)
    mend(tmp_path)
    verdict, reason = only(tried(engine))
    assert (verdict, reason) == (
        "still failing",
        "step slow: TimeoutError: step slow: start_to_close limit of 0.2 s is over",
    )


def test_what_makes_no_sense_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidHeal, match="hardly one class"):
        engine.heal.begin(HealRequest(RunFilter()))
    with pytest.raises(InvalidHeal, match="waves"):
        engine.heal.begin(HealRequest(ORDERS, waves="none"))
    for name in ("heal-none", "0-run"):
        with pytest.raises(HealNotFound):
            engine.heal.report(name)
    begun = engine.heal.begin(HealRequest(ORDERS))
    with pytest.raises(InvalidHeal, match="not complete"):
        engine.heal.go_on(begun.id)
    nothing = engine.heal.backtest(begun.id, [])
    assert engine.heal.go_on(nothing.id).well


def test_the_directory_of_an_embedded_store_is_a_secret_wherever_it_is(
    tmp_path: Path,
) -> None:
    read = {"id": "read", "component": "reads", "inputs": {"path": "{{input.path}}"}}
    document = {"id": "order", "inputs": {"path": {"type": "string"}}, "steps": [read]}
    with Engine.embedded(
        tmp_path / "store", components=load([TEMPTATIONS]), workers=1, partitions=1
    ) as engine:
        assert not engine.run(document, {"path": "nowhere"}, timeout=120).ok
        verdict, reason = only(
            tried(engine, edits={"path": str(tmp_path / "store" / "server.conf")})
        )
    assert (verdict, "where secrets are" in reason) == ("unproven", True)
