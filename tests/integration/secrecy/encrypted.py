"""What the tests of encrypted runs share: engines with keys, documents, and a look at all that is stored."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from eventstore.redis.driver.connection import Connection
from executor.encryption import make_key
from openagents_json import Context, Registry, RetryableError
from openagents_json.engine import Engine
from tests.conftest import Server

MARK = "zq-MARKER-qz"
OLD, NEW = make_key(secrets.token_bytes), make_key(secrets.token_bytes)
Open = Callable[..., Engine]


def echo(x: Any = None) -> Any:
    return {"got": x}


def flaky(context: Context, x: Any) -> Any:
    if context.attempt == 1:
        raise RetryableError("not yet")
    return x


def breaks(x: Any) -> Any:
    if x != "mended":
        raise ValueError("it broke")
    return x


async def later(x: Any) -> Any:
    return [x, x]


def registry() -> Registry:
    components = Registry()
    for function in (echo, flaky, breaks, later):
        components.tool(function.__name__, effect="idempotent")(function)
    return components


def opening(server: Server) -> Iterator[Open]:
    """Open engines on one store, each with the keys it is given; at the end, all has to be well."""
    prefix, engines = server.prefix(), list[Engine]()

    def begin(*keys: str, **options: Any) -> Engine:
        defaults = {
            "components": registry(),
            "workers": 2,
            "partitions": 4,
            "lease_ms": 30_000,
        }
        options = {**defaults, **options, "encryption_keys": keys}
        engines.append(Engine.connect(server.url, prefix=prefix, **options))
        return engines[-1]

    yield begin
    look = begin(workers=0)
    assert look.doctor() == []
    assert [
        drift
        for name in ("runs", "steps", "workers")
        for drift in look.views.verify(name)
    ] == []
    for engine in engines:
        engine.close()


def everything(connection: Connection, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Return all that the server holds under a prefix, snapshots unpacked as far as that can be done."""
    read = {
        b"string": (b"GET",),
        b"hash": (b"HGETALL",),
        b"stream": (b"XRANGE", b"-", b"+"),
        b"zset": (b"ZRANGE", 0, -1),
        b"set": (b"SMEMBERS",),
    }
    for name in connection.client.scan_iter(match=f"{prefix}:*"):
        kind = connection.command(b"TYPE", name)
        if kind in (b"none", "none"):  # it has gone meanwhile
            continue
        command, *rest = read[kind.encode() if isinstance(kind, str) else kind]
        for raw in flat([name, connection.command(command, name, *rest)]):
            yield name.decode(), raw
            if b":snap:" in name:
                try:
                    yield name.decode(), zlib.decompress(raw)
                except zlib.error:
                    continue


def flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        yield from flat([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flat(item)


def places_of(engine: Engine, mark: str = MARK) -> set[str]:
    keys, connection = engine.core.store.keys, engine.core.connection
    return {
        name
        for name, raw in everything(connection, keys.prefix)
        if mark.encode() in raw
    }


def has_key(engine: Engine, run: str) -> bool:
    return (
        engine.core.connection.command(b"GET", engine.core.store.keys.key(run))
        is not None
    )


def loaded(engine: Engine, run: str) -> tuple[int, str, Any]:
    session = engine.core.sessions.load(run)
    return session.version, session.commit, session.state


SIMPLE = {
    "id": "simple",
    "inputs": {"x": {"type": "any", "required": True}},
    "steps": [{"id": "a", "component": "echo", "inputs": {"x": "{{input.x}}"}}],
    "output": "{{a.output.got}}",
}
MANY = {
    "id": "many",
    "steps": [
        {
            "id": "each",
            "component": "echo",
            "foreach": "{{input.xs}}",
            "inputs": {"x": "{{item}}"},
        },
        {
            "id": "again",
            "component": "flaky",
            "inputs": {"x": "{{input.xs}}"},
            "retry": {"delay_seconds": 0.01},
        },
        {"id": "async", "component": "later", "inputs": {"x": "{{again.output}}"}},
        {"id": "ok", "wait_for": {"signal": "go"}},
        {"id": "kid", "workflow": "simple", "inputs": {"x": "{{ok.output}}"}},
        {
            "id": "set",
            "component": "echo",
            "inputs": {"x": "{{kid.output}}"},
            "outputs": {"mine": "{{output.got}}", "workflow.total": "{{output.got}}"},
        },
    ],
    "outputs": {
        "total": {"type": "any"},
        "both": {"type": "any", "source": "async.output"},
    },
}
UNDO = {"component": "echo", "inputs": {"x": "{{input.x}}"}}
UNDONE = {
    "id": "undone",
    "steps": [
        {
            "id": "a",
            "component": "echo",
            "inputs": {"x": "{{input.x}}"},
            "compensate": UNDO,
        },
        {"id": "b", "component": "breaks", "inputs": {"x": "{{a.output.got}}"}},
    ],
    "output": "{{b.output}}",
}


def batched(mode: str) -> dict[str, Any]:
    steps = [
        {"id": f"s{i}", "component": "echo", "inputs": {"x": "{{input.x}}"}}
        for i in range(4)
    ]
    return {
        "id": f"batched-{mode}",
        "persistence": mode,
        "steps": steps,
        "output": "{{s3.output.got}}",
    }
