"""The catalog that documents are bound against: the components of this program and those that are registered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol

from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.registered import Registered
from openagents_json.catalog.registry import Registry
from openagents_json.catalog.specs import registered_schemas
from openagents_json.catalog.workflows import Workflows
from openagents_json.workflow.component_spec import ComponentSpec, Schemas, from_json


class PublishedNames(Protocol):
    """What workers and people have made known in a store."""

    def specs(self) -> dict[str, Any]:
        """Return component specs, by "name@version"."""
        ...


class StoreCatalog:
    """Local components first; the store is asked only for what is not known here."""

    def __init__(
        self,
        directory: PublishedNames,
        local: Registry,
        workflows: Workflows,
        registered: Registered,
    ) -> None:
        self._directory = directory
        self._local = local
        self._workflows = workflows
        self._registered = registered
        self._older = Registry()

    def fresh(self, references: Sequence[str]) -> StoreCatalog:
        """Return this catalog, having read what references mean that are not known here.

        What comes with the engine counts as unknown: workers may have something of their own under that name.
        """
        unknown = [x for x in references if self._local.find_own(x) is None]
        if unknown:
            self._registered.read_ahead(unknown)
        if any(self._known(reference) is None for reference in unknown):
            # What workers of older versions have published, until it is carried over.
            older = Registry()
            for data in self._directory.specs().values():
                older.add_spec(from_json(data))
            self._older = older
        return self

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of a reference, None when there is none."""
        spec = self._known(reference) or self._local.find(reference)
        return spec or self._built_in.find(reference)

    @cached_property
    def _built_in(self) -> Registry:
        """Return what comes with the engine: each worker has it, also where this program has no components at all."""
        from openagents_json.components import builtin

        registry = Registry()
        registry.add(builtin)
        return registry

    def schemas_of(self, spec: ComponentSpec) -> Schemas | None:
        """Return the schemas of what a component takes and gives, None where no code is known."""
        of_code = self._local.schemas_of(spec) or self._built_in.schemas_of(spec)
        if of_code is not None:
            return of_code
        registered = self._registered.entry(spec.name).versions.get(spec.version)
        return None if registered is None else registered_schemas(registered.spec)

    def deprecation_of(self, reference: str) -> tuple[str, str] | None:
        """Return why what a reference means is to be used no more, and what instead; None where nobody has said so."""
        name, _, version_range = reference.partition("@")
        entry = self._registered.entry(name)
        version = entry.resolve(version_range)
        if version is None:
            return None
        meant = entry.versions[version]
        return None if meant.deprecated is None else (meant.deprecated, meant.instead)

    def _known(self, reference: str) -> ComponentSpec | None:
        own = self._local.find_own(reference)
        if own is not None:
            return own
        registered = self._registered.find(reference)
        if registered is not None:
            return registered
        # A name that is registered is what the catalog says of it, also where that is nothing any more.
        name = reference.partition("@")[0]
        is_registered = bool(self._registered.entry(name).versions)
        return None if is_registered else self._older.find(reference)

    def find_workflow(self, reference: str) -> Any:
        """Return the plan of a published workflow, None when there is none."""
        try:
            return self._workflows.resolve(reference)
        except UnknownWorkflow:
            return None

    def workflow_document(self, reference: str) -> Any:
        """Return the document of a published workflow, None when there is none."""
        plan = self.find_workflow(reference)
        return None if plan is None else plan.definition["document"]

    def workflow_names(self) -> Iterable[str]:
        """Return the names of all published workflows."""
        return self._workflows.ids()

    def names(self) -> Iterable[str]:
        """Return names of components, to suggest the nearest."""
        registered = self._registered.some_names()
        here = {*self._local.names(), *self._older.names(), *self._built_in.names()}
        return sorted({*here, *registered})
