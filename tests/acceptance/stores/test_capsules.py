"""Runs in files and between stores, through real processes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import ROOT, openagents, openagents_bytes, worker
from tests.conftest import Server
from tests.fork_server import run_forked

COMPONENTS = """
from pathlib import Path
from openagents_json import tool

@tool("divide")
def divide(x: int) -> int:
    return 100 // x

@tool("say")
def say(y: int = 0, notes: str = "") -> str:
    if notes:
        with Path(notes).open("a") as file:
            file.write("said\\n")
    return f"got {y}"
"""


def workflow(folder: Path) -> Path:
    document = {
        "id": "w",
        "inputs": {"x": {"type": "integer"}},
        "steps": [
            {"id": "a", "component": "divide", "inputs": {"x": "{{input.x}}"}},
            {"id": "b", "component": "say", "inputs": {"y": "{{a.output}}"}},
        ],
        "output": "{{b.output}}",
    }
    (folder / "workflow.json").write_text(json.dumps(document))
    (folder / "parts.py").write_text(COMPONENTS)
    return folder / "workflow.json"


def failed(folder: Path) -> tuple[str, Path]:
    """Return a run that failed, and its capsule."""
    path, data = workflow(folder), str(folder / "data")
    options = ("--data", data, "-c", str(folder / "parts.py"))
    done = openagents("run", str(path), "--input", "x=0", *options, "--json")
    run = json.loads(done.stdout)["id"]
    capsule = folder / "run.oac"
    done = openagents(
        "runs", "export", run, "-o", str(capsule), "--data", data, "--json"
    )
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["events"], answer["run"]) == (0, 5, run)
    return run, capsule


def opened(folder: Path, capsule: Path, lines: str, *more: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAGENTS_URL", "redis://nowhere.invalid:1")
        arguments = (
            "runs",
            "open",
            str(capsule),
            "-c",
            str(folder / "parts.py"),
            *more,
        )
        done = openagents(*arguments, folder=folder, given=lines.encode())
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_run_is_stepped_through_retried_and_forked_on_a_laptop(
    tmp_path: Path,
) -> None:
    run, capsule = failed(tmp_path)
    output = opened(
        tmp_path, capsule, "b\nback\nd\ng 1\nn\nx\ng 99\ne\nq\nn\n"
    ).splitlines()
    shown = [
        line.split()[0]
        for line in output
        if "/5 " in line and not line.startswith(("  ", "> "))
    ]
    assert shown == ["5/5", "4/5", "3/5", "1/5", "2/5"]
    assert 'steps.a.status: "scheduled" -> "started"' in output
    assert any("has events 1 to 5, and no event 99" in line for line in output)
    assert (
        sum(line[2:].startswith(f"{n}/5 ") for n in range(1, 6) for line in output) == 5
    )
    (tmp_path / "parts.py").write_text(
        COMPONENTS.replace("100 // x", "100 // (x or 5)")
    )
    printed = "\n".join(
        opened(tmp_path, capsule, "fork 2\nretry a\nretry a\nfork 5\nq\n").splitlines()
    )
    assert 'completed: "got 20"' in printed
    assert printed.count(f'the run {run} completed: "got 20"') == 2
    assert "the run had ended (failed)" in printed
    data = str(tmp_path / "data")
    assert (
        json.loads(openagents("runs", "show", run, "--data", data, "--json").stdout)[
            "status"
        ]
        == "failed"
    )
    at = openagents("runs", "open", str(capsule), "--at", "3", "--json")
    assert [step["status"] for step in json.loads(at.stdout)["steps"]] == ["started"]
    refused = openagents("runs", "open", str(capsule), "--url", "redis://localhost:1")
    assert refused.returncode == 2


def test_a_missing_component_is_named_and_nothing_is_begun(tmp_path: Path) -> None:
    _, capsule = failed(tmp_path)
    (tmp_path / "parts.py").write_text(COMPONENTS.replace('"divide"', '"other"'))
    assert "there is no component divide here" in opened(
        tmp_path, capsule, "retry\nq\n"
    )


def test_files_are_not_overwritten_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    run, capsule = failed(tmp_path)
    data, raw = str(tmp_path / "data"), capsule.read_bytes()
    again = openagents("runs", "export", run, "-o", str(capsule), "--data", data)
    assert (again.returncode, "--force replaces it" in again.stderr) == (1, True)
    assert (
        openagents(
            "runs", "export", run, "-o", str(capsule), "--data", data, "--force"
        ).returncode
        == 0
    )
    piped = openagents_bytes("runs", "export", run, "-o", "-", "--data", data)
    assert piped.stdout[:2] == b"PK"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "data",
        "parts.py",
        "run.oac",
        "workflow.json",
    ]
    capsule.write_bytes(raw[: len(raw) // 2])
    for command in ("open", "import"):
        done = openagents("runs", command, str(capsule))
        assert (done.returncode, done.stderr.count("\n")) == (5, 1)
        assert done.stderr.startswith("openagents: the capsule cannot be read: ")
    assert openagents("runs", "import", str(tmp_path / "none.oac")).returncode == 1


def test_a_run_comes_into_a_cluster_and_goes_on_there(
    tmp_path: Path, server: Server
) -> None:
    run, capsule = failed(tmp_path)
    prefix = server.prefix()
    where = ("--url", server.url, "--prefix", prefix)
    done = openagents(
        "runs", "import", str(capsule), "--reason", "from a laptop", *where, "--json"
    )
    assert json.loads(done.stdout) == {"changed": True, "id": run, "status": "failed"}
    assert (
        "it was here already"
        in openagents("runs", "import", str(capsule), *where).stdout
    )
    assert " (imported) " in openagents("runs", "list", "--imported", *where).stdout
    told = openagents(
        "runs", "history", run, "--format", "jsonl", *where
    ).stdout.splitlines()
    *theirs, mine = map(json.loads, told)
    assert (
        {event["imported"] for event in theirs},
        mine["type"],
        mine["imported"],
    ) == ({"oa"}, "RunImported", "")
    assert (mine["data"]["reason"], len(mine["data"]["sha256"])) == (
        "from a laptop",
        64,
    )
    process = worker(server, prefix, components=tmp_path / "parts.py")
    try:
        assert openagents("runs", "retry", run, "--set", "x=4", *where).returncode == 0
        with Engine.connect(server.url, prefix=prefix, components=[]) as engine:
            assert engine.wait(run, timeout=30).output == "got 25"
            assert engine.doctor() == []
    finally:
        process.terminate()
        process.wait()


KILLED = """
import os, signal, sys
from openagents_json.engine import Engine
from openagents_json.engine.archive.promotion import STAGES, Move
data, url, prefix, run, stop = sys.argv[1:]
here = Engine.embedded(data, components=[], workers=0)
with here, Engine.connect(url, prefix=prefix, components=[]) as there:
    for stage in STAGES[: int(stop)]:
        stage(Move(here, there, run))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def halfway(folder: Path) -> tuple[str, str]:
    """Return an embedded run in the middle of its life, and its data directory."""
    (folder / "parts.py").write_text(COMPONENTS)
    notes, data = str(folder / "notes"), str(folder / "data")
    say = {"component": "say", "inputs": {"y": 1, "notes": notes}}
    document: dict[str, Any] = {
        "id": "w",
        "steps": [{"id": "a", **say}, {"id": "go", "wait_for": {"signal": "go"}}],
    }
    document |= {"output": "{{b.output}}"}
    document["steps"].append({"id": "b", **say})
    (folder / "workflow.json").write_text(json.dumps(document))
    begun = openagents(
        "run",
        str(folder / "workflow.json"),
        "--data",
        data,
        "-c",
        str(folder / "parts.py"),
        "--detach",
        "--json",
    )
    run = json.loads(begun.stdout)["id"]
    return run, data


@pytest.mark.parametrize("stop", [1, 2, 4, 5, 7])
def test_a_promotion_that_is_killed_is_finished_by_doing_it_again(
    tmp_path: Path, server: Server, stop: int
) -> None:
    run, data = halfway(tmp_path)
    prefix = server.prefix()
    arguments = [sys.executable, "-c", KILLED, data, server.url, prefix, run, str(stop)]
    died = run_forked(arguments, timeout=60, cwd=ROOT, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    to = ("--to", server.url, "--to-prefix", prefix)
    for _ in range(2):
        done = openagents("runs", "promote", run, "--data", data, *to, "--json")
        assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "running"), (
            done.stderr
        )
    here = json.loads(openagents("runs", "show", run, "--data", data, "--json").stdout)
    assert (here["status"], here["reason"][:9]) == ("cancelled", "moved to ")
    process = worker(server, prefix, components=tmp_path / "parts.py")
    try:
        with Engine.connect(server.url, prefix=prefix, components=[]) as engine:
            engine.signal(run, "go")
            assert engine.wait(run, timeout=30).output == "got 1"
            assert engine.doctor() == []
    finally:
        process.terminate()
        process.wait()
    assert (tmp_path / "notes").read_text() == "said\nsaid\n"
