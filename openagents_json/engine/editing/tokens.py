"""The names and values of a text that is being written: its parts are found although it cannot be read as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Path = tuple[str | int, ...]
Kind = Literal["name", "value"]

NAME: Final = "name"
VALUE: Final = "value"


@dataclass(frozen=True, slots=True)
class Token:
    """A name or a scalar: its path (that of a name has the name in it), and where it stands, without quotes."""

    kind: Kind
    path: Path
    text: str
    start: int
    end: int
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch between tokens: what could be written there, by its path (that of a name is the object's)."""

    kind: Kind
    path: Path
    start: int
    end: int


@dataclass(slots=True)
class Tokens:
    """What was found in a text, in its order."""

    tokens: list[Token] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
