"""Declaring components: `@agent`, `@capability`, `@tool`, `@asset`.

A decorator notes a declaration on the object and gives the object back unchanged, so the function can be called
directly. `Registry.add` and the loader read the declarations. The program's declarations are also remembered weakly, in
their order: an embedded engine that is not told which components to run takes those.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack, overload

from openagents_json.components.errors import InvalidDeclaration
from openagents_json.workflow.component_spec import EFFECTS

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
    """Return what was declared on an object itself, not on a class that it inherits from."""
    found = vars(thing).get(ATTRIBUTE) if hasattr(thing, "__dict__") else None
    return found if isinstance(found, Declaration) else None


def declared() -> list[Any]:
    """Return what this program has declared and still holds; of two with the same name and version, the later one."""
    found: dict[tuple[Any, ...], Any] = {}
    for reference in list(_declared):
        thing = reference()
        known = declaration_of(thing)
        if thing is None or known is None:
            _declared.remove(reference)
        elif (
            known.kind != "capability" or known.agent
        ):  # the others come with their class
            found[
                known.kind, known.agent, known.name or thing.__name__, known.version
            ] = thing
    return list(found.values())


"""What another attempt would do; `docs/how-to/write-components.md` says what follows from each."""

Effect = Literal["pure", "idempotent", "at_most_once", "compensable", "irreversible"]


class Options(TypedDict, total=False):
    """What all decorators take; whatever else is worth knowing about a component goes under `metadata`."""

    version: str
    description: str
    queue: str | None
    effect: Effect | None
    timeout: float
    lost_limit: int
    tags: Sequence[str]
    metadata: Mapping[str, Any]


class CapabilityOptions(Options, total=False):
    """What `@capability` takes; `agent_name` is the agent of a function outside of a class."""

    agent_name: str | None


class AgentOptions(Options, total=False):
    """What `@agent` takes; `config` is given to the class, one instance serves all calls if it is `shared`."""

    shared: bool
    config: Mapping[str, Any]


_KNOWN: Final = {
    "agent": frozenset(AgentOptions.__annotations__),
    "capability": frozenset(CapabilityOptions.__annotations__),
    "tool": frozenset(Options.__annotations__),
    "asset": frozenset(Options.__annotations__),
}


def _declare(
    kind: str, name: str | None, options: Mapping[str, Any]
) -> Callable[[Any], Any]:
    _check(kind, options)
    known = {
        key: value
        for key, value in options.items()
        if key not in ("metadata", "config", "agent_name")
    }
    known["tags"] = tuple(known.get("tags", ()))
    metadata = dict(options.get("metadata") or {})
    if "config" in options:
        metadata["config"] = options["config"]
    declaration = Declaration(
        kind, name, options.get("agent_name"), metadata=metadata, **known
    )

    def note(thing: Any) -> Any:
        setattr(thing, ATTRIBUTE, declaration)
        _declared.append(weakref.ref(thing))
        return thing

    return note


def _check(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what would be passed over in silence: a payment is made three times for a misspelt effect.

    Raises InvalidDeclaration.
    """
    for key in options:
        if key not in _KNOWN[kind]:
            hint = _nearest(key, _KNOWN[kind])
            raise InvalidDeclaration(
                f"@{kind}: there is no option {key!r}; {hint}; what is yours goes under metadata={{}}"
            )
    for key, value in options.items():
        if wrong := _wrong(key, value):
            raise InvalidDeclaration(f"@{kind}: {key}={value!r} {wrong}")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return (
        f"did you mean {near[0]!r}?"
        if near
        else f"there are {', '.join(sorted(known))}"
    )


def _wrong(key: str, value: Any) -> str:
    """Say what is wrong with the value of an option, empty when nothing is."""
    match key:
        case "effect" if value is not None and value not in EFFECTS:
            return f"is no effect; {_nearest(str(value).lower().replace('-', '_'), EFFECTS)}"
        case "timeout" if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < 3.2e9
        ):
            return "is no time in seconds"
        case "lost_limit" if (
            isinstance(value, bool) or not isinstance(value, int) or value < 0
        ):
            return "is no number of lost workers, 0 or more"
        case "version" | "description" if not isinstance(value, str):
            return "is no text"
        case "queue" | "agent_name" if value is not None and not isinstance(value, str):
            return "is no text"
        case "shared" if not isinstance(value, bool):
            return "is neither True nor False"
        case "metadata" if value is not None and not isinstance(value, Mapping):
            return "is no mapping"
        case "tags" if isinstance(value, str) or not all(
            isinstance(tag, str) for tag in value
        ):
            return "is no list of texts"
    return ""


@overload
def agent(name: Class) -> Class: ...
@overload
def agent(
    name: str | None = None, **options: Unpack[AgentOptions]
) -> Callable[[Class], Class]: ...
def agent(name: Any = None, **options: Any) -> Any:
    """Declare a class as an agent; its capabilities become components named "agent.capability".

    Raises InvalidDeclaration for an option that it does not have.
    """
    if isinstance(name, type):
        return _declare("agent", None, options)(name)
    return _declare("agent", name, options)


@overload
def capability(name: Declared) -> Declared: ...
@overload
def capability(
    name: str | None = None, **options: Unpack[CapabilityOptions]
) -> Callable[[Declared], Declared]: ...
def capability(name: Any = None, **options: Any) -> Any:
    """Declare a method as a capability of its class, or a function as one of the agent `agent_name`.

    Raises InvalidDeclaration for an option that it does not have.
    """
    return _declared_as("capability", name, options)


@overload
def tool(name: Declared) -> Declared: ...
@overload
def tool(
    name: str | None = None, **options: Unpack[Options]
) -> Callable[[Declared], Declared]: ...
def tool(name: Any = None, **options: Any) -> Any:
    """Declare a function as a tool.

    Raises InvalidDeclaration for an option that it does not have.
    """
    return _declared_as("tool", name, options)


@overload
def asset(name: Declared) -> Declared: ...
@overload
def asset(
    name: str | None = None, **options: Unpack[Options]
) -> Callable[[Declared], Declared]: ...
def asset(name: Any = None, **options: Any) -> Any:
    """Declare a function that gives or makes an asset: data, a file, a model.

    Raises InvalidDeclaration for an option that it does not have.
    """
    return _declared_as("asset", name, options)


def _declared_as(kind: str, name: Any, options: Mapping[str, Any]) -> Any:
    return (
        _declare(kind, None, options)(name)
        if callable(name)
        else _declare(kind, name, options)
    )
