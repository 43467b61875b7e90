"""The catalog of a process: components by name and version, found in constant time."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
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
        self._found: dict[str, ComponentSpec | None] = {}
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
        self._found.clear()
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
            if isinstance(value, Registry) or (
                declaration_of(value) is not None
                and getattr(value, "__module__", None) == module.__name__
            ):
                self.add(value)

    def _add_class(self, cls: type, declared: Declaration) -> None:
        pool = InstancePool(
            cls, declared.metadata.get("config"), shared=declared.shared
        )
        name = declared.name or cls.__name__
        members = {
            key: value
            for base in reversed(cls.__mro__)
            for key, value in vars(base).items()
        }
        found = [
            (k, v, d)
            for k, v in members.items()
            if (d := declaration_of(v)) and d.kind == "capability"
        ]
        if not found:
            raise InvalidDeclaration(
                f"agent {name!r} has no capability; put @capability on a method of {cls.__name__}"
            )
        for key, function, own in found:
            spec_name = f"{name}.{own.name or key}"
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
        key = (component.spec.name, component.spec.version)
        if _built_in(component):
            if any(
                name == key[0] and not _built_in(own)
                for (name, _), own in self._components.items()
            ):
                return
        else:
            self._forget_built_in(key[0])
        known = self._components.get(key)
        if known is not None and known.function is not component.function:
            where, other = _where(component.function), _where(known.function)
            if where != other:
                raise InvalidDeclaration(
                    f"component {key[0]!r} {key[1]} is declared twice: at {other} and at {where}; "
                    "give one of them another name or version"
                )
        self._components[key] = component
        self.add_spec(component.spec)

    def _forget_built_in(self, name: str) -> None:
        """Make room for a program's own component of the same name as one that comes with the engine."""
        for version in list(self._versions.get(name, ())):
            known = self._components.get((name, version))
            if known is not None and _built_in(known):
                del self._components[name, version], self._versions[name][version]

    # -- finding -----------------------------------------------------------------------------------------

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the highest version that a reference, a name with an optional `@range`, allows."""
        if reference not in self._found:
            self._found[reference] = self._search(reference)
        return self._found[reference]

    def find_own(self, reference: str) -> ComponentSpec | None:
        """Return what `find` gives, unless that comes with the engine."""
        spec = self.find(reference)
        component = self._components.get((spec.name, spec.version)) if spec else None
        return None if component is not None and _built_in(component) else spec

    def _search(self, reference: str) -> ComponentSpec | None:
        name, _, wanted = reference.partition("@")
        versions = self._versions.get(name)
        if not versions:
            return None
        chosen = highest(wanted, versions)
        return None if chosen is None else versions[chosen]

    def resolve(self, reference: str) -> Component:
        """Return the component of a reference.

        Raises UnknownComponent.
        """
        spec = self.find(reference)
        component = self._components.get((spec.name, spec.version)) if spec else None
        if component is None:
            near = difflib.get_close_matches(
                reference.partition("@")[0], list(self._versions), 1
            )
            raise UnknownComponent(reference, near)
        return component

    def can_run(self, reference: str) -> bool:
        """Tell whether a reference leads to a component of this process."""
        spec = self.find(reference)
        return spec is not None and (spec.name, spec.version) in self._components

    def runnable(self) -> list[str]:
        """Return the components of this process, as "name@version"."""
        return sorted(f"{name}@{version}" for name, version in list(self._components))

    @property
    def fingerprint(self) -> str:
        """Return a hash of the components: equal in processes that can run the same."""
        if not self._fingerprint:
            known = sorted(
                f"{spec.name}@{spec.version}" for spec in self.specs()
            )  # a newer one may hide one of ours
            text = "\n".join([*self.runnable(), "", *known])
            self._fingerprint = hashlib.sha256(
                text.encode("utf-8", "surrogatepass")
            ).hexdigest()[:16]
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
        wanted = text.lower()
        return [
            spec
            for spec in self.specs()
            if (wanted in spec.name.lower() or wanted in spec.description.lower())
            and kind in (None, spec.kind)
            and (tag is None or tag in spec.tags)
        ]

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
        metadata=_plain_metadata({**outer.metadata, **own.metadata}),
    )
    _check(spec)
    return Component(spec, function, signature, pool)


def _check(spec: ComponentSpec) -> None:
    if not spec.name or any(character in spec.name for character in "@| \n"):
        raise InvalidDeclaration(
            f"component name {spec.name!r} must be one word without @ and |"
        )
    if not spec.queue or any(character in spec.queue for character in "|{}, \n"):
        raise InvalidDeclaration(
            f"component {spec.name}: queue {spec.queue!r} must be one word without | {{ }} and commas"
        )
    if not is_version(spec.version):
        raise InvalidDeclaration(
            f"component {spec.name}: {spec.version!r} is not a semantic version, such as 1.4.2"
        )


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Json]:
    return {
        k: v
        for k, v in metadata.items()
        if isinstance(v, str | int | float | bool | list | tuple | dict | None)
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
