"""Declaring components: `@agent`, `@capability`, `@tool`, `@asset`.

A decorator notes a declaration on the object and gives the object back unchanged, so the function can be called
directly. `Registry.add` and the loader read the declarations. The program's declarations are also remembered weakly, in
their order: an embedded engine that is not told which components to run takes those.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from openagents_json.components.errors import InvalidDeclaration
from openagents_json.components.step_options import (
    OF_STEPS,
    nearest,
    plain,
    wrong_for_steps,
)
from openagents_json.workflow.component_spec import (
    EFFECTS,
    LIMITS,
    is_limit,
    wrong_limit,
)

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
    timeouts: dict[str, Any] | None = None
    shared: bool = False
    instances: int = 0
    idle_seconds: float = 300.0
    checkout_seconds: float = 30.0
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    build: str = ""
    author: str = ""
    examples: tuple[Any, ...] = ()
    dependencies: tuple[str, ...] = ()
    resources: dict[str, Any] = field(default_factory=dict)


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
    """What all decorators take, each with what it means; `scripts/reference` writes the page of it."""

    version: Annotated[str, "semantic version; steps may ask for a range of it"]
    description: Annotated[str, "what it does, for people"]
    queue: Annotated[
        str | None,
        "worker type that runs it; without it, the kind of the component",
    ]
    effect: Annotated[
        Effect | None,
        "what another attempt would do; without it, `idempotent`",
    ]
    timeout: Annotated[
        float,
        "seconds for an attempt, of steps that say nothing else; 0 is none",
    ]
    lost_limit: Annotated[
        int,
        "how many workers may be lost with it; with one more, the step fails",
    ]
    retry: Annotated[
        Mapping[str, Any] | None,
        "how often it is tried again, as `retry` of a step, of steps that have none",
    ]
    timeouts: Annotated[
        Mapping[str, float] | None,
        "its time limits, as `timeouts` of a step, of steps that have none",
    ]
    tags: Annotated[Sequence[str], "words to find it by"]
    metadata: Annotated[Mapping[str, Any], "whatever else is worth knowing; JSON"]
    build: Annotated[
        str,
        "which code this is: a commit, a digest of an image; without it, a hash of its file",
    ]
    author: Annotated[str, "who answers for it"]
    examples: Annotated[Sequence[Any], "inputs and what comes of them; JSON"]
    dependencies: Annotated[Sequence[str], "what it needs to run"]
    resources: Annotated[
        Mapping[str, Any],
        "what it takes of a machine; JSON. The three below stand here in its spec",
    ]
    memory_mb: Annotated[
        int, "MB that the process of a step may have; 0 is what its worker type says"
    ]
    step_seconds: Annotated[
        float,
        "how long an attempt may take, whatever its document says; 0 likewise",
    ]
    max_attempts: Annotated[
        int, "how many attempts a step has, whatever its document says; 0 likewise"
    ]


class CapabilityOptions(Options, total=False):
    """What `@capability` takes."""

    agent_name: Annotated[
        str | None,
        "the agent of a function outside of a class",
    ]


class AgentOptions(Options, total=False):
    """What `@agent` takes."""

    shared: Annotated[bool, "one instance of the class serves all calls"]
    instances: Annotated[
        int,
        "how many instances a process has at most; 0 is any number",
    ]
    idle_seconds: Annotated[float, "how long one that nobody uses is kept"]
    checkout_seconds: Annotated[float, "how long a call waits for one"]
    config: Annotated[Mapping[str, Any], "is given to the class as `config`"]


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
        if key not in ("metadata", "config", "agent_name", *LIMITS)
    }
    members["resources"] = {
        **(options.get("resources") or {}),
        **{name: options[name] for name in LIMITS if options.get(name)},
    }
    for option in ("tags", "examples", "dependencies"):
        members[option] = tuple(members.get(option, ()))
    for option in OF_STEPS:
        if members.get(option) is not None:
            members[option] = plain(members[option])
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


def _check(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse what would be passed over in silence: a payment is made three times for a misspelt effect.

    Raises InvalidDeclaration.
    """
    for key in options:
        if key not in _KNOWN[kind]:
            hint = nearest(key, _KNOWN[kind])
            raise InvalidDeclaration(
                f"@{kind}: there is no option {key!r}; {hint}",
                remedy="what is yours goes under metadata={}",
            )
    for key, value in options.items():
        if wrong := _wrong(key, value):
            raise InvalidDeclaration(f"@{kind}: {key}={value!r} {wrong}")


def _wrong(key: str, value: Any) -> str:
    """Say what is wrong with the value of an option, empty when nothing is."""
    if key == "effect" and value is not None and value not in EFFECTS:
        likely = str(value).lower().replace("-", "_")
        return f"is no effect; {nearest(likely, EFFECTS)}"
    if key in OF_STEPS and value is not None:
        return wrong_for_steps(key, value)
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


def _are_resources(value: Any) -> bool:
    return isinstance(value, Mapping) and not wrong_limit(value)


def _are_texts(value: Any) -> bool:
    return not isinstance(value, str) and all(isinstance(tag, str) for tag in value)


LONGEST_S: Final = 3.2e9
"""A hundred years."""

_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "timeout": (_is_time, "is no time in seconds"),
    "lost_limit": (_is_count, "is no number of lost workers, 0 or more"),
    "instances": (_is_count, "is no number of instances, 0 or more"),
    "idle_seconds": (_is_time, "is no time in seconds"),
    "checkout_seconds": (_is_time, "is no time in seconds"),
    "version": (_is_text, "is no text"),
    "description": (_is_text, "is no text"),
    "queue": (_is_text_or_none, "is no text"),
    "agent_name": (_is_text_or_none, "is no text"),
    "shared": (_is_flag, "is neither True nor False"),
    "metadata": (_is_mapping_or_none, "is no mapping"),
    "tags": (_are_texts, "is no list of texts"),
    "resources": (
        _are_resources,
        f"is no mapping, or has a limit ({', '.join(LIMITS)}) that is no number",
    ),
    "memory_mb": (partial(is_limit, "memory_mb"), "is no number of MB, 0 or more"),
    "step_seconds": (partial(is_limit, "step_seconds"), "is no time in seconds"),
    "max_attempts": (
        partial(is_limit, "max_attempts"),
        "is no number of attempts, 0 or more",
    ),
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
