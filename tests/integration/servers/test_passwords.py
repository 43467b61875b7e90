"""Passwords of URLs are nowhere: not in messages, not in the log of the store, not in lines and logs of processes."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cli.failing.failures import tell
from eventstore.event import Position, Recorded
from eventstore.passwords import filled_in, mask_log_records, masked, traceback_of
from eventstore.redis.driver.connection import Connection
from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.components.errors import describe_error
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.errors import ArchiveUnreachable
from openagents_json.engine.settings import from_environment
from projections.runs import ARCHIVE
from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import Server
from tests.fork_server import ForkedProcess
from tests.integration.ledger.ledgers import Open, opening, ran

PASSWORD = "sesame-0815"
OTHER = "open%2Fdoor"


class Vault(MemoryFileSystem):  # type: ignore[misc]
    """Files of a place that is reached with a password, and complains with its URL."""

    protocol = "vault"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("vault://").strip("/")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if f":{PASSWORD}@" not in path:
            raise PermissionError(f"no login in vault:/{path}")
        if "away" in path:
            raise ConnectionError(f"Cannot reach vault:/{path} with {PASSWORD}")
        return super()._open(path, mode, **options)


fsspec.register_implementation("vault", Vault, clobber=True)


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


def values(connection: Connection) -> Iterator[bytes]:
    """Return all that a server holds, as it would be dumped."""
    client = connection.client
    for name in client.scan_iter(b"*", count=1000):
        yield name
        kind = client.type(name)
        read = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"stream": client.xrange,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"none": lambda _: b"",  # it has expired since
        }[kind]
        yield repr(read(name)).encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        (
            "at rediss://u:p%40w@h, twice: 'ftp://u:p@h/x'",
            "at rediss://u:***@h, twice: 'ftp://u:***@h/x'",
        ),
        ("sentinel://:a/b?c#d@e@h:1/0", "sentinel://:***@h:1/0"),
        (
            "redis+sentinel://h:1/name?sentinel_password=pw&db=0",
            "redis+sentinel://h:1/name?sentinel_password=***&db=0",
        ),
        (
            "https://h/x?X-Amz-Signature=ab&sig=cd&part=1",
            "https://h/x?X-Amz-Signature=***&sig=***&part=1",
        ),
        (
            "rediss://h:1?ssl_ca_certs=/a/key.pem",
            "rediss://h:1?ssl_ca_certs=/a/key.pem",
        ),
        ("see http://h:80/x or mail me@h", "see http://h:80/x or mail me@h"),
        (
            "unix:///tmp/s.sock?db=1 and user@host:path",
            "unix:///tmp/s.sock?db=1 and user@host:path",
        ),
    ],
)
def test_a_password_of_a_url_is_masked_and_nothing_else(text: str, shown: str) -> None:
    assert (masked(text), masked(shown)) == (shown, shown)


def test_a_known_password_is_found_outside_of_its_url() -> None:
    url = f"redis://u:{OTHER}@h"
    assert (
        masked("bad login open/door, also open%2Fdoor", url)
        == "bad login ***, also ***"
    )
    assert masked("bad login", "redis://u:in@h") == "bad login"  # too short to look for


def test_recorded_places_are_filled_in_from_the_archive_that_they_are_in() -> None:
    base = f"ftp://u:{PASSWORD}@h/runs/"
    assert (
        filled_in("ftp://u:***@h/runs/a/1.oac", base)
        == f"ftp://u:{PASSWORD}@h/runs/a/1.oac"
    )
    assert filled_in("ftp://u:***@h/runs2/1.oac", base) == "ftp://u:***@h/runs2/1.oac"
    assert filled_in("./archive/1.oac", "") == "./archive/1.oac"


def test_the_password_of_an_archive_is_not_recorded_and_not_told(opened: Open) -> None:
    engine, base = opened(), f"vault://ada:{PASSWORD}@h/runs"
    [run] = ran(engine, "a")
    gone = engine.archive.leave(run, Departure(base))
    assert gone.url.startswith("vault://ada:***@h/runs/")
    assert [item.url for item in engine.views.archived().items] == [gone.url]
    with pytest.raises(
        ArchiveUnreachable,
        match=r"records no passwords; give its URL with --file, or set OPENAGENTS_",
    ):
        engine.archive.restore(run)
    assert engine.archive.restore(run, archive=base) == "completed"
    with pytest.raises(ArchiveUnreachable) as refused:
        engine.archive.leave(run, Departure(f"{base}/away"))
    assert PASSWORD not in traceback_of(refused.value)
    assert not any(
        PASSWORD in str(x)
        for x in (refused.value, refused.value.__cause__, Departure(base))
    )
    assert not any(
        PASSWORD.encode() in value for value in values(engine.core.connection)
    )


def test_a_place_that_an_older_version_recorded_whole_is_shown_masked_and_forgotten_when_the_run_is_back() -> (
    None
):
    url, [fold] = f"ftp://u:{PASSWORD}@h/1.oac", [ARCHIVE.apply]
    row = {"url": url, "sha256": "", "bytes": 1}
    back = Recorded(
        "s",
        1,
        Position(0, 1),
        0,
        "c",
        "a",
        "",
        "RunRestored",
        {"run": "0-1", "url": masked(url)},
        {},
    )
    assert fold(dict(row), back) is None


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer.open(tmp_path / "data", unix_socket=False)
    yield server
    server.close()


def secret_of(server: EmbeddedServer) -> str:
    return server.url.partition(":")[2].partition("@")[0].rpartition(":")[2]


def test_no_command_tells_the_password_of_its_server(
    guarded: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = secret_of(guarded)
    wrong = guarded.url.replace(password, f"not-{password}")
    away = f"redis://:{password}@127.0.0.1:1/0"
    Engine.connect(guarded.url, broker=None).close()
    for line in (
        "workers",
        "runs show 0-1",
        f"runs promote 0-1 --to redis://:{password}@127.0.0.1:1",
        f"x {away}",
    ):
        monkeypatch.setenv("OPENAGENTS_URL", guarded.url)
        assert password not in openagents(*line.split()).stderr, line
    for url in (
        guarded.url,
        wrong,
        away,
        away.replace("redis", "redis+sentinel"),
        f"redis://:{password}/@h",
    ):
        monkeypatch.setenv("OPENAGENTS_URL", url)
        for line in ("doctor", "runs list"):
            done = openagents(*line.split())
            assert (
                password in done.stdout + done.stderr,
                "Traceback" in done.stderr,
            ) == (False, False), (url, line)
        assert password not in repr(from_environment())
    monkeypatch.delenv("OPENAGENTS_URL")
    errors = openagents("runs", "list", "--url", guarded.url).stderr
    assert ("--url @FILE" in errors, password in errors) == (True, False)
    (tmp_path / "url").write_text(f"{guarded.url}\n")
    done = openagents("runs", "list", "--url", f"@{tmp_path / 'url'}", "--json")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")
    done = openagents("doctor", "--url", "@-", given=guarded.url.encode())
    assert ("all is well" in done.stdout, password in done.stdout) == (True, False)


def test_what_dev_prints_has_no_password(
    guarded: EmbeddedServer, tmp_path: Path
) -> None:
    environment = {**os.environ, "OPENAGENTS_URL": guarded.url}
    lines: list[str] = []
    with ForkedProcess(
        [*COMMAND, "dev"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "working on" in line:
                process.send_signal(signal.SIGINT)
    assert any("store and broker: redis://127.0.0.1:" in line for line in lines)
    assert secret_of(guarded) not in "".join(lines)


def test_an_archive_that_ends_with_the_command_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--url", server.url, "--prefix", server.prefix())
    Engine.connect(server.url, broker=None, prefix=where[-1]).close()
    for location in ("memory://", "memory://bucket/runs", "simplecache::memory://x"):
        done = openagents("runs", "archive", "0-1", "--to", location, *where)
        assert (done.returncode, "ends with this process" in done.stderr) == (2, True)
        (tmp_path / "policy.json").write_text(
            json.dumps({"rules": [{"name": "r", "then": "archive", "to": location}]})
        )
        done = openagents("retention", "apply", str(tmp_path / "policy.json"), *where)
        assert (done.returncode, "ends with this process" in done.stderr) == (2, True)
        monkeypatch.setenv("OPENAGENTS_ARCHIVE", location)
        assert openagents("runs", "archive", "0-1", *where).returncode == 2
        monkeypatch.delenv("OPENAGENTS_ARCHIVE")
        done = openagents("runs", "promote", "0-1", "--to", location, *where)
        assert (done.returncode, "ends with this process" in done.stderr) == (2, True)


def test_an_error_of_a_component_says_no_password_of_a_url() -> None:
    error = ConnectionError(f"Cannot connect to amqp://guest:{PASSWORD}@rabbit:5672//")
    assert (
        describe_error(error)["message"]
        == "Cannot connect to amqp://guest:***@rabbit:5672//"
    )


def test_what_a_process_logs_has_no_password() -> None:
    before, out = logging.getLogRecordFactory(), io.StringIO()
    handler, log = logging.StreamHandler(out), logging.getLogger("kombu.tests")
    log.addHandler(handler)
    try:
        mask_log_records()
        log.error("Cannot connect to %s", f"redis://:{PASSWORD}@h")
        try:
            raise ConnectionError(f"no redis://:{PASSWORD}@h")
        except ConnectionError:
            log.exception("lost")
        log.error("a number %d", 7)
    finally:
        log.removeHandler(handler)
        logging.setLogRecordFactory(before)
    output = out.getvalue()
    assert (
        PASSWORD in output,
        "no redis://:***@h" in output,
        "a number 7" in output,
    ) == (
        False,
        True,
        True,
    )


def test_a_defect_is_shown_without_passwords(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise RuntimeError(f"lost redis://:{PASSWORD}@h")
    except RuntimeError as error:
        with pytest.raises(SystemExit) as ended:
            tell(error)
    output = capsys.readouterr().err
    assert (ended.value.code, PASSWORD in output) == (1, False)
    assert all(text in output for text in ("redis://:***@h", "please report it"))
