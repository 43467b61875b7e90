"""Expressions: Jinja2's expression grammar in an immutable sandbox, with native values; pure, total and bounded.

There is no way from an expression to Python: attributes are keys of mappings only, calls are limited to listed
filters, tests and pure string methods, and whatever multiplies (`*`, `**`, padding) is limited by its result's size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from functools import lru_cache
from typing import Any, Final

from jinja2 import TemplateError, nodes
from jinja2.nativetypes import NativeEnvironment
from jinja2.parser import Parser
from jinja2.runtime import Context, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.types import Json, type_name

MAX_SOURCE: Final = 4096
MAX_SIZE: Final = 1_000_000
MAX_DEPTH: Final = 40
MAX_BITS: Final = 14_000
"""A larger number could not be written: Python writes and reads no more than 4300 digits."""

FILTERS: Final = frozenset(
    {
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "select",
        "selectattr",
        "sort",
        "string",
        "sum",
        "title",
        "trim",
        "truncate",
        "unique",
        "upper",
        "map",
        "wordcount",
        "tojson",
    }
)
METHODS: Final = frozenset(
    {
        "upper",
        "lower",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "startswith",
        "endswith",
        "replace",
        "title",
        "capitalize",
        "get",
        "keys",
        "values",
        "items",
        "count",
        "index",
        "find",
        "isdigit",
        "isalpha",
    }
)
_STRING_ONLY: Final = METHODS - {"get", "keys", "values", "items"}
_MAPPING_ONLY: Final = frozenset({"get", "keys", "values", "items"})


_SHOWN: Final = 12
"""How many of the names that are there a message says."""


class _Bound(Exception):
    """A result would be too large."""


class _Sandbox(ImmutableSandboxedEnvironment, NativeEnvironment):
    """The sandbox; keys win over methods, and nothing else is reachable."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Carry out an operator whose result stays small."""
        _bound_operands(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look a key up, or one of the listed methods."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look a key or an index up; `length`-like attributes of Python values are not reachable."""
        if isinstance(obj, Undefined | Null):
            return obj
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice) and not isinstance(argument, bool):
            try:
                return obj[argument]
            except (IndexError, TypeError, ValueError):
                return self.undefined(missing(obj, argument))
        methods = _MAPPING_ONLY if isinstance(obj, Mapping) else _STRING_ONLY if isinstance(obj, str) else ()
        if isinstance(argument, str) and argument in methods:
            return getattr(obj, argument)
        return self.undefined(missing(obj, argument))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call one of the listed methods; a method of what is null is null, and views of an object are arrays."""
        if isinstance(obj, Null):
            return obj
        if isinstance(obj, Undefined):
            methods = f"methods of strings are {_shown(_STRING_ONLY)}, of objects {_shown(_MAPPING_ONLY)}"
            raise _Bound(f"{obj._undefined_hint or 'there is no such method'}; {methods}")
        if not self.is_safe_callable(obj):
            raise _Bound(f"{type_name(obj)} is no method")
        result = super().call(context, obj, *args, **kwargs)
        return list(result) if isinstance(result, KeysView | ValuesView | ItemsView) else result

    def is_safe_callable(self, obj: Any) -> bool:
        """Tell whether a call is one of the listed methods."""
        owner = getattr(obj, "__self__", None)
        return isinstance(owner, str | Mapping) and getattr(obj, "__name__", "") in METHODS


def missing(value: Any, key: Any) -> str:
    """Say that a value has nothing under a key, and what it has."""
    if isinstance(value, Mapping):
        names = [str(name) for name in (sorted(value, key=str) if isinstance(value, dict) else value)]
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        return f"there is no {key!r} (there are: {shown or 'none'})"
    if isinstance(value, list | tuple | str) and isinstance(key, int):
        return f"there is no element {key} (there are: {len(value)})"
    if key in (_STRING_ONLY if isinstance(value, str) else ()):
        return f"{key} is a method of strings: write {key}()"
    return f"{type_name(value)} has no {key!r}"


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _bound_operands(operator: str, left: Any, right: Any) -> None:
    if operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(other, int) and len(one) * other > MAX_SIZE:
                raise _Bound("a repetition would be too long")
    if operator in ("*", "**", "+", "-") and isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * (max(0, right) if operator == "**" else 1) + (
            right.bit_length() if operator == "*" else 0
        )
        if bits > 10_000 or (operator == "**" and abs(right) > 10_000):
            raise _Bound("a number would be too large")
    sequences = isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple)
    if operator == "+" and sequences and len(left) + len(right) > MAX_SIZE:
        raise _Bound("a concatenation would be too long")
    if operator == "%" and isinstance(left, str):
        raise _Bound("text formatting is not available; use ~ to put text together")


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    times = text.count(old) if count is None else min(count, text.count(old))
    if len(text) + times * len(new) > MAX_SIZE:
        raise _Bound("a replacement would be too long")
    return text.replace(old, new, -1 if count is None else count)


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Fill in for what is missing: a member that is not there, and the result of a step that has none."""
    if isinstance(value, Undefined | Null) or (boolean and not value):
        return default_value
    return value


@lru_cache(maxsize=1)
def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, cache_size=0)
    environment.filters = {name: f for name, f in environment.filters.items() if name in FILTERS}
    environment.filters |= {"replace": _replace, "default": _default, "d": _default}
    environment.tests = {
        name: t for name, t in environment.tests.items() if name not in ("callable", "sameas", "filter", "test")
    }
    environment.tests["none"] = lambda value: value is None or isinstance(value, Null)
    environment.globals = {}
    return environment


def names_of_tests() -> frozenset[str]:
    """Give the names of the tests that expressions have."""
    return frozenset(_environment().tests)


class Null:
    """The value of a skipped step: null, and so is whatever one looks up in it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Null)

    def __hash__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""


NULL: Final = Null()


class Expression:
    """A compiled expression; `names` are the roots that it refers to, `paths` those with their first keys."""

    __slots__ = ("_run", "names", "paths", "source")

    def __init__(self, source: str) -> None:
        """Compile; raises ExpressionError."""
        self.source = source
        self._run, self.names, self.paths = _compile(source)

    def evaluate(self, lookup: Callable[[str], Json], pointer: str = "") -> Json:
        """Evaluate with the values of names.

        Raises ExpressionFailed.
        """
        return self._run({name: lookup(name) for name in self.names}, pointer)


Path = tuple[str, ...]


@lru_cache(maxsize=4096)
def _compile(source: str) -> tuple[Callable[[dict[str, Json], str], Json], tuple[str, ...], tuple[Path, ...]]:
    if len(source) > MAX_SOURCE:
        raise ExpressionError(source, f"it is longer than {MAX_SOURCE} characters")
    _check_nesting(source)
    environment = _environment()
    try:
        compiled = environment.compile_expression(source, undefined_to_none=False)
        tree = nodes.Output([Parser(environment, source, state="variable").parse_expression()])
        names, paths = _references(tree)
    except _COMPILE_ERRORS as error:
        raise ExpressionError(source, reason_of(error)) from error

    def run(values: dict[str, Json], pointer: str) -> Json:
        try:
            return to_json(compiled(values), 0)
        except Exception as error:
            raise ExpressionFailed(source, reason_of(error), pointer) from error

    return run, names, paths


_COMPILE_ERRORS = (
    TemplateError,
    SyntaxError,
    RecursionError,
    ValueError,
    OverflowError,
    MemoryError,
    TypeError,
    AttributeError,
    ZeroDivisionError,
    KeyError,
    IndexError,
    AssertionError,
    _Bound,
)


def _check_nesting(source: str) -> None:
    depth = 0
    for character in source:
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_DEPTH:
            raise ExpressionError(source, f"it is nested deeper than {MAX_DEPTH}")


def reason_of(error: BaseException) -> str:
    """Say in one line why an expression cannot be compiled or evaluated."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (str(error) or type(error).__name__).split("\n")[0][:300]


def _references(tree: nodes.Node) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Find the names of an expression, and the constant keys behind each."""
    names: dict[str, None] = {}
    paths: dict[Path, None] = {}
    for kind in (nodes.Call, nodes.Filter):
        for call in tree.find_all(kind):
            if getattr(call, "dyn_args", None) is not None or getattr(call, "dyn_kwargs", None) is not None:
                raise TypeError("* and ** arguments are not available")
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load":
            names[name.name] = None
            paths[(name.name,)] = None
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        path = _path(node)
        if path is not None:
            paths[path] = None
    return tuple(names), tuple(paths)


def _path(node: nodes.Node) -> Path | None:
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        base = _path(node.node)
        return None if base is None else (*base, node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        base = _path(node.node)
        return None if base is None else (*base, node.arg.value)
    return None


def to_json(value: Any, depth: int) -> Json:
    """Give the value of an expression as JSON; iterators become arrays, an undefined name raises."""
    if isinstance(value, Null):
        return None
    if value is None or isinstance(value, bool | int | str):
        return _bounded(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _Bound("the result is not a finite number")
        return value
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if depth > 200:
        raise _Bound("the result is nested too deeply")
    if isinstance(value, Mapping):
        return {str(key): to_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, str | bytes) or callable(value):
        raise _Bound(f"the result is not JSON but {type(value).__name__}")
    return [to_json(item, depth + 1) for item in value]


def _bounded(value: str | int | None) -> Json:
    if isinstance(value, str):
        if len(value) > 8 * MAX_SIZE:
            raise _Bound("a text would be too long")
        return value if type(value) is str else str(value)
    if value is not None and value.bit_length() > MAX_BITS:
        raise _Bound("a number would be too large")
    return value


IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
