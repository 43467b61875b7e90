"""Templates: strings with `{{ expression }}` in JSON values, compiled once, evaluated against a scope.

A string that is exactly one expression keeps the JSON type of its value; otherwise values are put into the text.
`${path}` is the older spelling of `{{path}}`; `\\{{` is a literal `{{`; a bare `step.output1` or `workflow.input1` is a
reference when it names exactly a declared thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import MAX_TEXT, Budget, weigh
from openagents_json.workflow.expressions.forms import compile_form
from openagents_json.workflow.expressions.grammar import Path, reason_of
from openagents_json.workflow.expressions.names import ROOTS, SECRETS, Names
from openagents_json.workflow.expressions.namespace import Lookup
from openagents_json.workflow.expressions.pieces import has_expressions, split
from openagents_json.workflow.types import Json

Evaluate = Callable[[Lookup], Json]

_BARE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """One expression of a template: where it is, what it refers to, and how it is evaluated."""

    source: str
    pointer: str
    paths: tuple[Path, ...]
    evaluate: Evaluate

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
    evaluate: Evaluate


def compile_value(
    value: Json, names: Names, pointer: str, wrong: list[ExpressionError] | None = None
) -> Template:
    """Compile a JSON value whose strings may be templates; `wrong` gets every expression that cannot be compiled.

    Raises ExpressionError, its `pointer` set, when there is nowhere to put it.
    """
    collected = _Collected([], wrong)
    evaluate = _value(value, names, pointer, collected)
    return _template(evaluate, collected.parts, pointer)


def literal(value: Json) -> Template:
    """Return the template of a value that stands for itself, whatever is in it."""
    return Template((), lambda _: value)


def _total(evaluate: Evaluate, parts: list[TemplatePart], pointer: str) -> Evaluate:
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

    def or_wrong(self, compile_it: Callable[[], Evaluate], pointer: str) -> Evaluate:
        """Compile something; where problems are collected, what is wrong stands for null, and the next is looked at."""
        try:
            return compile_it()
        except ExpressionError as error:
            error.pointer = error.pointer or pointer
            if self.wrong is None:
                raise
            self.wrong.append(error)
            return lambda _: None


def _value(value: Json, names: Names, pointer: str, collected: _Collected) -> Evaluate:
    if isinstance(value, str):
        compile_it = partial(_text, value, names, pointer, collected)
        return collected.or_wrong(compile_it, pointer)
    if isinstance(value, Mapping):
        members = {}
        for key, member in value.items():
            name = str(key)
            at = f"{pointer}/{escape(name)}"
            members[name] = _value(member, names, at, collected)
        return lambda lookup: {
            name: evaluate(lookup) for name, evaluate in members.items()
        }
    if isinstance(value, list | tuple):
        items = [
            _value(item, names, f"{pointer}/{index}", collected)
            for index, item in enumerate(value)
        ]
        return lambda lookup: [evaluate(lookup) for evaluate in items]
    return lambda _: value


def escape(key: str) -> str:
    """Return a key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def compile_expression(
    source: str, names: Names, pointer: str, parts: list[TemplatePart]
) -> Evaluate:
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
    part = TemplatePart(
        source=text, pointer=pointer, paths=form.paths, evaluate=form.at(pointer)
    )
    parts.append(part)
    return part.evaluate


def compile_condition(
    source: str, names: Names, pointer: str, wrong: list[ExpressionError] | None = None
) -> Template:
    """Compile a condition: a template, or a bare expression; see `compile_value`."""
    if has_expressions(source):
        return compile_value(source, names, pointer, wrong)
    collected = _Collected([], wrong)
    compile_it = partial(compile_expression, source, names, pointer, collected.parts)
    evaluate = collected.or_wrong(compile_it, pointer)
    return _template(evaluate, collected.parts, pointer)


def _template(evaluate: Evaluate, parts: list[TemplatePart], pointer: str) -> Template:
    total = _total(evaluate, parts, pointer) if parts else evaluate
    return Template(tuple(parts), total)


def _text(text: str, names: Names, pointer: str, collected: _Collected) -> Evaluate:
    pieces = list(split(text))
    is_plain = all(kind == "text" for kind, _ in pieces)
    if is_plain:
        literal_text = "".join(piece for _, piece in pieces)
        reference = bare_reference(text, names) if literal_text == text else ""
        if reference:
            return compile_expression(reference, names, pointer, collected.parts)
        return lambda _: literal_text
    if len(pieces) == 1:
        return compile_expression(pieces[0][1], names, pointer, collected.parts)
    compiled_pieces: list[str | Evaluate] = []
    for kind, piece in pieces:
        if kind == "text":
            compiled_pieces.append(piece)
            continue
        compile_it = partial(compile_expression, piece, names, pointer, collected.parts)
        compiled_pieces.append(collected.or_wrong(compile_it, pointer))
    return lambda lookup: _joined(compiled_pieces, lookup)


def _joined(pieces: list[str | Evaluate], lookup: Lookup) -> str:
    """Put a text together; its size counts against the budget while it grows."""
    texts = []
    size = 0
    for piece in pieces:
        text = piece if isinstance(piece, str) else render(piece(lookup), lookup.budget)
        size += len(text)
        lookup.budget.text(size if size > MAX_TEXT else len(text))
        texts.append(text)
    return "".join(texts)


def bare_reference(text: str, names: Names) -> str:
    """Return the expression of a bare reference as 0.1.4 wrote them, empty when the text is just text."""
    root, _, name = text.partition(".")
    if not _BARE_NAME.fullmatch(name):
        return ""
    is_input = root in ("workflow", "input", "inputs") and name in names.inputs
    if is_input:
        return f"inputs['{name}']"
    if root not in names.steps:
        return ""
    is_output = name == "output" or name in names.outputs.get(root, ())
    if is_output:
        return f"{root}['{name}']"
    return ""


def render(value: Json, budget: Budget | None = None) -> str:
    """Return a value as it stands in a text: null as nothing, text as it is, the rest as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if budget is not None:
        weigh(budget, value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
