"""A component of this process: its spec, and the code that is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from openagents_json.components.binding import Signature, plain
from openagents_json.components.build import build_of
from openagents_json.components.context import Context
from openagents_json.components.copies import own_copy
from openagents_json.components.decorators import Declaration
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.components.pool import InstancePool
from openagents_json.workflow.component_spec import ComponentSpec
from openagents_json.workflow.types import Json
from openagents_json.workflow.versions import is_version

KINDS: Final = {
    "capability": "agent",
    "agent": "agent",
    "tool": "tool",
    "asset": "asset",
}

INHERITED: Final = (
    "version",
    "queue",
    "effect",
    "tags",
    "timeout",
    "retry",
    "timeouts",
    "build",
    "author",
    "dependencies",
)
"""What holds for the capabilities of a class that say nothing of it."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component that this process can run."""

    spec: ComponentSpec
    function: Callable[..., Any]
    signature: Signature
    pool: InstancePool | None = None
    hashed: bool = True
    """Its build is a hash of its code: nobody has given one."""

    @property
    def takes_context(self) -> bool:
        """Tell whether the component asks for a context."""
        return self.signature.context is not None

    def invoke(self, inputs: Mapping[str, Json], context: Context | None) -> Any:
        """Check the inputs and run; for an `async def` component the result is a coroutine.

        A component that `takes_context` needs one. It gets copies of the inputs: what it does to them is not seen by
        its run. Raises InvalidComponentInput, and whatever the component raises.
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
        async with self.pool.borrowed_on_loop() as instance:
            return plain(await self.function(instance, **arguments))


def component_of(
    name: str,
    function: Callable[..., Any],
    own: Declaration,
    of: Declaration | None,
    pool: InstancePool | None,
) -> Component:
    """Return the component that a function is, by what was declared on it and on its class.

    Raises InvalidDeclaration.
    """
    signature = Signature(function, name, method=pool is not None)
    kind = KINDS[own.kind]
    outer = of or own
    declared = _declared(own, outer)
    spec = ComponentSpec(
        name=name,
        version=declared.version,
        kind=kind,
        queue=declared.queue or kind,
        is_async=inspect.iscoroutinefunction(function),
        inputs=None if signature.open else signature.parameters,
        output=signature.returns,
        effect=declared.effect,
        description=own.description or _first_paragraph(function) or outer.description,
        tags=declared.tags,
        timeout_ms=round(declared.timeout * 1000),
        lost_limit=own.lost_limit,
        retry=declared.retry,
        timeouts=declared.timeouts,
        metadata=_plain_metadata({**outer.metadata, **own.metadata}),
        author=declared.author,
        examples=own.examples,
        dependencies=declared.dependencies,
        resources={**outer.resources, **own.resources},
        build=declared.build or build_of(function, None if pool is None else pool.cls),
    )
    check_spec(spec)
    return Component(spec, function, signature, pool, hashed=not declared.build)


def _declared(own: Declaration, outer: Declaration) -> Declaration:
    """Return what was declared on a function, and on its class where the function says nothing."""
    silent = Declaration(own.kind)
    changes = {
        name: getattr(own, name)
        for name in INHERITED
        if getattr(own, name) != getattr(silent, name)
    }
    return replace(outer, **changes)


def check_spec(spec: ComponentSpec) -> None:
    """Refuse what documents and queues could not name.

    Raises InvalidDeclaration.
    """
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


def _plain_metadata(metadata: Mapping[str, Any]) -> dict[str, Json]:
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, str | int | float | bool | list | tuple | dict | None)
    }


def _first_paragraph(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")


def is_built_in(component: Component) -> bool:
    """Tell whether a component comes with the engine."""
    module = getattr(component.function, "__module__", None) or ""
    return module.startswith(
        ("openagents_json.components.builtin", "openagents_json.components.library.")
    )
