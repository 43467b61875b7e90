"""The command as a user runs it: each command once, and each kind of mistake with one clear line."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import COMMAND, COMPONENTS, ROOT, openagents

GOOD: dict[str, Any] = {
    "id": "good",
    "inputs": {"n": {"type": "integer", "required": True}},
    "steps": [{"id": "a", "component": "quick", "inputs": {"n": "{{input.n}}"}}],
    "output": "{{a.output}}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents and the data of an embedded server, which one command keeps running."""
    base = tmp_path_factory.mktemp("cli")
    (base / "good.json").write_text(json.dumps(GOOD))
    (base / "fails.json").write_text(json.dumps({"id": "fails", "steps": [{"id": "a", "component": "fail"}]}))
    (base / "unknown.json").write_text(json.dumps({"id": "u", "steps": [{"id": "a", "component": "quik"}]}))
    (base / "broken.json").write_text('{"id": "x",\n "steps": [}')
    return base


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    where = ("--data", str(folder / "data"))
    done = openagents(*arguments, *(where if arguments[0] not in ("completion", "--help") else ()))
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def run(folder: Path, name: str, *more: str) -> tuple[int, str, str]:
    return call(folder, "run", str(folder / name), "-c", str(COMPONENTS), *more)


def test_run_gives_the_result_as_json_and_progress_beside_it(folder: Path) -> None:
    code, out, err = run(folder, "good.json", "--input", "n=41")
    result = json.loads(out)
    assert (code, result["status"], result["output"]) == (0, "completed", 42)
    assert "step a completed" in err


def test_run_tells_a_failure_by_its_exit_code(folder: Path) -> None:
    code, out, _ = run(folder, "fails.json", "--json")
    result = json.loads(out)
    assert (code, result["status"], result["error"]["step"]) == (1, "failed", "a")


def test_the_same_key_gives_the_same_run(folder: Path) -> None:
    first, second = (json.loads(run(folder, "good.json", "-i", "n=1", "--key", "k")[1]) for _ in range(2))
    assert first == second


def test_runs_are_listed_shown_and_their_history_told(folder: Path) -> None:
    made = json.loads(run(folder, "good.json", "-i", "n=5")[1])
    listed = json.loads(call(folder, "runs", "list", "--json", "--workflow", "good")[1])
    assert made["id"] in [item["id"] for item in listed]
    shown = json.loads(call(folder, "runs", "show", made["id"])[1])
    assert (shown["status"], shown["steps"][0]["output"]) == ("completed", 6)
    history = json.loads(call(folder, "runs", "history", made["id"], "--json")[1])
    assert [event["type"] for event in history][-1] == "RunCompleted"
    watched = [json.loads(line) for line in call(folder, "runs", "watch", made["id"], "--json")[1].splitlines()]
    assert watched == history


def test_a_run_without_workers_is_paused_resumed_and_cancelled(folder: Path) -> None:
    code, out, _ = run(folder, "good.json", "-i", "n=1", "--detach", "--workers", "0")
    made = json.loads(out)["id"]
    for command, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        code, out, _ = call(folder, "runs", command, made, "--reason", "because", "--json")
        assert (code, json.loads(out)["status"]) == (0, status)
    code, _, err = call(folder, "runs", "pause", made)
    assert (code, "cancelled" in err) == (1, True)


def test_doctor_finds_all_well(folder: Path) -> None:
    code, out, _ = call(folder, "doctor", "--json")
    found = json.loads(out)
    assert (code, found["violations"]) == (0, [])
    assert (found["server"]["name"], found["server"]["appendfsync"]) == ("valkey", "everysec")
    assert abs(found["server"]["skew_ms"]) < 2000
    assert "valkey 9" in call(folder, "doctor")[1]


def test_validate_finds_problems_with_their_place(folder: Path) -> None:
    assert call(folder, "validate", str(folder / "good.json"))[0] == 0
    code, out, _ = call(folder, "validate", str(folder / "broken.json"), "--json")
    [problem] = json.loads(out)[str(folder / "broken.json")]["problems"]
    assert (code, problem["code"], problem["line"]) == (1, "invalid_json", 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "{}/unknown.json", "-c", str(COMPONENTS)), "did you mean 'quick'"),
        (("run", "{}/good.json", "-c", str(COMPONENTS)), "n: is required"),
        (("run", "{}/good.json", "-c", str(COMPONENTS), "-i", "n=x"), "must be of type integer"),
        (("run", "{}/nowhere.json"), "No such file"),
        (("run", "{}/good.json", "-i", "n"), "not name=value"),
        (("run", "{}/broken.json"), "invalid_json"),
        (("run", "{}/good.json", "-c", "no.such.module"), "cannot be loaded"),
        (("runs", "show", "0-nothing"), "there is no run"),
        (("runs", "list", "--url", "redis://127.0.0.1:1"), "does not answer"),
        (("runs", "list", "--url", "http://x"), "must begin with redis://"),
        (("doctor", "--lease-ms", "1"), "lease_ms"),
    ],
)
def test_mistakes_get_one_clear_line(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = call(folder, *(argument.replace("{}", str(folder)) for argument in arguments))
    assert (code != 0, out) == (True, "")
    assert says in err


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    made = json.loads(run(folder, "good.json", "-i", "n=1")[1])["id"]
    command = " ".join([*map(shlex.quote, COMMAND), "runs", "history", made, "--json", "--data", str(folder / "data")])
    done = subprocess.run(["sh", "-c", f"{command} | true"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_prints_a_script(folder: Path) -> None:
    code, out, _ = call(folder, "completion", "bash")
    assert (code, "_OPENAGENTS_COMPLETE" in out) == (0, True)
