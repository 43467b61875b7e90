"""Healing classes of failed runs: verdicts of the backtest, and waves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from executor.worker.runtime import WorkSettings
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, Fix, HealReport, HealWish, RunFilter
from openagents_json.engine.components import queues_of
from openagents_json.engine.errors import HealNotFound, InvalidHeal, WaveUnfinished
from openagents_json.engine.healing.report_store import ReportStore
from openagents_json.engine.healing.waves import Waves
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server

MENDED, TEMPTATIONS = (
    str(COMPONENTS.with_name(name)) for name in ("mended.py", "temptations.py")
)
ORDERS = RunFilter(workflow=("order",))
Failed = Callable[..., list[str]]


def document(
    *more: dict[str, Any], version: str = "1.0.0", **changes: Any
) -> dict[str, Any]:
    return {
        "id": "order",
        "version": version,
        "inputs": {
            "x": {"type": "integer", "required": True},
            "folder": {"type": "string", "required": True},
        },
        "steps": [
            {"id": "price", "component": "price", "inputs": {"x": "{{input.x}}"}},
            {
                "id": "book",
                "component": "book",
                "inputs": {"cents": "{{price.output}}", "folder": "{{input.folder}}"},
            },
            *more,
        ],
        "output": "{{book.output}}",
        **changes,
    }


def noting() -> dict[str, Any]:
    return {
        "id": "note",
        "component": "note",
        "inputs": {"text": "{{book.output}}", "folder": "{{input.folder}}"},
    }


@pytest.fixture
def engine(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.chdir(
        tmp_path
    )  # where components that run for real leave what they write
    registry = load([MENDED, TEMPTATIONS])
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, workers=2, partitions=4
    ) as opened:
        yield opened
        assert opened.doctor() == []
        assert [
            drift
            for name in ("runs", "steps", "workers")
            for drift in opened.views.verify(name)
        ] == []


@pytest.fixture
def fail(engine: Engine, tmp_path: Path) -> Failed:
    def run(workflow: dict[str, Any], *xs: int) -> list[str]:
        runs = engine.start_many(
            [(workflow, {"x": x, "folder": str(tmp_path)}) for x in xs]
        )
        assert [engine.wait(each, timeout=30).status for each in runs] == [
            "failed"
        ] * len(xs)
        return runs

    return run


def tried(
    engine: Engine, chosen: RunFilter = ORDERS, limit_ms: int = 20_000, **fix: Any
) -> HealReport:
    wish = HealWish(chosen, Fix(**fix), waves="1,100%")
    return engine.heal.backtest(
        engine.heal.begin(wish).id, [MENDED, TEMPTATIONS], limit_ms=limit_ms
    )


def mend(folder: Path) -> None:
    (folder / "mended").touch()


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
    said = [
        only(tried(engine, mocks=mocks))
        for mocks in ({}, {"ok": "yes"}, {"ok": "yes", "kid": 1})
    ]
    assert [verdict for verdict, _ in said] == ["unproven", "unproven", "fixed"]
    assert "step ok: it waits for a signal" in said[0][1]
    assert "step kid: it starts another run" in said[1][1]
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


def test_waves_stop_when_healed_runs_fail_again_and_go_on_by_force(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    runs = fail(document(), 1, 3, 5)
    mend(tmp_path)
    report = tried(engine)
    (tmp_path / "mended").unlink()  # what was proven then does not hold any more
    stopped = engine.heal.go_on(report.id)
    assert (stopped.status, stopped.stopped) == (
        "stopped",
        "1 of 1 healed runs have failed again",
    )
    assert engine.heal.go_on(report.id) == stopped
    untouched = [run for run in runs if run not in stopped.healed]
    assert [
        "RunReopened" in [e.type for e in engine.history(run)] for run in untouched
    ] == [False, False]
    mend(tmp_path)
    done = engine.heal.go_on(report.id, force=True)
    assert (done.status, done.well, len(done.healed)) == ("closed", False, 3)
    assert [engine.state(run).status for run in untouched] == ["completed"] * 2
    assert [e.type for e in engine.history(next(iter(stopped.healed)))].count(
        "RunReopened"
    ) == 1


def test_a_run_that_has_moved_on_since_its_backtest_is_left_alone(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    moved, still = fail(document(), 1, 3)
    mend(tmp_path)
    report = tried(engine)
    engine.retry(moved)
    assert engine.wait(moved, timeout=30).ok
    failed = fail(document(), -4)[0]
    done = engine.heal.go_on(report.id)
    assert (set(done.healed), set(done.skipped)) == ({still}, {moved})
    assert "completed by now" in done.skipped[moved]
    (tmp_path / "mended").unlink()
    later = tried(engine, mocks={"book": "by hand"})
    engine.retry(failed)
    assert engine.wait(failed, timeout=30).status == "failed"
    assert "moved on" in engine.heal.go_on(later.id).skipped[failed]


def test_two_that_go_on_with_the_same_heal_open_each_run_once(
    engine: Engine, server: Server, fail: Failed, tmp_path: Path
) -> None:
    runs = fail(document(), *range(1, 25, 2))
    mend(tmp_path)
    report = tried(engine)
    with (
        Engine.connect(server.url, prefix=engine.core.store.keys.prefix) as other,
        ThreadPoolExecutor(4) as pool,
    ):
        done = list(
            pool.map(
                lambda who: who.heal.go_on(report.id), [engine, other, engine, other]
            )
        )
    assert [found.well for found in done] == [True] * 4
    for run in runs:
        assert [e.type for e in engine.history(run)].count("RunReopened") == 1
    kinds = [item.type for item in engine.events.read(report.id)]
    assert (
        kinds.count("RunHealed"),
        kinds.count("RunHealSkipped"),
        kinds.count("WaveClosed"),
    ) == (12, 0, 2)


def test_one_that_dies_between_opening_a_run_and_saying_so_does_not_open_it_again(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    [run] = fail(document(), 1)
    mend(tmp_path)
    report = tried(engine)
    (tmp_path / "mended").unlink()
    waves = Waves(engine, ReportStore(engine), engine.wait)
    waves.heal_run(report, run)  # and nothing of it comes to the report
    assert engine.wait(run, timeout=30).status == "failed"
    mend(tmp_path)
    done = engine.heal.go_on(report.id)
    assert (set(done.healed), done.ended["failed"]) == ({run}, 1)
    assert [e.type for e in engine.history(run)].count("RunReopened") == 1


def test_a_backtest_that_died_goes_on_where_it_was(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    runs = fail(document(), *range(1, 60, 2))
    mend(tmp_path)
    begun = engine.heal.begin(HealWish(ORDERS))

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.heal.backtest(begun.id, [MENDED], tell=die)
    assert 0 < len(engine.heal.report(begun.id).verdicts) < len(runs)
    fail(document(), -1)  # comes too late for this heal
    assert engine.heal.backtest(begun.id, [MENDED]).counts["fixed"] == len(runs)
    kinds = [item.type for item in engine.events.read(begun.id)]
    assert (kinds.count("RunBacktested"), kinds.count("BacktestClosed")) == (
        len(runs),
        1,
    )


def test_a_wave_without_workers_says_so_and_can_be_gone_on_with(
    server: Server, tmp_path: Path
) -> None:
    prefix, registry = server.prefix(), load([MENDED])
    with Engine.connect(
        server.url, prefix=prefix, components=registry, workers=1, partitions=2
    ) as begun:
        run = begun.run(document(), {"x": 1, "folder": str(tmp_path)}, timeout=30).id
    mend(tmp_path)
    with Engine.connect(server.url, prefix=prefix, components=registry) as idle:
        report = tried(idle)
        with pytest.raises(
            WaveUnfinished, match=f"are there workers.*--resume {report.id}"
        ):
            idle.heal.go_on(report.id, wave_seconds=0.2)
        idle.work(
            WorkSettings(queues=queues_of(registry), concurrency=1, lease_ms=10_000)
        )
        assert idle.heal.go_on(report.id).well
        assert idle.wait(run).ok
        assert idle.doctor() == []


def test_what_makes_no_sense_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidHeal, match="hardly one class"):
        engine.heal.begin(HealWish(RunFilter()))
    with pytest.raises(InvalidHeal, match="waves"):
        engine.heal.begin(HealWish(ORDERS, waves="none"))
    for name in ("heal-none", "0-run"):
        with pytest.raises(HealNotFound):
            engine.heal.report(name)
    begun = engine.heal.begin(HealWish(ORDERS))
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
        assert not engine.run(document, {"path": "nowhere"}, timeout=20).ok
        verdict, reason = only(
            tried(engine, edits={"path": str(tmp_path / "store" / "server.conf")})
        )
    assert (verdict, "where secrets are" in reason) == ("unproven", True)
