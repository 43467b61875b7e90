"""What a step with secrets leaves on a real server, and in the lines that it logs, holds none of them."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from executor.encryption import make_key
from openagents_json import Context, Registry
from openagents_json.components import builtin
from openagents_json.engine import Engine
from tests.conftest import Server, wait_for

SECRET = 'sk-"quoted"/live+4242'


def deep(auth: str) -> Any:
    value: Any = 1
    for _ in range(300):
        value = {"x" * 40 + auth: value}
    return value


def long(auth: str) -> Any:
    return {"x" * 180 + auth: 10**5000}


def components() -> Registry:
    registry = Registry()

    def use(auth: str, context: Context) -> dict[str, Any]:
        key = auth.removeprefix("Bearer ")
        context.emit(
            {"partial": key, "basic": base64.b64encode(f"u:{key}".encode()).decode()}
        )
        context.logger.warning("calling with %r", key)
        try:
            raise LookupError(f"no {key}")
        except LookupError:
            context.logger.exception("it failed for %s", key)
        return {key: [auth, repr(key)], "got": len(key)}

    def fail(auth: str) -> None:
        raise ValueError("x" * 1990 + auth)

    async def use_async(auth: str, context: Context) -> dict[str, Any]:
        return use(auth, context)

    async def fail_async(auth: str) -> None:
        fail(auth)

    def echo(auth: str, data: str) -> list[str]:
        return [
            "other" if "other" in data else data,
            base64.b16encode(auth.encode()).decode(),
        ]

    for function in (use, fail, use_async, fail_async, echo, deep, long):
        registry.tool(function.__name__)(function)
    registry.add(builtin)
    return registry


@pytest.fixture
def engine(server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAGENTS_SECRET_KEY", SECRET)
    monkeypatch.setenv("OPENAGENTS_SECRET_OTHER", "other-secret")
    opened = Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=components(),
        workers=2,
        partitions=1,
    )
    yield opened
    opened.close(grace_seconds=1)


def calling(component: str, **inputs: str) -> dict[str, Any]:
    return {
        "id": "w",
        "steps": [
            {
                "id": "a",
                "component": component,
                "inputs": {"auth": "Bearer {{secrets.KEY}}", **inputs},
            }
        ],
        "output": "{{a.output}}",
    }


@pytest.mark.parametrize("component", ["use", "use_async"])
def test_outputs_emissions_and_log_lines(
    engine: Engine, component: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "openagents.component"):
        run = engine.wait(engine.start(calling(component)))
    assert run.output == {"***": ["Bearer ***", "'***'"], "got": len(SECRET)}
    wait_for(lambda: bool(engine.emitted(run.id)))
    [emitted] = engine.emitted(run.id)
    assert emitted.value["partial"] == "***"
    everything = repr(
        (
            engine.history(run.id),
            emitted,
            caplog.text,
            [vars(record) for record in caplog.records],
        )
    )
    assert "quoted" not in everything
    assert base64.b64encode(f"u:{SECRET}".encode()).decode()[6:20] not in everything
    assert [
        line.strip() for line in caplog.text.splitlines() if "LookupError:" in line
    ] == ["LookupError: no ***"]
    assert {record.step_id for record in caplog.records} == {"a"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("component", ["fail", "fail_async"])
def test_messages_of_errors_are_masked_before_they_are_cut(
    engine: Engine, component: str
) -> None:
    run = engine.wait(engine.start(calling(component)))
    assert run.error is not None
    assert run.error["message"] == "x" * 1990 + "Bearer ***"
    assert "sk-" not in repr(engine.history(run.id))


@pytest.mark.parametrize("component", ["deep", "long"])
def test_a_path_that_is_cut_inside_of_a_secret_shows_none_of_it(
    engine: Engine, component: str
) -> None:
    run = engine.wait(engine.start(calling(component)))
    assert (run.error or {})["type"] == "InvalidComponentOutput"
    assert "xBearer ***" in (run.error or {})["message"]
    assert "sk-" not in repr(engine.history(run.id))


def test_data_never_gets_a_secret(engine: Engine) -> None:
    document = calling("echo", data="{{input.x}}")
    run = engine.wait(engine.start(document, {"x": "{{secrets.OTHER}}{{secrets.KEY}}"}))
    assert run.output[0] == "{{secrets.OTHER}}{{secrets.KEY}}"
    document["steps"][0]["inputs"]["auth"] = "{{input.x}}{{secrets.KEY}}{{input.x}}"
    run = engine.wait(engine.start(document, {"x": "{{secrets.OTHER}}{{secrets.KEY}}"}))
    given = base64.b16encode(b"{{secrets.OTHER}}{{secrets.KEY}}").decode()
    assert run.output[1] == f"{given}***{given}"


@pytest.mark.parametrize("persistence", ["step", "checkpoint", "outcome"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_places_are_kept_in_every_way_of_writing_them(
    server: Server, monkeypatch: pytest.MonkeyPatch, persistence: str, encrypted: bool
) -> None:
    """Steps of a batch, items, large inputs, encrypted inputs, and a run that is opened again."""
    monkeypatch.setenv("OPENAGENTS_SECRET_KEY", SECRET)
    data = "{{secrets.KEY}}" * 3000  # so large that it lies beside the log
    step = {
        "component": "echo",
        "inputs": {"auth": "{{secrets.KEY}}", "data": "{{input.x}}{{secrets.KEY}}"},
    }
    document = {
        "id": "w",
        "persistence": persistence,
        "steps": [
            {"id": "a", **step},
            {"id": "b", "foreach": [1, 2], **step},
            {"id": "c", **step},
        ],
        "output": ["{{a.output[0]}}", "{{b.output[1][0]}}", "{{c.output[0]}}"],
    }
    keys = (make_key(token_bytes),) if encrypted else ()
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=components(),
        workers=1,
        partitions=1,
        encryption_keys=keys,
    ) as engine:
        run = engine.run(document, {"x": data}, timeout=120)
        assert run.output == [f"{data}***"] * 3
        engine.retry(run.id, step="a")
        assert engine.wait(run.id, timeout=120).output == [f"{data}***"] * 3
        assert engine.doctor() == []


def test_connections_and_secrets_of_the_library_are_not_on_the_log(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection has its password in the worker alone, and so has a parameter that a document gives as a secret."""
    url = f"sqlite:///{tmp_path}/hidden.db?timeout=5"
    monkeypatch.setenv("OPENAGENTS_CONNECTION_SHOP", url)
    monkeypatch.setenv("OPENAGENTS_PROGRAM_PRINT", "printf %s")
    steps = [
        {
            "id": "look",
            "component": "sql.query",
            "inputs": {
                "connection": "shop",
                "sql": "SELECT :key AS key",
                "parameters": {"key": "{{secrets.KEY}}"},
            },
        },
        {
            "id": "print",
            "component": "process.run",
            "inputs": {"program": "print", "arguments": ["{{secrets.KEY}}"]},
        },
    ]
    output = ["{{look.output.rows}}", "{{print.output.output}}"]
    run = engine.wait(engine.start({"id": "w", "steps": steps, "output": output}))
    assert run.output == [[{"key": "***"}], "***"]
    everything = repr(engine.history(run.id))
    assert "quoted" not in everything
    assert "hidden.db" not in everything
