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
    retry: dict[str, Any] | None = None
    shared: bool = False
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def declaration_of(thing: Any) -> Declaration | None:
    """Return what was declared on an object itself, not on a class that it inherits from."""
    declaration = vars(thing).get(ATTRIBUTE) if hasattr(thing, "__dict__") else None
    return declaration if isinstance(declaration, Declaration) else None


def declared() -> list[Any]:
    """Return what this program has declared and still holds; of two with the same name and version, the later one."""
    by_name: dict[tuple[Any, ...], Any] = {}
    for reference in list(_declared):
        thing = reference()
        own = declaration_of(thing)
        if thing is None or own is None:
            _declared.remove(reference)
            continue
        if own.kind == "capability" and not own.agent:
            continue  # it comes with its class
        name = own.name or thing.__name__
        by_name[own.kind, own.agent, name, own.version] = thing
    return list(by_name.values())


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
    retry: Mapping[str, Any] | None
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
    members = {
        key: value
        for key, value in options.items()
        if key not in ("metadata", "config", "agent_name")
    }
    members["tags"] = tuple(members.get("tags", ()))
    if members.get("retry") is not None:
        members["retry"] = _plain(members["retry"])
    metadata = dict(options.get("metadata") or {})
    if "config" in options:
        metadata["config"] = options["config"]
    declaration = Declaration(
        kind, name, options.get("agent_name"), metadata=metadata, **members
    )

    def note(thing: Any) -> Any:
        setattr(thing, ATTRIBUTE, declaration)
        _declared.append(weakref.ref(thing))
        return thing

    return note


def _plain(retry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a retry as a step of a document has it."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in retry.items()
    }


def _wrong_retry(retry: Any) -> str:
    """Say what is wrong with a retry, empty when nothing is; it is what `retry` of a step may be."""
    if not isinstance(retry, Mapping):
        return 'is no mapping, as {"max_retries": 2}'
    from jsonschema import Draft202012Validator

    from openagents_json.workflow.language.steps import Retry

    schema = Retry.json_schema()
    options = schema["properties"]
    for key in retry:
        if key not in options:
            return f"has an unknown {key!r}; {_nearest(key, options)}"
    for error in Draft202012Validator(schema).iter_errors(_plain(retry)):
        return f"is wrong at {'.'.join(map(str, error.path))}: {error.message}"
    return ""


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


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(sorted(names))}"


def _wrong(key: str, value: Any) -> str:
    """Say what is wrong with the value of an option, empty when nothing is."""
    if key == "effect" and value is not None and value not in EFFECTS:
        likely = str(value).lower().replace("-", "_")
        return f"is no effect; {_nearest(likely, EFFECTS)}"
    if key == "retry" and value is not None:
        return _wrong_retry(value)
    rule = _RULES.get(key)
    if rule is None:
        return ""
    fits, complaint = rule
    return "" if fits(value) else complaint


def _is_time(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < LONGEST_S


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_mapping_or_none(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _are_texts(value: Any) -> bool:
    return not isinstance(value, str) and all(isinstance(tag, str) for tag in value)


LONGEST_S: Final = 3.2e9
"""A hundred years."""

_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "timeout": (_is_time, "is no time in seconds"),
    "lost_limit": (_is_count, "is no number of lost workers, 0 or more"),
    "version": (_is_text, "is no text"),
    "description": (_is_text, "is no text"),
    "queue": (_is_text_or_none, "is no text"),
    "agent_name": (_is_text_or_none, "is no text"),
    "shared": (_is_flag, "is neither True nor False"),
    "metadata": (_is_mapping_or_none, "is no mapping"),
    "tags": (_are_texts, "is no list of texts"),
}
"""What the value of an option has to be, and what is said of one that is not."""


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
    if callable(name):  # used without parentheses
        return _declare(kind, None, options)(name)
    return _declare(kind, name, options)
