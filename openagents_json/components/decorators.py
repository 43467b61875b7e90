"""Declaring components: `@agent`, `@capability`, `@tool`, `@asset`.

A decorator notes a declaration on the object and gives the object back unchanged, so the function can be called
directly. `Registry.add` and the loader read the declarations. The program's declarations are also remembered weakly, in
their order: an embedded engine that is not told which components to run takes those.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, overload

Declared = TypeVar("Declared", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

ATTRIBUTE: Final = "__openagents__"
_declared: Final[list[weakref.ref[Any]]] = []


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a decorator was told; `agent` is the agent's name for a capability outside its class."""

    kind: str
    name: str | None = None
    agent: str | None = None
    version: str = "0.1.0"
    description: str = ""
    queue: str | None = None
    effect: str | None = None
    timeout: float = 0.0
    lost_limit: int = 3
    shared: bool = False
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def declaration_of(thing: Any) -> Declaration | None:
    """Give what was declared on an object itself, not on a class that it inherits from."""
    found = vars(thing).get(ATTRIBUTE) if hasattr(thing, "__dict__") else None
    return found if isinstance(found, Declaration) else None


def declared() -> list[Any]:
    """Give what this program has declared and still holds; of two with the same name and version, the later one."""
    found: dict[tuple[Any, ...], Any] = {}
    for reference in list(_declared):
        thing = reference()
        known = declaration_of(thing)
        if thing is None or known is None:
            _declared.remove(reference)
        elif known.kind != "capability" or known.agent:  # the others come with their class
            found[known.kind, known.agent, known.name or thing.__name__, known.version] = thing
    return list(found.values())


_OPTIONS = {"version", "description", "queue", "effect", "timeout", "lost_limit", "shared", "tags"}


def _declare(kind: str, name: str | None, agent: str | None, options: dict[str, Any]) -> Callable[[Any], Any]:
    known = {key: value for key, value in options.items() if key in _OPTIONS}
    known["tags"] = tuple(known.get("tags", ()))
    rest = {key: value for key, value in options.items() if key not in _OPTIONS}
    declaration = Declaration(kind, name, agent, metadata=rest, **known)

    def note(thing: Any) -> Any:
        setattr(thing, ATTRIBUTE, declaration)
        _declared.append(weakref.ref(thing))
        return thing

    return note


@overload
def agent(name: Class) -> Class: ...
@overload
def agent(name: str | None = None, **options: Any) -> Callable[[Class], Class]: ...
def agent(name: Any = None, **options: Any) -> Any:
    """Declare a class as an agent; its capabilities become components named "agent.capability"."""
    if isinstance(name, type):
        return _declare("agent", None, None, options)(name)
    return _declare("agent", name, None, options)


@overload
def capability(name: Declared) -> Declared: ...
@overload
def capability(
    name: str | None = None, *, agent_name: str | None = None, **options: Any
) -> Callable[[Declared], Declared]: ...
def capability(name: Any = None, *, agent_name: str | None = None, **options: Any) -> Any:
    """Declare a method as a capability of its class, or a function as one of the agent `agent_name`."""
    if callable(name):
        return _declare("capability", None, agent_name, options)(name)
    return _declare("capability", name, agent_name, options)


@overload
def tool(name: Declared) -> Declared: ...
@overload
def tool(name: str | None = None, **options: Any) -> Callable[[Declared], Declared]: ...
def tool(name: Any = None, **options: Any) -> Any:
    """Declare a function as a tool."""
    if callable(name):
        return _declare("tool", None, None, options)(name)
    return _declare("tool", name, None, options)


@overload
def asset(name: Declared) -> Declared: ...
@overload
def asset(name: str | None = None, **options: Any) -> Callable[[Declared], Declared]: ...
def asset(name: Any = None, **options: Any) -> Any:
    """Declare a function that gives or makes an asset: data, a file, a model."""
    if callable(name):
        return _declare("asset", None, None, options)(name)
    return _declare("asset", name, None, options)
