"""The decorators of 0.1.4: they note what a component is, register it, and give it back unchanged."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Protocol, Self, TypeVar

from executor.clock import SystemClock
from openagents_json.components import decorators as declaring
from openagents_json.core.errors import InvalidRegistration

Thing = TypeVar("Thing", bound=Callable[..., Any])
Schema = dict[str, dict[str, Any]]


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)


@dataclass
class Example:
    """An example of a capability or tool."""

    inputs: dict[str, Any]
    outputs: Any = None
    description: str | None = None


@dataclass
class ComponentConfig:
    """What is names about any component; what has no field of its own stands in `extra`."""

    name: str
    version: str = "0.1.0"
    description: str = ""
    author: str = ""
    tags: set[str] = field(default_factory=set)
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)
    examples: list[Example] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_component(
        cls, component: Any, name: str, metadata: Mapping[str, Any]
    ) -> Self:
        """Put together what a docstring says and what was given beside it."""
        names = {item.name for item in fields(cls)}
        given = {key: value for key, value in metadata.items() if key in names}
        others = {key: value for key, value in metadata.items() if key not in names}
        config = cls(name=name)
        config.description = first_paragraph(component)
        vars(config).update(given)
        config.tags = set(config.tags)
        config.extra = {**config.extra, **others}
        return config


@dataclass
class AgentConfig(ComponentConfig):
    """What is names about an agent."""

    model: str | None = None
    capabilities: Schema = field(default_factory=dict)


@dataclass
class CapabilityConfig(ComponentConfig):
    """What is names about a capability."""

    agent_name: str | None = None
    input_schema: Schema = field(default_factory=dict)
    output_schema: dict[str, Any] = field(default_factory=dict)


@dataclass
class ToolConfig(ComponentConfig):
    """What is names about a tool."""

    input_schema: Schema = field(default_factory=dict)
    output_schema: dict[str, Any] = field(default_factory=dict)


def first_paragraph(component: Any) -> str:
    """Return the first paragraph of a docstring, on one line."""
    text = inspect.cleandoc(getattr(component, "__doc__", None) or "")
    return text.split("\n\n")[0]


def extract_schema_from_function(
    func: Callable[..., Any],
) -> tuple[Schema, dict[str, Any]]:
    """Return what a function takes and gives, by its annotations."""
    hints = _hints(func)
    taken = {
        name: _parameter(parameter, hints.get(name, Any))
        for name, parameter in inspect.signature(func).parameters.items()
        if name not in ("self", "cls", "context")
    }
    return taken, {"type": _type_name(hints.get("return", Any))}


def _hints(func: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(func)
    except NameError:  # an annotation names what does not exist here: it says nothing
        return {}


def _parameter(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    required = parameter.default is parameter.empty
    described: dict[str, Any] = {"type": _type_name(hint), "required": required}
    if required:
        return described
    return {**described, "default": parameter.default}


def _type_name(hint: Any) -> str:
    plain = typing.get_origin(hint) or hint
    return str(getattr(plain, "__name__", plain))


class Registrar(Protocol):
    """Where decorators register what they are put on."""

    def register_agent(
        self, name: str, agent_cls: Any, metadata: dict[str, Any]
    ) -> None:
        """Take an agent."""
        ...

    def register_capability(
        self,
        agent_name: str,
        capability_name: str,
        func: Callable[..., Any],
        metadata: dict[str, Any],
    ) -> None:
        """Take a capability of an agent that is registered."""
        ...

    def register_tool(
        self, name: str, func: Callable[..., Any], metadata: dict[str, Any]
    ) -> None:
        """Take a tool."""
        ...


def create_agent_decorator(registry: Registrar) -> Callable[..., Any]:
    """Return `@agent(name, **metadata)`, which registers classes."""

    def agent(name: str, **metadata: Any) -> Callable[[Thing], Thing]:
        def register(thing: Thing) -> Thing:
            config = AgentConfig.from_component(thing, name, metadata)
            registry.register_agent(name, thing, vars(config))
            return thing

        return register

    return agent


def create_capability_decorator(registry: Registrar) -> Callable[..., Any]:
    """Return `@capability`: with `agent_name` it registers a function, without it marks a method of a class."""

    def capability(
        name: str | None = None,
        *,
        agent_name: str | None = None,
        description: str = "",
        **metadata: Any,
    ) -> Callable[[Thing], Thing]:
        if agent_name is not None and not agent_name:
            raise InvalidRegistration("agent_name names no agent")
        if description:
            metadata["description"] = description
        if agent_name is None:
            return _marked(name, metadata)

        def register(func: Thing) -> Thing:
            own = name or func.__name__
            config = capability_config(func, own, agent_name, metadata)
            registry.register_capability(agent_name, own, func, vars(config))
            return func

        return register

    return capability


def _marked(name: str | None, metadata: Mapping[str, Any]) -> Callable[[Thing], Thing]:
    """Return what marks a method: its class registers it, which does not exist yet."""
    options = declared_options(metadata)
    return declaring.capability(name, **options)


def capability_config(
    func: Callable[..., Any], name: str, agent: str, metadata: Mapping[str, Any]
) -> CapabilityConfig:
    """Return what is names about a capability."""
    config = CapabilityConfig.from_component(func, name, metadata)
    config.agent_name = agent
    _describe(config, func)
    return config


def create_tool_decorator(registry: Registrar) -> Callable[..., Any]:
    """Return `@tool(name, **metadata)`, which registers functions."""

    def tool(name: str, **metadata: Any) -> Callable[[Thing], Thing]:
        def register(func: Thing) -> Thing:
            config = ToolConfig.from_component(func, name, metadata)
            _describe(config, func)
            registry.register_tool(name, func, vars(config))
            return func

        return register

    return tool


def _describe(config: CapabilityConfig | ToolConfig, func: Callable[..., Any]) -> None:
    """Fill in the schemas that nobody gave."""
    taken, given = extract_schema_from_function(func)
    config.input_schema = config.input_schema or taken
    config.output_schema = config.output_schema or given


_OPTIONS = frozenset({"version", "description", "queue", "effect", "timeout", "retry"})
"""What means the same to a component of this engine; everything else about one is its metadata."""


def declared_options(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata of 0.1.4 as options of a declaration of this engine."""
    given = {**metadata, **metadata.get("extra", {})}
    options = {key: value for key, value in given.items() if key in _OPTIONS}
    author = given.get("author")
    if author:
        options["metadata"] = {"author": author}
    return {**options, "tags": sorted(given.get("tags", ()))}
