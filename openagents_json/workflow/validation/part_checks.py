"""The checks of one part of a document, among what stands around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.language.checks.blocks import (
    Block,
    Blocks,
    check_connection,
    inside_of,
)
from openagents_json.workflow.language.checks.document import (
    check_defaults,
    check_limit_keys,
    check_reserved,
    check_results,
)
from openagents_json.workflow.language.checks.keys import (
    ITEMS,
    check_item_keys,
    check_keys,
)
from openagents_json.workflow.language.checks.lookups import (
    NOTHING_CARRIED,
    Carried,
    carried_in,
    check_component,
    check_target_input,
    check_workflow,
)
from openagents_json.workflow.language.checks.secrets import (
    check_default_secrets,
    check_secrets,
)
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.checks.structure import (
    check_document_structure,
    check_item_structure,
)
from openagents_json.workflow.language.nested_steps import (
    StepLocation,
    block_of,
    failure_block,
    failure_steps,
    steps_from,
    steps_in,
)
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.scoping import FAILURE, names_in
from openagents_json.workflow.validation.compatibility import Compatibility
from openagents_json.workflow.validation.constants import is_never_true
from openagents_json.workflow.validation.exclusions import asked_by
from openagents_json.workflow.validation.findings import (
    check_connection_condition,
    check_deprecation,
    check_document_secrets,
    check_findings,
)
from openagents_json.workflow.validation.parts import (
    DocumentVerdict,
    StepVerdict,
    Verdict,
    content_of,
)
from openagents_json.workflow.validation.schemas.callees import Callees
from openagents_json.workflow.validation.schemas.scopes import Scope

STEPS, CONNECTIONS = ITEMS

_SEEN_OPTIONS: Final = (
    "component",
    "outputs",
    "workflow",
    "detached",
    "on_error",
    "wait_for",
)
"""Options of a step by which others can tell what it gives."""


@dataclass(slots=True)
class Around:
    """What stands around each part of a document."""

    document: Mapping[str, Any]
    names: Names
    catalog: Catalog | None
    callees: Callees | None
    carried: Carried
    by_id: Mapping[str, Mapping[str, Any]] | None = None
    """The steps by their ids, where somebody knows them already."""

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of the steps of the document."""
        return frozenset(self.names.steps)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Return the inputs that the document declares."""
        return object_of(self.document.get("inputs"))

    @property
    def steps(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the steps of the document by their ids."""
        if self.by_id is None:
            self.by_id = {step["id"]: step for _, step in steps_in(self.document)}
        return self.by_id

    def scope(self, callees: Callees) -> Scope:
        """Return what is known of the values that templates give in the document itself."""
        name = str(self.document.get("id"))
        return Scope(self.names, callees, self.inputs, self.steps, {}, workflow=name)


def has_id(step: Any) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether something is a step that can be referred to."""
    return isinstance(step, Mapping) and isinstance(step.get("id"), str)


def symbol_of(step: Mapping[str, Any]) -> bytes | None:
    """Return what other parts may see of a step, as what is equal while that is the same."""
    facts = [step.get(key) for key in _SEEN_OPTIONS]
    block = block_of(step)
    # What a block gives is said by what is in it.
    inside = None if block is None or "output" not in block[0] else block[0]
    kinds = [key in step for key in ("foreach", "steps", "loop")]
    return content_of([*facts, *kinds, inside])


def check_step_part(
    step: Any, index: int, around: Around | None, *, is_kept: bool
) -> StepVerdict:
    """Look through a step and all that is inside of it."""
    pointer = f"/{STEPS}/{index}"
    verdict = StepVerdict(step, pointer)
    collector = verdict.collector
    check_item_structure(step, STEPS, pointer, collector)
    check_item_keys(step, STEPS, pointer, collector)
    if around is None or not has_id(step):
        return verdict
    blocks = Blocks(collector)
    references = blocks.step(step, around.names, around.ids, pointer)
    verdict.id = step["id"]
    verdict.references = inside_of(references, step["id"], around.ids)
    verdict.blocks = blocks.inner
    verdict.contains(tuple(steps_from(step, "", pointer)))
    verdict.carried = around.carried.get(step["id"], frozenset())
    _check_locations(verdict.locations, around, collector)
    if around.catalog is not None:
        check_component(
            step=step,
            pointer=pointer,
            catalog=around.catalog,
            carried=around.carried,
            collector=collector,
        )
        _look_up(verdict.locations, blocks, around.catalog, around)
    if around.callees is not None:
        scope = around.scope(around.callees)
        compatibility = Compatibility(collector)
        compatibility.check_step(step, pointer, scope, verdict.carried)
    if is_kept:
        verdict.symbol = symbol_of(step)
        verdict.order = _order_of(verdict, step)
    return verdict


def _check_locations(
    locations: Iterable[StepLocation], around: Around, collector: Collector
) -> None:
    """Look at each step that is inside of a part by itself."""
    check_reserved(locations, collector)
    check_secrets(locations, collector)
    for location in locations:
        check_findings(
            location=location,
            inputs=around.inputs,
            steps=around.ids,
            collector=collector,
        )


def _order_of(verdict: StepVerdict, step: Mapping[str, Any]) -> Any:
    """Return what says when a step runs, as what is equal while that is the same; a copy, as steps may be changed."""
    facts = [step.get(key) for key in ("depends_on", "join", "on_error", "foreach")]
    length = len(verdict.pointer)
    references = [(name, at[length:]) for name, at in verdict.references]
    # Whoever never runs ends the ways that begin at it.
    never = is_never_true(step.get("condition"), {}, frozenset())
    kinds = ["condition" in step, "terminate" in step, never]
    asked = [
        [x.subject, sorted(x.words), x.is_none_of]
        for x in asked_by(step.get("condition"))
    ]
    content = content_of([verdict.id, *facts, *kinds, references, asked])
    return object() if content is None else content


def _look_up(
    locations: Iterable[StepLocation],
    blocks: Blocks,
    catalog: Catalog,
    around: Around,
) -> None:
    """Look up what steps in blocks call, and what undoes steps, and the workflows of all of them."""
    for block in blocks.inner:
        _look_up_block(block, catalog, blocks.collector)
    collector = blocks.collector
    for location in locations:
        step = location.step
        at = location.pointer
        check_deprecation(step, at, catalog, collector)
        if location.path.endswith(COMPENSATE):
            check_component(
                step=step,
                pointer=at,
                catalog=catalog,
                carried=NOTHING_CARRIED,
                collector=collector,
            )
        elif "workflow" in step:
            check_workflow(
                step=step,
                pointer=at,
                catalog=catalog,
                document=around.document,
                collector=collector,
            )


def _look_up_block(looked: Block, catalog: Catalog, collector: Collector) -> None:
    """Look up what the steps of a block call, and where its connections lead."""
    block = looked.content
    pointer = looked.pointer
    steps = steps_in(block)
    carried = carried_in(block)
    for index, step in steps:
        check_component(
            step=step,
            pointer=f"{pointer}/steps/{index}",
            catalog=catalog,
            carried=carried,
            collector=collector,
        )
    by_id = {step["id"]: step for _, step in steps}
    for index, connection in enumerate(array_of(block.get(CONNECTIONS))):
        check_target_input(
            connection=connection,
            pointer=f"{pointer}/{CONNECTIONS}/{index}",
            steps=by_id,
            catalog=catalog,
            collector=collector,
        )


def check_connection_part(
    connection: Any, index: int, around: Around | None
) -> Verdict:
    """Look through a connection."""
    pointer = f"/{CONNECTIONS}/{index}"
    order = content_of(connection)
    verdict = Verdict(connection, pointer, order=object() if order is None else order)
    collector = verdict.collector
    check_item_structure(connection, CONNECTIONS, pointer, collector)
    check_item_keys(connection, CONNECTIONS, pointer, collector)
    if around is None:
        return verdict
    check_connection(
        connection=connection,
        pointer=pointer,
        names=around.names,
        ids=around.ids,
        collector=collector,
    )
    check_connection_condition(
        connection=connection,
        pointer=pointer,
        inputs=around.inputs,
        steps=around.ids,
        collector=collector,
    )
    catalog = around.catalog
    if catalog is not None:
        check_target_input(
            connection=connection,
            pointer=pointer,
            steps=around.steps,
            catalog=catalog,
            collector=collector,
        )
    if around.callees is not None:
        scope = around.scope(around.callees)
        Compatibility(collector).check_connection(connection, pointer, scope)
    return verdict


def check_document_part(document: Any, around: Around | None) -> DocumentVerdict:
    """Look through a document without its steps and connections."""
    verdict = DocumentVerdict(document, "")
    collector = verdict.collector
    check_document_structure(document, collector)
    if not isinstance(document, Mapping):
        return verdict
    verdict.value = {key: document[key] for key in document if key not in ITEMS}
    check_keys(document, collector)
    if around is None:
        return verdict
    names = around.names
    blocks = Blocks(collector)
    failure = failure_block(document)
    if failure is not None:
        block, pointer = failure
        inside = names_in(block, names, *FAILURE, at=pointer)
        blocks.check(block, inside, pointer)
        if around.callees is not None:
            failing = around.scope(around.callees).with_names(*FAILURE)
            Compatibility(collector).check_block(
                block, pointer, failing.in_block(block, pointer)
            )
    if around.callees is not None:
        scope = around.scope(around.callees)
        Compatibility(collector).check_outputs(document, scope)
    verdict.blocks = blocks.inner
    verdict.locations = tuple(failure_steps(document))
    check_results(document, names, collector)
    check_limit_keys(document, names, collector)
    check_defaults(document, collector)
    check_default_secrets(document, collector)
    check_document_secrets(document, collector)
    _check_locations(verdict.locations, around, collector)
    if around.catalog is not None:
        _look_up(verdict.locations, blocks, around.catalog, around)
    return verdict
