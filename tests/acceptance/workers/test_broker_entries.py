"""What others put into the broker, or tell all workers over it, ends nothing: it is dropped with a line in the log."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from executor.celery.app import TASK, celery_queue
from executor.celery.broker import broker_of
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS, wait_until_working, worker
from tests.conftest import Server, wait_for

DOCUMENT = {"id": "w", "steps": [{"id": "a", "component": "quick"}]}


def entry(body: Any = None, *, raw: bytes | None = None, **changes: Any) -> bytes:
    """A message as Celery sends it, but for some changes; None takes something away."""
    content = (
        raw
        if raw is not None
        else json.dumps(body if body is not None else [["tool"], {}, {}]).encode()
    )
    message: dict[str, Any] = {
        "body": base64.b64encode(content).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK,
            "id": "x",
            "root_id": "x",
            "parent_id": None,
            "group": None,
        },
        "properties": {
            "body_encoding": "base64",
            "correlation_id": "x",
            "delivery_info": {"exchange": "", "routing_key": "x"},
            "delivery_mode": 1,
            "delivery_tag": "x",
            "priority": 0,
        },
    }
    for name, value in changes.items():
        section, _, key = name.replace("__", ".").replace("_", "-").partition(".")
        holder, key = (
            (message[section], key.replace("-", "_")) if key else (message, section)
        )
        if value is None:
            del holder[key]
        else:
            holder[key] = value
    return json.dumps(message).encode()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return exit, (7,)


STRANGE = {
    "bytes": b"\x80\x04\xff\x00garbage",
    "empty": b"",
    "text": b"hello",
    "pickle": pickle.dumps(Bomb()),
    "number": b"5",
    "null": b"null",
    "array": b"[]",
    "object": b"{}",
    "deep": b"[" * 5000,
    "digits": b"1" * 5000,
    "no properties": entry(properties=None),
    "properties of another kind": entry(properties=[]),
    "no tag": entry(properties__delivery_tag=None),
    "tag of another kind": entry(properties__delivery_tag={"a": 1}),
    "no delivery info": entry(properties__delivery_info=None),
    "no encoding": entry(properties__body_encoding="rot13"),
    "encoding of another kind": entry(properties__body_encoding=5),
    "not base64": json.dumps({**json.loads(entry()), "body": "%%%"}).encode(),
    "body of another kind": json.dumps(
        {**json.loads(entry()), "body": {"a": 1}}
    ).encode(),
    "no headers": entry(headers=None),
    "headers of another kind": entry(headers=[1]),
    "no task": entry(headers__task=None),
    "another task": entry(headers__task="celery.backend_cleanup"),
    "task of another kind": entry(headers__task={"a": 1}),
    "no id": entry(headers__id=None),
    "pickled body": entry(
        raw=pickle.dumps(Bomb()), content_type="application/x-python-serialize"
    ),
    "pickled body as JSON": entry(raw=pickle.dumps(Bomb())),
    "yaml": entry(
        raw=b"!!python/object/apply:os._exit [7]", content_type="application/x-yaml"
    ),
    "no content type": entry(content_type=None),
    "charset": entry(content_encoding="utf-99"),
    "compressed": entry(headers__compression="application/x-gzip"),
    "body is a number": entry(5),
    "body is an object": entry({"a": 1}),
    "two members": entry([["tool"], {}]),
    "no arguments": entry([[], {}, {}]),
    "many arguments": entry([["tool", 1, 2], {}, {}]),
    "argument of another kind": entry([[{"a": 1}], {}, {}]),
    "named arguments": entry([["tool"], {"queue": "tool", "\x1b[2J": 1}, {}]),
    "another queue": entry([["elsewhere"], {}, {}]),
    "embedded of another kind": entry([["tool"], {}, 5]),
    "callbacks": entry(
        [["tool"], {}, {"callbacks": [{"task": "x"}], "chord": 5, "chain": "x"}]
    ),
    "expires": entry(headers__expires="never"),
    "eta": entry(headers__eta="soon"),
    "far eta": entry(headers__eta="9999-12-31T23:59:59"),
    "retries": entry(headers__retries="many"),
    "timelimit": entry(headers__timelimit="x"),
    "priority": entry(properties__priority="high"),
}


@pytest.fixture(params=["threads", "prefork"])
def working(
    server: Server, request: pytest.FixtureRequest
) -> Iterator[tuple[Engine, Any, str]]:
    prefix = server.prefix()
    components = load([str(COMPONENTS)])
    with Engine.connect(
        server.url, prefix=prefix, components=components, partitions=1
    ) as engine:
        process = worker(server, prefix, more=("--pool", request.param))
        try:
            wait_until_working(engine, process)
            yield engine, process, prefix
        finally:
            process.terminate()
            process.wait(30)


def test_an_entry_that_is_no_message_of_ours_is_dropped(
    server: Server, working: tuple[Engine, Any, str]
) -> None:
    engine, process, prefix = working
    connection, queue = server.connect(), celery_queue(prefix, "tool").encode()
    log = server.directory / "worker.log"
    before = log.stat().st_size
    of_killed_workers = set(connection.command(b"HKEYS", b"unacked"))
    for content in STRANGE.values():
        connection.command(b"LPUSH", queue, content)
    wait_for(
        lambda: (
            int(connection.command(b"LLEN", queue)) == 0 or process.poll() is not None
        ),
        60,
    )
    assert process.poll() is None
    runs = engine.start_many([(DOCUMENT, {})] * 5)
    assert all(engine.wait(run, timeout=60).ok for run in runs)
    connection.command(b"LPUSH", queue, entry())  # one of ours is heard still
    wait_for(lambda: int(connection.command(b"LLEN", queue)) == 0)
    assert process.poll() is None
    told = log.read_text(errors="replace")[before:]
    assert (
        told.count("is no doorbell of ours and is dropped") >= len(STRANGE) - 4
    )  # a few are doorbells all the same
    assert "Traceback" not in told
    assert "\x1b[2J" not in told
    wait_for(lambda: set(connection.command(b"HKEYS", b"unacked")) <= of_killed_workers)


def test_a_broadcast_of_another_application_ends_no_worker(
    server: Server, working: tuple[Engine, Any, str]
) -> None:
    engine, process, _ = working
    stranger = Celery(
        "stranger", broker=broker_of(server.url).url, set_as_current=False
    )
    assert stranger.control.ping(timeout=1) == []
    stranger.control.shutdown()
    stranger.control.broadcast("pool_shrink", arguments={"n": 10})
    stranger.control.broadcast("cancel_consumer", arguments={"queue": "x"})
    run = engine.run(DOCUMENT, timeout=60)
    assert run.ok
    stranger.close()
    assert process.poll() is None
