"""The verdicts on the parts of one document, and what only all parts together tell.

A verdict on a step or a connection depends on its content, and on what it can see of the others: the ids of steps with
what each gives, the inputs of the document, what connections bring. While nothing of that changes it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.language.checks.blocks import Block, check_order_of
from openagents_json.workflow.language.checks.calls import check_calls
from openagents_json.workflow.language.checks.document import check_unique
from openagents_json.workflow.language.checks.keys import ITEMS
from openagents_json.workflow.language.checks.lookups import carried_in
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.nested_steps import StepLocation, steps_from
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.scoping import names_of
from openagents_json.workflow.validation.called import check_own_calls
from openagents_json.workflow.validation.part_checks import (
    Around,
    check_connection_part,
    check_document_part,
    check_step_part,
    has_id,
    symbol_of,
)
from openagents_json.workflow.validation.parts import (
    DocumentVerdict,
    Overview,
    StepVerdict,
    Verdict,
    content_of,
)
from openagents_json.workflow.validation.schemas.callees import Callees
from openagents_json.workflow.validation.seen import EVERYTHING, Changes, Seen, Symbol
from openagents_json.workflow.validation.unused import check_unused

STEPS, CONNECTIONS = ITEMS

V = TypeVar("V", bound=Verdict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The verdicts on parts whose content is the same as before, None for each part that is new."""

    document: DocumentVerdict | None = None
    steps: Sequence[StepVerdict | None] | None = None
    connections: Sequence[Verdict | None] | None = None


@dataclass(slots=True)
class Done:
    """How much was looked at to bring the verdicts up to date: parts, and the order of the steps as a whole."""

    documents: int = 0
    steps: int = 0
    connections: int = 0
    orders: int = 0

    @property
    def checks(self) -> int:
        """Return how many checks that were."""
        return self.documents + self.steps + self.connections + self.orders


class Verdicts:
    """What is known of each part of a document.

    `is_kept` says that the document may come again, changed: then what its parts see of each other is noted. Unless it
    `compares`, schemas of what is given and taken are not compared.
    """

    def __init__(
        self, catalog: Catalog | None, *, is_kept: bool = False, compares: bool = True
    ) -> None:
        self.done = Done()
        self.names: Names | None = None
        self.document = DocumentVerdict({}, "")
        self.steps: list[StepVerdict] = []
        self.connections: list[Verdict] = []
        self._catalog = catalog
        self._callees = Callees(catalog) if catalog is not None and compares else None
        self._is_kept = is_kept
        self._value: Mapping[str, Any] = {}
        self._seen = Seen()
        self._order: tuple[Any, Collector] | None = None
        self._is_order_current = False
        self._are_ids_unique: bool | None = None
        self._steps_by_id: dict[str, Mapping[str, Any]] | None = None
        self._overview = Overview()

    # -- bringing up to date -----------------------------------------------------------------------------

    def look_through(self, value: Any, earlier: Earlier | None = None) -> None:
        """Look through a document; parts that are the same only where something that they see has changed."""
        earlier = earlier or Earlier()
        self.done = Done()
        self._is_order_current = False
        self._are_ids_unique = self._steps_by_id = None
        self._value = object_of(value)
        steps = array_of(self._value.get(STEPS))
        connections = array_of(self._value.get(CONNECTIONS))
        seen = self._look(_paired(steps, earlier.steps))
        changes = seen.changes_from(self._seen) if self._is_kept else EVERYTHING
        is_same = changes.are_nothing(self._seen.carried)
        self._seen = seen
        around = self._around(changes) if steps else None
        self.names = around.names if around else None
        look = _Look(
            changes=changes,
            around=around,
            done=self.done,
            is_kept=self._is_kept,
            is_same=is_same,
        )
        self.document = look.at_document(value, earlier.document)
        self.steps = look.at_steps(_paired(steps, earlier.steps))
        pairs = _paired(connections, earlier.connections)
        self.connections = look.at_connections(pairs)
        self._overview = self._overview_of_all()

    def _steps_with(self, step: Any) -> Mapping[str, Mapping[str, Any]] | None:
        """Return the steps by their ids, one of them changed; None where nothing is known of them."""
        by_id = self._steps_by_id
        if by_id is None and self._are_ids_unique:
            by_id = {str(step.id): step.value for step in self.steps}
            self._steps_by_id = by_id
        if by_id is not None and has_id(step):
            by_id[step["id"]] = step
        return by_id

    def _overview_of_all(self) -> Overview:
        overview = Overview()
        for index, step in enumerate(self.steps):
            overview.take(index, step)
        for part in (self.document, *self.connections):
            overview.uses.update(part.collector.uses)
        return overview

    def look_at_step(self, value: Mapping[str, Any], index: int) -> bool:
        """Look at a document of which one step has changed; False where others may see the change: nothing is done."""
        old = self.steps[index]
        if old.symbol is None or self.names is None:
            return False
        step = value[STEPS][index]
        around = self._around_of(value, self.names)
        around.by_id = self._steps_with(step)
        new = check_step_part(step, index, around, is_kept=True)
        if new.seen_from_outside != old.seen_from_outside:
            return False
        self.done = Done(steps=1)
        self._value = value
        self.steps[index] = new
        self._overview.replace(index, old, new)
        return True

    def _look(self, steps: Iterable[tuple[Any, StepVerdict | None]]) -> Seen:
        """Return what the parts of the document can see of each other."""
        carried: Mapping[str, frozenset[str]] = {}
        if self._catalog is not None and self._value.get(CONNECTIONS):
            carried = carried_in(self._value)
        if not self._is_kept:
            return Seen(carried=carried)
        symbols = _symbols(steps)
        declared = object_of(self._value.get("inputs"))
        inputs = {str(name): (content_of(spec),) for name, spec in declared.items()}
        has_steps = bool(array_of(self._value.get(STEPS)))
        return Seen(
            symbols=symbols,
            inputs=inputs,
            carried=carried,
            document_id=self._value.get("id"),
            has_steps=has_steps,
        )

    def _around(self, changes: Changes) -> Around:
        """Return what stands around each part."""
        names = self.names
        if names is None or changes.in_names:
            names = names_of(self._value)
        return self._around_of(self._value, names)

    def _around_of(self, value: Mapping[str, Any], names: Names) -> Around:
        return Around(
            document=value,
            # Expressions are compiled for the names of their place: none is taken from another time.
            names=replace(names, forms={}),
            catalog=self._catalog,
            callees=self._callees,
            carried=self._seen.carried,
        )

    # -- what all parts tell together --------------------------------------------------------------------

    def collect(self, collector: Collector) -> None:
        """Put the problems of all parts together, in the order of the document, and those of all together."""
        collector.take(self.document.collector)
        _take_all(self._at(self._overview.telling), STEPS, collector)
        _take_all(enumerate(self.connections), CONNECTIONS, collector)
        if self.names is None:
            return
        self._check_ids(collector)
        self._check_calls(collector)
        if not collector.errors:  # with errors, edges may lead to what is not there
            self._check_order(collector)
            self._check_unused(collector)

    def _at(self, numbers: Iterable[int]) -> Iterator[tuple[int, StepVerdict]]:
        """Return the steps of some numbers, in order."""
        return ((index, self.steps[index]) for index in sorted(numbers))

    def locations(self) -> tuple[StepLocation, ...]:
        """Return every step with an id, nested ones and compensations too."""
        return (*_locations(enumerate(self.steps)), *self.document.locations)

    def _check_ids(self, collector: Collector) -> None:
        if self._are_ids_unique is None:
            own = chain.from_iterable(map(attrgetter("ids"), self.steps))
            ids = [*own, *self.document.ids]
            self._are_ids_unique = len(set(ids)) == len(ids)
        if not self._are_ids_unique:
            check_unique(self.locations(), collector)

    def _check_calls(self, collector: Collector) -> None:
        calling = self._at(self._overview.calling)
        locations = (*_locations(calling), *self.document.locations)
        if locations:
            check_calls(self._value, locations, collector)
            check_own_calls(self._value, locations, collector)

    def _check_unused(self, collector: Collector) -> None:
        with_outputs = self._overview.with_outputs
        declared = self._value.keys() & {"inputs", "outputs"}
        if not with_outputs and not declared:
            return
        locations = _locations(self._at(with_outputs))
        check_unused(self._value, locations, self._overview.uses.keys(), collector)

    def _check_order(self, collector: Collector) -> None:
        collector.take(self._order_of_steps())
        for index, step in self._at(self._overview.with_blocks):
            if step.inner_order is None:
                step.inner_order = _order_of(step.blocks)
            collector.take(step.inner_order, step.pointer, f"/{STEPS}/{index}")
        collector.take(_order_of(self.document.blocks))

    def _order_of_steps(self) -> Collector:
        """Return what is wrong with the order of the steps, which is looked at when something that says it changes."""
        if self._is_order_current and self._order is not None:
            return self._order[1]
        self._is_order_current = True
        parts = [*self.steps, *self.connections]
        facts = ([part.order for part in parts], self._value.get("execution"))
        if self._is_kept and self._order is not None and self._order[0] == facts:
            return self._order[1]
        self.done.orders += 1
        references = {
            str(step.id): step.references_at(f"/{STEPS}/{index}")
            for index, step in enumerate(self.steps)
        }
        collector = _order_of([Block(self._value, references, "")])
        self._order = (facts, collector)
        return collector


@dataclass(frozen=True, slots=True)
class _Look:
    """One look through the parts of a document: at those that are new, and those that a change touches."""

    changes: Changes
    around: Around | None
    done: Done
    is_kept: bool
    is_same: bool

    def at_document(
        self, value: Any, verdict: DocumentVerdict | None
    ) -> DocumentVerdict:
        if verdict is not None and not self.changes.touch(verdict):
            return verdict
        self.done.documents += 1
        return check_document_part(value, self.around)

    def at_steps(
        self, pairs: Iterable[tuple[Any, StepVerdict | None]]
    ) -> list[StepVerdict]:
        verdicts = []
        for index, (step, verdict) in enumerate(pairs):
            if verdict is None or self._is_touched(verdict):
                self.done.steps += 1
                verdict = self._at_step(step, index)
            verdicts.append(verdict)
        return verdicts

    def _is_touched(self, verdict: StepVerdict) -> bool:
        return not self.is_same and self.changes.touch_step(verdict)

    def _at_step(self, step: Any, index: int) -> StepVerdict:
        return check_step_part(
            step,
            index,
            self.around,
            is_kept=self.is_kept,
        )

    def at_connections(
        self, pairs: Iterable[tuple[Any, Verdict | None]]
    ) -> list[Verdict]:
        verdicts = []
        for index, (connection, verdict) in enumerate(pairs):
            if verdict is None or self.changes.touch(verdict):
                self.done.connections += 1
                verdict = check_connection_part(connection, index, self.around)
            verdicts.append(verdict)
        return verdicts


def _symbols(
    steps: Iterable[tuple[Any, StepVerdict | None]],
) -> dict[str, Symbol]:
    """Return what is seen of each step; under an id that stands twice, what is seen of both."""
    symbols: dict[str, Symbol] = {}
    for step, verdict in steps:
        symbol: Symbol
        if verdict is not None and verdict.id is not None:
            name = verdict.id
            symbol = (verdict.symbol,)
        elif has_id(step):
            name = step["id"]
            symbol = (symbol_of(step),)
        else:
            continue
        symbols[name] = symbols.get(name, ()) + symbol
    return symbols


def _order_of(blocks: Iterable[Block]) -> Collector:
    collector = Collector()
    for block in blocks:
        check_order_of(block, collector)
    return collector


def _take_all(
    parts: Iterable[tuple[int, Verdict]], name: str, collector: Collector
) -> None:
    for index, part in parts:
        other = part.collector
        if other.errors or other.warnings or other.notes:
            collector.take(other, part.pointer, f"/{name}/{index}")


def _paired(
    values: Sequence[Any], verdicts: Sequence[V | None] | None
) -> Iterable[tuple[Any, V | None]]:
    return zip(values, verdicts or [None] * len(values), strict=True)


def _locations(steps: Iterable[tuple[int, StepVerdict]]) -> Iterator[StepLocation]:
    for index, step in steps:
        pointer = f"/{STEPS}/{index}"
        if step.pointer == pointer:
            yield from step.locations
        elif step.id is not None:
            yield from steps_from(step.value, "", pointer)
