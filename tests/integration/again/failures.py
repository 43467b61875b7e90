"""Runs that have failed, and a component that is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, Fix, HealReport, HealRequest, RunFilter
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
        assert [engine.wait(each, timeout=120).status for each in runs] == [
            "failed"
        ] * len(xs)
        return list[str](runs)

    return run


def tried(
    engine: Engine, chosen: RunFilter = ORDERS, limit_ms: int = 20_000, **fix: Any
) -> HealReport:
    request = HealRequest(chosen, Fix(**fix), waves="1,100%")
    return engine.heal.backtest(
        engine.heal.begin(request).id, [MENDED, TEMPTATIONS], limit_ms=limit_ms
    )


def mend(folder: Path) -> None:
    (folder / "mended").touch()
