"""What documents are checked against while components are edited: those that are loaded now.

The store keeps the specs of all components that a worker ever had, for runs that were begun with them. A document that
names one that was taken away is valid by those, and its next run would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from openagents_json.catalog.loader import load
from openagents_json.catalog.registered import NothingRegistered
from openagents_json.catalog.registry import Registry
from openagents_json.catalog.store_catalog import StoreCatalog
from openagents_json.engine.documents import Document, components_of, load_document
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.component_spec import from_json
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.validate import check


class LoadedComponents:
    """The components that were loaded last here, and those that other live workers have."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._loaded = Registry()
        self._having: set[str] = set()

    def take(self, having: str, specs: Mapping[str, Any]) -> None:
        """Take in what was loaded, by the hash under which its worker works: it replaces all that was loaded before."""
        loaded = load(())  # what comes with the engine has no need to be told
        for data in specs.values():
            loaded.add_spec(from_json(data))
        self._loaded = loaded
        self._having.add(having)

    def validate(self, document: Document) -> Report:
        """Find every problem of a document.

        Raises DocumentUnreadable and StoreUnavailable.
        """
        source = load_document(document).source()
        others = _OtherWorkers(self._core, self._having)
        workflows, nothing = self._core.workflows, NothingRegistered()
        catalog = StoreCatalog(others, self._loaded, workflows, nothing)
        return check(source, catalog.fresh(components_of(source.value))).report


class _OtherWorkers:
    """The specs of what live workers have, without those that have what was loaded here, now or before.

    A worker that has been replaced lives on until its steps have ended, with the components that it began with.
    """

    def __init__(self, core: Core, ours: set[str]) -> None:
        self._core = core
        self._directory = core.directory
        self._ours = ours

    def specs(self) -> dict[str, Any]:
        """Return specs by "name@version"."""
        workers = self._directory.workers().values()
        hashes = {str(worker["having"]) for worker in workers if worker.get("having")}
        others = sorted(hashes - self._ours)
        if not others:
            return {}
        sets = self._directory.component_sets(others)
        names = {name for components in sets.values() for name in components}
        registered = self._core.registered.specs(sorted(names))
        return {**self._older(names - registered.keys()), **registered}

    def _older(self, names: Set[str]) -> dict[str, Any]:
        """Return what workers of older versions have published."""
        if not names:
            return {}
        specs = self._directory.specs()
        return {name: specs[name] for name in names & specs.keys()}
