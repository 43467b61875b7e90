"""The projections of a store: the built-in ones, and those of the program or of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from eventstore.event import Json, Recorded
from eventstore.keys import CATALOG
from eventstore.runs import RunStore
from openagents_json.components.copies import own_copy
from openagents_json.statuses import EVENTS
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import EVENT_TYPES
from projections.errors import InvalidProjection
from projections.projection import Index, Projection, of_stream
from projections.runs import ARCHIVE, LEFT, RUNS
from projections.steps import steps_projection
from projections.workers import WORKERS

if TYPE_CHECKING:
    from openagents_json.workflow.core.plan import Plan


CATALOG_NAME: Final = "catalog"
"""The name of the projection of the catalog."""


def key_of(event: Recorded) -> str:
    """Return the key of the name that an event is about."""
    kind, _ = EVENTS[event.type]
    return f"{kind}:{event.data['name']}"


def _apply(document: Any, event: Recorded) -> Json:
    # Most commands only name the projection: how it folds is imported when there is something to fold.
    from projections.catalog.view import apply

    return apply(document, event)


def _index(document: Any) -> Index:
    from projections.catalog.view import index

    return index(document)


CATALOG_VIEW: Final = Projection(
    CATALOG_NAME,
    _apply,
    key=key_of,
    types=frozenset(EVENTS),
    index=_index,
    home=CATALOG,
)


def built_in(plan_of: Callable[[str], Plan], store: RunStore) -> list[Projection]:
    """Return the projections that every store has."""

    def component_of(definition: str, step: str) -> str:
        try:
            return plan_of(definition).of(step).component or ""
        except KeyError:  # such as what a document does on failure in an older version
            return ""

    def begin_of(run: str) -> Mapping[str, Any]:
        begin: Mapping[str, Any] = store.first(run).data
        return begin

    return [
        RUNS,
        steps_projection(component_of, begin_of),
        WORKERS,
        ARCHIVE,
        usage_projection(begin_of),
        CATALOG_VIEW,
    ]


_REPORTS: Final = frozenset(
    cls.__name__
    for cls in EVENT_TYPES
    if "usage" in cls.__annotations__ and cls is not ev.ChildClosed
)
"""Names of what says what an attempt has used; a child says it in its own log."""

_REDACTED: Final = ev.RunRedacted.__name__


def usage_projection(begin_of: Callable[[str], Mapping[str, Any]]) -> Projection:
    """Make the projection of usage; what folds it is imported with the first attempt that reports some."""

    def key(event: Recorded) -> str | None:
        if event.type in _REPORTS and not event.data.get("usage"):
            return None
        from projections.usage.view import key_of

        return key_of(event)

    def apply(row: dict[str, Any] | None, event: Recorded) -> Any:
        from projections.usage.view import apply

        return apply(row, event, begin_of)

    types = _REPORTS | LEFT | {_REDACTED}
    return Projection("usage", apply, key=key, types=types)


def in_modules(paths: Sequence[str]) -> list[Projection]:
    """Return the projections that component modules hold beside their components.

    Raises CannotLoad.
    """
    from openagents_json.catalog.loader import resolve

    projections: dict[int, Projection] = {}
    for path in paths:
        thing = resolve(path)
        members = vars(thing).values() if isinstance(thing, ModuleType) else [thing]
        projections.update(
            {id(member): member for member in members if isinstance(member, Projection)}
        )
    return list(projections.values())


def together(
    built: Iterable[Projection], own: Iterable[Projection]
) -> list[Projection]:
    """Put projections together; those of the program get events of their own, so that what they do to them is theirs.

    Raises InvalidProjection when two have the same name.
    """
    by_name: dict[str, Projection] = {}
    own_ones = list(own)
    for projection in [*built, *own_ones]:
        if by_name.get(projection.name, projection) is not projection:
            raise InvalidProjection(
                f"two projections are called {projection.name!r}",
                remedy="give one of them another name",
            )
        by_name[projection.name] = projection
    return [
        _apart(projection) if projection in own_ones else projection
        for projection in by_name.values()
    ]


def _apart(projection: Projection) -> Projection:
    """Return a projection whose functions see copies: the same events are folded by others, after it."""
    apply = projection.apply
    key = projection.key
    return replace(
        projection,
        apply=lambda document, event: apply(document, _own(event)),
        key=key if key is of_stream else lambda event: key(_own(event)),
    )


def _own(event: Recorded) -> Recorded:
    return structs.replace(
        event, data=own_copy(event.data), metadata=own_copy(event.metadata)
    )
