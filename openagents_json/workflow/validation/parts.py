"""The parts of a document that are looked through by themselves, and what is known of each."""

from __future__ import annotations

import marshal
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from openagents_json.workflow.core.paths import COMPENSATE
from openagents_json.workflow.language.checks.blocks import Block, Reference
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector, Use

_WORD: Final = re.compile(r"[\w-]+")
_MOST_PIECES: Final = 8
"""A word with more hyphens counts as one that may mean anything."""

ANYTHING: Final = "\\"
"""A word of parts that may refer to any name: nothing can be said of them by the words that they have."""

_FORM: Final = 2
"""The form of `marshal` in which equal values have equal bytes: it notes neither identities nor who else holds them."""


def content_of(value: Any) -> bytes | None:
    """Return what is equal for equal values of JSON and differs for others; None for what is not plain JSON."""
    try:
        return marshal.dumps(value, _FORM)
    except ValueError:
        return None


@dataclass(slots=True, eq=False)
class Verdict:
    """What is known of a part of a document that stood at a pointer when it was looked through.

    `order` is what of it says when steps run.
    """

    value: Any
    pointer: str
    collector: Collector = field(default_factory=Collector)
    order: Any = None
    _words: frozenset[str] | None = None

    @property
    def words(self) -> frozenset[str]:
        """Return every word of its texts that may be a name."""
        if self._words is None:
            self._words = frozenset(_words(self.value))
        return self._words

    @property
    def suggests_names(self) -> bool:
        """Tell whether one of its problems may suggest a name of the document."""
        return any(draft.near is not None for draft in self.collector.drafts)


@dataclass(slots=True, eq=False)
class StepVerdict(Verdict):
    """What is known of a step and of all that is inside of it.

    `symbol` is what other parts see of it, `carried` what connections bring to it.
    """

    id: str | None = None
    symbol: bytes | None = None
    carried: frozenset[str] = frozenset()
    references: list[Reference] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    locations: tuple[StepLocation, ...] = ()
    ids: tuple[str, ...] = ()
    has_outputs: bool = False
    calls_workflows: bool = False
    inner_order: Collector | None = None

    @property
    def seen_from_outside(self) -> Any:
        """Return what other parts, and the order of the steps, depend on."""
        return self.id, self.symbol, self.order, self.ids

    def references_at(self, pointer: str) -> list[Reference]:
        """Return what it refers to, with the place that this has when the step stands at a pointer."""
        if pointer == self.pointer:
            return self.references
        length = len(self.pointer)
        return [(name, pointer + at[length:]) for name, at in self.references]

    def contains(self, locations: tuple[StepLocation, ...]) -> None:
        """Note the step and those inside of it, and what is asked of them at each check."""
        self.locations = locations
        self.ids = tuple(ids_of(locations))
        self.has_outputs = any("outputs" in item.step for item in locations)
        self.calls_workflows = any("workflow" in item.step for item in locations)


@dataclass(slots=True, eq=False)
class DocumentVerdict(Verdict):
    """What is known of a document without its steps and connections; what it does on failure belongs to it."""

    blocks: list[Block] = field(default_factory=list)
    locations: tuple[StepLocation, ...] = ()

    @property
    def ids(self) -> Iterator[str]:
        """Return the ids of what it does on failure."""
        return ids_of(self.locations)


@dataclass(slots=True)
class Overview:
    """Which steps of a document have what the whole of it is asked for, by their numbers, so that none is looked for.

    `uses` counts how many parts refer to something.
    """

    telling: set[int] = field(default_factory=set)
    calling: set[int] = field(default_factory=set)
    with_outputs: set[int] = field(default_factory=set)
    with_blocks: set[int] = field(default_factory=set)
    uses: Counter[Use] = field(default_factory=Counter)

    def take(self, index: int, step: StepVerdict) -> None:
        """Note a step."""
        collector = step.collector
        _note(self.telling, index, collector.errors or collector.warnings)
        _note(self.telling, index, index in self.telling or collector.notes)
        _note(self.calling, index, step.calls_workflows)
        _note(self.with_outputs, index, step.has_outputs)
        _note(self.with_blocks, index, step.blocks)
        self.uses.update(collector.uses)

    def replace(self, index: int, old: StepVerdict, new: StepVerdict) -> None:
        """Note a step in the place of another one."""
        self.uses.subtract(old.collector.uses)
        self.take(index, new)
        for use in old.collector.uses:
            if not self.uses[use]:
                del self.uses[use]


def _note(numbers: set[int], index: int, is_so: Any) -> None:
    change = numbers.add if is_so else numbers.discard
    change(index)


def ids_of(locations: Iterable[StepLocation]) -> Iterator[str]:
    """Return the ids of steps; what undoes a step has none of its own."""
    for location in locations:
        if not location.path.endswith(COMPENSATE):
            yield location.step["id"]


def _words(value: Any) -> Iterator[str]:
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield from _words_of(item)
        elif isinstance(item, Mapping):
            todo += item.keys()
            todo += item.values()
        elif isinstance(item, list | tuple):
            todo += item


def _words_of(text: str) -> Iterator[str]:
    if (
        "\\" in text
    ):  # a text in an expression may say a name by its characters' numbers
        yield ANYTHING
    for word in _WORD.findall(text):
        yield word
        if "-" in word:
            yield from _names_in(word)


def _names_in(word: str) -> Iterator[str]:
    """Return what a word with hyphens may refer to: `a-b-c` is a name, or a difference of names."""
    pieces = word.split("-")
    if len(pieces) > _MOST_PIECES:
        yield ANYTHING
        return
    for start, end in combinations(range(len(pieces) + 1), 2):
        yield "-".join(pieces[start:end])


def is_one_word(name: str) -> bool:
    """Tell whether a name is one word: any other is not found among words."""
    return _WORD.fullmatch(name) is not None
