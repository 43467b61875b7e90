"""What the guide to security says of access, tried on servers."""

from __future__ import annotations

import base64
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from eventstore.redis.driver.connection import connect
from executor.celery.app import CeleryDoorbell, make_app
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from projections.ledger.signing import new_signer
from tests.acceptance.processes import ROOT, openagents, wait_until_working, worker
from tests.conftest import Server
from tests.integration.ledger.ledgers import DOCUMENT as SHOUTING
from tests.integration.ledger.ledgers import shout

PAGE = ROOT / "docs" / "explanation" / "security.md"
PREFIX = "oa"
DOCUMENT = {
    "id": "greeting",
    "inputs": {"text": {"type": "string"}},
    "steps": [
        {"id": "wait", "wait_for": {"any": ["go", {"seconds": 1}]}},
        {"id": "one", "component": "echo", "inputs": {"value": "{{input.text}}"}},
        {
            "id": "two",
            "component": "echo",
            "inputs": {"value": "{{one.output}}"},
            "retry": {"max_retries": 1},
        },
    ],
    "output": "{{two.output}}",
}
DONE_WITHOUT = {"config|get", "client|setinfo"}
"""What is asked for, and not missed when it is refused."""

FORBIDDEN: dict[str, list[str]] = {
    "all": [
        "FLUSHALL",
        "FLUSHDB",
        "SHUTDOWN",
        "CONFIG SET maxmemory 1",
        "CONFIG GET requirepass",
        "KEYS *",
        "ACL LIST",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "REPLICAOF NO ONE",
        "MONITOR",
        "GET other:secret",
        "SET other:secret x",
        "PUBLISH channel x",
    ],
    "starter": ["HGETALL unacked", "BGREWRITEAOF"],
    "reader": [
        "SET oa:x 1",
        "DEL oa:store",
        "XADD oa:{0}:log * a b",
        "LRANGE openagents.oa.tool 0 -1",
    ],
}
SCRIPT = ("EVAL", "return redis.call('GET', 'other:secret')", "0")


class Guarded:
    """A server that has the users of the guide."""

    def __init__(self, server: Server) -> None:
        [block] = re.findall(
            r"^```acl\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
        )
        self.server, self.admin = server, server.connect().client
        self.users: dict[str, str] = {}
        for line in block.splitlines():
            _, name, *rules = line.split()
            if name != "default":
                [password] = [rule[1:] for rule in rules if rule.startswith(">")]
                self.users[name] = password
                self.admin.execute_command("ACL", "SETUSER", name, *rules)

    def url(self, user: str) -> str:
        """Return the URL of the server for a user."""
        return self.server.url.replace("unix://", f"unix://{user}:{self.users[user]}@")

    def refused(self) -> set[tuple[str, str]]:
        """Return what the server has refused to whom."""
        entries = self.admin.execute_command("ACL", "LOG", "1000")
        refusals = [{_text(k): _text(v) for k, v in _pairs(entry)} for entry in entries]
        return {(entry["username"], entry["object"]) for entry in refusals}


def _pairs(entry: Any) -> list[tuple[Any, Any]]:
    return (
        list(entry.items())
        if isinstance(entry, dict)
        else list(zip(entry[::2], entry[1::2], strict=True))
    )


def _text(value: Any) -> str:
    """Read a reply; the driver gives some names as the text of their bytes."""
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.removeprefix("b'").removesuffix("'")


@pytest.fixture
def guarded(private_server: Server) -> Guarded:
    return Guarded(private_server)


def test_the_users_of_the_guide_can_work_and_do_nothing_else(
    guarded: Guarded, tmp_path: Path
) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(DOCUMENT))
    started = ["--url", guarded.url("starter"), "--prefix", PREFIX]
    read = ["--url", guarded.url("reader"), "--prefix", PREFIX]
    process = worker(
        guarded.server,
        PREFIX,
        broker_url=guarded.url("worker"),
        more=("--url", guarded.url("worker")),
    )
    try:
        with Engine.connect(guarded.url("starter"), prefix=PREFIX, workers=0) as engine:
            wait_until_working(engine, process)
        done = openagents(
            "run",
            str(file),
            "--input",
            "text=Ada",
            "--workers",
            "0",
            "--timeout",
            "60",
            *started,
        )
        assert done.returncode == 0, done.stderr
        run = json.loads(done.stdout)["id"]
        for arguments in (("runs", "list"), ("runs", "show", run), ("doctor",)):
            assert openagents(*arguments, *started).returncode == 0, arguments
        for command in ("show", "history", "watch"):
            shown = openagents("runs", command, run, *read)
            assert shown.returncode == 0, shown.stderr
        assert (
            openagents(
                "runs", "export", run, "-o", str(tmp_path / "run.oac"), *read
            ).returncode
            == 0
        )
        for forbidden in (
            ["run", str(file), "--detach", "--input", "text=x"],
            ["runs", "list"],
        ):
            refused = openagents(*forbidden, *read)
            assert (refused.returncode, "does not let us in" in refused.stderr) == (
                1,
                True,
            )
            assert "Traceback" not in refused.stderr
    finally:
        process.terminate()
        process.wait(timeout=60)
    # It has taken the doorbells, with all that Celery does on a broker.
    assert (
        guarded.admin.execute_command(
            "EXISTS", f"_kombu.binding.openagents.{PREFIX}.agent"
        )
        == 1
    )
    assert guarded.admin.execute_command("LLEN", f"openagents.{PREFIX}.tool") == 0
    for user, what in guarded.refused():
        allowed = DONE_WITHOUT | ({"bgrewriteaof"} if user != "worker" else set())
        assert user == "reader" or what in allowed, (user, what)


@pytest.mark.parametrize("user", ["worker", "starter"])
def test_whatever_is_done_to_runs_can_be_done_by_the_users_of_the_guide(
    guarded: Guarded, tmp_path: Path, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {
        "prefix": PREFIX,
        "components": [shout],
        "workers": 2,
        "partitions": 2,
    }
    with Engine.connect(guarded.url(user), **options) as engine:
        texts = ("erased", "archived", "x" * 40_000, "fail")
        erased, archived, large, failed = (
            engine.run(SHOUTING, {"text": text}, timeout=20).id for text in texts
        )
        engine.audit.seal(new_signer())
        engine.redact(erased, "asked for")
        engine.archive.leave(archived, Departure(str(tmp_path)))
        engine.archive.restore(archived)
        engine.replay.fork(large, 3)
        engine.retry(failed)
        assert engine.wait(failed, timeout=20).status == "failed"
        assert (engine.audit.verify().intact, engine.doctor()) == (True, [])
    bell = CeleryDoorbell(make_app(guarded.url(user), PREFIX), PREFIX)
    bell.ring("tool")
    bell.close()
    assert "no doorbell" not in caplog.text
    allowed = DONE_WITHOUT | ({"bgrewriteaof"} if user == "starter" else set())
    assert {what for _, what in guarded.refused()} <= allowed


@pytest.mark.parametrize("user", ["worker", "starter", "reader"])
def test_the_users_of_the_guide_are_refused_all_else(
    guarded: Guarded, user: str
) -> None:
    guarded.admin.execute_command("SET", "other:secret", "x")
    connection = connect(guarded.url(user))
    try:
        for command in (*FORBIDDEN["all"], *FORBIDDEN.get(user, [])):
            with pytest.raises(Exception, match=r"(?i)permission"):
                connection.client.execute_command(*command.split())
        with pytest.raises(Exception, match=r"(?i)permission|can't access"):
            connection.client.execute_command(*SCRIPT)
    finally:
        connection.close()
        guarded.admin.execute_command("DEL", "other:secret")


def test_a_doorbell_says_where_work_is_and_who_rings(private_server: Server) -> None:
    bell = CeleryDoorbell(make_app(private_server.url, PREFIX), PREFIX)
    bell.ring("tool")
    bell.close()
    client = private_server.connect().client
    [raw] = client.execute_command("LRANGE", f"openagents.{PREFIX}.tool", "0", "-1")
    message = json.loads(raw)
    arguments, named, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, named) == (["tool"], {})
    assert message["headers"]["argsrepr"] == "['tool']"
    assert message["headers"]["origin"].endswith(f"@{socket.gethostname()}")


@tool("look")
def look() -> str | None:
    import os

    return os.environ.get("SOMETHING_OF_THE_WORKER")


LOOKING = {
    "id": "looking",
    "steps": [{"id": "a", "component": "look"}],
    "output": "{{a.output}}",
}


def test_a_component_sees_the_environment_of_its_worker(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMETHING_OF_THE_WORKER", "a password")
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[look], workers=1
    ) as engine:
        assert engine.run(LOOKING, timeout=20).output == "a password"


def test_who_has_the_store_has_any_name(server: Server) -> None:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=[look],
        workers=1,
        actor="the-auditor",
    ) as engine:
        run = engine.run(LOOKING, timeout=20).id
        assert engine.history(run)[0].actor == "the-auditor"


def test_the_tests_that_the_guide_names_are_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", PAGE.read_text())
    assert len(named) > 20
    missing = [
        test for file, test in named if f"def {test}(" not in (ROOT / file).read_text()
    ]
    assert missing == []
