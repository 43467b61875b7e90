"""Documents as callers hand them over: a mapping, a `Workflow`, JSON text, or the path of a JSON file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.workflow.language.nested_steps import all_steps
from openagents_json.workflow.language.parse import Source, read_source
from openagents_json.workflow.types import Json

if TYPE_CHECKING:
    from openagents_json.workflow.component_spec import Catalog
    from openagents_json.workflow.language.problems import Report


class HasDocument(Protocol):
    """Anything that carries a document, such as `Workflow`."""

    @property
    def document(self) -> Mapping[str, Json]:
        """Return the document."""
        ...


Document = Mapping[str, Json] | HasDocument | str | bytes | Path
"""A text that begins with `{` is a document itself; any other is a path, or the reference of a published document."""


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema of documents."""
    from openagents_json.workflow.language.schema import SCHEMA

    return SCHEMA


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document's content (a value, or its text when it comes from a file), with a digest for caches.

    `encoded` are the canonical bytes of a value.
    """

    content: Any
    digest: bytes
    encoded: bytes | None = None

    def source(self) -> Source:
        """Parse the content; whoever has the plan of this digest need not."""
        return read_source(self.content)._replace(encoded=self.encoded)


def is_reference(text: str) -> bool:
    """Tell whether a text names a published workflow (`id`, `id@range`, `id@alias`) and not a file."""
    name, at_sign, _ = text.partition("@")
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        return False
    return bool(at_sign) or not _is_there(Path(text))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long for a file
        return False


def load_document(document: Document) -> Loaded:
    """Get at a document's content; the same document has the same content however it is handed over.

    Raises DocumentUnreadable; whether the content is a workflow is for validation to say.
    """
    if isinstance(document, bytes) or (
        isinstance(document, str) and _is_text(document)
    ):
        return _from_text(document)
    if isinstance(document, str | Path):
        return _from_text(_read(Path(document)))
    content: Any = document if isinstance(document, Mapping) else document.document
    try:
        # A copy: runs are pinned to the document as it is now, whatever the caller does with the mapping later.
        content, raw = codec.settle(_with_plain_objects(content))
    except (NotJson, RecursionError):
        return Loaded(
            content, hashlib.sha256(repr(content).encode("utf-8", "replace")).digest()
        )
    return Loaded(content, hashlib.sha256(raw).digest(), raw)


def find_problems(document: Document, catalog: Catalog | None = None) -> Report:
    """Find every problem of a document without a store; without a catalog, its components are not looked up.

    Raises DocumentUnreadable.
    """
    from openagents_json.workflow.language.validate import validate

    return validate(load_document(document).content, catalog)


def _is_text(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise DocumentUnreadable(
            str(path), getattr(error, "strerror", None) or str(error)
        ) from error


def _from_text(text: str | bytes) -> Loaded:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return Loaded(text, hashlib.sha256(raw).digest())


def _with_plain_objects(value: Any) -> Any:
    """Return a value whose objects are dictionaries, whatever kind of mapping they were."""
    if isinstance(value, Mapping):
        return {key: _with_plain_objects(item) for key, item in value.items()}
    return (
        [_with_plain_objects(item) for item in value]
        if isinstance(value, list | tuple)
        else value
    )


def components_of(content: Any) -> tuple[str, ...]:
    """Return the components that a parsed document names, whatever it is."""
    if not isinstance(content, Mapping):
        return ()
    names = (location.step.get("component") for location in all_steps(content))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
