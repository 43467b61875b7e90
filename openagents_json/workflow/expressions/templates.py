"""Templates: strings with `{{ expression }}` in JSON values, compiled once, evaluated against a scope.

A string that is exactly one expression keeps the JSON type of its value; otherwise values are put into the text.
`${path}` is the older spelling of `{{path}}`; `\\{{` is a literal `{{`; a bare `step.output1` or `workflow.input1` is a
reference when it names exactly a declared thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from openagents_json.workflow.errors import ExpressionError, ExpressionFailed, OverBound
from openagents_json.workflow.expressions.budget import MAX_TEXT, Budget, weigh
from openagents_json.workflow.expressions.grammar import (
    IDENTIFIER,
    Expression,
    Path,
    reason_of,
)
from openagents_json.workflow.expressions.namespace import Lookup, find_path
from openagents_json.workflow.types import Json

SECRETS: Final = "secrets"
SECRET: Final = re.compile(r"secrets\.[A-Za-z_][A-Za-z0-9_]*\Z")
"""The only form in which a secret can be referred to: what is not known here cannot be computed with."""

ROOTS: Final = frozenset({"input", "inputs", "steps", "workflow"})
_TOKEN: Final = re.compile(r"\\\{\{|\{\{|\$\{")
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PATH: Final = re.compile(
    r"[A-Za-z0-9_-]+(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d{1,9}\]|\[\'[^\']*\'\]|\[\"[^\"]*\"\])*\Z"
)
_SEGMENT: Final = re.compile(
    r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]|\[\'([^\']*)\'\]|\[\"([^\"]*)\"\]"
)


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

    def known(self, name: str) -> bool:
        """Tell whether a root name means something."""
        return name in self.steps or name in ROOTS or name in self.local


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """One expression of a template: where it is, what it refers to, and how it is evaluated."""

    source: str
    pointer: str
    paths: tuple[Path, ...]
    evaluate: Callable[[Lookup], Json]

    @property
    def steps(self) -> Iterator[str]:
        """Return the step ids that it refers to."""
        for path in self.paths:
            if path[0] == "steps" and len(path) > 1:
                yield path[1]
            elif path[0] not in ROOTS and path[0] != SECRETS:
                yield path[0]


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled JSON value."""

    parts: tuple[TemplatePart, ...]
    evaluate: Callable[[Lookup], Json]


def compile_value(
    value: Json, names: Names, pointer: str, wrong: list[ExpressionError] | None = None
) -> Template:
    """Compile a JSON value whose strings may be templates; `wrong` gets every expression that cannot be compiled.

    Raises ExpressionError, its `pointer` set, when there is nowhere to put it.
    """
    parts: list[TemplatePart] = []
    evaluate = _value(value, names, pointer, _Collected(parts, wrong))
    return Template(
        tuple(parts), _total(evaluate, parts, pointer) if parts else evaluate
    )


def literal(value: Json) -> Template:
    """Return the template of a value that stands for itself, whatever is in it."""
    return Template((), lambda _: value)


def _total(
    evaluate: Callable[[Lookup], Json], parts: list[TemplatePart], pointer: str
) -> Callable[[Lookup], Json]:
    """Let an evaluation fail in one way only, as a run has to end whatever a value does when it is put into a text."""

    def run(lookup: Lookup) -> Json:
        try:
            return evaluate(lookup)
        except ExpressionFailed:
            raise
        except Exception as error:
            raise ExpressionFailed(
                parts[0].source, reason_of(error), parts[0].pointer or pointer
            ) from error

    return run


@dataclass(frozen=True, slots=True)
class _Collected:
    """What is found in a value while it is compiled: its parts, and what is wrong, if that is to be collected."""

    parts: list[TemplatePart]
    wrong: list[ExpressionError] | None = None

    def or_wrong(
        self, compile_it: Callable[[], Callable[[Lookup], Json]], pointer: str
    ) -> Callable[[Lookup], Json]:
        """Compile something; where problems are collected, what is wrong stands for null, and the next is looked at."""
        try:
            return compile_it()
        except ExpressionError as error:
            error.pointer = error.pointer or pointer
            if self.wrong is None:
                raise
            self.wrong.append(error)
            return lambda _: None


def _value(
    value: Json, names: Names, pointer: str, collected: _Collected
) -> Callable[[Lookup], Json]:
    if isinstance(value, str):
        return collected.or_wrong(
            lambda: _text(value, names, pointer, collected), pointer
        )
    if isinstance(value, Mapping):
        members = {
            str(k): _value(v, names, f"{pointer}/{escape(str(k))}", collected)
            for k, v in value.items()
        }
        return lambda lookup: {
            key: evaluate(lookup) for key, evaluate in members.items()
        }
    if isinstance(value, list | tuple):
        items = [
            _value(item, names, f"{pointer}/{i}", collected)
            for i, item in enumerate(value)
        ]
        return lambda lookup: [evaluate(lookup) for evaluate in items]
    return lambda _: value


def escape(key: str) -> str:
    """Return a key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def compile_expression(
    source: str, names: Names, pointer: str, parts: list[TemplatePart]
) -> Callable[[Lookup], Json]:
    """Compile one expression and note it among the parts; what validation has compiled is taken as it is.

    Raises ExpressionError, its `pointer` set.
    """
    text = source.strip()
    key = (text, names.block, frozenset(name for name in names.local if name in text))
    form = names.forms.get(key)
    if form is None:
        try:
            form = names.forms[key] = compile_form(text, names)
        except ExpressionError as error:
            error.pointer = pointer
            raise
    part = TemplatePart(text, pointer, form.paths, form.at(pointer))
    parts.append(part)
    return part.evaluate


def compile_form(text: str, names: Names) -> CompiledExpression:
    """Compile an expression, wherever in the document it stands.

    Raises ExpressionError.
    """
    path = _as_path(text, names)
    if path is None:
        return _full(text, names)
    return CompiledExpression(
        (tuple(str(key) for key in path),), partial(_path_reader, text, path)
    )


def compile_condition(
    source: str, names: Names, pointer: str, wrong: list[ExpressionError] | None = None
) -> Template:
    """Compile a condition: a template, or a bare expression; see `compile_value`."""
    if _TOKEN.search(source):
        return compile_value(source, names, pointer, wrong)
    parts: list[TemplatePart] = []
    evaluate = _Collected(parts, wrong).or_wrong(
        lambda: compile_expression(source, names, pointer, parts), pointer
    )
    return Template(
        tuple(parts), _total(evaluate, parts, pointer) if parts else evaluate
    )


def _as_path(text: str, names: Names) -> tuple[str | int, ...] | None:
    """Read a dotted path, if it is nothing else; a hyphen before a known name or a number is a minus."""
    if not _PATH.match(text):
        return None
    word = _WORD.match(text)
    root = word[0] if word else ""
    if not names.known(root) and not _surely_a_name(root, names):
        return None
    keys: list[str | int] = [root]
    for match in _SEGMENT.finditer(text, len(root)):
        name, index, single, double = match.groups()
        if name is not None and "-" in name and not _hyphenated(keys, name, names):
            return None
        keys.append(
            int(index)
            if index is not None
            else next(x for x in (name, single, double) if x is not None)
        )
    return tuple(keys)


def _surely_a_name(word: str, names: Names) -> bool:
    """Tell whether an unknown word with hyphens is a misspelt id: as a difference, no part of it means anything."""
    pieces = word.split("-")
    return len(pieces) > 1 and not any(
        names.known(piece) or piece.isdigit() for piece in pieces
    )


def _hyphenated(keys: list[str | int], name: str, names: Names) -> bool:
    if len(keys) == 1 and keys[0] in ("input", "inputs") and name in names.inputs:
        return True
    rest = name.split("-", 1)[1].split("-")[-1]
    return bool(IDENTIFIER.match(rest)) and not names.known(
        name.split("-", 1)[1].split(".")[0]
    )


def _path_reader(
    text: str, path: tuple[str | int, ...], pointer: str
) -> Callable[[Lookup], Json]:
    def read(lookup: Lookup) -> Json:
        try:
            value = find_path(lookup, path)
            lookup.budget.used(value)
            return value
        except OverBound as error:
            raise ExpressionFailed(text, str(error), pointer) from None
        except LookupError as error:
            raise ExpressionFailed(text, str(error.args[0]), pointer) from None

    return read


def _full(text: str, names: Names) -> CompiledExpression:
    aliased, aliases = alias(text, names)
    expression = Expression(aliased)
    paths = tuple(
        (aliases.get(path[0], path[0]), *path[1:]) for path in expression.paths
    )

    def named(lookup: Lookup) -> Callable[[str], Json]:
        return (
            (lambda name: lookup.root(aliases.get(name, name)))
            if aliases
            else lookup.root
        )

    def at(pointer: str) -> Callable[[Lookup], Json]:
        def evaluate(lookup: Lookup) -> Json:
            try:
                return expression.evaluate(named(lookup), pointer, lookup.budget)
            except ExpressionFailed as error:
                raise ExpressionFailed(text, error.reason, pointer) from None
            except LookupError as error:
                raise ExpressionFailed(text, str(error.args[0]), pointer) from None

        return evaluate

    return CompiledExpression(paths, at)


def alias(text: str, names: Names) -> tuple[str, dict[str, str]]:
    """Put identifiers in the place of step ids that the grammar does not take for one name."""
    odd = names.odd
    aliases: dict[str, str] = {}
    if not odd:
        return text, aliases
    out, position = [], 0
    for piece in re.finditer(
        r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?<![\w.-])[A-Za-z0-9_][A-Za-z0-9_-]*",
        text,
    ):
        word = piece[0]
        step_id = "" if word[0] in "'\"" else _longest(word, odd)
        if step_id:
            name = next(
                (alias for alias, step in aliases.items() if step == step_id),
                f"step_{len(aliases)}_",
            )
            aliases[name] = step_id
            out += [text[position : piece.start()], name, word[len(step_id) :]]
            position = piece.end()
    return "".join(out) + text[position:], aliases


_KEYWORDS: Final = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
    ]
)


def odd_names(steps: Iterable[str]) -> frozenset[str]:
    """Return the step ids that the grammar does not take for one name."""
    return frozenset(
        name for name in steps if not IDENTIFIER.match(name) or name in _KEYWORDS
    )


def _longest(word: str, odd: Set[str]) -> str:
    while word:
        if word in odd:
            return word
        word = word.rpartition("-")[0]
    return ""


def _text(
    text: str, names: Names, pointer: str, collected: _Collected
) -> Callable[[Lookup], Json]:
    pieces, parts = list(split(text)), collected.parts
    if all(kind == "text" for kind, _ in pieces):
        literal = "".join(piece for _, piece in pieces)
        if literal == text and _bare(text, names):
            return compile_expression(_bare(text, names), names, pointer, parts)
        return lambda _: literal
    if len(pieces) == 1:
        return compile_expression(pieces[0][1], names, pointer, parts)
    compiled_pieces: list[str | Callable[[Lookup], Json]] = [
        piece
        if kind == "text"
        else collected.or_wrong(
            partial(compile_expression, piece, names, pointer, parts), pointer
        )
        for kind, piece in pieces
    ]
    return lambda lookup: _joined(compiled_pieces, lookup)


def _joined(pieces: list[str | Callable[[Lookup], Json]], lookup: Lookup) -> str:
    """Put a text together; its size counts against the budget while it grows."""
    texts, size = [], 0
    for piece in pieces:
        text = piece if isinstance(piece, str) else render(piece(lookup), lookup.budget)
        size += len(text)
        lookup.budget.text(size if size > MAX_TEXT else len(text))
        texts.append(text)
    return "".join(texts)


def _bare(text: str, names: Names) -> str:
    """Return the expression of a bare reference as 0.1.4 wrote them, empty when the text is just text."""
    root, dot, name = text.partition(".")
    if not dot or not name or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return ""
    if root == "workflow" and name in names.inputs:
        return f"inputs['{name}']"
    if root in ("input", "inputs") and name in names.inputs:
        return f"inputs['{name}']"
    if root in names.steps and (
        name == "output" or name in names.outputs.get(root, ())
    ):
        return f"{root}['{name}']"
    return ""


def split(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into ("text", ...) and ("expression", ...) pieces.

    Raises ExpressionError when an expression does not end.
    """
    position, literal = 0, []
    while True:
        match = _TOKEN.search(text, position)
        if match is None:
            literal.append(text[position:])
            break
        literal.append(text[position : match.start()])
        if match[0].startswith("\\"):
            literal.append("{{")
            position = match.end()
            continue
        end = _end(text, match.end(), "}}" if match[0] == "{{" else "}")
        if "".join(literal):
            yield "text", "".join(literal)
        literal = []
        yield "expression", text[match.end() : end[0]]
        position = end[1]
    if "".join(literal) or position == 0:
        yield "text", "".join(literal)


def _end(text: str, start: int, closing: str) -> tuple[int, int]:
    quote, depth, position = "", 0, start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif depth == 0 and text.startswith(closing, position):
            return position, position + len(closing)
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        position += 1
    raise ExpressionError(text, f"an expression begins but does not end with {closing}")


def render(value: Json, budget: Budget | None = None) -> str:
    """Return a value as it stands in a text: null as nothing, text as it is, the rest as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if budget is not None:
        weigh(budget, value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
