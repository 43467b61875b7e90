"""No script writes before it knows that every key it will touch is there: an error in its middle would undo nothing.

While a slot of a cluster is moved key by key, naming a key that is not there is such an error. The server itself tells
here which keys the scripts touch: what they call, in the order of their calls, is seen with MONITOR.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from openagents_json import Context, tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from tests.conftest import Server
from tests.integration.ledger.ledgers import key_file, signer

LINE = re.compile(r"^[0-9.]+ \[\d+ (\S+?)\] (.*)$")
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
WRITES = frozenset(
    re.findall(
        r"\w+",
        "APPEND COPY DEL HDEL HINCRBY HSET HSETNX PERSIST EXPIRE PEXPIRE RENAME SADD SET SETBIT SETRANGE SREM "
        "UNLINK XADD XDEL ZADD ZPOPMIN ZREM ZREMRANGEBYSCORE ",
    )
)
REMOVES = frozenset(["DEL", "SREM", "UNLINK", "ZPOPMIN", "ZREM", "ZREMRANGEBYSCORE"])
READS = frozenset(
    re.findall(
        r"\w+",
        "EXISTS GET GETRANGE HEXISTS HGET HGETALL HLEN HMGET SCARD SISMEMBER SRANDMEMBER STRLEN XLEN XRANGE "
        "XREVRANGE ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZRANK ZSCORE ",
    )
)
ALL_ARE_KEYS = frozenset(("DEL", "EXISTS", "UNLINK"))


def keys_of(words: list[str]) -> list[str]:
    if words[0] in ALL_ARE_KEYS:
        return words[1:]
    return words[1:3] if words[0] == "RENAME" else words[1:2]


KNOWN = {
    item.name.removesuffix(".lua")
    for item in (files("eventstore.redis") / "lua").iterdir()
}

SCRIPTS = {
    "adopt",
    "beat",
    "claim",
    "commit",
    "due",
    "essential",
    "free",
    "gate",
    "project",
    "redact",
    "seal",
    "stage",
}
"""Those that touch keys which their callers do not know, and those that have to be sent with them."""


class Watched:
    """What a server was asked to do, in its order."""

    def __init__(self, server: Server) -> None:
        self._client = server.connect().client
        self._lines: list[str] = []
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        self._ready.wait(10)

    def _listen(self) -> None:
        connection = self._client.connection_pool.get_connection()
        connection.send_command("MONITOR")
        connection.read_response()
        self._ready.set()
        while True:
            line = connection.read_response(timeout=20).decode("utf-8", "replace")
            self._lines.append(line)
            if '"that-is-all"' in line:
                break
        connection.disconnect()

    def names(self) -> dict[str, str]:
        """Return the names of the scripts that were loaded, by hash; what a text says last is its own name."""
        keys_by_script = {}
        for line in self._lines:
            words = WORD.findall(line)
            if [word.upper() for word in words[:2]] == ["SCRIPT", "LOAD"]:
                text = words[2].encode().decode("unicode_escape")
                sha = hashlib.sha1(
                    text.encode("latin-1"), usedforsecurity=False
                ).hexdigest()
                named = [
                    name
                    for name in re.findall(r"^-- (\w+): ", text, re.MULTILINE)
                    # What is put before a script, so that it writes only under a lease, is none.
                    if name in KNOWN and name != "fenced"
                ]
                keys_by_script[sha] = "adopt" if "adopt" in named else named[0]
        return keys_by_script

    def calls(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Return the calls of scripts: the hash, the declared keys, and the commands of the script."""
        self._client.echo("that-is-all")
        self._thread.join(20)
        inside: list[list[str]] = []
        sha = ""
        keys: list[str] = []
        for line in self._lines:
            match = LINE.match(line)
            assert match, line
            words = WORD.findall(match[2])
            if match[1] == "lua":
                inside.append([words[0].upper(), *words[1:]])
                continue
            if sha:
                yield sha, keys, inside
            sha, inside = "", []
            if words and words[0].upper() == "EVALSHA":
                sha, keys = words[1], words[3 : 3 + int(words[2])]
        if sha:
            yield sha, keys, inside


def faults(keys: list[str], commands: list[list[str]]) -> list[str]:
    """Return the keys that are touched, from the first write on, without having been looked at or declared.

    And those that are touched after something was taken out of them: what is emptied is not there any more.
    """
    declared, written, gone, wrong = set(keys), False, set(), []
    for command in commands:
        if command[0] in ("TIME",):
            continue
        assert command[0] in WRITES | READS, command
        written = written or command[0] in WRITES
        wrong += [
            f"{command[0]} {key}, which may be gone"
            for key in keys_of(command)
            if key in gone
        ]
        if command[0] in REMOVES:
            gone.update(keys_of(command))
        wrong += [
            f"{command[0]} {key}"
            for key in keys_of(command)
            if written and key not in declared
        ]
        declared.update(keys_of(command))
    return wrong


def everything(engine: Engine, folder: Path) -> None:
    """Have runs do all that a store has a script for."""
    key = signer(key_file(folder))
    document: dict[str, Any] = {
        "id": "w",
        "execution": "graph",
        "concurrency": {"key": "one", "limit": 1},
        "fairness": {"key": "one", "weight": 2},
        "steps": [
            {
                "id": "a",
                "component": "fails_once",
                "retry": {"max_retries": 3, "delay_seconds": 0.01},
            },
            {"id": "b", "component": "big", "depends_on": ["a"]},
            {
                "id": "c",
                "foreach": "{{[1, 2, 3]}}",
                "component": "big",
                "fairness": {"key": "{{item}}"},
                "depends_on": ["b"],
            },
        ],
    }
    runs = [engine.run(document, timeout=120).id for _ in range(3)]
    held = {
        "id": "h",
        "steps": [{"id": "s", "wait_for": "go"}, {"id": "t", "component": "big"}],
    }
    run = engine.start(held)
    engine.pause(run)
    engine.resume(run)
    engine.cancel(run)
    assert engine.wait(run, timeout=120).status == "cancelled"
    engine.audit.seal(key)
    engine.redact(runs[0])
    fork = engine.replay.fork(runs[1], 2)
    assert engine.wait(fork, timeout=120).ok
    engine.views.runs()
    engine.audit.seal(key)
    engine.archive.leave(runs[1], Departure(str(folder / "archive")))
    assert engine.archive.restore(runs[1]) == "completed"
    assert engine.doctor() == []


def test_each_key_that_a_script_writes_is_declared_or_looked_at_first(
    private_server: Server, tmp_path: Path
) -> None:
    failures = iter([True])

    @tool("fails_once")
    def fails_once() -> int:
        threading.Event().wait(0.4)  # longer than a lease
        if next(failures, False):
            raise ConnectionError("once")
        return 1

    @tool("big")
    def big(context: Context) -> str:
        context.emit("on its way")
        return "x" * 40_000

    watched = Watched(private_server)
    with Engine.connect(
        private_server.url,
        components=[fails_once, big],
        workers=2,
        partitions=2,
        lease_ms=300,
    ) as engine:
        everything(engine, tmp_path)
    seen: dict[str, set[str]] = {}
    for sha, keys, commands in watched.calls():
        seen.setdefault(sha, set()).update(faults(keys, commands))
    names = watched.names()
    assert {names[sha]: sorted(wrong) for sha, wrong in seen.items() if wrong} == {}
    assert {names[sha] for sha in seen} >= SCRIPTS
