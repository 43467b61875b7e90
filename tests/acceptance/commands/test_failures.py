"""How commands fail: one line that says what happened, where, and what to do; the status is that of the error."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import COMMAND, openagents

SETTINGS = {
    ("OPENAGENTS_PARTITIONS", "none"): "setting partitions: ",
    ("OPENAGENTS_LEASE_MS", "1"): "setting lease_ms: ",
    (
        "OPENAGENTS_LEASES",
        "agent",
    ): "setting leases: Value error, 'agent' is no worker type with its lease; write ",
    (
        "OPENAGENTS_LEASES",
        "agent=60s,tool=2h",
    ): "setting leases: Value error, 'tool=2h' is no worker type with its ",
    (
        "OPENAGENTS_LEASES",
        "agent=1",
    ): "setting leases: Value error, the lease of 'agent' is 1 ms; it has to ",
    (
        "OPENAGENTS_LEASES",
        "a=1s,a=2s",
    ): "setting leases: Value error, the lease of 'a' is said twice",
    (
        "OPENAGENTS_ENCRYPTION_KEYS",
        "abc",
    ): "setting encryption_keys: Value error, key 1 ",
}


def line_of(done: subprocess.CompletedProcess[str], status: int) -> str:
    """Return the one line of stderr of a command that ended with a status."""
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), (
        done.stderr
    )
    assert done.stderr.startswith("openagents: ")
    return done.stderr.removeprefix("openagents: ").rstrip("\n")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting[0])
def test_a_setting_that_cannot_be_is_named(
    setting: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*setting)
    name, colon, reason = SETTINGS[setting].partition(":")
    told = line_of(openagents("runs", "list", folder=tmp_path), 2)
    assert told.startswith(f"{name} ({setting[0]}){colon}{reason}")


MISSING = "No such file or directory"
FILES = {
    (
        "runs",
        "import",
        "none.capsule",
    ): f"none.capsule: {MISSING}; name a file with an exported run",
    (
        "runs",
        "open",
        "none.capsule",
    ): f"none.capsule: {MISSING}; name a file with an exported run",
    (
        "runs",
        "import",
        ".",
    ): ".: Is a directory; name a file with an exported run",
    (
        "keys",
        "adopt",
        "0-x",
        "--key-file",
        "none",
    ): f"none: {MISSING}; name the file with the key",
    (
        "keys",
        "adopt",
        "0-x",
        "--key-file",
        ".",
    ): ".: Is a directory; name the file with the key",
    (
        "audit",
        "keygen",
        "-o",
        "none/key",
    ): f"none/key: {MISSING}; name a file that can be written with --output",
    (
        "audit",
        "keygen",
        "-o",
        "n" * 300,
    ): f"{'n' * 300}: File name too long; name a place that can be looked into",
    (
        "audit",
        "verify",
        "none",
    ): f"none cannot be read: {MISSING}; make it again from the store",
    (
        "audit",
        "seal",
        "--private-key",
        "none",
    ): f"key none: {MISSING}; `openagents audit keygen` makes a pair of keys",
    ("retention", "apply", "none"): f"none is no policy: {MISSING}",
    (
        "run",
        "none.json",
    ): f"none.json: {MISSING}; give the path of a workflow in JSON or YAML",
    (
        "validate",
        "none.json",
    ): f"none.json: {MISSING}; give the path of a workflow in JSON or YAML",
}

STATUSES: dict[tuple[str, ...], int] = {
    ("audit", "verify"): 5,
    ("retention", "apply"): 5,
    ("run", "none.json"): 4,
    ("validate", "none.json"): 4,
}
"""Those of files that say what is asked for; the others cannot be used on this machine."""


@pytest.mark.parametrize("command", FILES, ids=lambda command: " ".join(command)[:40])
def test_a_file_that_cannot_be_used_is_named(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    status = STATUSES.get(command[:2], 1)
    assert line_of(openagents(*command, folder=tmp_path), status) == FILES[command]


def test_what_to_do_is_said_with_a_command_and_apart_from_what_happened(
    tmp_path: Path,
) -> None:
    wrong = {"id": "w", "steps": [{"id": "a"}, {"id": "b"}]}
    (tmp_path / "w.json").write_text(json.dumps(wrong))
    with Engine.embedded(tmp_path / "d", components=[], workers=0) as engine:
        run = engine.start({"id": "w", "steps": [{"id": "a", "wait_for": "go"}]})
        engine.cancel(run, force=True)
        engine.archive.hold(run)
        for command, advice in {
            "runs show 0-x": "`openagents runs list` shows those that there are",
            "run w.json": "`openagents validate` shows them",
            f"runs archive {run} --to x": f"`openagents runs release {run}` ends that",
            "schedules show x": "`openagents schedules list` shows them",
            "run nothing@1": "add it with `openagents workflows add FILE`",
            "run w.json --no-such": "see `openagents run --help`",
        }.items():
            arguments = [*command.split(), "--data", "d"]
            told = openagents(*arguments, folder=tmp_path).stderr.splitlines()[-1]
            as_json = openagents(*arguments, "--json", folder=tmp_path).stderr
            error = json.loads(as_json.splitlines()[-1])
            assert error["remedy"].startswith(advice), error
            assert error["message"].endswith(f"; {error['remedy']}")
            assert told == f"openagents: {error['message']}"


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = openagents(
        "workflows", "add", "x.json", "--data", "file/data", folder=tmp_path
    )
    message = line_of(done, 7)
    assert message.startswith(
        f"the embedded server in {tmp_path / 'file/data'} did not start: Not a directory; "
    )


def test_where_nothing_can_be_printed_is_said_in_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "keys", "generate"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
    told = "openagents: standard output: No space left on device; send it where there is room for it\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_working_directory_that_was_removed_is_named(tmp_path: Path) -> None:
    """A shell stands in a directory that somebody else has removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'cd {gone} && rmdir {gone} && exec "$@"'
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONSAFEPATH": "1",
    }
    for command in (["runs", "list"], ["validate", "x.json", "-c", "components"]):
        done = subprocess.run(
            ["sh", "-c", script, "sh", *COMMAND, *command],
            capture_output=True,
            text=True,
            env=environment,
        )
        gone.mkdir(exist_ok=True)
        assert line_of(done, 1).startswith(
            "the working directory: No such file or directory; go to one that is there"
        )


CLOSED = {
    "run - <&-": "the workflow is not valid: ",
    "validate - >&-": "",
    "keys adopt 0-x <&-": "the key of run 0-x has 0 bytes instead of 32; ",
    "runs list --url @- <&-": "Invalid value for '--url': the file - holds no URL; ",
    "keys generate >&-": "",
}


@pytest.mark.parametrize("command", CLOSED)
def test_a_stream_that_is_closed_is_an_empty_one(command: str, tmp_path: Path) -> None:
    """As services have them: they begin without a terminal, and some without any stream."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    script = f'"$@" {command}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(
        f"openagents: {CLOSED[command]}" if CLOSED[command] else ""
    )
