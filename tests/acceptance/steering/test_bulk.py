"""Many runs in one command: chosen by what they are, asked about, done one by one, and each that refuses is told of."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, RunFilter
from tests.acceptance.command_world import of_file
from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import serving, wait_for
from tests.fork_server import ForkedProcess

pytestmark = pytest.mark.one_worker
ASKS = {"id": "asks", "steps": [{"id": "ok", "wait_for": {"signal": "go"}}]}
FAILS = {"id": "fails", "steps": [{"id": "a", "component": "of_file"}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bulk") / "data"


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[Engine]:
    """A store whose component does what a file says, in this process."""

    with Engine.embedded(data, components=[of_file(data)], workers=1) as opened:
        (data / "says").write_text("not yet")
        yield opened


def call(data: Path, *arguments: str) -> tuple[int, str, str]:
    done = openagents("runs", *arguments, "--data", str(data))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def waiting(engine: Engine, case: str, count: int) -> list[str]:
    return [engine.start(ASKS, labels={"case": case}) for _ in range(count)]


def statuses(engine: Engine, runs: list[str]) -> set[str]:
    return {engine.state(run).status for run in runs}


def test_labels_given_at_the_start_are_kept_and_found_by(
    engine: Engine, data: Path
) -> None:
    (data / "asks.json").write_text(json.dumps(ASKS))
    start = ("run", str(data / "asks.json"), "--detach", "--data", str(data))
    done = openagents(*start, "--label", "team=a=b", "--label", "case=7")
    run = json.loads(done.stdout)["id"]
    assert engine.state(run).labels == {"team": "a=b", "case": "7"}
    listed = json.loads(call(data, "list", "--label", "team=a=b", "--json")[1])
    assert [row["id"] for row in listed] == [run]
    assert "team=a=b" in call(data, "show", run)[1]
    code, out, _ = call(data, "cancel", "--where", "label.team=a=b", "--yes")
    assert (code, out) == (0, "1 run cancelled\n")
    refused = openagents(*start, "--label", "team")
    assert (refused.returncode, "must be NAME=VALUE" in refused.stderr) == (2, True)


def test_a_dry_run_names_them_and_nothing_happens_unasked(
    engine: Engine, data: Path
) -> None:
    runs = waiting(engine, "dry", 3)
    chosen = ("cancel", "--where", "workflow=asks", "--where", "label.case=dry")
    code, out, err = call(data, *chosen, "--dry-run")
    assert (code, {line.split()[0] for line in out.splitlines()}) == (0, {*runs})
    assert err == "3 runs would be cancelled\n"
    would_be = json.loads(call(data, *chosen, "--dry-run", "--limit", "2", "--json")[1])
    assert [run["status"] for run in would_be["runs"]] == ["running", "running"]
    code, out, err = call(data, *chosen)
    assert (code, out) == (2, "")
    assert "say --yes" in err
    assert statuses(engine, runs) == {"running"}
    assert call(data, *chosen, "--yes")[:2] == (0, "3 runs cancelled\n")
    assert statuses(engine, runs) == {"cancelled"}
    assert call(data, *chosen, "--yes")[:2] == (0, "0 runs cancelled\n")


def test_runs_are_chosen_by_the_beginning_of_an_id_too(
    engine: Engine, data: Path
) -> None:
    [origin] = waiting(engine, "origin", 1)
    fork = engine.replay.fork(origin, 1)
    by_origin = ("cancel", "--where", f"source={origin[:-1]}", "--dry-run")
    code, out, _ = call(data, *by_origin)
    assert (code, out) == (0, f"{fork} asks running\n")
    engine.cancel(fork)


def answered(data: Path, answer: str, *arguments: str) -> tuple[int, str]:
    """Return how a command ends that asks somebody at a terminal, and what it has asked."""
    master, slave = os.openpty()
    process = ForkedProcess(
        [*COMMAND, "runs", *arguments, "--data", str(data)],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(master, f"{answer}\n".encode())
    out, err = process.communicate(timeout=60)
    os.close(slave)
    os.close(master)
    return process.returncode, out + err


def test_who_sits_at_a_terminal_is_asked(engine: Engine, data: Path) -> None:
    runs = waiting(engine, "asked", 2)
    code, output = answered(data, "n", "cancel", *runs)
    assert (code, statuses(engine, runs)) == (1, {"running"})
    assert "cancel 2 runs?" in output
    assert "nothing was done" in output
    code, output = answered(data, "y", "cancel", *runs)
    assert (code, statuses(engine, runs)) == (0, {"cancelled"})
    code, output = answered(data, "y", "delete", runs[0])
    assert (code, f"delete run {runs[0]} for good?" in output) == (0, True)
    assert engine.views.runs(RunFilter(labels={"case": "asked"})).items[0].id == runs[1]


def test_what_one_run_refuses_is_told_and_the_others_are_done(
    engine: Engine, data: Path
) -> None:
    first, over, last = waiting(engine, "partial", 3)
    engine.cancel(over)
    code, out, err = call(data, "pause", first, over, last)
    assert (code, out) == (1, "2 runs paused, 1 not\n")
    assert err.startswith(f"{over}: ")
    assert statuses(engine, [first, last]) == {"paused"}
    code, out, _ = call(data, "resume", first, over, "0-none", "--json")
    told = json.loads(out)
    assert (code, told["done"]) == (1, [first])
    codes = {run: error["code"] for run, error in told["failed"].items()}
    assert codes.keys() == {over, "0-none"}
    assert codes["0-none"] == "run_not_found"


def test_failed_runs_are_retried_and_waited_for(engine: Engine, data: Path) -> None:
    (data / "says").write_text("not yet")
    runs = [engine.run(FAILS, timeout=60).id for _ in range(3)]
    many = ("retry", "--where", "error=ValueError")
    code, out, _ = call(data, *many, "--wait")
    assert (code, out) == (1, "3 runs retried\n3 failed\n")
    (data / "says").write_text("well")
    code, out, _ = call(data, *many, "--where", "workflow=fails", "--wait")
    assert (code, out) == (0, "3 runs retried\n3 completed\n")
    assert statuses(engine, runs) == {"completed"}
    assert call(data, *many)[:2] == (0, "0 runs retried\n")


def test_a_time_limit_is_one_for_all_of_them(engine: Engine, data: Path) -> None:
    waits, other, ends = waiting(engine, "limited", 3)
    for run in (waits, other, ends):
        engine.pause(run)
    engine.signal(ends, "go")
    many = ("resume", waits, other, ends, "--wait", "--timeout", "0.3")
    code, out, err = call(data, *many)
    # The last has ended while the others were waited for, and is counted though their time is over.
    assert (code, out) == (8, "3 runs resumed\n1 completed, 2 not ended\n")
    assert f"run {waits} is still running after 0.3 s" in err


def test_a_second_call_after_a_kill_does_the_rest_and_nothing_twice(
    engine: Engine, data: Path
) -> None:
    runs = waiting(engine, "killed", 60)
    many = ["runs", "pause", "--where", "label.case=killed", "--data", str(data)]
    process = ForkedProcess(
        [*COMMAND, *many],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "pause: 6 of 60\n"
    process.kill()
    process.communicate()
    left = [engine.state(run).status for run in runs].count("running")
    assert openagents(*many).stdout == f"{left} runs paused\n"
    assert statuses(engine, runs) == {"paused"}
    paused = [event.type for run in runs for event in engine.history(run)]
    assert paused.count("RunPaused") == 60
    progress = openagents(*[part.replace("pause", "resume") for part in many]).stderr
    assert progress.splitlines() == [
        f"resume: {count} of 60" for count in range(6, 61, 6)
    ]


def test_how_far_it_came_is_said_when_the_store_goes_away() -> None:
    with serving("valkey") as server:
        where = ["--url", server.url, "--prefix", server.prefix()]
        with Engine.connect(where[1], prefix=where[3], components=[]) as opened:
            opened.start_many([(ASKS, {})] * 600)
        process = ForkedProcess(
            [*COMMAND, "runs", "pause", "--where", "workflow=asks", *where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline() == "pause: 60 of 600\n"
        server.kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (7, "")
    assert re.search("[0-9]+ of 600 runs paused so far; the same command again", err)


def test_runs_are_deleted_for_good_and_that_they_were_there_stays(
    engine: Engine, data: Path
) -> None:
    closed, open_run = waiting(engine, "deleted", 2)
    engine.cancel(closed)
    deletion = ("delete", closed, open_run, "--reason", "of no use")
    code, out, err = call(data, *deletion)
    assert (code, "say --yes" in err) == (2, True)
    code, out, err = call(data, *deletion, "--yes")
    assert (code, out) == (1, "1 run deleted, 1 not\n")
    assert f"{open_run}: " in err
    assert "cancel it first" in err
    assert call(data, "show", closed)[0] == 6
    assert call(data, "delete", closed, "--yes")[0] == 1
    engine.cancel(open_run)
    rule = ("delete", "--where", "label.case=deleted", "--yes")
    assert call(data, *rule)[:2] == (0, "1 run deleted\n")
    assert openagents("doctor", "--data", str(data)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name runs, or choose them with --where NAME=VALUE; see "),
        (("0-none", "--where", "workflow=a"), "not both"),
        (("--where", "workflow"), "is not NAME=VALUE"),
        (("--where", "color=red"), "'color' is none of status, workflow"),
        (("--where", "status=over"), "status 'over' is none of"),
        (("--where", "held=no"), "held can be yes only"),
        (("--where", "took_over=long"), "'long' is no duration"),
        (("--where", "started_after=soon"), "'soon' is no time"),
    ],
)
def test_a_choice_that_is_not_clear_is_refused_before_the_store_is_opened(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    for action in ("cancel", "pause", "resume", "retry", "delete"):
        done = openagents("runs", action, *arguments, folder=tmp_path)
        assert (done.returncode, done.stdout, message in done.stderr) == (2, "", True)


def test_programs_do_the_same_with_a_filter(engine: Engine) -> None:
    runs = waiting(engine, "program", 3)
    told: list[Any] = []
    chosen = RunFilter(labels={"case": "program"})
    result = engine.bulk.pause(
        chosen, "later", tell=lambda run, error: told.append((run, error))
    )
    assert result.ok
    assert {run for run, _ in told} == {*runs} == {*result.done}
    assert engine.bulk.cancel(chosen, limit=1).done == [result.done[0]]
    assert {*engine.bulk.cancel(runs).done} == {*runs}
    wait_for(lambda: statuses(engine, runs) == {"cancelled"})
    assert {*engine.bulk.delete(chosen).done} == {*runs}
    assert engine.views.runs(chosen).items == ()
