"""What the parts of a document see of each other, and which parts a change of that can affect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from openagents_json.workflow.validation.parts import (
    ANYTHING,
    StepVerdict,
    Verdict,
    is_one_word,
)

_NOTHING_CARRIED: Final[frozenset[str]] = frozenset()
_UNSURE: Final = frozenset({ANYTHING})
_INPUT_ROOTS: Final = frozenset({"input", "inputs", "workflow"})


Symbol = tuple[bytes | None, ...]
"""What is seen of the steps of an id, or of an input; None stands for what is never known to be the same."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What parts of a document see of others: of each step and each input, under its name, what it is and gives.

    `carried` are the inputs that connections bring to steps.
    """

    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    inputs: Mapping[str, Symbol] = field(default_factory=dict)
    carried: Mapping[str, frozenset[str]] = field(default_factory=dict)
    document_id: Any = None
    has_steps: bool = False

    def changes_from(self, earlier: Seen) -> Changes:
        """Return what has changed since an earlier look."""
        steps = _changed(earlier.symbols, self.symbols)
        inputs = _changed(earlier.inputs, self.inputs)
        names = steps | inputs
        # Where no input is declared, any may be referred to.
        has_flipped = bool(self.inputs) != bool(earlier.inputs)
        roots = _INPUT_ROOTS if has_flipped else frozenset()
        is_same_document = self._document == earlier._document
        is_everything = not (is_same_document and all(map(is_one_word, names)))
        words = names | roots
        if words:
            words |= _UNSURE
        return Changes(
            words=words,
            carried=self.carried,
            has_names=self._names != earlier._names,
            everything=is_everything,
        )

    @property
    def _document(self) -> Any:
        return self.document_id, self.has_steps

    @property
    def _names(self) -> Any:
        return self.symbols.keys(), self.inputs.keys()


def _changed(old: Mapping[str, Symbol], new: Mapping[str, Symbol]) -> frozenset[str]:
    """Return the names of what has come, gone or changed."""
    if old == new and (None,) not in new.values():
        return frozenset()
    names = old.keys() | new.keys()

    def is_changed(name: str) -> bool:
        symbol = old.get(name, (None,))
        return None in symbol or symbol != new.get(name)

    return frozenset(filter(is_changed, names))


@dataclass(frozen=True, slots=True)
class Changes:
    """The names whose meaning has changed; `has_names` tells that some have come or gone."""

    words: frozenset[str]
    carried: Mapping[str, frozenset[str]]
    has_names: bool
    everything: bool

    @property
    def in_names(self) -> bool:
        """Tell whether something is referred to by other names than before, or gives something else."""
        return self.everything or bool(self.words)

    def are_nothing(self, earlier: Mapping[str, frozenset[str]]) -> bool:
        """Tell whether no part has to be looked at again; `earlier` is what connections brought before."""
        is_same = self.carried == earlier and not self.words
        return is_same and not (self.everything or self.has_names)

    def touch(self, verdict: Verdict) -> bool:
        """Tell whether a part whose content is the same has to be looked at again."""
        if self.everything:
            return True
        if self.has_names and verdict.suggests_names:
            return True
        if not self.words:  # then the words of the part need not be looked for
            return False
        return not self.words.isdisjoint(verdict.words)

    def touch_step(self, verdict: StepVerdict) -> bool:
        """Tell the same of a step, which also sees what connections bring to it."""
        arriving = self.carried.get(verdict.id or "", _NOTHING_CARRIED)
        return arriving != verdict.carried or self.touch(verdict)


EVERYTHING: Final = Changes(frozenset(), {}, has_names=True, everything=True)
"""What is seen when nothing was before."""
