"""Documents as callers hand them over: a mapping, a `Workflow`, or the path of a JSON file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.workflow.nested import all_steps
from openagents_json.workflow.types import Json


class HasDocument(Protocol):
    """Anything that carries a document, such as `Workflow`."""

    @property
    def document(self) -> Mapping[str, Json]:
        """Give the document."""
        ...


Document = Mapping[str, Json] | HasDocument | str | Path


class DocumentUnreadable(ValueError):
    """A document's file cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}; give the path of a workflow in JSON")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document's content (parsed, or its text when it comes from a file), with a digest for caches."""

    content: Any
    digest: bytes
    components: tuple[str, ...]


def is_reference(text: str) -> bool:
    """Tell whether a text names a published workflow (`id`, `id@range`, `id@alias`) and not a file."""
    name, found, _ = text.partition("@")
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        return False
    return bool(found) or not Path(text).exists()


def load_document(document: Document) -> Loaded:
    """Get at a document's content.

    Raises DocumentUnreadable; whether the content is a workflow is for validation to say.
    """
    if isinstance(document, str | Path):
        return _from_file(Path(document))
    content: Any = document if isinstance(document, Mapping) else document.document
    try:
        raw = codec.encode(content)
    except NotJson:
        raw = repr(content).encode("utf-8", "replace")
    return Loaded(content, hashlib.sha256(raw).digest(), _components(content))


def _from_file(path: Path) -> Loaded:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DocumentUnreadable(str(path), error.strerror or str(error)) from error
    try:
        parsed = codec.decode(raw)
    except (ValueError, RecursionError):
        parsed = None
    return Loaded(raw, hashlib.sha256(raw).digest(), _components(parsed))


def _components(content: Any) -> tuple[str, ...]:
    if not isinstance(content, Mapping):
        return ()
    names = (place.step.get("component") for place in all_steps(content))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
