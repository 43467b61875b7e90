"""The component registry and the decorators of 0.1.4."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.core.app import OpenAgentsApp
from openagents_json.core.decorators import (
    create_tool_decorator,
    extract_schema_from_function,
)
from openagents_json.core.registry import (
    ComponentLookup,
    ComponentMetadata,
    ComponentRegistered,
    ComponentUnregistered,
    InMemoryComponentRegistry,
)
from openagents_json.settings import Settings


class Summarizer:
    """Makes texts short.

    And more.
    """

    __version__ = "1.2.0"
    __author__ = "Ada"
    __tags__ = ("text", "short")


def test_a_registry_finds_by_what_is_known() -> None:
    registry: InMemoryComponentRegistry[Any] = InMemoryComponentRegistry()
    registry.register("s", Summarizer)
    registry.register("other", len, ComponentMetadata("other", extra={"k": 1}))
    metadata = registry.get_metadata("s")
    assert metadata is not None
    assert (metadata.name, metadata.description, metadata.version, metadata.author) == (
        "s",
        "Makes texts short.",
        "1.2.0",
        "Ada",
    )
    assert (registry.list(), registry.get("s")) == (["s", "other"], Summarizer)
    assert registry.find(description="TEXTS", tags=["short"]) == ["s"]
    assert registry.find(extra={"k": 1}) == ["other"]
    assert registry.find(nothing="x") == registry.find(tags={"text", "x"}) == []
    assert (registry.get("none"), registry.get_metadata("none")) == (None, None)


def test_listeners_hear_and_do_no_harm() -> None:
    registry: InMemoryComponentRegistry[Any] = InMemoryComponentRegistry()
    heard: list[tuple[str, str]] = []

    def listen(event: Any) -> None:
        heard.append((type(event).__name__, event.component_id))
        registry.list()
        raise ZeroDivisionError

    for kind in (ComponentRegistered, ComponentLookup, ComponentUnregistered):
        registry.add_event_listener(kind, listen)
    registry.register("n", 1)
    registry.get("n")
    registry.get("none")
    assert registry.remove_event_listener(ComponentLookup, listen)
    assert not registry.remove_event_listener(ComponentLookup, listen)
    registry.get("n")
    assert (registry.unregister("n"), registry.unregister("n")) == (True, False)
    assert heard == [
        ("ComponentRegistered", "n"),
        ("ComponentLookup", "n"),
        ("ComponentUnregistered", "n"),
    ]


def test_schemas_are_read_off_annotations() -> None:
    def tool(
        text: str, many: list[int], size: int = 3, other: Any = None
    ) -> dict[str, int]:
        return {}

    taken, given = extract_schema_from_function(tool)
    assert taken == {
        "text": {"type": "str", "required": True},
        "many": {"type": "list", "required": True},
        "size": {"type": "int", "required": False, "default": 3},
        "other": {"type": "Any", "required": False, "default": None},
    }
    assert given == {"type": "dict"}


def test_decorators_register_and_give_back_what_they_are_put_on() -> None:
    app = OpenAgentsApp(Settings())

    @app.agent("agent", model="m", author="Ada", tags={"a"}, colour="red")
    class Agent:
        """Does things."""

        def __init__(self, config: dict[str, Any]) -> None:
            self.model = config["model"]

        @app.capability("inside", description="From the class.")
        def inside(self, text: str) -> str:
            return self.model + text

    @app.capability(agent_name="agent", name="outside")
    def outside(text: str) -> str:
        """From outside."""
        return text

    @app.tool("tool", version="2.0.0")
    def tool(n: int) -> int:
        return n + 1

    assert (Agent({"model": "x"}).inside("y"), outside("z"), tool(1)) == ("xy", "z", 2)
    agents = app.agent_registry
    agent = agents.agents["agent"]
    assert (agent["cls"], agent["metadata"]["model"]) == (Agent, "m")
    assert agent["metadata"]["extra"] == {"colour": "red"}
    descriptions = {
        name: capability["description"]
        for name, capability in agent["capabilities"].items()
    }
    assert descriptions == {"inside": "From the class.", "outside": "From outside."}
    assert agents.capabilities["agent"]["outside"] is outside
    assert agents.tools_metadata["tool"]["input_schema"]["n"]["type"] == "int"
    components = agents.components
    assert sorted(components.names()) == ["agent.inside", "agent.outside", "tool"]
    assert components.resolve("agent.inside").invoke({"text": "!"}, None) == "m!"
    assert components.resolve("tool@^2").invoke({"n": 1}, None) == 2


def test_what_is_registered_wrongly_is_refused() -> None:
    app = OpenAgentsApp(Settings())
    with pytest.raises(ValueError, match="agent 'nobody' is not registered"):
        app.capability(agent_name="nobody")(len)
    with pytest.raises(ValueError, match="names no agent"):
        app.capability(agent_name="")
    with pytest.raises(ValueError, match="has no 'id'"):
        app.register_workflow({"steps": []})


def test_a_registrar_of_a_program_is_told() -> None:
    told: list[Any] = []

    class Own:
        register_agent = register_capability = None

        def register_tool(self, name: str, func: Any, metadata: dict[str, Any]) -> None:
            told.append((name, func, metadata["output_schema"]))

    tool: Any = create_tool_decorator(Own())  # type: ignore[arg-type]

    @tool("t")
    def t() -> int:
        return 1

    assert told == [("t", t, {"type": "int"})]
