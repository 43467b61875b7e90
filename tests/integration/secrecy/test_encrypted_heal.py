"""Healing where runs are encrypted, or have left the store meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.errors import RunSealed
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, Fix, HealReport, HealRequest, RunFilter
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.errors import WaveUnfinished
from tests.conftest import Server
from tests.integration.secrecy.encrypted import MARK, OLD, places_of

COMPONENTS = """
from typing import Any
from openagents_json import tool

@tool("same", effect="pure")
def same(x: Any = None) -> Any:
    return x

@tool("picky", effect="pure")
def picky(x: Any = None) -> Any:
    if x != "mended":
        raise ValueError("it broke")
    return x
"""
Stores = Callable[..., Engine]


def document(
    version: str = "1.0.0", same: Any = "{{input.x}}", picky: Any = "{{a.output}}"
) -> dict[str, Any]:
    steps = [
        {"id": "a", "component": "same", "inputs": {"x": same}},
        {"id": "b", "component": "picky", "inputs": {"x": picky}},
    ]
    return {
        "id": "d",
        "version": version,
        "inputs": {"x": {"type": "any"}},
        "steps": steps,
    }


@pytest.fixture
def modules(tmp_path: Path) -> list[str]:
    (tmp_path / "parts.py").write_text(COMPONENTS)
    return [str(tmp_path / "parts.py")]


@pytest.fixture
def opened(server: Server, modules: list[str]) -> Iterator[Stores]:
    engines, prefix, components = list[Engine](), server.prefix(), load(modules)

    def begin(*keys: str, workers: int = 2) -> Engine:
        options: dict[str, Any] = {
            "components": components,
            "workers": workers,
            "encryption_keys": keys,
        }
        engines.append(
            Engine.connect(server.url, prefix=prefix, partitions=4, **options)
        )
        return engines[-1]

    yield begin
    assert begin(workers=0).doctor() == []
    for engine in engines:
        engine.close()


def failed(engine: Engine) -> str:
    run = engine.start(document(), {"x": MARK})
    assert engine.wait(run, timeout=120).status == "failed"
    return run


def tried(engine: Engine, modules: list[str], fix: dict[str, Any]) -> HealReport:
    request = HealRequest(RunFilter(workflow=("d",)), Fix(engine.plan(fix)))
    return engine.heal.backtest(engine.heal.begin(request).id, modules)


def test_a_report_says_nothing_of_what_steps_returned(
    opened: Stores, modules: list[str]
) -> None:
    engine = opened(OLD)
    run = failed(engine)
    report = tried(engine, modules, document("2.0.0", ["{{input.x}}", 1], "mended"))
    assert report.verdicts[run].verdict == "would diverge"
    assert places_of(engine) == set()


def test_who_cannot_read_a_run_tests_the_others_and_heals_none_of_it(
    opened: Stores, modules: list[str]
) -> None:
    seeing, blind = opened(OLD), opened(workers=0)
    sealed, plain = failed(seeing), failed(blind)
    fix = document("2.0.0", picky="mended")
    verdicts = tried(blind, modules, fix).verdicts
    assert (verdicts[sealed].verdict, verdicts[plain].verdict) == ("unproven", "fixed")
    assert "OPENAGENTS_ENCRYPTION_KEYS" in verdicts[sealed].reason
    report = tried(seeing, modules, fix)
    with pytest.raises(RunSealed):
        blind.heal.go_on(report.id)
    assert seeing.heal.go_on(report.id, wave_seconds=20).well
    assert seeing.state(sealed).status == "completed"


def test_a_healed_run_that_was_archived_meanwhile_counts_as_it_ended(
    opened: Stores, modules: list[str], tmp_path: Path
) -> None:
    first, engine = opened(), opened(workers=0)
    run = failed(first)
    first.close()
    report = tried(engine, modules, document("2.0.0", picky="mended"))
    with pytest.raises(WaveUnfinished):
        engine.heal.go_on(report.id, wave_seconds=0.1)
    working = opened()
    working.wait(run, timeout=120)
    working.archive.leave(run, Departure(str(tmp_path / "archive")))
    done = engine.heal.go_on(report.id, wave_seconds=20)
    assert (done.well, done.ended["completed"]) == (True, 1)
    assert engine.archive.restore(run) == "completed"
