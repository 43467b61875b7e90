"""The catalog of a process: components by name and version, found in constant time."""

from __future__ import annotations

import difflib
import hashlib
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Unpack, overload

from openagents_json.catalog.component import Component, component_of, is_built_in
from openagents_json.catalog.instances import AgentInstances
from openagents_json.components.decorators import (
    AgentOptions,
    CapabilityOptions,
    Class,
    Declaration,
    Declared,
    Options,
    agent,
    asset,
    capability,
    declaration_of,
    tool,
)
from openagents_json.components.errors import InvalidDeclaration, UnknownComponent
from openagents_json.components.pool import InstancePool
from openagents_json.workflow.component_spec import ComponentSpec, Schemas
from openagents_json.workflow.versions import chosen


class Registry:
    """Components and bare specs; adding the same thing twice changes nothing."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}
        self._versions: dict[str, dict[str, ComponentSpec]] = {}
        self._by_reference: dict[str, ComponentSpec | None] = {}
        self._schemas: dict[tuple[str, str], tuple[Component, Schemas]] = {}
        self._fingerprint = ""
        self.agents = AgentInstances(self._pools)

    # -- adding ------------------------------------------------------------------------------------------

    def add(self, thing: Any) -> None:
        """Add a function, a class, or everything that a module declares.

        Raises InvalidDeclaration.
        """
        if isinstance(thing, types.ModuleType):
            self._add_module(thing)
        elif isinstance(thing, Registry):
            for component in thing._components.values():
                self._put(component)
            for spec in thing.specs():
                if (spec.name, spec.version) not in thing._components:
                    self.add_spec(spec)  # others run it
        elif isinstance(thing, Component):
            self._put(thing)
        elif isinstance(thing, type):
            self._add_class(thing, declaration_of(thing) or Declaration("agent"))
        elif callable(thing):
            self._add_function(thing, declaration_of(thing) or Declaration("tool"))
        else:
            raise InvalidDeclaration(
                f"{thing!r} is neither a function, a class nor a module of components"
            )

    def add_spec(self, spec: ComponentSpec) -> None:
        """Add a component that others can run."""
        self._versions.setdefault(spec.name, {})[spec.version] = spec
        self._by_reference.clear()
        self._fingerprint = ""

    def deployed_as(self, build: str) -> None:
        """Name the build of all components that say none of their own and do not come with the engine."""
        for key, component in self._components.items():
            if component.hashed and not is_built_in(component):
                spec = replace(component.spec, build=build)
                self._components[key] = replace(component, spec=spec, hashed=False)
                self.add_spec(spec)

    @overload
    def agent(self, name: Class) -> Class: ...
    @overload
    def agent(
        self, name: str | None = None, **options: Unpack[AgentOptions]
    ) -> Callable[[Class], Class]: ...
    def agent(self, name: Any = None, **options: Any) -> Any:
        """Declare a class and add it in one go."""
        return self._adding(agent, name, options)

    @overload
    def capability(self, name: Declared) -> Declared: ...
    @overload
    def capability(
        self, name: str | None = None, **options: Unpack[CapabilityOptions]
    ) -> Callable[[Declared], Declared]: ...
    def capability(self, name: Any = None, **options: Any) -> Any:
        """Declare a capability; one outside its class is added at once."""
        if options.get("agent_name"):
            return self._adding(capability, name, options)
        return capability(name, **options)

    @overload
    def tool(self, name: Declared) -> Declared: ...
    @overload
    def tool(
        self, name: str | None = None, **options: Unpack[Options]
    ) -> Callable[[Declared], Declared]: ...
    def tool(self, name: Any = None, **options: Any) -> Any:
        """Declare a function and add it in one go."""
        return self._adding(tool, name, options)

    @overload
    def asset(self, name: Declared) -> Declared: ...
    @overload
    def asset(
        self, name: str | None = None, **options: Unpack[Options]
    ) -> Callable[[Declared], Declared]: ...
    def asset(self, name: Any = None, **options: Any) -> Any:
        """Declare an asset and add it in one go."""
        return self._adding(asset, name, options)

    def _adding(self, decorator: Any, name: Any, options: dict[str, Any]) -> Any:
        if callable(name):
            self.add(thing := decorator(name, **options))
            return thing

        def declare(thing: Any) -> Any:
            self.add(decorator(name, **options)(thing))
            return thing

        return declare

    def _add_module(self, module: types.ModuleType) -> None:
        for name, value in list(vars(module).items()):
            if isinstance(value, Registry) or _is_of_module(module, name, value):
                self.add(value)

    def _add_class(self, cls: type, declared: Declaration) -> None:
        pool = self.agents.pool_for(cls, declared)
        name = declared.name or cls.__name__
        capabilities = list(_capabilities(cls))
        if not capabilities:
            raise InvalidDeclaration(
                f"agent {name!r} has no capability",
                remedy=f"put @capability on a method of {cls.__name__}",
            )
        for attribute, function, own in capabilities:
            spec_name = f"{name}.{own.name or attribute}"
            self._put(component_of(spec_name, function, own, declared, pool))

    def _add_function(
        self, function: Callable[..., Any], declared: Declaration
    ) -> None:
        name = str(declared.name or getattr(function, "__name__", ""))
        if declared.kind == "capability":
            if not declared.agent:
                raise InvalidDeclaration(
                    f"capability {name!r} stands outside a class",
                    remedy="say agent_name=...",
                )
            name = f"{declared.agent}.{name}"
        self._put(component_of(name, function, declared, None, None))

    def _put(self, component: Component) -> None:
        name, version = key = (component.spec.name, component.spec.version)
        if not is_built_in(component):
            self._forget_built_in(name)
        elif self._has_own(name):
            return
        earlier = self._components.get(key)
        if earlier is not None and earlier.function is not component.function:
            where, other = _where(component.function), _where(earlier.function)
            if where != other:
                raise InvalidDeclaration(
                    f"component {name!r} {version} is declared twice: at {other} and at {where}",
                    remedy="give one of them another name or version",
                )
        self._components[key] = component
        self.add_spec(component.spec)

    def _has_own(self, name: str) -> bool:
        """Tell whether the program has a component of this name."""
        return any(
            spec_name == name and not is_built_in(component)
            for (spec_name, _), component in self._components.items()
        )

    def _forget_built_in(self, name: str) -> None:
        """Make room for a program's own component of the same name as one that comes with the engine."""
        for version in list(self._versions.get(name, ())):
            component = self._components.get((name, version))
            if component is not None and is_built_in(component):
                del self._components[name, version]
                del self._versions[name][version]

    # -- finding -----------------------------------------------------------------------------------------

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the highest version that a reference, a name with an optional `@range`, allows."""
        if reference not in self._by_reference:
            self._by_reference[reference] = self._search(reference)
        return self._by_reference[reference]

    def find_own(self, reference: str) -> ComponentSpec | None:
        """Return what `find` gives, unless that comes with the engine."""
        spec = self.find(reference)
        component = self._component_of(spec)
        return None if component is not None and is_built_in(component) else spec

    def _component_of(self, spec: ComponentSpec | None) -> Component | None:
        if spec is None:
            return None
        return self._components.get((spec.name, spec.version))

    def _search(self, reference: str) -> ComponentSpec | None:
        name, _, version_range = reference.partition("@")
        versions = self._versions.get(name)
        if not versions:
            return None
        version = chosen(version_range, versions)
        return None if version is None else versions[version]

    def schemas_of(self, spec: ComponentSpec) -> Schemas | None:
        """Return what the code of a component says of what goes in and comes out; None where others run it."""
        from openagents_json.catalog.specs import schemas_of_component

        component = self._component_of(spec)
        if component is None or component.spec != spec:
            return None
        key = (spec.name, spec.version)
        kept = self._schemas.get(key)
        if kept is None or kept[0] is not component:
            kept = self._schemas[key] = (component, schemas_of_component(component))
        return kept[1]

    def resolve(self, reference: str) -> Component:
        """Return the component of a reference.

        Raises UnknownComponent.
        """
        component = self._component_of(self.find(reference))
        if component is None:
            name = reference.partition("@")[0]
            near = difflib.get_close_matches(name, list(self._versions), 1)
            raise UnknownComponent(reference, near)
        return component

    def can_run(self, reference: str) -> bool:
        """Tell whether a reference leads to a component of this process."""
        return self._component_of(self.find(reference)) is not None

    def build(self, reference: str) -> str:
        """Return the build of the component that this process runs under a reference, "" where there is none."""
        component = self._component_of(self.find(reference))
        if component is None:
            return ""
        return component.spec.build

    def runnable(self) -> list[str]:
        """Return the components of this process, as "name@version"."""
        return sorted(f"{name}@{version}" for name, version in list(self._components))

    @property
    def fingerprint(self) -> str:
        """Return a hash of the components: equal in processes that can run the same."""
        if not self._fingerprint:
            # Specs of others count too: a newer one may hide one of ours.
            names = sorted(f"{spec.name}@{spec.version}" for spec in self.specs())
            # And which code it is: what the store remembers of a hash says which build runs a step.
            builds = [f"{name}={self.build(name)}" for name in self.runnable()]
            text = "\n".join([*builds, "", *names])
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint

    def names(self) -> list[str]:
        """Return the names of all components."""
        return list(self._versions)

    def specs(self) -> list[ComponentSpec]:
        """Return all specs."""
        return [
            spec for versions in self._versions.values() for spec in versions.values()
        ]

    def search(
        self, text: str = "", *, kind: str | None = None, tag: str | None = None
    ) -> list[ComponentSpec]:
        """Find specs by a part of their name or description, by kind and by tag."""
        part = text.lower()

        def fits(spec: ComponentSpec) -> bool:
            if kind not in (None, spec.kind):
                return False
            if tag is not None and tag not in spec.tags:
                return False
            return part in spec.name.lower() or part in spec.description.lower()

        return [spec for spec in self.specs() if fits(spec)]

    def close(self) -> None:
        """Close the instances of agent classes that nobody uses."""
        self.agents.close()

    def _pools(self) -> Iterator[tuple[ComponentSpec, InstancePool]]:
        for component in list(self._components.values()):
            if component.pool is not None:
                yield component.spec, component.pool

    def published(self) -> dict[str, dict[str, Any]]:
        """Return the specs that this process can run, as the catalog holds them, by "name@version".

        What comes with the engine is left out: each process has it.
        """
        from openagents_json.catalog.specs import published_spec

        return {
            f"{name}@{version}": published_spec(component)
            for (name, version), component in self._components.items()
            if not is_built_in(component)
        }


def _is_of_module(module: types.ModuleType, name: str, value: Any) -> bool:
    """Tell whether a module declares a value, or hands it on in `__all__`; what it only uses is not its own."""
    if declaration_of(value) is None:
        return False
    is_handed_on = name in getattr(module, "__all__", ())
    return is_handed_on or getattr(value, "__module__", None) == module.__name__


def _capabilities(cls: type) -> Iterator[tuple[str, Callable[..., Any], Declaration]]:
    """Return the capabilities of a class by attribute, inherited ones too."""
    members = {
        attribute: value
        for base in reversed(cls.__mro__)
        for attribute, value in vars(base).items()
    }
    for attribute, value in members.items():
        declaration = declaration_of(value)
        if declaration is not None and declaration.kind == "capability":
            yield attribute, value, declaration


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
