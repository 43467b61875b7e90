"""The catalog of a store for programs: register and retire versions, look them up, search, and look at their past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from eventstore.event import Json
from eventstore.keys import CATALOG
from eventstore.redis.views import RedisViewStore
from openagents_json.catalog.errors import UnknownEntry
from openagents_json.catalog.log import decisions
from openagents_json.catalog.log.entries import Entry
from openagents_json.catalog.names import Answer
from openagents_json.catalog.registry import Registry
from openagents_json.catalog.specs import (
    Spec,
    function_tool,
    mcp_tool,
    registrable,
    schema_of_inputs,
)
from openagents_json.engine.cataloging.past import (
    CatalogChange,
    entry_at,
    history_of,
    rows_at,
)
from openagents_json.engine.projections import CATALOG_NAME
from openagents_json.engine.wiring.client import Core
from openagents_json.statuses import COMPONENT
from openagents_json.workflow.component_spec import ComponentSpec
from projections.catalog.search import (
    CatalogFilter,
    CatalogPage,
    count_catalog,
    search_catalog,
)
from projections.catalog.view import CatalogRow, row_of

__all__ = [
    "CatalogChange",
    "CatalogFilter",
    "CatalogPage",
    "CatalogRow",
    "CatalogVersion",
    "ComponentCatalog",
    "Registered",
]


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a registration: "registered", "updated" or "unchanged", or why it was refused."""

    name: str
    outcome: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class CatalogVersion:
    """A version of a component with its spec; `reason` is why it is deprecated or withdrawn, `instead` what to take."""

    name: str
    version: str
    status: str
    reason: str
    instead: str
    spec: Mapping[str, Any]
    versions: tuple[str, ...]
    aliases: Mapping[str, Any]

    def tool(self, form: str = "mcp") -> Spec:
        """Return it as a tool for language models: "mcp", "function", or "schema" for that of its inputs alone."""
        forms = {
            "mcp": mcp_tool,
            "function": function_tool,
            "schema": schema_of_inputs,
        }
        return forms[form](self.spec)


class ComponentCatalog:
    """The components of a store's catalog."""

    def __init__(self, core: Core, actor: str) -> None:
        self._core = core
        self._actor = actor
        self._names = core.registered.names

    # -- changing ----------------------------------------------------------------------------------------

    def register(self, thing: Any, *, reason: str = "") -> list[str]:
        """Register components, each as "name@version": functions, classes, modules, a Registry, specs as JSON.

        The same again changes nothing. Raises InvalidDeclaration, SpecDiffers and VersionWithdrawn; what comes before
        the one that is refused is registered then, and what comes behind it too.
        """
        results = self.register_all(specs_of(thing), reason=reason)
        for result in results:
            if result.error is not None:
                raise result.error
        return [result.name for result in results]

    def register_all(
        self, specs: Iterable[Mapping[str, Json]], *, reason: str = ""
    ) -> list[Registered]:
        """Register specs, many in a round trip; each is refused for itself.

        Raises InvalidDeclaration before anything is registered.
        """
        ready = [registrable(spec) for spec in specs]
        requests = [
            decisions.register(COMPONENT, str(spec["name"]), spec, reason)
            for spec in ready
        ]
        answers = self._names.carry_out(requests, actor=self._actor)
        return [
            Registered(
                f"{spec['name']}@{spec['version']}", _outcome(answer), answer.error
            )
            for spec, answer in zip(ready, answers, strict=True)
        ]

    def deprecate(
        self, name: str, version: str = "", *, reason: str = "", instead: str = ""
    ) -> bool:
        """Say that a version, or all of them, should not be used any more; False when that is said already.

        Raises UnknownEntry.
        """
        return self._ask(decisions.deprecate(COMPONENT, name, version, reason, instead))

    def withdraw(self, name: str, version: str = "", *, reason: str = "") -> bool:
        """Let no reference lead to a version, or to any, from now on; runs that are bound to it go on.

        False when that is so already. Raises UnknownEntry.
        """
        return self._ask(decisions.withdraw(COMPONENT, name, version, reason))

    def alias(
        self, name: str, word: str, version: str | None, *, reason: str = ""
    ) -> bool:
        """Let "name@word" mean a version, or nothing any more; False when that is so already.

        Raises InvalidAlias and UnknownEntry.
        """
        means = None if version is None else {"version": version}
        return self._ask(decisions.alias(COMPONENT, name, word, means, reason))

    def _ask(self, request: decisions.Request) -> bool:
        [answer] = self._names.carry_out([request], actor=self._actor)
        if answer.error is not None:
            raise answer.error
        return bool(answer.events)

    # -- looking up --------------------------------------------------------------------------------------

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of the newest version that a reference means, None for none.

        What another process has registered is known here after half a second at most.
        """
        return self._core.registered.find(reference)

    def show(self, reference: str, *, as_of_ms: int | None = None) -> CatalogVersion:
        """Return a version of a component as it is, or as it was at a time.

        Raises UnknownEntry.
        """
        name, _, version_range = reference.partition("@")
        entry = self._entry(name, as_of_ms)
        version = _version(entry, version_range)
        if not version:
            raise UnknownEntry(
                COMPONENT, reference, [f"{name}@{text}" for text in entry.versions]
            )
        chosen = entry.versions[version]
        return CatalogVersion(
            name=name,
            version=version,
            status=chosen.status,
            reason=chosen.reason,
            instead=chosen.instead,
            spec=chosen.spec,
            versions=tuple(entry.versions),
            aliases=dict(entry.aliases),
        )

    def _entry(self, name: str, as_of_ms: int | None) -> Entry:
        if as_of_ms is None:
            return self._core.registered.entry(name)
        return entry_at(self._names, _key(name), as_of_ms)

    def history(self, name: str) -> list[CatalogChange]:
        """Return what happened to a component, oldest first.

        Raises UnknownEntry.
        """
        return history_of(self._names, COMPONENT, name)

    # -- searching ---------------------------------------------------------------------------------------

    def search(
        self, criteria: CatalogFilter | str = "", *, limit: int = 50, after: str = ""
    ) -> CatalogPage:
        """Find components by any combination of what they are found by, the best first.

        Raises InvalidQuery and ViewBehind.
        """
        view = self._core.reads.views.current(CATALOG_NAME)
        chosen = _chosen(criteria)
        words = self._names.store.words
        return search_catalog(
            self._views, view, chosen, words, limit=limit, after=after
        )

    def count(self, criteria: CatalogFilter | str = "") -> int:
        """Count the components that a search finds.

        Raises ViewBehind.
        """
        view = self._core.reads.views.current(CATALOG_NAME)
        return count_catalog(
            self._views, view, _chosen(criteria), self._names.store.words
        )

    def page(
        self, prefix: str = "", *, limit: int = 50, after: str = ""
    ) -> tuple[list[CatalogRow], str]:
        """Return components by name, those that begin with a prefix, and the name behind which the next page begins."""
        keys = self._names.store.beginning(
            _key(prefix), limit + 1, _key(after) if after else ""
        )
        view = self._core.reads.views.current(CATALOG_NAME)
        documents = self._views.get(view, [(CATALOG, key) for key in keys[:limit]])
        rows = [row_of(row.document) for row in documents if row is not None]
        more = len(keys) > limit
        return rows, keys[limit - 1].partition(":")[2] if more else ""

    def as_of(self, time_ms: int) -> list[CatalogRow]:
        """Return all components as they were at a time, by name: read from the log, whatever has happened since."""
        return rows_at(self._names, COMPONENT, time_ms)

    @property
    def _views(self) -> RedisViewStore:
        return RedisViewStore(self._core.store)


def specs_of(thing: Any) -> Iterator[Spec]:
    """Return the specs of what can be registered.

    Raises InvalidDeclaration.
    """
    if isinstance(thing, Mapping):
        yield dict(thing)
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from specs_of(item)
    else:
        registry = Registry()
        registry.add(thing)
        yield from registry.published().values()


def _key(name: str) -> str:
    return f"{COMPONENT}:{name}"


def _version(entry: Entry, version_range: str) -> str:
    """Return the version that is meant; one that is withdrawn, where it is named in full or there is no other."""
    if version_range in entry.versions:
        return version_range
    return entry.resolve(version_range) or ("" if version_range else entry.latest)


def _chosen(criteria: CatalogFilter | str) -> CatalogFilter:
    if isinstance(criteria, str):
        return CatalogFilter(text=criteria, kind=COMPONENT)
    return replace(criteria, kind=COMPONENT)


def _outcome(answer: Answer) -> str:
    if answer.error is not None:
        return "refused"
    verbs = [event.verb.lower() for event in answer.events]
    return verbs[0] if verbs else "unchanged"
