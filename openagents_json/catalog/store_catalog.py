"""The catalog that documents are bound against: the components of this program and those that workers published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eventstore.redis.coordination.members import Directory
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.registry import Registry
from openagents_json.catalog.workflows import Workflows
from openagents_json.workflow.component_spec import ComponentSpec, from_json


class StoreCatalog:
    """Local components first; the store is asked only for what is not known here."""

    def __init__(
        self, directory: Directory, local: Registry, workflows: Workflows
    ) -> None:
        self._directory = directory
        self._local = local
        self._workflows = workflows
        self._remote = Registry()

    def fresh(self, references: Sequence[str]) -> StoreCatalog:
        """Return this catalog, with the store's specs read anew if one of the references is not known yet.

        What comes with the engine counts as unknown: workers may have something of their own under that name.
        """
        if any(self._known(reference) is None for reference in references):
            remote = Registry()
            for data in self._directory.specs().values():
                remote.add_spec(from_json(data))
            self._remote = remote
        return self

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of a reference, None when there is none."""
        return self._known(reference) or self._local.find(reference)

    def _known(self, reference: str) -> ComponentSpec | None:
        return self._local.find_own(reference) or self._remote.find(reference)

    def find_workflow(self, reference: str) -> Any:
        """Return the plan of a published workflow, None when there is none."""
        try:
            return self._workflows.resolve(reference)
        except UnknownWorkflow:
            return None

    def workflow_names(self) -> Iterable[str]:
        """Return the names of all published workflows."""
        return sorted({name.partition("@")[0] for name in self._directory.workflows()})

    def names(self) -> Iterable[str]:
        """Return the names of all components."""
        return sorted({*self._local.names(), *self._remote.names()})
