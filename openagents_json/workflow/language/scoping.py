"""Which names templates may use, at each place of a document."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from itertools import chain
from typing import Any

from openagents_json.workflow.expressions.names import Names, odd_names
from openagents_json.workflow.expressions.templates import TemplatePart
from openagents_json.workflow.language.nested_steps import steps_in
from openagents_json.workflow.language.steps import Step

ITERATION = ("index", "iteration", "previous")
COMPENSATION = ("result", "output", "error")
FAILURE = ("error", "failed_step")


def names_of(document: Mapping[str, Any]) -> Names:
    """Return the names that a document declares."""
    declared = document.get("inputs")
    inputs = (
        frozenset(str(k) for k in declared)
        if isinstance(declared, Mapping)
        else frozenset()
    )
    return names_in(document, Names(frozenset(), inputs), at="")


def names_in(block: Mapping[str, Any], around: Names, *more: str, at: str) -> Names:
    """Return the names inside of the block at a pointer: those around it, its steps, and some of the place."""
    steps = [step for _, step in steps_in(block)]
    outputs = {
        s["id"]: frozenset(s["outputs"])
        for s in steps
        if isinstance(s.get("outputs"), Mapping)
    }
    ids = frozenset(step["id"] for step in steps)
    return replace(
        around,
        steps=_with(ids, around.steps),
        outputs=ChainMap(outputs, around.outputs) if outputs else around.outputs,  # type: ignore[arg-type]
        local=around.local | set(more),
        odd=_with(odd_names(ids), around.odd),
        block=at,
    )


class _Layers(Set[str]):
    """Names of a block and of those around it; copying them for each block would take time by the square."""

    __slots__ = ("_around", "_own")

    def __init__(self, own: frozenset[str], around: Set[str]) -> None:
        self._own = own
        self._around = around

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._around

    def __iter__(self) -> Iterator[str]:
        return chain(self._own, self._around)

    def __len__(self) -> int:
        return len(self._own) + len(self._around)


def _with(own: frozenset[str], around: Set[str]) -> Set[str]:
    if own and around:
        return _Layers(own, around)
    return own or around


def local(names: Names, *more: str) -> Names:
    """Return names with those of a place added."""
    if not more:
        return names
    return replace(names, local=names.local | set(more))


def item_names(step: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of a foreach step's item and index, of a step of any shape."""
    item = step.get("item")
    index = step.get("index")
    return (
        item if isinstance(item, str) else Step.item.default,
        index if isinstance(index, str) else Step.index.default,
    )


def inner_names(step: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that a step adds for what runs inside of it."""
    if "foreach" in step:
        return item_names(step)
    return ITERATION if "loop" in step else ()


def references_of(
    parts: Iterable[TemplatePart], names: Names, own: str
) -> list[tuple[str, str]]:
    """Return the steps that expressions refer to, with the place."""
    references = dict.fromkeys(
        (step, part.pointer) for part in parts for step in part.steps
    )
    return [
        (s, at)
        for s, at in references
        if s != own and s in names.steps and s not in names.local
    ]
