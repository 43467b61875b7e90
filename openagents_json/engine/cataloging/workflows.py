"""The published workflows of a store for programs and commands: with their past, and searched."""

from __future__ import annotations

from dataclasses import replace

from eventstore.redis.views import RedisViewStore
from openagents_json.catalog.log.entries import Entry
from openagents_json.catalog.workflows import Workflows, key_of
from openagents_json.engine.cataloging.past import (
    CatalogChange,
    entry_at,
    history_of,
    rows_at,
)
from openagents_json.engine.cataloging.written_plans import written_plan
from openagents_json.engine.documents import Document, is_reference
from openagents_json.engine.projections import CATALOG_NAME
from openagents_json.engine.steering.published import OPEN
from openagents_json.engine.wiring.client import Core
from openagents_json.statuses import WORKFLOW
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.history.document_diff import WorkflowDiff, compared
from projections.catalog.search import CatalogFilter, CatalogPage, search_catalog
from projections.catalog.view import CatalogRow
from projections.runs import RunFilter


class WorkflowCatalog(Workflows):
    """Published workflows: registered, named, retired, and looked up as they are and as they were."""

    def __init__(self, core: Core, actor: str) -> None:
        names = core.registered.names
        super().__init__(names, core.definitions, core.directory, actor)
        self._core = core

    def history(self, name: str) -> list[CatalogChange]:
        """Return what happened to a workflow, oldest first.

        Raises UnknownEntry.
        """
        return history_of(self.names, WORKFLOW, name)

    def entry(self, name: str, *, as_of_ms: int | None = None) -> Entry:
        """Return all versions and aliases of a workflow, also those withdrawn, as they are or were at a time."""
        if as_of_ms is None:
            return self._entry(name)
        return entry_at(self.names, key_of(name), as_of_ms)

    def as_of(self, time_ms: int) -> list[CatalogRow]:
        """Return all workflows as they were at a time, by name: read from the log, whatever has happened since."""
        return rows_at(self.names, WORKFLOW, time_ms)

    def search(
        self, criteria: CatalogFilter | str = "", *, limit: int = 50, after: str = ""
    ) -> CatalogPage:
        """Find workflows by words of their names and descriptions, by an input, by status; the best first.

        Raises InvalidQuery and ViewBehind.
        """
        asked = CatalogFilter(criteria) if isinstance(criteria, str) else criteria
        return search_catalog(
            RedisViewStore(self._core.store),
            self._core.reads.views.current(CATALOG_NAME),
            replace(asked, kind=WORKFLOW),
            self.names.store.words,
            limit=limit,
            after=after,
        )

    def register(self, plan: Plan, *, reason: str = "") -> str:
        """Publish a plan, and give its name, "id@version"; the same document again changes nothing.

        Raises VersionExists and VersionWithdrawn.
        """
        return self.add(plan, self._core.clock.now_ms(), reason=reason)

    def diff(self, one: Document, other: Document) -> WorkflowDiff:
        """Compare two versions, published or written, as a reader of documents does, and count open runs of the first.

        Raises UnknownWorkflow, DocumentUnreadable, InvalidDefinition and ViewBehind.
        """
        old, new = self._plan(one), self._plan(other)
        own = RunFilter(status=OPEN, workflow=(old.id,), version=(old.version,))
        return compared(old, new, self._core.reads.count(own))

    def _plan(self, workflow: Document) -> Plan:
        if isinstance(workflow, str) and is_reference(workflow):
            return self.resolve(workflow)
        return written_plan(workflow)
