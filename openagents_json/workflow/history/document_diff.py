"""What differs between two versions of a workflow, as a reader of documents wants it: steps, inputs, outputs, edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.history.diff import Change, changes_of
from openagents_json.workflow.language.nested_steps import all_steps
from openagents_json.workflow.types import Json

_OUTPUTS: Final = frozenset({"output", "outputs"})

_APART: Final = _OUTPUTS | {"inputs", "steps", "connections", "id", "version"}
"""Members of a document that are no settings of the workflow: they are compared by themselves, or are its name."""

_SHOWN: Final = 28
"""So many characters of a value are shown in text: two of them have to go into a line of a terminal."""

_EDGES: Final = frozenset({"steps", "depends_on"})
"""Members of a step that are compared as other steps, or as edges."""


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step that is in both versions and not the same: which fields, from what to what."""

    step: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """A step that comes behind another one."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Connections:
    """Which steps come behind others in one version only."""

    added: tuple[Connection, ...]
    removed: tuple[Connection, ...]


@dataclass(frozen=True, slots=True)
class WorkflowDiff:
    """Two versions side by side; `settings` are what else a document says, such as its time limit.

    `components` are steps whose component is bound to another version. `open_runs` are those of the first version:
    they keep it, whatever is published. None where no store was asked.
    """

    one: str
    other: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[StepChange, ...]
    inputs: tuple[Change, ...]
    outputs: tuple[Change, ...]
    settings: tuple[Change, ...]
    connections: Connections
    components: tuple[Change, ...]
    open_runs: int | None = None

    @property
    def same(self) -> bool:
        """Tell whether nothing differs but the version."""
        steps = (*self.added, *self.removed, *self.changed)
        edges = (*self.connections.added, *self.connections.removed)
        rest = (*self.inputs, *self.outputs, *self.settings, *self.components)
        return not (steps or edges or rest)


def compared(one: Plan, other: Plan, open_runs: int | None = None) -> WorkflowDiff:
    """Compare two versions of a workflow; a step is the same one if it has the same place and id."""
    old, new = _steps(one), _steps(other)
    here, there = one.definition["document"], other.definition["document"]
    edges_before, edges_after = _edges(one), _edges(other)
    return WorkflowDiff(
        one=f"{one.id}@{one.version}",
        other=f"{other.id}@{other.version}",
        added=tuple(path for path in new if path not in old),
        removed=tuple(path for path in old if path not in new),
        changed=tuple(_changed(old, new)),
        inputs=_changes(here.get("inputs") or {}, there.get("inputs") or {}),
        outputs=_changes(_only(here, _OUTPUTS), _only(there, _OUTPUTS)),
        settings=_changes(_without(here, _APART), _without(there, _APART)),
        connections=Connections(
            added=_in_first_only(edges_after, edges_before),
            removed=_in_first_only(edges_before, edges_after),
        ),
        components=_changes(_bound(one), _bound(other), in_both=True),
        open_runs=open_runs,
    )


def _steps(plan: Plan) -> dict[str, dict[str, Json]]:
    """Return the steps of a document as they are written, by static path, without those inside of them."""
    steps: dict[str, dict[str, Json]] = {}
    for location in all_steps(plan.definition["document"]):
        written = _without(location.step, _EDGES)
        loop = written.get("loop")
        if isinstance(loop, Mapping):
            written["loop"] = _without(loop, _EDGES)
        steps[location.path] = written
    return steps


def _changed(
    old: Mapping[str, Mapping[str, Json]], new: Mapping[str, Mapping[str, Json]]
) -> Iterator[StepChange]:
    for path, before in old.items():
        changes = _changes(before, new.get(path, before))
        if changes:
            yield StepChange(path, changes)


def _changes(one: Json, other: Json, *, in_both: bool = False) -> tuple[Change, ...]:
    changes = changes_of(one, other)
    return tuple(x for x in changes if not (in_both and x.missing))


def _only(document: Mapping[str, Json], names: Set[str]) -> dict[str, Json]:
    return {name: value for name, value in document.items() if name in names}


def _without(document: Mapping[str, Json], names: Set[str]) -> dict[str, Json]:
    return {name: value for name, value in document.items() if name not in names}


def _edges(plan: Plan) -> dict[Connection, None]:
    """Return what comes behind what, in document order: also where only the order of the steps says so."""
    edges = (
        Connection(_beside(path, edge.source), path)
        for path, step in plan.steps.items()
        for edge in step.incoming
    )
    return dict.fromkeys(edges)


def _beside(path: str, source: str) -> str:
    """Return the path of a step in the block of another one."""
    frame, slash, _ = path.rpartition("/")
    return source if "/" in source else f"{frame}{slash}{source}"


def _in_first_only(
    one: Mapping[Connection, None], other: Mapping[Connection, None]
) -> tuple[Connection, ...]:
    return tuple(edge for edge in one if edge not in other)


def _bound(plan: Plan) -> dict[str, Json]:
    """Return to which versions of components the steps are bound; a definition that is bound to none has none."""
    bindings: Mapping[str, Mapping[str, Json]] = plan.definition["bindings"]
    return {path: bound.get("version") for path, bound in bindings.items()}


def lines(diff: WorkflowDiff) -> Iterator[str]:
    """Say what differs, a thing a line."""
    yield f"{diff.one} -> {diff.other}"
    if diff.same:
        yield "nothing differs but the version"
    yield from (f"+ step {path}" for path in diff.added)
    yield from (f"- step {path}" for path in diff.removed)
    for step in diff.changed:
        yield from _told(f"step {step.step}", step.changes)
    yield from _told("input", diff.inputs)
    yield from _told("output", diff.outputs)
    yield from _told("workflow", diff.settings)
    yield from _told("component of", diff.components)
    for mark, edges in (("+", diff.connections.added), ("-", diff.connections.removed)):
        yield from (f"{mark} {edge.source} -> {edge.target}" for edge in edges)
    if diff.open_runs is not None:
        yield _affected(diff)


def _told(what: str, changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        if change.missing == "one":
            yield f"+ {what} {change.path}: {_brief(change.other)}"
        elif change.missing == "other":
            yield f"- {what} {change.path}: {_brief(change.one)}"
        else:
            yield f"~ {what} {change.path}: {_brief(change.one)} -> {_brief(change.other)}"


def _affected(diff: WorkflowDiff) -> str:
    if not diff.open_runs:
        return f"no run of {diff.one} is open"
    runs = "1 run" if diff.open_runs == 1 else f"{diff.open_runs} runs"
    are = "is" if diff.open_runs == 1 else "are"
    return f"{runs} of {diff.one} {are} open, and {'stays' if are == 'is' else 'stay'} with it"


def _brief(value: Json) -> str:
    text = canonical(value).decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
