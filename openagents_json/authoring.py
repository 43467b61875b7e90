"""`Workflow`: a document in a program's hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openagents_json.errors import file_errors
from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.errors import DocumentUnreadable
from openagents_json.workflow.language.parse import Source, names_yaml, read_source
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.types import Json


def _read(path: Path) -> Mapping[str, Json]:
    with file_errors(path, "give the path of a workflow in JSON or YAML"):
        raw = path.read_bytes()
    source = _source(raw, path.name)
    if source.wrong is not None:
        where = f"{path}, line {source.wrong.line}"
        reason = source.wrong.reason
        raise DocumentUnreadable(where, reason) from source.wrong
    for flaw in source.flaws:
        raise DocumentUnreadable(f"{path}, line {flaw.line}", flaw.message)
    for name in source.doubled:
        raise DocumentUnreadable(
            str(path), f"the name {name!r} stands twice in one object"
        )
    if not isinstance(source.value, dict):
        raise DocumentUnreadable(str(path), "it holds no JSON object")
    return source.value


def _source(raw: bytes, name: str) -> Source:
    if not names_yaml(name):
        return read_source(raw)
    from openagents_json.workflow.language.yaml_text.read import read_yaml

    return read_yaml(raw)


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
