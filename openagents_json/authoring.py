"""`Workflow`: a document in a program's hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openagents_json.errors import file_errors
from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.errors import DocumentUnreadable, NotADocument
from openagents_json.workflow.language.parse import parse
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.types import Json


def _read(path: Path) -> Mapping[str, Json]:
    with file_errors(path, "give the path of a workflow in JSON"):
        raw = path.read_bytes()
    try:
        document, _, doubled = parse(raw)
    except NotADocument as error:
        raise DocumentUnreadable(f"{path}, line {error.line}", error.reason) from error
    if doubled:
        raise DocumentUnreadable(
            str(path), f"the name {doubled[0]!r} stands twice in one object"
        )
    if not isinstance(document, dict):
        raise DocumentUnreadable(str(path), "it holds no JSON object")
    return document


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow document; it is not checked before `validate` or a start."""

    document: Mapping[str, Json]

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Workflow:
        """Take a mapping, or read a file.

        Raises FileUnusable, which is an OSError, and DocumentUnreadable, which is a ValueError.
        """
        return cls(source if isinstance(source, Mapping) else _read(Path(source)))

    @property
    def id(self) -> str:
        """Return the document's id."""
        return str(self.document.get("id", ""))

    def validate(self, catalog: Catalog | None = None) -> Report:
        """Find every problem of the document."""
        return validate(self.document, catalog)
