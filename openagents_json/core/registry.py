"""The component registry of 0.1.4: things by id, with what is known about them, and listeners."""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Self, TypeVar

from openagents_json.core.decorators import _now, first_paragraph

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class ComponentMetadata:
    """What is known about a component."""

    name: str
    version: str = "0.1.0"
    description: str = ""
    author: str = ""
    tags: set[str] = field(default_factory=set)
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)
    dependencies: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_component(cls, component: Any, name: str | None = None) -> Self:
        """Read it off a component: its name, docstring, `__version__`, `__author__` and `__tags__`."""
        return cls(
            name=name or str(getattr(component, "__name__", component)),
            version=getattr(component, "__version__", "0.1.0"),
            description=first_paragraph(component),
            author=getattr(component, "__author__", ""),
            tags=set(getattr(component, "__tags__", ())),
        )


class RegistryEvent:
    """Something that happened to a registry."""


class ComponentRegistered(RegistryEvent):
    """A component was registered."""

    def __init__(
        self, component_id: str, component: Any, metadata: ComponentMetadata
    ) -> None:
        self.component_id = component_id
        self.component = component
        self.metadata = metadata


class ComponentUnregistered(RegistryEvent):
    """A component was taken away."""

    def __init__(self, component_id: str, component: Any) -> None:
        self.component_id = component_id
        self.component = component


class ComponentLookup(RegistryEvent):
    """A component was looked up and found."""

    def __init__(self, component_id: str, component: Any) -> None:
        self.component_id = component_id
        self.component = component


Listener = Callable[[Any], None]
Names = list[str]


class BaseComponentRegistry(abc.ABC, Generic[T]):
    """What a registry of components can do."""

    @abc.abstractmethod
    def register(
        self, component_id: str, component: T, metadata: ComponentMetadata | None = None
    ) -> None:
        """Register a component."""

    @abc.abstractmethod
    def unregister(self, component_id: str) -> bool:
        """Take a component away; tell whether it was there."""

    @abc.abstractmethod
    def get(self, component_id: str) -> T | None:
        """Return a component, None when there is none."""

    @abc.abstractmethod
    def list(self) -> Names:
        """Return the ids of all components."""

    @abc.abstractmethod
    def get_metadata(self, component_id: str) -> ComponentMetadata | None:
        """Return what is known about a component."""

    @abc.abstractmethod
    def find(self, **filters: Any) -> Names:
        """Return the ids of components for which all filters hold."""

    @abc.abstractmethod
    def add_event_listener(
        self, event_type: type[RegistryEvent], listener: Listener
    ) -> None:
        """Call a listener with each event of a type."""

    @abc.abstractmethod
    def remove_event_listener(
        self, event_type: type[RegistryEvent], listener: Listener
    ) -> bool:
        """Call a listener no more; tell whether it was there."""


class InMemoryComponentRegistry(BaseComponentRegistry[T]):
    """A registry in this process's memory; safe for threads."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[T, ComponentMetadata]] = {}
        self._listeners: dict[type[RegistryEvent], list[Listener]] = {}
        self._lock = threading.RLock()

    def register(
        self, component_id: str, component: T, metadata: ComponentMetadata | None = None
    ) -> None:
        """Register a component; one of the same id is replaced."""
        described = metadata or ComponentMetadata.from_component(
            component, component_id
        )
        with self._lock:
            self._entries[component_id] = (component, described)
        self._tell(ComponentRegistered(component_id, component, described))

    def unregister(self, component_id: str) -> bool:
        """Take a component away; tell whether it was there."""
        with self._lock:
            entry = self._entries.pop(component_id, None)
        if entry is None:
            return False
        self._tell(ComponentUnregistered(component_id, entry[0]))
        return True

    def get(self, component_id: str) -> T | None:
        """Return a component, None when there is none."""
        with self._lock:
            entry = self._entries.get(component_id)
        if entry is None:
            return None
        self._tell(ComponentLookup(component_id, entry[0]))
        return entry[0]

    def list(self) -> Names:
        """Return the ids of all components."""
        with self._lock:
            return [*self._entries]

    def get_metadata(self, component_id: str) -> ComponentMetadata | None:
        """Return what is known about a component."""
        with self._lock:
            entry = self._entries.get(component_id)
        if entry is None:
            return None
        return entry[1]

    def find(self, **filters: Any) -> Names:
        """Return the ids of components whose metadata fits: part of a text, all of some tags, or the very value."""
        with self._lock:
            entries = [*self._entries.items()]
        return [
            component_id
            for component_id, (_, metadata) in entries
            if all(_fits(metadata, name, value) for name, value in filters.items())
        ]

    def add_event_listener(
        self, event_type: type[RegistryEvent], listener: Listener
    ) -> None:
        """Call a listener with each event of a type."""
        with self._lock:
            self._listeners.setdefault(event_type, []).append(listener)

    def remove_event_listener(
        self, event_type: type[RegistryEvent], listener: Listener
    ) -> bool:
        """Call a listener no more; tell whether it was there."""
        with self._lock:
            listeners = self._listeners.get(event_type, [])
            if listener not in listeners:
                return False
            listeners.remove(listener)
            return True

    def _tell(self, event: RegistryEvent) -> None:
        # Outside of the lock: a listener may use the registry, from another thread too.
        with self._lock:
            listeners = [*self._listeners.get(type(event), ())]
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # whatever a listener raises is its own affair
                log.exception("a listener of %s failed", type(event).__name__)


_ABSENT: Final = object()


def _fits(metadata: ComponentMetadata, name: str, filter_value: Any) -> bool:
    value = getattr(metadata, name, _ABSENT)
    if isinstance(value, str) and isinstance(filter_value, str):
        return filter_value.lower() in value.lower()
    if isinstance(value, set) and isinstance(filter_value, Collection):
        return value.issuperset(filter_value)
    return bool(value == filter_value)


component_registry: Final[InMemoryComponentRegistry[Any]] = InMemoryComponentRegistry()
"""The registry of the program: an app runs the functions and classes that are in it."""
