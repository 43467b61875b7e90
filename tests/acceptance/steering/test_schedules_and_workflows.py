"""Schedules that are changed and triggered, and published workflows that are shown and taken away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, Schedule, UnknownWorkflow
from openagents_json.engine.errors import StillNeeded
from tests.acceptance.processes import openagents
from tests.acceptance.terminals import Terminal

pytestmark = pytest.mark.one_worker
ORDER: dict[str, Any] = {
    "id": "order",
    "version": "1.0.0",
    "description": "Take an order.",
    "inputs": {"n": {"type": "integer", "required": True}},
    "steps": [{"id": "take", "wait_for": "go"}],
}
CALLS: dict[str, Any] = {
    "id": "calls",
    "steps": [
        {"id": "first", "wait_for": "begin"},
        {"id": "order", "workflow": "order@^1.0.0", "inputs": {"n": 1}},
    ],
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.embedded(tmp_path, components=[], workers=0) as opened:
        opened.publish(ORDER, alias="stable")
        yield opened


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = openagents(*arguments, "--data", str(folder))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_schedule_is_changed_triggered_and_asked_for_its_next_times(
    engine: Engine, tmp_path: Path
) -> None:
    create = ("create", "nightly", "order@stable", "--every", "3600", "-i", "n=1")
    code, _, err = call(tmp_path, "schedules", *create, "--label", "team=a")
    assert (code, err) == (0, "")
    update = ("update", "nightly", "--cron", "30 2 * * *", "-i", "n=2")
    code, out, _ = call(
        tmp_path, "schedules", *update, "--timezone", "Europe/Paris", "--label", "b=c"
    )
    assert code == 0
    assert out.startswith("nightly active, next at ")
    shown = json.loads(call(tmp_path, "schedules", "show", "nightly")[1])
    assert (shown["cron"], shown["every_seconds"], shown["timezone"]) == (
        "30 2 * * *",
        0.0,
        "Europe/Paris",
    )
    assert (shown["inputs"], shown["labels"]) == ({"n": 2}, {"team": "a", "b": "c"})
    code, out, _ = call(tmp_path, "schedules", "next", "nightly", "--limit", "2")
    assert (code, len(out.split())) == (0, 2)
    listed = call(tmp_path, "schedules", "next", "nightly", "--limit", "2", "--json")
    assert [x["scheduled_time"] for x in json.loads(listed[1])] == out.split()
    triggers = ("schedules", "trigger", "nightly", "--idempotency-key", "k")
    code, out, err = call(tmp_path, *triggers)
    run = out.split()[0]
    assert (code, out) == (0, f"{run} running\n")
    assert engine.state(run).inputs == {"n": 2}
    labels = engine.state(run).labels or {}
    assert (labels["schedule"], labels["team"]) == ("nightly", "a")
    engine.signal(run, "go")
    code, out, _ = call(tmp_path, *triggers, "--wait", "--timeout", "30")
    assert (code, json.loads(out)["id"]) == (0, run)
    engine.schedules.pause("nightly")
    assert "is paused" in call(tmp_path, "schedules", "next", "nightly")[2]


@pytest.mark.parametrize("columns", [80, 120])
def test_schedules_fit_a_terminal_with_whole_times(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    schedule = Schedule("reports", "order@stable", cron="30 2 1 1 *", inputs={"n": 1})
    engine.schedules.create(schedule)
    monkeypatch.setenv("COLUMNS", str(columns))
    where = ["--data", str(tmp_path)]
    lines = Terminal(["schedules", "list", *where], tmp_path).text.splitlines()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
    assert max(map(len, shown.splitlines())) <= columns
    assert re.search(r"order@stable +30 2 1 1 \* +active +\d{4}-01-01 02:30:00", shown)
    assert "0 started, 0 skipped, 0 missed" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("update", "nightly"), 2, "say what is to change"),
        (("update", "nightly", "--cron", "61 * * * *"), 2, "61"),
        (("update", "nightly", "-i", "n=x"), 5, "must be of type integer"),
        (("update", "nightly", "--workflow", "nothing"), 6, "no workflow 'nothing'"),
        (("update", "none", "--cron", "0 3 * * *"), 6, "none"),
        (("trigger", "none"), 6, "none"),
        (("next", "none"), 6, "none"),
        (("next", "nightly", "--limit", "0"), 2, "--limit"),
    ],
)
def test_mistakes_about_schedules_are_told(
    engine: Engine, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    create = ("schedules", "create", "nightly", "order", "--every", "60", "-i", "n=1")
    assert call(tmp_path, *create)[0] == 0
    done, out, err = call(tmp_path, "schedules", *arguments)
    assert (done, out, message in err) == (code, "", True)


def test_a_workflow_is_shown_with_who_uses_it(engine: Engine, tmp_path: Path) -> None:
    engine.publish({**ORDER, "version": "2.0.0"})
    engine.start("order@stable", {"n": 1})
    code, out, _ = call(tmp_path, "workflows", "show", "order@stable")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "workflow    order@1.0.0")
    assert "versions    1.0.0, 2.0.0" in lines
    assert "aliases     stable" in lines
    assert "inputs      n (integer, required)" in lines
    assert "used        1 run of it is under way" in lines
    code, out, _ = call(tmp_path, "workflows", "show", "order", "--json")
    shown = json.loads(out)
    assert (shown["version"], shown["uses"]["runs"]) == ("2.0.0", 0)
    assert shown["document"]["steps"] == ORDER["steps"]
    assert call(tmp_path, "workflows", "show", "none")[0] == 6


def test_a_workflow_that_nobody_uses_goes_and_can_be_published_anew(
    engine: Engine, tmp_path: Path
) -> None:
    engine.publish({**ORDER, "version": "2.0.0"})
    delete = ("workflows", "delete", "order@2.0.0")
    code, _, err = call(tmp_path, *delete)
    assert (code, "say --yes" in err) == (2, True)
    code, _, err = call(tmp_path, "workflows", "delete", "order@9")
    assert (code, "order@9" in err, "--yes" in err) == (6, True, False)
    assert call(tmp_path, *delete, "--yes")[:2] == (0, "order@2.0.0 deleted\n")
    assert call(tmp_path, *delete, "--yes")[0] == 6
    assert engine.workflows.published().keys() == {"order@1.0.0"}
    engine.publish({**ORDER, "version": "2.0.0", "description": "Another."})


def test_a_workflow_that_is_used_stays_unless_it_is_forced(
    engine: Engine, tmp_path: Path
) -> None:
    run = engine.start("order@stable", {"n": 1})
    caller = engine.start(CALLS)
    engine.publish(CALLS)
    create = ("schedules", "create", "nightly", "order", "--every", "60", "-i", "n=1")
    assert call(tmp_path, *create)[0] == 0
    delete = ("workflows", "delete", "order@1.0.0", "--yes")
    code, out, err = call(tmp_path, *delete)
    assert (code, out) == (1, "")
    for reason in (
        "1 run of it is under way",
        f"runs under way call it ({caller})",
        "schedules start it (nightly)",
        "aliases mean it (order@stable)",
        "published workflows call it (calls@1.0.0)",
    ):
        assert reason in err
    with pytest.raises(StillNeeded):
        engine.unpublish("order@1.0.0")
    code, out, _ = call(tmp_path, *delete, "--force", "--json")
    assert (code, json.loads(out)["uses"]["callers"]) == (0, [caller])
    assert engine.workflows.aliases() == {}
    engine.signal(run, "go")  # it goes on by the definition that it has begun with
    assert engine.state(run).status == "completed"
    with pytest.raises(UnknownWorkflow):
        engine.start("order", {"n": 1})
    assert engine.doctor() == []


def test_another_version_that_fits_lets_one_go(engine: Engine) -> None:
    engine.publish({**ORDER, "version": "1.1.0"})
    engine.start(CALLS)
    assert engine.uses("order@1.1.0").reasons() == []
    assert engine.uses("order@1.0.0").aliases == ("order@stable",)
    engine.workflows.point("order", "stable", "1.0.0", canary="1.1.0", percent=50)
    engine.unpublish("order@1.1.0", force=True)
    assert engine.workflows.aliases() == {"order@stable": {"version": "1.0.0"}}
