"""Inputs are read by the type that the document declares, by every command that takes some, or nothing is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import in_process_of_its_own, openagents

pytestmark = pytest.mark.one_worker
INPUTS: dict[str, Any] = {
    "name": {"type": "string"},
    "count": {"type": "integer"},
    "share": {"type": "number"},
    "urgent": {"type": "boolean"},
    "tags": {"type": "array"},
    "filter": {"type": "object"},
    "size": {"enum": ["1", "2"]},
    "whatever": {},
}
TYPED = {
    "id": "typed",
    "inputs": INPUTS,
    "steps": [{"id": "wait", "sleep": 0}],
    "output": {name: f"{{{{input.{name}}}}}" for name in INPUTS},
}
ASKS = {
    "id": "asks",
    "inputs": {"code": {"type": "string"}},
    "steps": [
        {"id": "code", "wait_for": {"signal": "code", "schema": {"type": "string"}}},
        {"id": "sum", "wait_for": {"signal": "sum", "schema": {"type": "integer"}}},
        {"id": "note", "wait_for": "note"},
    ],
    "output": [
        "{{code.output}}",
        "{{sum.output}}",
        "{{note.output}}",
        "{{input.code}}",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("given")
    (base / "typed.json").write_text(json.dumps(TYPED))
    (base / "asks.json").write_text(json.dumps(ASKS))
    (base / "text.txt").write_text("@home\n3\n")
    (base / "filter.json").write_text('{"a": 1}')
    return base


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    """The embedded store of the folder, with a thread that does what needs no component."""
    with Engine.embedded(folder / ".openagents", components=[], workers=0) as opened:
        opened.work_here(1)
        yield opened


def output(folder: Path, *arguments: str, given: bytes = b"") -> dict[str, Any]:
    """Return the inputs that a run got, as far as it got any."""
    done = openagents("run", "typed.json", *arguments, folder=folder, given=given)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["output"]
    return {name: value for name, value in values.items() if value is not None}


def error(folder: Path, *arguments: str) -> tuple[int, str]:
    done = openagents(*arguments, folder=folder)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def inputs(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("-i", pair)]


@pytest.mark.usefixtures("engine")
def test_inputs_are_read_by_the_declared_type(folder: Path) -> None:
    assert output(
        folder,
        *inputs("name=3", "count=3", "share=1.5", "urgent=true", "tags=[1]"),
        *inputs('filter={"a": [2]}', "size=1", "whatever=3"),
    ) == {
        "name": "3",
        "count": 3,
        "share": 1.5,
        "urgent": True,
        "tags": [1],
        "filter": {"a": [2]},
        "size": "1",
        "whatever": 3,
    }


@pytest.mark.usefixtures("engine")
def test_inputs_come_from_files_and_the_standard_input(folder: Path) -> None:
    at_files = inputs("name=@text.txt", "filter=@filter.json", "whatever=@@home")
    assert output(folder, *at_files) == {
        "name": "@home\n3\n",
        "filter": {"a": 1},
        "whatever": "@home",
    }
    whole = b'{"count": 3, "name": "Ada"}'
    merged = output(folder, "--inputs", "-", "-i", "name=4", given=whole)
    assert merged == {"count": 3, "name": "4"}
    (folder / "inputs.json").write_text('{"count": 5}')
    assert output(folder, "--inputs", "inputs.json") == {"count": 5}
    assert output(folder, "--input-file", "inputs.json") == {"count": 5}
    assert output(folder, *inputs("tags=@-"), given=b"[1]") == {"tags": [1]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            inputs("count=many"),
            "count: must be of type integer, and 'many' is none; write --input count=3",
        ),
        (inputs("urgent=yes"), "'yes' is none; write --input urgent=true"),
        (inputs("tags=a,b"), """write --input 'tags=["a", "b"]'"""),
        (inputs("filter=[1]"), "filter: must be of type object, and '[1]' is none"),
        (inputs("share=NaN"), "share: must be of type number, and 'NaN' is none"),
        (inputs("whatever=[1"), "whatever: '[1' begins as JSON and is none"),
        (inputs("cuont=3"), "did you mean 'count'"),
        (inputs("count=@text.txt"), "count: must be of type integer, and text.txt"),
        (["--inputs", "wrong.json"], """count: must be of type integer, and '3' is"""),
        (["--inputs", "wrong.json"], """write "count": 3 in wrong.json"""),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_started(
    engine: Engine, folder: Path, arguments: list[str], told: str
) -> None:
    (folder / "wrong.json").write_text('{"count": "3"}')
    before = engine.views.count()
    code, message = error(folder, "run", "typed.json", *arguments)
    assert (code, told in message) == (5, True), message
    code, message = error(
        folder, "schedules", "create", "s", "typed.json", "--every", "9", *arguments
    )
    assert (code, told in message) == (5, True), message
    assert engine.views.count() == before
    assert engine.schedules.every() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (inputs("count"), "'count' is not name=value"),
        (inputs("count=1", "count=2"), "'count' is given twice"),
        (
            inputs("name=@none"),
            "for a text that begins with @, write --input name=@@none",
        ),
        (["--inputs", "text.txt"], "text.txt is not JSON"),
        (["--inputs", "twice.json"], "the name 'count' stands twice"),
        (["--inputs", "-", "-i", "name=@-"], "the standard input can be read once"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_what_cannot_be_taken_apart_is_a_mistake_of_usage(
    folder: Path, arguments: list[str], told: str
) -> None:
    (folder / "twice.json").write_text('{"count": 1, "count": 2}')
    code, message = error(folder, "run", "typed.json", *arguments)
    assert (code, told in message) == (2, True), message


def test_a_schedule_keeps_inputs_of_the_declared_types(
    engine: Engine, folder: Path
) -> None:
    given = inputs("name=3", "count=3", "whatever={{scheduled_time}}")
    openagents(
        *("schedules", "create", "typed", "typed.json", "--every", "9", "--paused"),
        *given,
        folder=folder,
    )
    schedule, _ = engine.schedules.get("typed")
    engine.schedules.delete("typed")
    assert schedule.inputs == {
        "name": "3",
        "count": 3,
        "whatever": "{{scheduled_time}}",
    }


def test_payloads_are_read_by_the_schema_of_who_waits(
    engine: Engine, folder: Path
) -> None:
    run = engine.start(folder / "asks.json", {"code": "0"})

    def signal(*arguments: str) -> int:
        done = openagents("runs", "signal", run, *arguments, folder=folder)
        return done.returncode

    code, message = error(folder, "runs", "signal", run, "sum", "--payload", "seven")
    assert (code, "must be of type integer" in message) == (5, True)
    assert "write --payload 3" in message
    assert signal("code", "--payload", "007") == 0
    assert signal("sum", "--payload", "7") == 0
    assert signal("note", "--payload", "7") == 0
    assert engine.wait(run, timeout=60).output == ["007", 7, 7, "0"]
    code, message = error(
        folder, "runs", "retry", run, "--from", "note", "--set", "x=1"
    )
    assert (code, "'x'" in message or "x:" in message) == (5, True)
    edited = openagents(
        "runs", "retry", run, "--from", "note", "--set", "code=5", folder=folder
    )
    assert edited.returncode == 0, edited.stderr
    assert engine.state(run).inputs == {"code": "5"}


@pytest.mark.usefixtures("engine")
def test_a_message_fits_a_narrow_terminal_and_json_says_the_same(folder: Path) -> None:
    command = ("run", "typed.json", "-i", "count=many")
    people = in_process_of_its_own(*command, folder=folder)
    told = json.loads(in_process_of_its_own(*command, "--json", folder=folder).stderr)
    assert (people.returncode, told["code"]) == (5, "invalid_inputs")
    assert told["remedy"] == "write --input count=3"
    assert people.stderr == f"openagents: {told['message']}\n"
