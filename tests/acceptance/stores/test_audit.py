"""The audit as an operator and an auditor do it: with the command line, other processes, and a program of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, openagents, worker
from tests.conftest import Server, wait_for

DOCUMENT = {
    "id": "audited",
    "inputs": {"text": {"type": "string"}},
    "steps": [
        {"id": "one", "component": "echo", "inputs": {"value": "{{input.text}}"}},
        {"id": "two", "component": "echo", "inputs": {"value": "{{one.output}}"}},
    ],
    "output": "{{two.output}}",
}


Process = subprocess.Popen[str]


@pytest.fixture
def where(server: Server) -> list[str]:
    return ["--url", server.url, "--prefix", server.prefix()]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "audit.key"
    assert openagents("audit", "keygen", "-o", str(path)).returncode == 0
    assert path.stat().st_mode & 0o077 == 0
    return path


@pytest.fixture
def sealing(
    server: Server, where: list[str], key: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    """A worker process that has the key."""
    monkeypatch.setenv("OPENAGENTS_AUDIT_KEY", str(key))
    process = worker(server, where[-1])
    monkeypatch.delenv("OPENAGENTS_AUDIT_KEY")
    yield process
    process.terminate()
    process.wait(timeout=30)


def run(where: list[str], tmp_path: Path, text: str) -> str:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(DOCUMENT))
    done = openagents(
        "run", str(file), "--input", f"text={text}", "--timeout", "40", *where
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["id"])


def test_a_store_is_sealed_by_a_worker_and_checked_by_an_auditor(
    server: Server, where: list[str], key: Path, sealing: Process, tmp_path: Path
) -> None:
    run_id, public = run(where, tmp_path, "secret-text"), f"{key}.pub"
    wait_for(
        lambda: (
            "0 events not sealed yet" in openagents("audit", "status", *where).stdout
        ),
        30,
    )
    assert (
        openagents("audit", "seal", "--private-key", str(key), *where).returncode == 0
    )
    checked = openagents("audit", "verify", "--key", public, "--json", *where)
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["verified"] >= 8
    for name in (run_id, run_id[:-1]):
        of_run = ("audit", "verify", "--run", name, "--key", public)
        assert openagents(*of_run, *where).returncode == 0

    receipt, bare, export = (
        tmp_path / "receipt.json",
        tmp_path / "bare.json",
        tmp_path / "ledger.zip",
    )
    openagents("audit", "receipt", run_id, "2", "-o", str(receipt), *where)
    openagents(
        "audit", "receipt", run_id, "2", "-o", str(bare), "--without-payload", *where
    )
    openagents("audit", "export", "-o", str(export), *where)
    for file in (receipt, bare, export):
        assert (
            openagents("audit", "verify", str(file), "--key", public).returncode == 0
        ), file
    assert "secret-text" in receipt.read_text()
    assert "secret-text" not in bare.read_text()
    assert independent(receipt, public, tmp_path).returncode == 0
    receipt.write_text(receipt.read_text().replace("secret-text", "another-one"))
    assert openagents("audit", "verify", str(receipt), "--key", public).returncode == 1
    assert (
        "is not the one that was sealed"
        in independent(receipt, public, tmp_path).stderr
    )


def independent(
    receipt: Path, public: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Check a receipt with the program that the documentation shows."""
    page = (ROOT / "docs" / "explanation" / "ledger.md").read_text()
    [program] = re.findall(
        r"^```python file=check_receipt.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    (folder / "check_receipt.py").write_text(program)
    command = [sys.executable, "check_receipt.py", str(receipt), public]
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.damages_store("an event of a run is taken away")
def test_what_was_tampered_with_is_named_on_the_command_line(
    server: Server, where: list[str], key: Path, sealing: Process, tmp_path: Path
) -> None:
    run_id = run(where, tmp_path, "text")
    openagents("audit", "seal", "--private-key", str(key), *where)
    witness = tmp_path / "witness.jsonl"
    witness.write_text(openagents("audit", "witness", *where).stdout)
    assert (
        openagents("audit", "verify", "--witness", str(witness), *where).returncode == 0
    )
    redis = server.connect().client
    partition = run_id.split("-")[0]
    redis.execute_command(b"XDEL", f"{where[-1]}:{{{partition}}}:run:{run_id}", "3-0")
    done = openagents("audit", "verify", *where)
    assert done.returncode == 1
    assert f"event 3 of {run_id}" in done.stdout
    assert "removed" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_run_is_erased_and_still_proved(
    server: Server, where: list[str], key: Path, sealing: Process, tmp_path: Path
) -> None:
    run_id = run(where, tmp_path, "secret-text")
    openagents("audit", "seal", "--private-key", str(key), *where)
    assert "secret-text" in openagents("runs", "show", run_id, *where, "--json").stdout
    done = openagents(
        "runs", "redact", run_id, "--reason", "asked for", "--json", "--yes", *where
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["events"] > 0
    for shown in ("show", "history", "explain"):
        answer = openagents("runs", shown, run_id, *where)
        assert answer.returncode == 0
        assert "secret-text" not in answer.stdout
    assert openagents("audit", "verify", "--key", f"{key}.pub", *where).returncode == 0
    refused = openagents("runs", "rerun", run_id, "one", *where)
    assert refused.returncode == 1
    assert "erased" in refused.stderr


def test_wrong_keys_and_files_are_told_in_one_line(
    where: list[str], key: Path, tmp_path: Path
) -> None:
    (tmp_path / "no.key").write_text("no key")
    (tmp_path / "no.json").write_text("{")
    for code, arguments in (
        (1, ("audit", "seal", "--private-key", str(tmp_path / "no.key"), *where)),
        (1, ("audit", "seal", "--private-key", str(tmp_path / "nowhere"), *where)),
        (6, ("audit", "seal", *where)),
        (6, ("audit", "verify", *where)),
        (5, ("audit", "verify", str(tmp_path / "no.json"))),
        (5, ("audit", "verify", str(tmp_path / "nowhere"))),
        (1, ("audit", "verify", str(key), "--key", str(key))),
        (6, ("audit", "receipt", "0-nobody", "1", *where)),
        (1, ("audit", "keygen", "-o", str(key))),
    ):
        done = openagents(*arguments)
        assert done.returncode == code, arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("openagents: ")


def test_a_file_with_nothing_in_it_proves_nothing(tmp_path: Path) -> None:
    statement = {
        "format": "openagents-ledger/1",
        "ledger": "l",
        "partitions": 0,
        "keys": {},
    }
    path = tmp_path / "ledger.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "ledger.json",
            json.dumps({**statement, "statement": "", "statement_signature": ""}),
        )
    assert openagents("audit", "verify", str(path)).returncode == 1
