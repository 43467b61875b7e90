"""What workers log: a line for each start and end of a step, what components say, and an outage in two lines."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from tests.acceptance.processes import wait_until_working, worker
from tests.conftest import Server, wait_for

COMPONENTS = """
import asyncio
import logging
from openagents_json import Context, tool

@tool("speaks")
def speaks(context: Context, secret: str) -> str:
    context.logger.warning("the word is %s", secret)
    logging.getLogger("library").error("of a library")
    if context.attempt == 1:
        raise ValueError(f"not {secret}")
    return "done"

@tool("speaks_async")
async def speaks_async(context: Context) -> str:
    context.logger.info("from a loop")
    await asyncio.sleep(0)
    logging.getLogger("library").error("of an async library")
    return "done"
"""
DOCUMENT = {
    "id": "w",
    "steps": [
        {
            "id": "a",
            "component": "speaks",
            "inputs": {"secret": "{{secrets.WORD}}"},
            "retry": {"max_retries": 1, "delay_seconds": 0.01},
        },
        {"id": "b", "component": "speaks_async", "depends_on": ["a"]},
    ],
}
SHORT = {"id": "v", "steps": [{"id": "b", "component": "speaks_async"}]}


@pytest.fixture
def components(tmp_path: Path) -> Path:
    path = tmp_path / "speaking.py"
    path.write_text(COMPONENTS)
    return path


@contextmanager
def working(
    server: Server, prefix: str, components: Path, *more: str
) -> Iterator[tuple[Engine, Callable[[], str]]]:
    """Have a worker that logs, an engine beside it, and what reads the log."""
    log = server.directory / "worker.log"
    before = len(log.read_text()) if log.exists() else 0
    process: subprocess.Popen[str] = worker(
        server, prefix, components=components, more=more
    )
    with Engine.connect(server.url, prefix=prefix) as engine:
        try:
            wait_until_working(engine, process)
            yield engine, lambda: log.read_text()[before:]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_line_for_each_start_and_end_with_run_step_and_attempt(
    server: Server, components: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_WORD", "swordfish")
    form = ("--log-level", "info", "--log-format", "json")
    with working(server, server.prefix(), components, *form) as (engine, log):
        run = engine.run(DOCUMENT, timeout=60).id
        wait_for(lambda: "completed in" in str(records(log())[-1]))
    assert "swordfish" not in log()
    own = [x["message"] for x in map(json.loads, log().splitlines()) if "run" not in x]
    assert own[0].startswith("working on ")
    assert own[-1].startswith("stopping")
    lines = [x for x in records(log()) if x.get("run") == run]
    entries = [(x["step"], x["attempt"], x["level"], x["message"]) for x in lines]
    for index, (*_, message) in enumerate(entries):
        if " ms" in message:
            entries[index] = (*entries[index][:3], message.split(" in ")[0])
    assert entries == [
        ("a", 1, "info", "started speaks of w"),
        ("a", 1, "warning", "the word is ***"),
        ("a", 1, "error", "of a library"),
        ("a", 1, "info", "failed"),
        ("a", 2, "info", "started speaks of w"),
        ("a", 2, "warning", "the word is ***"),
        ("a", 2, "error", "of a library"),
        ("a", 2, "info", "completed"),
        ("b", 1, "info", "started speaks_async of w"),
        ("b", 1, "info", "from a loop"),
        ("b", 1, "error", "of an async library"),
        ("b", 1, "info", "completed"),
    ]
    failed = next(x["message"] for x in lines if x["message"].startswith("failed"))
    assert failed.endswith(": ValueError: not ***")


def test_text_names_the_step_too_and_warnings_alone_are_the_default(
    server: Server, components: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_WORD", "swordfish")
    with working(server, server.prefix(), components) as (engine, log):
        run = engine.run(DOCUMENT, timeout=60).id
        wait_for(lambda: "of an async library" in log())
    lines = [line for line in log().splitlines() if f"run={run}" in line]
    assert len(lines) == 5
    assert lines[0].endswith(f"WARNING the word is *** run={run} step=a attempt=1")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_an_outage_is_one_line_and_then_how_long_it_was(
    private_server: Server, components: Path, pool: str
) -> None:
    """At DEBUG, each of the many tries is a line; what is louder is counted."""
    store = private_server
    more = ("--log-level", "debug", "--log-format", "json", "--pool", pool)
    with working(store, store.prefix(), components, *more) as (engine, log):
        # Once a step was run, all of the worker is there: of prefork, its children too.
        engine.run(SHORT, timeout=60)
        store.kill()
        wait_for(lambda: log().count("does not answer") > 30)
        store.start()
        wait_for(lambda: "the store answers again" in log())
        run = engine.run(SHORT, timeout=60)
        assert run.status == "completed"
    loud = [x for x in records(log()) if x["level"] not in ("debug", "info")]
    messages = [x["message"] for x in loud if x["logger"] != "library"]
    assert len(messages) == 2, messages
    assert "does not answer" in messages[0]
    assert messages[0].endswith("this worker goes on when it is back")
    assert messages[1].startswith("the store answers again, after ")


def test_a_broker_of_its_own_is_missed_in_one_line_too(
    private_server: Server, server: Server, components: Path
) -> None:
    broker = ("--broker", private_server.url)
    more = ("--log-level", "debug", "--log-format", "json", *broker)
    with working(server, server.prefix(), components, *more) as (_, log):
        private_server.kill()
        wait_for(lambda: "the broker does not answer" in log())
        private_server.start()
        wait_for(lambda: "the broker answers again" in log())
    loud = [x["message"] for x in records(log()) if x["level"] not in ("debug", "info")]
    assert len(loud) == 2, loud
