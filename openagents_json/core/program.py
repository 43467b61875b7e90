"""What a program has registered, as components of the engine, and the engine that runs them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openagents_json.catalog.registry import Registry
from openagents_json.components.decorators import declaration_of
from openagents_json.core.decorators import capability_config, declared_options
from openagents_json.core.errors import AgentNotRegistered, InvalidRegistration
from openagents_json.workflow.component_spec import ComponentSpec

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine
    from openagents_json.settings import Settings

log = logging.getLogger(__name__)

WORKERS = 4
"""How many threads of the program run its components."""


class AgentRegistry:
    """Agents with their capabilities, and tools; `components` are the same for the engine."""

    def __init__(self, components: Registry | None = None) -> None:
        self.agents: dict[str, dict[str, Any]] = {}
        self.capabilities: dict[str, dict[str, Callable[..., Any]]] = {}
        self.tools: dict[str, Callable[..., Any]] = {}
        self.tools_metadata: dict[str, dict[str, Any]] = {}
        self.components = Registry() if components is None else components

    def register_agent(
        self, name: str, agent_cls: Any, metadata: dict[str, Any]
    ) -> None:
        """Register a class with the capabilities in it; a function becomes a component of that name."""
        self.agents[name] = {"cls": agent_cls, "metadata": metadata, "capabilities": {}}
        self.capabilities[name] = {}
        if not inspect.isclass(agent_cls):
            self.components.tool(name, **declared_options(metadata))(agent_cls)
            return
        inner = list(_capabilities(agent_cls))
        for own, func, metadata_of_own in inner:
            self._note(
                name,
                own,
                func,
                vars(capability_config(func, own, name, metadata_of_own)),
            )
        if inner:
            options = declared_options(metadata) | {"config": _config(metadata)}
            self.components.agent(name, **options)(agent_cls)

    def register_capability(
        self,
        agent_name: str,
        capability_name: str,
        func: Callable[..., Any],
        metadata: dict[str, Any],
    ) -> None:
        """Register a function as a capability of an agent.

        Raises AgentNotRegistered, which is a ValueError.
        """
        if agent_name not in self.agents:
            what = f"agent {agent_name!r} is not registered"
            raise AgentNotRegistered(what, remedy="register it before its capabilities")
        options = declared_options(metadata) | {"agent_name": agent_name}
        self.components.capability(capability_name, **options)(func)
        self._note(agent_name, capability_name, func, metadata)

    def register_tool(
        self, name: str, func: Callable[..., Any], metadata: dict[str, Any]
    ) -> None:
        """Register a function as a tool."""
        self.components.tool(name, **declared_options(metadata))(func)
        self.tools[name] = func
        self.tools_metadata[name] = metadata

    def _note(
        self,
        agent: str,
        name: str,
        func: Callable[..., Any],
        metadata: dict[str, Any],
    ) -> None:
        self.capabilities[agent][name] = func
        self.agents[agent]["capabilities"][name] = metadata

    def await_components_of(self, workflow: Mapping[str, Any]) -> None:
        """Let a workflow name components that nobody has registered yet: their steps wait, as they did in 0.1.4."""
        for reference in _references(workflow):
            if self.components.find(reference) is not None:
                continue
            name = reference.partition("@")[0]
            kind = "agent" if "." in name else "tool"
            log.warning("no component %r is registered: its steps wait for it", name)
            self.components.add_spec(ComponentSpec(name, kind=kind, queue=kind))


def _capabilities(
    cls: type,
) -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Return the capabilities that are marked in a class: name, function, and what was said of each."""
    for attribute, value in inspect.getmembers(cls, callable):
        own = declaration_of(value)
        if own is None or own.kind != "capability":
            continue
        texts = {"description": own.description, "author": own.metadata.get("author")}
        given = {key: text for key, text in texts.items() if text}
        more = {"version": own.version, "tags": set(own.tags)}
        yield own.name or attribute, value, {**given, **more}


def _config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an agent's class is given as `config`."""
    model = metadata.get("model")
    given = metadata.get("extra", {}).get("config", {})
    return {**({"model": model} if model else {}), **given}


def _references(value: Any) -> Iterator[str]:
    """Return the components that a document names, wherever steps are in it."""
    if isinstance(value, Mapping):
        component = value.get("component")
        if isinstance(component, str) and "{" not in component:
            yield component
        for key, member in value.items():
            if key not in ("inputs", "output", "outputs", "metadata"):
                yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)


class WorkflowRegistry:
    """Workflows by their ids."""

    def __init__(self) -> None:
        self.workflows: dict[str, dict[str, Any]] = {}

    def register_workflow(self, workflow_def: dict[str, Any]) -> None:
        """Register a workflow under its id.

        Raises InvalidRegistration, which is a ValueError.
        """
        if "id" not in workflow_def:
            raise InvalidRegistration("the workflow has no 'id'")
        self.workflows[workflow_def["id"]] = workflow_def


def open_engine(settings: Settings, agents: AgentRegistry) -> Engine:
    """Open the engine that the settings name; threads of this program run what is registered.

    Raises as `Engine.open` does.
    """
    from executor.worker.runtime import WorkSettings
    from openagents_json.core.registry import component_registry
    from openagents_json.engine.components import load_components
    from openagents_json.engine.facade import Engine
    from openagents_json.settings import engine_settings

    agents.components.add(load_components(()))
    for name in component_registry.list():
        component = component_registry.get(name)
        if inspect.isclass(component) and name not in agents.agents:
            agents.register_agent(name, component, {})
        elif callable(component) and name not in agents.tools:
            agents.register_tool(name, component, {})
    engine = Engine.open(engine_settings(settings), components=agents.components)
    try:
        # All types of workers: what is registered later is run, too.
        engine.work(WorkSettings(concurrency=WORKERS))
    except BaseException:
        engine.close()
        raise
    return engine
