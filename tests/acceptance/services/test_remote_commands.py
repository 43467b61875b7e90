"""Commands with `--url http://...`: they speak with a service, and say the same as they say of a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, openagents
from tests.conftest import SharedServers
from tests.integration.services.calling import (
    ASKING,
    BREAKING,
    GREETING,
    TALKING,
    engine_on,
    serving_api,
)

pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module")
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(engine: Engine) -> Iterator[str]:
    with serving_api(engine, is_open=False) as served:
        yield served


@pytest.fixture(scope="module")
def key(engine: Engine) -> str:
    return engine.api_keys.create("cli", "developer").secret


class Commands:
    """Commands on the service, and the same ones on the store behind it."""

    def __init__(self, engine: Engine, url: str, key: str) -> None:
        self._engine = engine
        self._url = url
        self._key = key

    def remote(self, *arguments: str, status: int = 0) -> str:
        """Return what a command prints that speaks with the service."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("OPENAGENTS_URL", self._url)
            environment.setenv("OPENAGENTS_API_KEY", self._key)
            done = openagents(*arguments)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == status, done.stderr
        return done.stdout or done.stderr

    def local(self, *arguments: str) -> str:
        """Return what a command prints that has the store."""
        prefix = self._engine.core.store.keys.prefix
        done = openagents(*arguments, "--url", self._engine.url, "--prefix", prefix)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def commands(engine: Engine, url: str, key: str) -> Commands:
    return Commands(engine, url, key)


def test_a_run_is_started_followed_and_looked_at(
    commands: Commands, tmp_path: Path
) -> None:
    document = tmp_path / "greeting.json"
    document.write_text(json.dumps(GREETING))
    told = json.loads(commands.remote("run", str(document), "-i", "name=Ada"))
    assert (told["status"], told["output"]) == ("completed", "Hello, Ada!")
    run = told["id"]
    for command in (
        ("runs", "show", run, "--json"),
        ("runs", "history", run, "--json"),
        ("runs", "history", run),
        ("runs", "list", "--json", "--limit", "1"),
        ("runs", "list", "--count", "--status", "completed"),
        ("runs", "explain", run),
    ):
        assert commands.remote(*command) == commands.local(*command), command
    assert "Hello, Ada!" in commands.remote("runs", "show", run)
    beginning = run[: run.index("-") + 9]
    assert commands.remote("runs", "show", beginning, "--json") == commands.local(
        "runs", "show", run, "--json"
    )
    document.write_text(json.dumps(BREAKING))
    assert "it broke" in commands.remote("run", str(document), status=1)
    assert "breaking" in commands.remote("runs", "failures")


def test_a_published_workflow_is_started_with_inputs_of_its_types(
    commands: Commands, tmp_path: Path
) -> None:
    document = tmp_path / "greeting.json"
    document.write_text(json.dumps(GREETING))
    assert "greeting@1.0.0 published" in commands.remote(
        "workflows", "add", str(document), "--alias", "stable"
    )
    assert commands.remote("workflows", "list") == commands.local("workflows", "list")
    for more in ((), ("--json",)):
        show = ("workflows", "show", "greeting@stable", *more)
        assert commands.remote(*show) == commands.local(*show)
    document.write_text(json.dumps({**GREETING, "version": "1.1.0", "output": "1"}))
    for more in ((), ("--json",)):
        diff = ("workflows", "diff", "greeting@stable", str(document), *more)
        assert commands.remote(*diff) == commands.local(*diff)
    told = json.loads(commands.remote("run", "greeting@stable", "-i", "name=01"))
    assert told["output"] == "Hello, 01!"
    create = ("schedules", "create", "nightly", "greeting", "--cron", "0 3 * * *")
    commands.remote(*create, "-i", "name=Ada")
    assert "a schedule 'nightly' already" in commands.remote(
        *create, "-i", "name=Ada", status=1
    )
    assert commands.remote("schedules", "list", "--json") == commands.local(
        "schedules", "list", "--json"
    )
    assert "nightly" in commands.remote("schedules", "pause", "nightly")
    assert "nightly" in commands.remote("schedules", "resume", "nightly")
    commands.remote("schedules", "trigger", "nightly")
    commands.remote("schedules", "delete", "nightly", "--yes")


def test_runs_are_steered(commands: Commands, engine: Engine) -> None:
    run = engine.start(ASKING).id
    assert commands.remote("runs", "pause", run) == f"{run} paused\n"
    commands.remote("runs", "resume", run)
    assert run in commands.remote("runs", "waiting", "--json")
    answered = ("runs", "signal", run, "answer", "--payload", '{"yes": true}')
    told = json.loads(commands.remote(*answered, "--wait", "--timeout", "60"))
    assert told["output"] == {"yes": True}
    who = {event.actor for event in engine.history(run) if event.type == "SignalSent"}
    assert who <= {"key:cli"}
    other = engine.start(ASKING).id
    assert "cancelled" in commands.remote("runs", "cancel", other, "--wait", status=3)
    broken = engine.start(BREAKING).id
    engine.wait(broken)
    assert f"{broken} " in commands.remote("runs", "replay", broken)
    engine.wait(broken)
    commands.remote("runs", "skip", broken, "fall", "--wait")
    assert json.loads(commands.remote("usage", "--json")) == []
    talking = engine.start(TALKING).id
    assert commands.remote("runs", "output", talking) == "0\n1\n2\n"
    assert commands.remote("runs", "watch", talking)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (("audit", "status"), 2, "`openagents audit status` cannot be done over HTTP"),
        (("keys", "rotate"), 2, "cannot be done over HTTP"),
        (("runs", "list", "--archived"), 2, "cannot be done over HTTP"),
        (("runs", "cancel", "--where", "workflow=none", "--yes"), 2, "over HTTP"),
        (("runs", "redact", "0-nothing", "--yes"), 2, "over HTTP"),
        (("runs", "replay", "0-nothing", "--explain"), 2, "over HTTP"),
        (("runs", "show", "0-nothing"), 6, "there is no run '0-nothing'"),
        (("doctor",), 2, "`openagents doctor` cannot be done over HTTP"),
        (
            ("worker", "-c", str(COMPONENTS)),
            2,
            "`openagents worker` cannot be done over",
        ),
    ],
)
def test_what_cannot_be_done_over_http_is_told(
    commands: Commands, command: tuple[str, ...], status: int, words: str
) -> None:
    told = commands.remote(*command, status=status)
    assert words in told
    assert "oak_" not in told


def test_who_has_no_key_is_told_what_to_do(url: str) -> None:
    done = openagents("runs", "list", "--url", url)
    assert done.returncode == 1
    assert "OPENAGENTS_API_KEY" in done.stderr
