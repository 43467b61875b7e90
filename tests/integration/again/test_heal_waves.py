"""Heals in waves: they stop, go on, die and are gone on with, and no run is opened twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from executor.worker.runtime import WorkSettings
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, HealRequest
from openagents_json.engine.components import queues_of
from openagents_json.engine.errors import NobodyWorks, WaveUnfinished
from openagents_json.engine.healing.report_store import ReportStore
from openagents_json.engine.healing.waves import Waves
from tests.conftest import Server
from tests.integration.again.failures import (
    MENDED,
    ORDERS,
    Failed,
    document,
    mend,
    tried,
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
    reopened, still = fail(document(), 1, 3)
    mend(tmp_path)
    report = tried(engine)
    engine.retry(reopened)
    assert engine.wait(reopened, timeout=120).ok
    failed = fail(document(), -4)[0]
    done = engine.heal.go_on(report.id)
    assert (set(done.healed), set(done.skipped)) == ({still}, {reopened})
    assert "completed by now" in done.skipped[reopened]
    (tmp_path / "mended").unlink()
    later = tried(engine, mocks={"book": "by hand"})
    engine.retry(failed)
    assert engine.wait(failed, timeout=120).status == "failed"
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
    assert [each_report.well for each_report in done] == [True] * 4
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
    assert engine.wait(run, timeout=120).status == "failed"
    mend(tmp_path)
    done = engine.heal.go_on(report.id)
    assert (set(done.healed), done.ended["failed"]) == ({run}, 1)
    assert [e.type for e in engine.history(run)].count("RunReopened") == 1


def test_a_backtest_that_died_goes_on_where_it_was(
    engine: Engine, fail: Failed, tmp_path: Path
) -> None:
    runs = fail(document(), *range(1, 60, 2))
    mend(tmp_path)
    begun = engine.heal.begin(HealRequest(ORDERS))

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
            WaveUnfinished, match=f"wave 1 of heal {report.id} .*; start workers"
        ):
            idle.heal.go_on(report.id, wave_seconds=0.2)
        with pytest.raises(NobodyWorks, match="no worker is alive in this store; s"):
            idle.heal.go_on(report.id, idle_seconds=0)
        idle.work(
            WorkSettings(queues=queues_of(registry), concurrency=1, lease_ms=10_000)
        )
        assert idle.heal.go_on(report.id).well
        assert idle.wait(run).ok
        assert idle.doctor() == []
