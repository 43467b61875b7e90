"""Keeping, archiving and deleting runs with the command line, and killing it in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import COMMAND, ROOT, openagents
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess
from tests.integration.ledger.ledgers import DOCUMENT, shout


@pytest.fixture
def where(server: Server) -> list[str]:
    return ["--url", server.url, "--prefix", server.prefix()]


def runs(server: Server, where: list[str], *texts: str) -> list[str]:
    with Engine.connect(
        server.url, prefix=where[-1], components=[shout], workers=2
    ) as engine:
        return [engine.run(DOCUMENT, {"text": text}, timeout=20).id for text in texts]


def ids(*arguments: str) -> set[str]:
    listed = json.loads(openagents("runs", "list", "--json", *arguments).stdout)
    return {row["run"]["id"] if "run" in row else row["id"] for row in listed}


def test_runs_are_held_archived_found_restored(
    server: Server, where: list[str], tmp_path: Path
) -> None:
    first, second, failed = runs(server, where, "a", "b", "fail")
    assert (
        openagents("runs", "hold", first, "--reason", "case 7", *where).returncode == 0
    )
    assert ids("--held", *where) == {first}
    taken = json.loads(openagents("runs", "memory", second, "--json", *where).stdout)[
        "bytes"
    ]
    assert taken > 1000
    refused = openagents("runs", "archive", first, "--to", str(tmp_path), *where)
    assert refused.returncode == 1
    assert "it is held" in refused.stderr
    done = openagents(
        "runs", "archive", second, failed, "--to", str(tmp_path), "--json", *where
    )
    assert done.returncode == 0, done.stderr
    gone = json.loads(done.stdout)
    assert [item["run"] for item in gone] == [second, failed]
    assert all(
        Path(item["url"]).exists() and item["before"] > item["left"] for item in gone
    )
    assert ids(*where) == {first}
    assert ids("--archived", "--status", "failed", *where) == {failed}
    missing = openagents("runs", "show", failed, *where, "--json")
    assert missing.returncode == 6
    assert "runs restore" in missing.stderr
    assert openagents("runs", "restore", failed, *where).returncode == 0
    assert openagents("runs", "explain", failed, *where).returncode == 0
    assert openagents("runs", "release", first, *where).returncode == 0
    assert (
        openagents("runs", "archive", first, "--to", str(tmp_path), *where).returncode
        == 0
    )
    for check in (
        ("doctor",),
        ("projections", "verify", "runs"),
        ("projections", "verify", "workers"),
    ):
        assert openagents(*check, *where).returncode == 0


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_has_left_is_said_though_the_next_cannot(
    server: Server, where: list[str], tmp_path: Path, form: list[str]
) -> None:
    [run] = runs(server, where, "a")
    done = openagents(
        "runs", "archive", run, "0-nobody", "--to", str(tmp_path), *form, *where
    )
    assert done.returncode == 6
    assert "there is no run '0-nobody'" in done.stderr
    assert run in done.stdout


def test_a_policy_is_applied_though_it_is_killed_in_the_middle(
    server: Server, where: list[str], tmp_path: Path
) -> None:
    run_ids = runs(server, where, *(f"t{i}" for i in range(60)))
    policy, to = tmp_path / "policy.json", tmp_path / "archive"
    rules = [
        {"name": "all", "workflow": "shouting", "older_than": "0s", "then": "archive"}
    ]
    policy.write_text(json.dumps({"to": str(to), "rules": rules}))
    dry = openagents("retention", "apply", str(policy), "--dry-run", "--json", *where)
    assert json.loads(dry.stdout)[0]["fits"] == 60
    assert ids(*where, "--limit", "1000") == set(run_ids)
    for some in (5, 25, 45):
        process = ForkedProcess(
            [*COMMAND, "retention", "apply", str(policy), *where], cwd=ROOT
        )
        wait_for(lambda some=some: len(list(to.rglob("*.oac"))) >= some, 60)  # type: ignore[misc]
        process.kill()
        process.wait()
    done = openagents("retention", "apply", str(policy), "--json", *where)
    assert done.returncode == 0, done.stderr
    assert ids("--archived", *where, "--limit", "1000") == set(run_ids)
    assert ids(*where, "--limit", "1000") == set()
    assert openagents("doctor", *where).returncode == 0
    for run in run_ids[:3]:
        assert openagents("runs", "restore", run, *where).returncode == 0
        assert (
            json.loads(openagents("runs", "show", run, *where, "--json").stdout)[
                "status"
            ]
            == "completed"
        )


def test_mistakes_are_told_in_one_line(
    server: Server, where: list[str], tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text('{"rules": [{"name": "x", "then": "burn"}]}')
    for code, arguments in (
        (6, ("runs", "archive", "0-nobody", "--to", str(tmp_path))),
        (2, ("runs", "archive", "0-nobody")),
        (6, ("runs", "restore", "0-nobody")),
        (7, ("runs", "restore", "0-nobody", "--from", str(tmp_path / "nowhere.oac"))),
        (5, ("runs", "restore", "0-nobody", "--from", str(tmp_path / "policy.json"))),
        (6, ("runs", "memory", "0-nobody")),
        (6, ("runs", "hold", "0-nobody")),
        (5, ("retention", "apply", str(tmp_path / "policy.json"))),
        (5, ("retention", "apply", str(tmp_path / "nowhere.json"))),
    ):
        done = openagents(*arguments, *where)
        assert done.returncode == code, arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("openagents: ")
