"""Where secrets stand in a step's inputs: only at places that the document names, and never where data says so.

On the log, a text with a secret holds `{{secrets.NAME}}` in the secret's place, for people to read. What counts is the
list beside the inputs: [path, offset, name] for each secret, the path as keys and indexes, the offset in code points.
No data can get into that list, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text of a document that names secrets: its path in the inputs, and its pieces in order."""

    path: Path
    pieces: tuple[str | SecretName | Callable[[Lookup], Json], ...]

    @property
    def names(self) -> list[str]:
        """Return the names of its secrets, in order."""
        return [piece.name for piece in self.pieces if isinstance(piece, SecretName)]


def secret_texts(value: Json, names: Names, path: Path) -> Iterator[SecretText]:
    """Find the texts of a document's value that name secrets.

    Raises ExpressionError.
    """
    if isinstance(value, str):
        pieces = list(split(value))
        if any(
            kind == "expression" and SECRET.match(piece.strip())
            for kind, piece in pieces
        ):
            yield SecretText(
                path, tuple(_piece(kind, piece, names) for kind, piece in pieces)
            )
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from secret_texts(member, names, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from secret_texts(member, names, (*path, index))


def _piece(
    kind: str, piece: str, names: Names
) -> str | SecretName | Callable[[Lookup], Json]:
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
            offset += len(secret_marker(piece.name))
        else:
            offset += len(
                piece
                if isinstance(piece, str)
                else render(piece(lookup), lookup.budget)
            )


_MARKER: Final = re.compile(r"\{\{secrets\.([A-Za-z_][A-Za-z0-9_]*)\}\}")


def places_before(
    texts: Sequence[SecretText], inputs: Mapping[str, Json]
) -> list[list[Json]]:
    """Find the places of secrets in inputs that were recorded by a version which did not note them.

    Raises SecretsUnclear where data contains the same text: it must not be given the secret.
    """
    positions: list[list[Json]] = []
    for text in texts:
        recorded, names = at(inputs, text.path), text.names
        if not isinstance(recorded, str):
            continue
        markers = [match for match in _MARKER.finditer(recorded) if match[1] in names]
        if markers and [match[1] for match in markers] != names:
            raise SecretsUnclear(text.path)
        positions += [[list(text.path), match.start(), match[1]] for match in markers]
    return positions


def at(value: Any, path: Sequence[Any]) -> Any:
    """Return what stands at a path, None when nothing does."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value
