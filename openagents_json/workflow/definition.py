"""A definition: a document with what its component references mean; runs are pinned to it by the hash of its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openagents_json.workflow.core.plan import canonical
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition as JSON, as canonical bytes, and by name: the hash of these bytes.

    `names` are those of its document with the expressions that validation has compiled, if it was validated here.
    """

    content: Json
    encoded: bytes
    hash: str
    names: Names | None = None


def define(
    document: Mapping[str, Json],
    bindings: Mapping[str, Json],
    names: Names | None = None,
    encoded: bytes | None = None,
) -> Definition:
    """Return the definition of a bound document; `encoded` is the document as canonical bytes, if that is known."""
    content: dict[str, Any] = {"document": document, "bindings": bindings}
    whole = b'{"bindings":%b,"document":%b}' % (
        canonical(bindings),
        encoded or canonical(document),
    )
    return Definition(content, whole, hashlib.sha256(whole).hexdigest(), names)


def defined(content: Json) -> Definition:
    """Return the definition that a value is."""
    encoded = canonical(content)
    return Definition(content, encoded, hashlib.sha256(encoded).hexdigest())
