"""How a command ended is told by its exit status, and by an error in JSON where JSON was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.processes import in_process_of_its_own, openagents

WAITS = {"id": "waits", "steps": [{"id": "s", "wait_for": "go"}]}
TYPED = {
    "id": "typed",
    "inputs": {"n": {"type": "integer"}},
    "steps": [{"id": "s", "wait_for": "go"}],
}
NOBODY = "redis://127.0.0.1:1"
"""Where no server is."""


def error_of(*command: str, folder: Path) -> dict[str, Any]:
    """Return the error that a command with --json ends with, with the exit status that it had."""
    done = openagents(*command, "--json", folder=folder)
    assert done.stdout == ""
    error: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    assert error.keys() == {"code", "message", "remedy", "exit_status"}
    assert error["exit_status"] == done.returncode
    return error


def test_each_family_of_errors_has_its_exit_status_and_says_itself_in_json(
    tmp_path: Path,
) -> None:
    (tmp_path / "waits.json").write_text(json.dumps(WAITS))
    (tmp_path / "typed.json").write_text(json.dumps(TYPED))
    (tmp_path / "bad.json").write_text('{"id": "bad", "steps": 7}')
    commands = {
        ("run", "bad.json"): (4, "invalid_definition"),
        ("run", "none.json"): (4, "document_unreadable"),
        ("run", "typed.json", "-i", "n=many"): (5, "invalid_inputs"),
        ("run", "waits.json", "--timeout", "0"): (8, "wait_timeout"),
        ("runs", "show", "0-none"): (6, "run_not_found"),
        ("runs", "list", "--data", "nowhere"): (6, "no_store"),
        ("runs", "list", "--url", NOBODY): (7, "store_unavailable"),
        ("runs", "show"): (2, "usage"),
        ("runs", "list", "--sideways"): (2, "usage"),
    }
    errors = {given: error_of(*given, folder=tmp_path) for given in commands}
    assert {
        given: (error["exit_status"], error["code"]) for given, error in errors.items()
    } == commands
    away = errors["runs", "list", "--url", NOBODY]
    assert away["remedy"]
    assert away["message"].endswith(away["remedy"])
    assert errors["runs", "show"]["remedy"] == "see `openagents runs show --help`"


def test_without_json_an_error_is_a_line_for_people(tmp_path: Path) -> None:
    done = in_process_of_its_own("runs", "list", "--url", NOBODY, folder=tmp_path)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("openagents: the store at ")
    shown = in_process_of_its_own("runs", "show", "--json", "-", "-", folder=tmp_path)
    assert (shown.returncode, json.loads(shown.stderr)["code"]) == (2, "usage")


def test_documents_that_are_not_valid_are_told_by_their_status(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"id": "bad", "steps": 7}')
    assert openagents("validate", "bad.json", folder=tmp_path).returncode == 4
