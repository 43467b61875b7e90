"""Where secrets stand in a step's inputs: only at places that the document names, and never where data says so.

On the log, a text with a secret holds `{{secrets.NAME}}` in the secret's place, for people to read. What counts is the
list beside the inputs: [path, offset, name] for each secret, the path as keys and indexes, the offset in code points.
No data can get into that list, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.workflow.errors import SecretsUnclear
from openagents_json.workflow.expressions.names import SECRET, Names
from openagents_json.workflow.expressions.namespace import Lookup, secret_marker
from openagents_json.workflow.expressions.pieces import split
from openagents_json.workflow.expressions.templates import compile_expression, render
from openagents_json.workflow.types import Json

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SecretName:
    """A piece of a text that is a secret."""

    name: str


Piece = str | SecretName | Callable[[Lookup], Json]


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text of a document that names secrets: its path in the inputs, and its pieces in order."""

    path: Path
    pieces: tuple[Piece, ...]

    @property
    def names(self) -> list[str]:
        """Return the names of its secrets, in order."""
        return [piece.name for piece in self.pieces if isinstance(piece, SecretName)]


def secret_texts(value: Json, names: Names, path: Path) -> Iterator[SecretText]:
    """Find the texts of a document's value that name secrets.

    Raises ExpressionError.
    """
    if isinstance(value, str):
        text = SecretText(path, tuple(_pieces(value, names)))
        if text.names:
            yield text
        return
    members: Iterable[tuple[str | int, Json]] = ()
    if isinstance(value, Mapping):
        members = [(str(key), member) for key, member in value.items()]
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for key, member in members:
        yield from secret_texts(member, names, (*path, key))


def _pieces(text: str, names: Names) -> Iterator[Piece]:
    """Return the pieces of a text; what cannot be compiled matters only in a text that names a secret.

    Raises ExpressionError.
    """
    pieces = list(split(text))
    sources = [piece.strip() for kind, piece in pieces if kind == "expression"]
    if any(map(SECRET.match, sources)):
        for kind, piece in pieces:
            yield _piece(kind, piece, names)


def _piece(kind: str, piece: str, names: Names) -> Piece:
    if kind == "text":
        return piece
    source = piece.strip()
    if SECRET.match(source):
        return SecretName(source.partition(".")[2])
    return compile_expression(piece, names, "", [])


def places_of(text: SecretText, lookup: Lookup) -> Iterator[list[Json]]:
    """Return the places of secrets in the value that a text has now.

    Raises ExpressionFailed.
    """
    offset = 0
    for piece in text.pieces:
        if isinstance(piece, SecretName):
            yield [list(text.path), offset, piece.name]
        offset += len(_shown(piece, lookup))


def _shown(piece: Piece, lookup: Lookup) -> str:
    """Return what stands in a text for one of its pieces.

    Raises ExpressionFailed.
    """
    if isinstance(piece, str):
        return piece
    if isinstance(piece, SecretName):
        return secret_marker(piece.name)
    return render(piece(lookup), lookup.budget)


_MARKER: Final = re.compile(r"\{\{secrets\.([A-Za-z_][A-Za-z0-9_]*)\}\}")


def places_before(
    texts: Sequence[SecretText], inputs: Mapping[str, Json]
) -> list[list[Json]]:
    """Find the places of secrets in inputs that were recorded by a version which did not note them.

    Raises SecretsUnclear where data contains the same text: it must not be given the secret.
    """
    positions: list[list[Json]] = []
    for text in texts:
        recorded = at(inputs, text.path)
        if isinstance(recorded, str):
            positions += _marked(text, recorded)
    return positions


def _marked(text: SecretText, recorded: str) -> list[list[Json]]:
    """Return the places of secrets in a recorded text.

    Raises SecretsUnclear.
    """
    names = text.names
    markers = [match for match in _MARKER.finditer(recorded) if match[1] in names]
    marked_names = [match[1] for match in markers]
    if markers and marked_names != names:
        raise SecretsUnclear(text.path)
    return [[list(text.path), match.start(), match[1]] for match in markers]


def at(value: Any, path: Sequence[Any]) -> Any:
    """Return what stands at a path, None when nothing does."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value
