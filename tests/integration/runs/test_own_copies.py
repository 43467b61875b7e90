"""What a component does to its inputs stays with it, on real workers that share one folded run."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.event import Recorded
from openagents_json import Context, Registry
from openagents_json.engine import Engine
from projections.projection import projection
from tests.conftest import Server

SECRET = "sk-live-424242"


def vandals() -> Registry:
    """Components that put the secret they are given into all that they are given."""
    components = Registry()

    def use(auth: str, data: list, options: dict, context: Context) -> Any:  # type: ignore[type-arg]
        given = [list(data[0]), dict(options["deep"])]
        data[0].append(auth)
        data.append(auth)
        options["deep"]["auth"] = auth
        options["auth"] = auth
        fences: Any = context.fences
        for key in list(fences):
            fences[key] = 0
        return given

    async def use_async(auth: str, data: list, options: dict, context: Context) -> Any:  # type: ignore[type-arg]
        return use(auth, data, options, context)

    components.tool("use")(use)
    components.tool("use_async")(use_async)
    return components


@pytest.mark.parametrize("persistence", ["step", "outcome"])
@pytest.mark.parametrize("component", ["use", "use_async"])
def test_a_changed_input_changes_no_sibling_no_state_and_no_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, component: str, persistence: str
) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_KEY", SECRET)
    step = {
        "component": component,
        "inputs": {
            "auth": "{{secrets.KEY}}",
            "data": "{{input.data}}",
            "options": {"deep": "{{input.deep}}"},
        },
    }
    document = {
        "id": "w",
        "persistence": persistence,
        "steps": [
            {"id": "a", **step, "mutex": "one"},
            {"id": "each", "foreach": "{{input.data}}", **step},
            {"id": "b", **step},
            {"id": "wait", "wait_for": "go"},
            {"id": "c", **step},
        ],
        "output": [
            "{{a.output}}",
            "{{each.output}}",
            "{{b.output}}",
            "{{c.output}}",
            "{{input}}",
        ],
    }
    inputs = {"data": [[1], [2]], "deep": {"k": "v"}}
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=vandals(),
        workers=1,
        partitions=1,
    ) as engine:
        run = engine.start(document, inputs)
        seen = [[1], {"k": "v"}]
        # What a program does to what it is shown stays with it, too.
        shown = engine.state(run)
        shown.inputs["data"].append("changed")
        shown.inputs["deep"]["changed"] = True
        engine.signal(run, "go")
        assert engine.wait(run, timeout=60).output == [
            seen,
            [seen, seen],
            seen,
            seen,
            inputs,
        ]
        assert SECRET not in repr(engine.history(run))
        assert engine.state(run) == engine.replay.state_at(run)
        engine.retry(run, step="a")
        engine.signal(run, "go")
        assert engine.wait(run, timeout=60).output == [
            seen,
            [seen, seen],
            seen,
            seen,
            inputs,
        ]
        assert SECRET not in repr((engine.history(run), engine.state(run)))


def test_a_projection_that_changes_its_events_changes_no_other_view(
    server: Server,
) -> None:
    def ruin(event: Recorded) -> None:
        for name in list(event.data):
            event.data[name] = "ruined"
        event.data["extra"] = "ruined"

    def key_of(event: Recorded) -> str:
        ruin(event)
        return event.stream

    @projection("aaa", key=key_of)
    def first(document: Any, event: Recorded) -> Any:
        seen = dict(event.data)
        ruin(event)
        return [*(document or []), seen]

    @projection("zzz")
    def last(document: Any, event: Recorded) -> Any:
        return [*(document or []), event.data]

    prefix = server.prefix()
    options: dict[str, Any] = {"workers": 0, "partitions": 1}
    with Engine.connect(
        server.url, prefix=prefix, projections=[first, last], **options
    ) as engine:
        run = engine.start(
            {"id": "w", "steps": [{"id": "a", "wait_for": "go"}]},
            {"x": [1]},
            labels={"k": "v"},
        )
        [row] = engine.views.runs().items
        assert (row.workflow, row.labels) == ("w", {"k": "v"})
        for name in ("aaa", "zzz"):
            [stored_row] = engine.views.views.get(name, run)
            assert "ruined" not in repr(stored_row)
        assert engine.views.verify("runs") == []
