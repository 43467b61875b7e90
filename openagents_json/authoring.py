"""`Workflow`: a document in a program's hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.language.parse import NotADocument, parse
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.types import Json


def _read(path: Path) -> Mapping[str, Json]:
    try:
        document, _, doubled = parse(path.read_bytes())
    except NotADocument as error:
        raise ValueError(f"{path}, line {error.line}: {error.reason}") from error
    if doubled:
        raise ValueError(f"{path}: the name {doubled[0]!r} stands twice in one object")
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds no JSON object")
    return document


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow document; it is not checked before `validate` or a start."""

    document: Mapping[str, Json]

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Workflow:
        """Take a mapping, or read a file.

        Raises OSError and ValueError.
        """
        return cls(source if isinstance(source, Mapping) else _read(Path(source)))

    @property
    def id(self) -> str:
        """Give the document's id."""
        return str(self.document.get("id", ""))

    def validate(self, catalog: Catalog | None = None) -> Report:
        """Find every problem of the document."""
        return validate(self.document, catalog)
