"""From documents to plans, once each: a document is parsed, looked through, hashed and compiled when it is new here."""

from __future__ import annotations

from typing import Final

from openagents_json.catalog.definitions import Definitions
from openagents_json.catalog.registry import Registry
from openagents_json.catalog.store_catalog import StoreCatalog
from openagents_json.engine.documents import Loaded, components_of
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.language.bind import bind_checked
from openagents_json.workflow.language.validate import Checked, check

CAPACITY: Final = 1024


def documents_of(core: Core, registry: Registry) -> Documents:
    """Return the documents of a program, bound against its components and those of the store."""
    catalog = StoreCatalog(core.directory, registry, core.workflows, core.registered)
    return Documents(catalog, core.definitions)


class Documents:
    """The documents that this program has handed over, with their plans."""

    def __init__(self, catalog: StoreCatalog, definitions: Definitions) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._plans: dict[bytes, Plan] = {}
        # Whoever shows the warnings of a document starts it next: it is not looked through a second time.
        self._last: tuple[bytes, Checked] | None = None

    def check(self, loaded: Loaded) -> Checked:
        """Look through a document, with the components that are known here and in the store now."""
        checked = self._look(loaded, compares=True)
        self._last = (loaded.digest, checked) if checked.report.valid else None
        return checked

    def plan(self, loaded: Loaded) -> Plan:
        """Return the plan of a document.

        Raises InvalidDefinition.
        """
        plan = self._plans.get(loaded.digest)
        if plan is None:
            plan = self._definitions.compile(
                bind_checked(self._checked(loaded), self._catalog)
            )
            if len(self._plans) >= CAPACITY:
                self._plans.clear()
            self._plans[loaded.digest] = plan
            self._last = None
        return plan

    def _checked(self, loaded: Loaded) -> Checked:
        """Return what was found a moment ago; what was not valid then may be so now, as workers come and go."""
        last = self._last
        if last is not None and last[0] == loaded.digest:
            return last[1]
        # Of a valid document nobody asks for warnings here, and to compare schemas is most of the work.
        checked = self._look(loaded, compares=False)
        return checked if checked.report.valid else self.check(loaded)

    def _look(self, loaded: Loaded, *, compares: bool) -> Checked:
        source = loaded.source()
        catalog = self._catalog.fresh(components_of(source.value))
        return check(source, catalog, compares=compares)
