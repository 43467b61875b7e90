"""The names that templates of a document may use, at each of its places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from jinja2.lexer import float_re, integer_re

from openagents_json.workflow.expressions.grammar import IDENTIFIER, Path
from openagents_json.workflow.expressions.namespace import Lookup
from openagents_json.workflow.types import Json

SECRETS: Final = "secrets"
SECRET: Final = re.compile(r"secrets\.[A-Za-z_][A-Za-z0-9_]*\Z")
"""The only form in which a secret can be referred to: what is not known here cannot be computed with."""

ROOTS: Final = frozenset({"input", "inputs", "steps", "workflow"})


class CompiledExpression(NamedTuple):
    """An expression as compiled for the names of a place: what it refers to, and its evaluation by its pointer."""

    paths: tuple[Path, ...]
    at: Callable[[str], Callable[[Lookup], Json]]


FormKey = tuple[str, str, frozenset[str]]
"""An expression, its block, and those names of its place that occur in it: the same key, the same form."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a document declares: names that templates may use.

    `local` are those of the place (value, result, error), `odd` the step ids that are no identifiers, see `odd_names`.
    `block` is the pointer of the block that the place is in; with `local` it says all about the names of a place.
    `forms` are the expressions of the document that have been compiled, shared by all its places.
    """

    steps: Set[str]
    inputs: frozenset[str] = frozenset()
    outputs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    odd: Set[str] = frozenset()
    block: str = ""
    forms: dict[FormKey, CompiledExpression] = field(
        default_factory=dict, compare=False, repr=False
    )

    def is_known(self, name: str) -> bool:
        """Tell whether a root name means something."""
        return name in self.steps or name in ROOTS or name in self.local


_OPERATORS: Final = frozenset({"and", "or", "not", "in", "is", "if", "else"})

_CONSTANTS: Final = frozenset({"true", "false", "none", "True", "False", "None"})

_MEMBER: Final = re.compile(r"\.[A-Za-z_]")
"""What is behind a step id that is a word of the grammar, too: nothing else can be meant by that."""

_MEMBER_OF_CONSTANT: Final = re.compile(r"\.[A-Za-z_]|\[")


def is_constant(word: str) -> bool:
    """Tell whether the grammar takes a word for a value: a number, a boolean or null."""
    is_number = integer_re.fullmatch(word) or float_re.fullmatch(word)
    return word in _CONSTANTS or is_number is not None


def odd_names(steps: Iterable[str]) -> frozenset[str]:
    """Return the step ids that the grammar does not take for one name."""
    words = _OPERATORS | _CONSTANTS
    return frozenset(
        name for name in steps if not IDENTIFIER.match(name) or name in words
    )


@lru_cache(maxsize=16)
def _odd_inputs(inputs: frozenset[str]) -> frozenset[str]:
    """Return those inputs of a document; all of its expressions ask, one after the other."""
    return odd_names(inputs)


_WORDS_AND_TEXTS: Final = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    r"|(?<![\w.-])(?:(steps|inputs?)\.)?([A-Za-z0-9_][A-Za-z0-9_-]*)"
)
"""Words that may be step ids, or members of all steps or inputs; texts in quotes are passed over as a whole."""


def alias(text: str, names: Names) -> tuple[str, dict[str, str]]:
    """Put identifiers in the place of step ids that the grammar does not take for one name.

    A step may be called as an operator or a number: then it is the step only where a member of it is asked for.
    """
    aliases: dict[str, str] = {}
    odd_inputs = _odd_inputs(names.inputs) if "input" in text else frozenset()
    if not names.odd and not odd_inputs:
        return text, aliases
    members = {"steps": names.odd, "input": odd_inputs, "inputs": odd_inputs}
    by_step: dict[str, str] = {}
    pieces = []
    position = 0
    prefix = _unused_in(text)
    for match in _WORDS_AND_TEXTS.finditer(text):
        root, word = match.groups()
        if root is not None and root not in names.local:
            member = _longest(word, members[root])
            if member:
                pieces += [text[position : match.start()], f"{root}['{member}']"]
                position = match.start(2) + len(member)
            continue
        step = "" if word is None or root else _longest(word, names.odd)
        if not step or _is_of_the_grammar(step, text, match.start() + len(step)):
            continue
        name = by_step.setdefault(step, f"{prefix}{len(by_step)}_")
        aliases[name] = step
        pieces += [text[position : match.start()], name, word[len(step) :]]
        position = match.end()
    return "".join(pieces) + text[position:], aliases


def _unused_in(text: str) -> str:
    """Return how names can begin that do not occur in a text."""
    prefix = "step_"
    while prefix in text:
        prefix += "_"
    return prefix


def _is_of_the_grammar(word: str, text: str, end: int) -> bool:
    """Tell whether a word that ends there is an operator or a value, though a step is called so."""
    if word in _OPERATORS:
        return _MEMBER.match(text, end) is None
    return is_constant(word) and _MEMBER_OF_CONSTANT.match(text, end) is None


def _longest(word: str, odd: Set[str]) -> str:
    """Return the longest step id that a word begins with: what is behind it, and a hyphen, is a difference."""
    while word:
        if word in odd:
            return word
        word = word.rpartition("-")[0]
    return ""
