"""The example on its real documents: alone in a program, and as the demo with processes that are killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.demo import Demo, needs_the_demo
from tests.acceptance.processes import ROOT

EXAMPLE = ROOT / "examples" / "document_processing"


@pytest.mark.parametrize(
    ("document", "label", "words"),
    [
        ("gettysburg", "negative", 164),
        ("fox_and_grapes", "positive", 80),
        ("blank", None, 0),
    ],
)
def test_a_document_is_read_judged_and_archived(
    tmp_path: Path, document: str, label: str | None, words: int
) -> None:
    [pdf] = EXAMPLE.rglob(f"{document}.pdf")
    registry = load([str(EXAMPLE / "components.py")])
    with Engine.embedded(tmp_path / "data", components=registry) as engine:
        inputs = {"document": str(pdf), "archive": str(tmp_path / "archive")}
        result = engine.run(EXAMPLE / "workflow.json", inputs, timeout=60)
        assert (result.status, result.output["words"]) == ("completed", words)
        assert (result.output["sentiment"] or {}).get("label") == label
        statuses = {step.id: step.status for step in engine.state(result.id).steps}
    assert statuses["analyze-sentiment"] == ("completed" if label else "skipped")
    [report] = (tmp_path / "archive").glob("*.json")
    assert json.loads(report.read_text())["statistics"]["words"] == words


def test_a_document_that_is_not_there_fails_its_run_with_the_reason(
    tmp_path: Path,
) -> None:
    registry = load([str(EXAMPLE / "components.py")])
    with Engine.embedded(tmp_path / "data", components=registry) as engine:
        inputs = {"document": "nowhere.pdf", "archive": str(tmp_path / "archive")}
        result = engine.run(EXAMPLE / "workflow.json", inputs, timeout=60)
    assert result.error is not None
    assert (result.status, result.error["step"]) == ("failed", "extract-text")
    assert "nowhere.pdf" in str(result.error["message"])


@needs_the_demo
def test_the_demo_completes_every_run_though_a_worker_is_killed(demo: Demo) -> None:
    assert "was killed with SIGKILL" in demo.printed
    assert "was taken over from worker-1 by worker-2" in demo.printed
    assert "{'completed': 24}; invariants broken: 0" in demo.printed
