"""Before something is destroyed, somebody is asked; --yes answers, and where nobody can be asked, it has to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openagents_json.engine import Engine, Schedule
from tests.acceptance.processes import openagents
from tests.acceptance.steering.test_bulk import answered

ASKS = {"id": "asks", "steps": [{"id": "ok", "wait_for": {"signal": "go"}}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("questions") / "data"


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[Engine]:
    with Engine.embedded(data, components=[], workers=0) as opened:
        yield opened


def closed(engine: Engine, text: str = "") -> str:
    run = engine.start(ASKS, labels={"text": text})
    engine.cancel(run)
    return run.id


def call(data: Path, *arguments: str) -> tuple[int, str, str]:
    done = openagents(*arguments, "--data", str(data))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_where_nobody_can_be_asked_nothing_is_destroyed_without_yes(
    engine: Engine, data: Path
) -> None:
    run = closed(engine)
    engine.publish(ASKS)
    engine.schedules.create(Schedule("nightly", "asks", every_seconds=3600))
    version = engine.status(run), engine.state(run).version
    for deed in (
        ("runs", "redact", run),
        ("runs", "shred", run),
        ("runs", "delete", run),
        ("schedules", "delete", "nightly"),
    ):
        code, out, err = call(data, *deed)
        assert (code, out) == (2, ""), deed
        assert err.startswith("openagents: nobody can be asked here whether to ")
        assert "say --yes" in err
    assert (engine.status(run), engine.state(run).version) == version
    assert call(data, "schedules", "delete", "nightly", "--yes")[0] == 0
    assert call(data, "runs", "redact", run, "--yes")[0] == 0


def test_nobody_is_asked_about_what_there_is_not(engine: Engine, data: Path) -> None:
    for deed in (
        ("runs", "redact", "0-none"),
        ("runs", "shred", "0-none"),
        ("runs", "redact", "heal-none"),
        ("schedules", "delete", "none"),
    ):
        code, _, err = call(data, *deed)
        assert (code, "asked" in err) == (6, False), deed
    code, output = answered(data, "y", "delete", closed(engine), "0-none")
    assert (code, "for good?" in output) == (6, False), output
    assert "there is no run '0-none'" in output


def test_who_says_no_at_a_terminal_keeps_it(engine: Engine, data: Path) -> None:
    run = closed(engine)
    code, output = answered(data, "n", "redact", run, "--step", "ok")
    assert (code, f"redact step ok of run {run} for good?" in output) == (1, True), (
        output
    )
    assert "nothing was done" in output
    code, output = answered(data, "y", "redact", run)
    assert (code, f"redact run {run} for good?" in output) == (0, True), output
    assert "are erased" in output


def test_a_policy_asks_only_if_it_deletes_runs(engine: Engine, data: Path) -> None:
    run = closed(engine)
    policy = data.parent / "policy.json"

    def apply(then: str, *more: str) -> tuple[int, str, str]:
        rule = {"name": "all", "workflow": "asks", "older_than": "0s", "then": then}
        to = str(data.parent / "archive")
        policy.write_text(json.dumps({"to": to, "rules": [rule]}))
        return call(data, "retention", "apply", str(policy), *more)

    code, out, err = apply("delete")
    assert (code, out) == (2, "")
    assert "say --yes, or --dry-run" in err
    assert apply("delete", "--dry-run")[0] == 0
    assert engine.status(run) == "cancelled"
    assert apply("archive")[0] == 0
    assert call(data, "runs", "restore", run)[0] == 0
    assert apply("delete", "--yes")[0] == 0
    assert call(data, "runs", "show", run)[0] == 6
