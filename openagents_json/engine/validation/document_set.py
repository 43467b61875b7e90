"""Documents that are validated together: what one of them gives is known where another one calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openagents_json.catalog.registry import Registry
from openagents_json.engine.validation.document_files import DocumentFiles
from openagents_json.workflow.component_spec import ComponentSpec, Schemas


class DocumentSet:
    """A catalog of components and of documents in files; other workflows may still be published, so none is missing.

    It keeps which documents it was asked for: `is_outdated` tells that one of them is another by now.
    """

    def __init__(self, components: Registry, files: DocumentFiles) -> None:
        self._components = components
        self._files = files
        self._answers: dict[str, Mapping[str, Any] | None] = {}

    def workflow_document(self, reference: str) -> Mapping[str, Any] | None:
        """Return the document that a reference, an id with an optional `@range`, leads to; None where there is none."""
        document = self._files.find(reference)
        self._answers[reference] = document
        return document

    def fresh(self) -> DocumentSet:
        """Return the same catalog, which nobody has asked for anything."""
        return DocumentSet(self._components, self._files)

    def is_outdated(self) -> bool:
        """Tell whether one of the documents that somebody has asked for is another now."""
        answers = self._answers.items()
        return any(self._files.find(name) is not answer for name, answer in answers)

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of a component, None when there is none."""
        return self._components.find(reference)

    def names(self) -> Iterable[str]:
        """Return the names of all components."""
        return self._components.names()

    def schemas_of(self, spec: ComponentSpec) -> Schemas | None:
        """Return the schemas of what a component takes and gives, None where no code is known."""
        return self._components.schemas_of(spec)
