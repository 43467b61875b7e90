"""The catalog of a process: components by name and version, found in constant time."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from openagents_json.components.binding import Signature, plain
from openagents_json.components.context import Context
from openagents_json.components.copies import own_copy
from openagents_json.components.decorators import (
    AgentOptions,
    CapabilityOptions,
    Declaration,
    Options,
    agent,
    asset,
    capability,
    declaration_of,
    tool,
)
from openagents_json.components.errors import InvalidDeclaration, UnknownComponent
from openagents_json.components.pool import InstancePool
from openagents_json.workflow.component_spec import ComponentSpec, to_json
from openagents_json.workflow.types import Json
from openagents_json.workflow.versions import highest, is_version

KINDS = {"capability": "agent", "agent": "agent", "tool": "tool", "asset": "asset"}


@dataclass(frozen=True, slots=True)
class Component:
    """A component that this process can run."""

    spec: ComponentSpec
    function: Callable[..., Any]
    signature: Signature
    pool: InstancePool | None = None

    def invoke(self, inputs: Mapping[str, Json], context: Context) -> Any:
        """Check the inputs and run; for an `async def` component the result is a coroutine.

        The component gets copies: what it does to them is not seen by its run. Raises InvalidComponentInput, and
        whatever the component raises.
        """
        arguments = self.signature.bind(own_copy(inputs))
        if self.signature.context is not None:
            arguments[self.signature.context] = context
        if self.spec.is_async:
            return self._awaited(arguments)
        if self.pool is None:
            return plain(self.function(**arguments))
        with self.pool.borrowed() as instance:
            return plain(self.function(instance, **arguments))

    async def _awaited(self, arguments: dict[str, Any]) -> Any:
        if self.pool is None:
            return plain(await self.function(**arguments))
        return plain(await self.function(self.pool.shared(), **arguments))


class Registry:
    """Components and bare specs; adding the same thing twice changes nothing."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}
        self._versions: dict[str, dict[str, ComponentSpec]] = {}
        self._by_reference: dict[str, ComponentSpec | None] = {}
        self._fingerprint = ""

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

    def agent(self, name: Any = None, **options: Unpack[AgentOptions]) -> Any:
        """Declare a class and add it in one go."""
        return self._adding(agent, name, dict(options))

    def capability(self, name: Any = None, **options: Unpack[CapabilityOptions]) -> Any:
        """Declare a capability; one outside its class is added at once."""
        if options.get("agent_name"):
            return self._adding(capability, name, dict(options))
        return capability(name, **options)

    def tool(self, name: Any = None, **options: Unpack[Options]) -> Any:
        """Declare a function and add it in one go."""
        return self._adding(tool, name, dict(options))

    def asset(self, name: Any = None, **options: Unpack[Options]) -> Any:
        """Declare an asset and add it in one go."""
        return self._adding(asset, name, dict(options))

    def _adding(self, decorator: Any, name: Any, options: dict[str, Any]) -> Any:
        if callable(name):
            self.add(thing := decorator(name, **options))
            return thing

        def declare(thing: Any) -> Any:
            self.add(decorator(name, **options)(thing))
            return thing

        return declare

    def _add_module(self, module: types.ModuleType) -> None:
        for value in list(vars(module).values()):
            if isinstance(value, Registry) or _is_declared_in(module, value):
                self.add(value)

    def _add_class(self, cls: type, declared: Declaration) -> None:
        pool = InstancePool(
            cls, declared.metadata.get("config"), shared=declared.shared
        )
        name = declared.name or cls.__name__
        capabilities = list(_capabilities(cls))
        if not capabilities:
            raise InvalidDeclaration(
                f"agent {name!r} has no capability; put @capability on a method of {cls.__name__}"
            )
        for attribute, function, own in capabilities:
            spec_name = f"{name}.{own.name or attribute}"
            self._put(_component(spec_name, function, own, declared, pool))

    def _add_function(
        self, function: Callable[..., Any], declared: Declaration
    ) -> None:
        name = str(declared.name or getattr(function, "__name__", ""))
        if declared.kind == "capability":
            if not declared.agent:
                raise InvalidDeclaration(
                    f"capability {name!r} stands outside a class; say agent_name=..."
                )
            name = f"{declared.agent}.{name}"
        self._put(_component(name, function, declared, None, None))

    def _put(self, component: Component) -> None:
        name, version = key = (component.spec.name, component.spec.version)
        if not _built_in(component):
            self._forget_built_in(name)
        elif self._has_own(name):
            return
        earlier = self._components.get(key)
        if earlier is not None and earlier.function is not component.function:
            where, other = _where(component.function), _where(earlier.function)
            if where != other:
                raise InvalidDeclaration(
                    f"component {name!r} {version} is declared twice: at {other} and at {where}; "
                    "give one of them another name or version"
                )
        self._components[key] = component
        self.add_spec(component.spec)

    def _has_own(self, name: str) -> bool:
        """Tell whether the program has a component of this name."""
        return any(
            spec_name == name and not _built_in(component)
            for (spec_name, _), component in self._components.items()
        )

    def _forget_built_in(self, name: str) -> None:
        """Make room for a program's own component of the same name as one that comes with the engine."""
        for version in list(self._versions.get(name, ())):
            component = self._components.get((name, version))
            if component is not None and _built_in(component):
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
        return None if component is not None and _built_in(component) else spec

    def _component_of(self, spec: ComponentSpec | None) -> Component | None:
        if spec is None:
            return None
        return self._components.get((spec.name, spec.version))

    def _search(self, reference: str) -> ComponentSpec | None:
        name, _, version_range = reference.partition("@")
        versions = self._versions.get(name)
        if not versions:
            return None
        chosen = highest(version_range, versions)
        return None if chosen is None else versions[chosen]

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

    def runnable(self) -> list[str]:
        """Return the components of this process, as "name@version"."""
        return sorted(f"{name}@{version}" for name, version in list(self._components))

    @property
    def fingerprint(self) -> str:
        """Return a hash of the components: equal in processes that can run the same."""
        if not self._fingerprint:
            # Specs of others count too: a newer one may hide one of ours.
            names = sorted(f"{spec.name}@{spec.version}" for spec in self.specs())
            text = "\n".join([*self.runnable(), "", *names])
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
        """Close the idle instances of agent classes."""
        for component in self._components.values():
            if component.pool is not None:
                component.pool.close()

    def published(self) -> dict[str, object]:
        """Return the specs that this process can run, as JSON, by "name@version"."""
        return {
            f"{name}@{version}": to_json(c.spec)
            for (name, version), c in self._components.items()
        }


def _component(
    name: str,
    function: Callable[..., Any],
    own: Declaration,
    of: Declaration | None,
    pool: InstancePool | None,
) -> Component:
    signature = Signature(function, name, method=pool is not None)
    kind = KINDS[own.kind]
    outer = of or own
    spec = ComponentSpec(
        name=name,
        version=own.version if own.version != "0.1.0" else outer.version,
        kind=kind,
        queue=own.queue or outer.queue or kind,
        is_async=inspect.iscoroutinefunction(function),
        inputs=None if signature.open else signature.parameters,
        output=signature.returns,
        effect=own.effect or outer.effect,
        description=own.description or _first_paragraph(function) or outer.description,
        tags=own.tags or outer.tags,
        timeout_ms=round((own.timeout or outer.timeout) * 1000),
        lost_limit=own.lost_limit,
        retry=outer.retry if own.retry is None else own.retry,
        metadata=_plain_metadata({**outer.metadata, **own.metadata}),
    )
    _check(spec)
    return Component(spec, function, signature, pool)


def _check(spec: ComponentSpec) -> None:
    if not _is_word(spec.name, without="@| \n"):
        raise InvalidDeclaration(
            f"component name {spec.name!r} must be one word without @ and |"
        )
    if not _is_word(spec.queue, without="|{}, \n"):
        raise InvalidDeclaration(
            f"component {spec.name}: queue {spec.queue!r} must be one word without | {{ }} and commas"
        )
    if not is_version(spec.version):
        raise InvalidDeclaration(
            f"component {spec.name}: {spec.version!r} is not a semantic version, such as 1.4.2"
        )


def _is_word(text: str, *, without: str) -> bool:
    return bool(text) and not any(character in text for character in without)


def _is_declared_in(module: types.ModuleType, value: Any) -> bool:
    """Tell whether a module declares a value itself; what it imports is for its own module to add."""
    if declaration_of(value) is None:
        return False
    return getattr(value, "__module__", None) == module.__name__


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


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Json]:
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, str | int | float | bool | list | tuple | dict | None)
    }


def _first_paragraph(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")


def _built_in(component: Component) -> bool:
    """Tell whether a component comes with the engine."""
    return (
        getattr(component.function, "__module__", "")
        == "openagents_json.components.builtin"
    )


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
