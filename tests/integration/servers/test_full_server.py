"""A server at its memory limit: nothing begins, and all that has begun ends, is read, and makes room."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.root import cli
from eventstore.errors import StoreFull, StoreRefused
from openagents_json import Context, tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import key_file, signer

DOCUMENT: dict[str, Any] = {
    "id": "full",
    "execution": "graph",
    "steps": [
        {"id": "a", "component": "held"},
        {"id": "b", "component": "large", "depends_on": ["a"]},
        {
            "id": "c",
            "component": "large",
            "depends_on": ["b"],
            "retry": {"max_retries": 3, "delay_seconds": 0.01},
        },
    ],
    "output": "{{c.output.text}}",
}


def fill(server: Server) -> None:
    """Let a server be at its limit with what it has."""
    server.connect().client.config_set("maxmemory", 1)


def holding(begun: threading.Event, goes_on: threading.Event) -> list[Any]:
    """Make components: one that waits, one whose results are large and which fails once."""
    failures = iter([True])

    @tool("held")
    def held() -> int:
        begun.set()
        goes_on.wait(30)
        return 1

    @tool("large")
    def large(context: Context) -> dict[str, str]:
        context.emit("on its way")
        if context.step_id == "c" and next(failures, False):
            raise ConnectionError("once")
        return {
            "text": context.step_id * 40_000
        }  # more than an event holds: it is kept beside the log

    return [held, large]


def test_at_the_limit_work_under_way_ends_and_is_archived_and_nothing_begins(
    private_server: Server, tmp_path: Path
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    components = holding(begun, goes_on)
    key = signer(key_file(tmp_path))
    with Engine.connect(
        private_server.url, components=components, workers=2, partitions=2
    ) as engine:
        run, other = engine.start(DOCUMENT), engine.start(DOCUMENT)
        assert begun.wait(30)
        fill(private_server)
        with pytest.raises(
            StoreFull, match=r"out of memory; raise maxmemory, or archive"
        ):
            engine.start(DOCUMENT)
        engine.cancel(other)
        goes_on.set()
        result = engine.wait(run, timeout=120)
        assert (result.status, result.output) == ("completed", "c" * 40_000)
        assert engine.wait(other, timeout=120).status == "cancelled"
        assert {row.id for row in engine.views.runs().items} == {run, other}
        assert engine.doctor() == []
        engine.audit.seal(key)
        engine.redact(other)
        engine.audit.seal(key)
    # Whoever comes now, comes to a store that is full.
    with Engine.connect(private_server.url, components=components, workers=1) as engine:
        engine.archive.leave(other, Departure(str(tmp_path / "archive")))
        with pytest.raises(StoreRefused, match="out of memory"):
            engine.archive.restore(other)
        assert [row.id for row in engine.views.runs().items] == [run]
        private_server.connections[-1].client.config_set("maxmemory", 0)
        assert engine.archive.restore(other) == "cancelled"
        assert engine.run(DOCUMENT, timeout=120).ok


def test_at_the_limit_every_command_that_reads_or_frees_works(
    private_server: Server, tmp_path: Path
) -> None:
    with Engine.connect(
        private_server.url, components=[tool("held")(lambda: 1)], workers=1
    ) as engine:
        run = engine.run(
            {"id": "w", "steps": [{"id": "a", "component": "held"}]}, timeout=30
        ).id
    fill(private_server)
    where = ("--url", private_server.url)
    for command, says in (
        (("runs", "list"), run),
        (("runs", "show", run), run),
        (("runs", "history", run), "RunCompleted"),
    ):
        done = CliRunner().invoke(cli, [*command, *where])
        assert (done.exit_code, says in done.output) == (0, True), done.output
    doctor = CliRunner().invoke(cli, ["doctor", *where])
    assert "maxmemory" in doctor.output
    assert "invariant" not in doctor.output
    archived = CliRunner().invoke(
        cli, ["runs", "archive", run, "--to", str(tmp_path), *where]
    )
    assert archived.exit_code == 0, archived.output
    wait_for(
        lambda: (
            private_server.connections[-1].command(
                b"EXISTS", b"oa:{0}:head:" + run.encode()
            )
            == 0
        )
    )
