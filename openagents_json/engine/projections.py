"""The projections of a store: the built-in ones, and those of the program or of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import structs

from eventstore.event import Recorded
from eventstore.runs import RunStore
from openagents_json.components.copies import own_copy
from projections.errors import InvalidProjection
from projections.projection import Projection, of_stream
from projections.runs import ARCHIVE, RUNS
from projections.steps import steps_projection
from projections.workers import WORKERS

if TYPE_CHECKING:
    from openagents_json.workflow.core.plan import Plan


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

    return [RUNS, steps_projection(component_of, begin_of), WORKERS, ARCHIVE]


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
                f"two projections are called {projection.name!r}; give one of them another name"
            )
        by_name[projection.name] = projection
    return [
        _apart(projection) if projection in own_ones else projection
        for projection in by_name.values()
    ]


def _apart(projection: Projection) -> Projection:
    """Return a projection whose functions see copies: the same events are folded by others, after it."""
    apply, key = projection.apply, projection.key
    return replace(
        projection,
        apply=lambda document, event: apply(document, _own(event)),
        key=key if key is of_stream else lambda event: key(_own(event)),
    )


def _own(event: Recorded) -> Recorded:
    return structs.replace(
        event, data=own_copy(event.data), metadata=own_copy(event.metadata)
    )
