"""Documents that are validated together: what one of them gives is known where another one calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from openagents_json.catalog.registry import Registry
from openagents_json.engine.documents import load_document
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.workflow.component_spec import ComponentSpec, Schemas
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.sizes import check_size
from openagents_json.workflow.versions import highest

_USUAL_VERSION = "1.0.0"


class DocumentSet:
    """A catalog of components and of some documents; other workflows may still be published, so none is missing."""

    def __init__(self, components: Registry, paths: Iterable[Path]) -> None:
        self._components = components
        self._versions: dict[str, dict[str, Mapping[str, Any]]] = {}
        for path in paths:
            with suppress(DocumentUnreadable):  # whoever validates that one is told
                self._add(load_document(path).source().value)

    def _add(self, document: Any) -> None:
        if not isinstance(document, Mapping) or not check_size(document, Collector()):
            return
        version = document.get("version", _USUAL_VERSION)
        if isinstance(version, str):
            versions = self._versions.setdefault(str(document.get("id")), {})
            versions[version] = document

    def workflow_document(self, reference: str) -> Mapping[str, Any] | None:
        """Return the document that a reference, an id with an optional `@range`, leads to; None where there is none."""
        name, _, version_range = reference.partition("@")
        versions = self._versions.get(name, {})
        chosen = highest(version_range, versions)
        return None if chosen is None else versions[chosen]

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of a component, None when there is none."""
        return self._components.find(reference)

    def names(self) -> Iterable[str]:
        """Return the names of all components."""
        return self._components.names()

    def schemas_of(self, spec: ComponentSpec) -> Schemas | None:
        """Return the schemas of what a component takes and gives, None where no code is known."""
        return self._components.schemas_of(spec)
