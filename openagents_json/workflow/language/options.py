"""What the model of the document is made of: objects with options, each of a kind; see `document`.

An object is a view of the JSON that a document holds. To ask for an option reads what the document says, or the
default; nothing is read that nobody asks for, and a definition of an older version is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeVar, overload

from openagents_json.workflow.option_examples import EXAMPLES
from openagents_json.workflow.types import Json

T = TypeVar("T")
D = TypeVar("D")
M = TypeVar("M", bound="Object")

Schema = Any
"""JSON Schema: an object, or true."""


class Kind(
    Generic[T]
):  # these are plain classes: making dataclasses would take half of the time of the import
    """What an option may be: as JSON Schema, and how a value that is of this kind is read."""

    __slots__ = ("read", "schema")

    def __init__(self, schema: Schema, read: Callable[[Any], T]) -> None:
        self.schema = schema
        self.read = read


class Renamed(NamedTuple):
    """The word that an option had before: documents that say it go on as they did.

    `why` says what is wrong with the word, `what` what both words mean.
    """

    old: str
    why: str
    what: str


class Option(Generic[T]):
    """An option of an object: its kind, its meaning, its default, and its name.

    `does` is the kind of step that it makes, `see` the section of the reference that says more, `old` its old word.
    """

    __slots__ = ("default", "does", "kind", "meaning", "name", "old", "required", "see")

    def __init__(
        self,
        kind: Kind[Any],
        meaning: str,
        *,
        default: Any = None,
        required: bool = False,
        old: Renamed | None = None,
        does: str = "",
        see: str = "",
        name: str = "",
    ) -> None:
        self.kind = kind
        self.meaning = meaning
        self.default = default
        self.required = required
        self.old = old
        self.does = does
        self.see = see
        self.name = name

    def __set_name__(self, owner: type[Object], name: str) -> None:
        """Take the name of the attribute, unless Python has that word for itself."""
        self.name = self.name or name

    @overload
    def __get__(self, owner: None, kind: type[Object]) -> Option[T]: ...
    @overload
    def __get__(self, owner: Object, kind: type[Object]) -> T: ...
    def __get__(self, owner: Object | None, kind: type[Object]) -> Option[T] | T:
        """Return what the document says, else the default; null says nothing."""
        if owner is None:
            return self
        value = owner.json.get(self.name)
        if value is None and self.old is not None:
            value = owner.json.get(self.old.old)
        if value is None:
            return self.default  # type: ignore[no-any-return]
        return self.kind.read(value)  # type: ignore[no-any-return]


@overload
def option(
    kind: Kind[T],
    meaning: str,
    *,
    default: T,
    old: Renamed | None = None,
    see: str = "",
    name: str = "",
) -> Option[T]: ...
@overload
def option(kind: Kind[T], meaning: str, *, required: Literal[True]) -> Option[T]: ...
@overload
def option(
    kind: Kind[T], meaning: str, *, does: str = "", see: str = "", name: str = ""
) -> Option[T | None]: ...
def option(kind: Kind[Any], meaning: str, **more: Any) -> Any:
    """Return an option; without a default, what a document does not say is None."""
    return Option(kind, meaning, **more)


class Object:
    """An object of the document: a view of its JSON, with the options that its class declares.

    Of a class: `others` are keys for people, without a meaning here; `least` is how many members there have to be.
    """

    __slots__ = ("json",)
    options: ClassVar[Mapping[str, Option[Any]]] = {}
    others: ClassVar[frozenset[str]] = frozenset()
    least: ClassVar[int] = 0

    def __init__(self, json: Mapping[str, Json]) -> None:
        self.json = json

    def __init_subclass__(cls, *, others: tuple[str, ...] = (), least: int = 0) -> None:
        own = {
            item.name: item for item in vars(cls).values() if isinstance(item, Option)
        }
        cls.options = {**cls.options, **own}
        cls.others = cls.others | frozenset(others)
        cls.least = least

    def says(self, name: str) -> bool:
        """Tell whether the document says something of an option, be it null."""
        return name in self.json

    @classmethod
    def json_schema(cls) -> dict[str, Schema]:
        """Return the object as JSON Schema."""
        required = [item.name for item in cls.options.values() if item.required]
        return {
            "type": "object",
            **({"required": required} if required else {}),
            **({"minProperties": cls.least} if cls.least else {}),
            "properties": properties(cls),
        }


def properties(kind: type[Object]) -> dict[str, Schema]:
    """Return the options of an object as JSON Schema: what each may be, what it means, its default, an example."""
    members: dict[str, Schema] = {}
    examples = EXAMPLES.get(kind.__name__, {})
    for item in kind.options.values():
        default = {} if item.default is None else {"default": item.default}
        form = {} if item.kind.schema is True else item.kind.schema
        shown = {"examples": [examples[item.name]]} if item.name in examples else {}
        members[item.name] = {**form, "description": item.meaning, **default, **shown}
        if item.old is not None:
            note = f"the old word for `{item.name}`"
            members[item.old.old] = {
                **form,
                "deprecated": True,
                "description": note,
                **default,
                **shown,
            }
    return members


NOTES = frozenset({"description", "default", "examples"})
"""What a schema says to people."""


def same(value: Any) -> Any:
    """Return a value as it is."""
    return value


def text(least: int = 0, most: int = 0, pattern: str = "", form: str = "") -> Kind[str]:
    """Return the kind of texts."""
    limits: dict[str, Any] = {"minLength": least, "maxLength": most}
    rules = {"pattern": pattern, "format": form} | limits
    return Kind(
        {"type": "string", **{key: value for key, value in rules.items() if value}},
        same,
    )


def number(
    least: float | None = None, most: float | None = None, *, above: float | None = None
) -> Kind[float]:
    """Return the kind of numbers."""
    limits = {"minimum": least, "exclusiveMinimum": above, "maximum": most}
    return Kind(
        {
            "type": "number",
            **{key: value for key, value in limits.items() if value is not None},
        },
        same,
    )


def whole(least: int, most: int | None = None) -> Kind[int]:
    """Return the kind of whole numbers; 3.0 is one, and is read as 3."""
    return Kind(
        {
            "type": "integer",
            "minimum": least,
            **({} if most is None else {"maximum": most}),
        },
        int,
    )


def one_of(*words: str) -> Kind[str]:
    """Return the kind of words from a list."""
    return Kind({"enum": list(words)}, same)


def plain(*types: str) -> Kind[Any]:
    """Return the kind of values of some types of JSON."""
    return Kind({"type": types[0] if len(types) == 1 else list(types)}, same)


def array(kind: Kind[T], least: int = 0) -> Kind[list[T]]:
    """Return the kind of arrays."""
    limits = {"minItems": least} if least else {}
    return Kind(
        {"type": "array", **limits, "items": kind.schema},
        lambda value: [kind.read(item) for item in value],
    )


def of(kind: type[M]) -> Kind[M]:
    """Return the kind of objects with some options."""
    return Kind(kind.json_schema(), kind)


def by_name(kind: type[M]) -> Kind[Mapping[str, M]]:
    """Return the kind of objects whose members are objects with some options."""
    form = {"type": "object", "additionalProperties": kind.json_schema()}
    return Kind(
        form, lambda value: {name: kind(member) for name, member in value.items()}
    )


def either(*kinds: Kind[Any], read: Callable[[Any], T], word: str = "anyOf") -> Kind[T]:
    """Return the kind of values that are of one of some kinds."""
    return Kind({word: [kind.schema for kind in kinds]}, read)


def short(brief: Kind[Any], name: str, full: type[M], word: str = "anyOf") -> Kind[M]:
    """Return the kind of objects for which one option may stand alone: "x" for {"name": "x"}."""
    return either(
        brief,
        of(full),
        read=lambda value: full(value if isinstance(value, Mapping) else {name: value}),
        word=word,
    )


LONGEST: Final = 3.2e9
"""Seconds: a century."""
DAY: Final = 86_400

TEXT: Final = text()
WORDS: Final = text(least=1)
TEXTS: Final = array(TEXT)
SECONDS: Final = number(0, LONGEST)
SECONDS_OR_TEMPLATE: Final[Kind[Any]] = either(SECONDS, TEXT, read=same)
EXPRESSION: Final = text()
FLAG: Final[Kind[bool]] = Kind({"type": "boolean"}, bool)
ANY: Final[Kind[Any]] = Kind(True, same)
OBJECT: Final = plain("object")
CONDITION: Final = plain("string", "boolean")
