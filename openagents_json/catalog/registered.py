"""The components that are registered in a store, found by reference: a name, perhaps with a range or an alias."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from eventstore.event import Json
from openagents_json.catalog.log.decisions import announce
from openagents_json.catalog.log.entries import NOTHING, Entry
from openagents_json.catalog.names import CAPACITY, Names
from openagents_json.statuses import COMPONENT
from openagents_json.workflow.component_spec import ComponentSpec, from_json

log = logging.getLogger(__name__)

_MISSING: Final = object()


class RegisteredComponents:
    """Look-ups of components; what is cached is right as far as `Names` says, at the cost of a look into a dict."""

    def __init__(self, names: Names, steady_ms: Callable[[], float]) -> None:
        self.names = names
        self._steady_ms = steady_ms
        self._specs: dict[str, ComponentSpec | None] = {}
        self._references: dict[str, set[str]] = {}
        names.when_changed.append(self._forget)

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of the highest version that a reference allows and that is not withdrawn, None for none."""
        if self._steady_ms() < self.names.fresh_until:
            cached: Any = self._specs.get(reference, _MISSING)
            if cached is not _MISSING:
                spec: ComponentSpec | None = cached
                return spec
        return self._look_up(reference)

    def _look_up(self, reference: str) -> ComponentSpec | None:
        name, _, version_range = reference.partition("@")
        entry = self.entry(name)
        version = entry.resolve(version_range)
        spec = None if version is None else from_json(entry.versions[version].spec)
        if len(self._specs) >= CAPACITY:
            self._forget(None)
        self._references.setdefault(f"{COMPONENT}:{name}", set()).add(reference)
        self._specs[reference] = spec
        return spec

    def _forget(self, keys: Iterable[str] | None) -> None:
        if keys is None:
            self._specs.clear()
            self._references.clear()
            return
        for key in keys:
            for reference in self._references.pop(key, ()):
                self._specs.pop(reference, None)

    def entry(self, name: str) -> Entry:
        """Return all that is known of a component by its name."""
        return self.names.entry(f"{COMPONENT}:{name}")

    def read_ahead(self, references: Sequence[str]) -> None:
        """Read what references may mean in one round trip at most."""
        keys = {
            f"{COMPONENT}:{reference.partition('@')[0]}" for reference in references
        }
        self.names.entries(sorted(keys))

    def specs(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the specs of versions, "name@version" each, as far as they are registered."""
        keys = {name: f"{COMPONENT}:{name.partition('@')[0]}" for name in names}
        entries = self.names.entries(sorted({*keys.values()}))
        versions = {
            name: entries[key].versions.get(name.partition("@")[2])
            for name, key in keys.items()
        }
        return {name: x.spec for name, x in versions.items() if x is not None}

    def some_names(self) -> list[str]:
        """Return names of components, for suggestions: all of them where they are few."""
        keys = self.names.store.beginning(f"{COMPONENT}:", 500)
        return [key.partition(":")[2] for key in keys]

    def announce(self, specs: Iterable[Mapping[str, Json]], actor: str) -> None:
        """Register the components that a process runs; one that is registered otherwise is a line in its log."""
        requests = [announce(COMPONENT, str(spec["name"]), spec) for spec in specs]
        for answer in self.names.carry_out(requests, actor=actor):
            if answer.error is not None:
                log.warning("%s; it is run here as it is here", answer.error)


class Registered(Protocol):
    """What documents are bound against of the components that are registered."""

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of what a reference means, None for none."""
        ...

    def entry(self, name: str) -> Entry:
        """Return all that is known of a component by its name."""
        ...

    def read_ahead(self, references: Sequence[str]) -> None:
        """Read what references may mean."""
        ...

    def some_names(self) -> list[str]:
        """Return names of components, for suggestions."""
        ...


class NothingRegistered:
    """The components that are registered, for who is not to see them."""

    def find(self, reference: str) -> ComponentSpec | None:
        """Return None."""
        del reference
        return None

    def entry(self, name: str) -> Entry:
        """Return the entry of a name that there is not."""
        del name
        return NOTHING

    def read_ahead(self, references: Sequence[str]) -> None:
        """Read nothing."""

    def some_names(self) -> list[str]:
        """Return no names."""
        return []
