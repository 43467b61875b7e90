"""Encrypted runs as a user has them: keys in the environment, workers with and without, rotation, shredding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.processes import COMPONENTS, openagents, worker
from tests.conftest import Server, wait_for

VARIABLE = "OPENAGENTS_ENCRYPTION_KEYS"
MARK = 987_654_321
DOCUMENT = {
    "id": "sealed",
    "steps": [
        {"id": "a", "component": "quick", "inputs": {"n": "{{input.n}}"}},
        {"id": "ok", "wait_for": "go"},
        {"id": "b", "component": "quick", "inputs": {"n": "{{a.output}}"}},
    ],
    "output": {"b": "{{b.output}}", "ok": "{{ok.output}}"},
}


def call(*arguments: str, code: int = 0) -> str:
    done = openagents(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), (
        arguments,
        done.stdout,
        done.stderr,
    )
    return done.stderr if code else done.stdout


@pytest.fixture
def where(server: Server, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "sealed.json").write_text(json.dumps(DOCUMENT))
    return ("--url", server.url, "--prefix", server.prefix())


def test_runs_are_encrypted_worked_on_rotated_and_shredded(
    server: Server,
    where: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    old, generated = (
        call("keys", "generate").strip(),
        json.loads(call("keys", "generate", "--json")),
    )
    blind = worker(server, where[-1])
    monkeypatch.setenv(VARIABLE, old)
    seeing = worker(server, where[-1])
    try:
        wait_for(
            lambda: (
                len(json.loads(openagents("workers", "--json", *where).stdout or "[]"))
                == 2
            )
        )
        run = completed(str(tmp_path / "sealed.json"), where)
        shown = json.loads(call("runs", "show", run, *where, "--json"))
        assert shown["output"] == {"b": MARK + 2, "ok": {"n": MARK}}
        assert [step["attempt"] for step in shown["steps"] if step["id"] != "ok"] == [
            1,
            1,
        ]
        assert str(MARK) in call("runs", "history", run, "--json", *where)
        monkeypatch.delenv(VARIABLE)
        closed_to_others(run, where)
        monkeypatch.setenv(VARIABLE, f"{generated['key']},{old}")
        assert json.loads(call("keys", "rotate", "--json", *where))["rewrapped"] == 1
        assert (
            call("keys", "rotate", *where)
            == "0 run keys are wrapped anew, 1 were already\n"
        )
        monkeypatch.setenv(VARIABLE, old)
        assert f"encrypted with key {generated['id']}" in call(
            "runs", "show", run, *where, code=1
        )
        call("keys", "rotate", *where, code=1)
        monkeypatch.setenv(VARIABLE, generated["key"])
        assert (
            json.loads(call("runs", "show", run, *where, "--json"))["output"]
            == shown["output"]
        )
        shredded(run, where)
        assert "lacks the encryption keys" in call("doctor", *where)
    finally:
        for process in (blind, seeing):
            process.terminate()
        assert [process.wait(120) for process in (blind, seeing)] == [0, 0]


def completed(file: str, where: tuple[str, ...]) -> str:
    started = call(
        "run",
        file,
        "-c",
        str(COMPONENTS),
        "-i",
        f"n={MARK}",
        "--workers",
        "0",
        "--detach",
        *where,
    )
    run = str(json.loads(started)["id"])
    waits = '"ok"'
    wait_for(lambda: waits in call("runs", "state", run, *where))
    call("runs", "signal", run, "go", "--payload", json.dumps({"n": MARK}), *where)
    wait_for(
        lambda: (
            json.loads(call("runs", "show", run, *where, "--json"))["status"]
            == "completed"
        )
    )
    return run


def closed_to_others(run: str, where: tuple[str, ...]) -> None:
    output = call("runs", "show", run, *where, code=1)
    assert f"run {run} is encrypted with key" in output
    assert output.rstrip().endswith(f"set {VARIABLE}")
    assert str(MARK) not in call("runs", "history", run, "--json", *where)
    assert run in call("runs", "list", *where)


def shredded(run: str, where: tuple[str, ...]) -> None:
    assert (
        call("runs", "shred", run, "--reason", "asked for", "--yes", *where)
        == f"{run} is shredded\n"
    )
    again = json.loads(call("runs", "shred", run, "--json", "--yes", *where))
    assert again == {"id": run, "shredded": True, "changed": False, "log": "done"}
    for command in (
        ("show",),
        ("history", "--json"),
        ("state", "--at", "3"),
        ("explain",),
        ("diff", run),
    ):
        assert str(MARK) not in call("runs", command[0], run, *command[1:], *where)
    gone = json.loads(call("runs", "show", run, *where, "--json"))
    assert (gone["erased"], gone["inputs"], gone["output"]) == (True, {"n": None}, None)
    assert "erased" in call("runs", "retry", run, "--from", "a", *where, code=1)
    assert run in call("runs", "list", "--redacted", *where)


def test_a_run_that_was_not_encrypted_cannot_be_shredded(
    where: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    file = str(tmp_path / "sealed.json")
    run = json.loads(
        call(
            "run",
            file,
            "-c",
            str(COMPONENTS),
            "-i",
            "n=1",
            "--workers",
            "0",
            "--detach",
            *where,
        )
    )["id"]
    call("runs", "cancel", run, *where)
    refused = call("runs", "shred", run, "--yes", *where, code=1)
    assert "openagents runs redact" in refused
    assert f"set {VARIABLE}" in call("keys", "rotate", *where, code=5)


def test_a_wrong_key_is_told_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for wrong in ("nonsense", "c2hvcnQ="):
        monkeypatch.setenv(VARIABLE, wrong)
        output = call("runs", "list", code=2)
        assert len(call("keys", "generate").strip()) == 44  # this way out is open
        assert "setting encryption_keys" in output
        assert "openagents keys generate" in output
        assert wrong not in output


def test_an_encrypted_run_is_promoted_once_its_key_is_there(
    server: Server,
    where: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, call("keys", "generate").strip())
    there = ("--url", server.url, "--prefix", server.prefix())
    document = {
        "id": "waits",
        "steps": [{"id": "ok", "wait_for": "go"}],
        "output": "{{ok.output}}",
    }
    (tmp_path / "waits.json").write_text(json.dumps(document))
    started = call(
        "run", str(tmp_path / "waits.json"), "--workers", "0", "--detach", *where
    )
    run = str(json.loads(started)["id"])
    promote = ("runs", "promote", run, "--to", server.url, "--to-prefix", there[-1])
    assert f"openagents keys adopt {run}" in call(*promote, *where, code=1)
    assert (
        json.loads(call("runs", "show", run, *where, "--json"))["status"] == "running"
    )
    key = call("keys", "show", run, *where)
    refused = call("keys", "adopt", run, key.strip(), *there, code=2)
    assert ("--key-file" in refused, key.strip() in refused) == (True, False)
    adopted = openagents("keys", "adopt", run, *there, given=key.encode())
    assert (adopted.returncode, adopted.stdout) == (
        0,
        f"the key of run {run} is kept\n",
    )
    call(*promote, *where)
    call("runs", "signal", run, "go", "--payload", "7", *there)
    assert json.loads(call("runs", "show", run, *there, "--json"))["output"] == 7


def test_a_capsule_of_an_encrypted_run_is_opened_with_its_key(
    where: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, call("keys", "generate").strip())
    document = {
        "id": "odd",
        "inputs": {"n": {"type": "any"}},
        "steps": [{"id": "ok", "wait_for": "go"}],
    }
    (tmp_path / "odd.json").write_text(json.dumps(document))
    run = json.loads(
        call(
            "run",
            str(tmp_path / "odd.json"),
            "-i",
            f"n={MARK}",
            "--workers",
            "0",
            "--detach",
            *where,
        )
    )["id"]
    capsule, data = str(tmp_path / "run.oac"), ("--data", str(tmp_path / "local"))
    call("runs", "export", run, "-o", capsule, *where)
    key = call("keys", "show", run, *where).strip()
    monkeypatch.setenv(VARIABLE, call("keys", "generate").strip())
    assert f"keys adopt {run} --data {data[1]} < FILE" in call(
        "runs", "open", capsule, *data, code=1
    )
    (tmp_path / "run.key").write_text(f"{key}\n")
    call("keys", "adopt", run, "--key-file", str(tmp_path / "run.key"), *data)
    assert json.loads(call("runs", "open", capsule, "--json", *data))["inputs"] == {
        "n": MARK
    }
    assert "RunStarted" in call("runs", "open", capsule, "--at", "1", *data)
