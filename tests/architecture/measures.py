"""Measures of the source: sizes, complexity, words and air; `scripts/measures` prints them, tests hold some.

Import graphs are grimp's; all else is counted on the syntax trees and tokens of the standard library.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import mean, median, quantiles

import grimp

ROOMS = ("eventstore", "projections", "executor", "cli", "openagents_json")
HOUSE_WORDS = frozenset({"found", "known", "made", "said", "wanted", "moved", "place"})
"""Words that say nothing of the type or role of what they stand for; their plurals say as little."""

SILENT_NAMES = HOUSE_WORDS | {f"{word}s" for word in HOUSE_WORDS}
SILENT_WORD = re.compile(rf"(?:\b|_)(?:{'|'.join(sorted(SILENT_NAMES))})\b")
"""Where such a name may stand: in the text of each module that binds one, and of some that do not."""

BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.While,
    ast.ExceptHandler,
    ast.BoolOp,
    ast.comprehension,
    ast.match_case,
)
"""What makes ways part, each counted once: see `density`."""

NOT_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module of the product, read once."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Return its syntax tree."""
        return ast.parse(self.text)

    @property
    def lines(self) -> list[str]:
        """Return its lines."""
        return self.text.splitlines()

    @cached_property
    def functions(self) -> list[Function]:
        """Return its functions and methods, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def branches_and_lines(self) -> tuple[int, int]:
        """Return how many ways part in its functions, and how many lines of code these have."""
        ways = sum(branches(function) for function in outer_functions(self))
        return ways, len(function_lines(self))


def modules(root: Path, folders: Iterable[str] = ROOMS) -> list[Module]:
    """Return the modules of some folders: of all rooms, unless others are named."""
    paths = [path for room in folders for path in sorted((root / room).rglob("*.py"))]
    return [Module(path, path.read_text("utf-8")) for path in paths]


def outer_functions(module: Module) -> list[Function]:
    """Return the functions that no other function holds."""
    nested = {
        inner
        for function in module.functions
        for inner in ast.walk(function)
        if inner is not function and isinstance(inner, Function)
    }
    return [function for function in module.functions if function not in nested]


def documentation_lines(node: ast.AST) -> set[int]:
    """Return the numbers of the lines of a docstring, none where there is none."""
    body = getattr(node, "body", [])
    first = body[0] if body else None
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return set()
    if not isinstance(first.value.value, str):
        return set()
    return set(range(first.lineno, (first.end_lineno or first.lineno) + 1))


def code_lines(module: Module) -> set[int]:
    """Return the numbers of the lines with code: no blanks, no comments; docstrings count as code here."""
    numbers: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in NOT_CODE:
            numbers.update(range(token.start[0], token.end[0] + 1))
    return numbers


def body_lines(function: Function) -> int:
    """Return how many lines a function has, without its docstring."""
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    return whole - len(documentation_lines(function))


def branches(node: ast.AST) -> int:
    """Return how many ways part in a piece of code: branches, loops, handlers, cases, and joined conditions."""
    return sum(isinstance(inner, BRANCHES) for inner in ast.walk(node))


def density(sources: Iterable[Module]) -> float:
    """Return the branches in 100 lines of code of functions; it is 0 where there are no functions.

    The lines are those of functions and methods, from `def` on, without docstrings, comments and blank lines.
    Decorators, fields of classes and tables of modules are none. A nested function counts once, with what holds it.

    Branches are `if`, `elif`, ternaries, `for`, `while`, `except`, cases of a `match`, the `for` clauses of
    comprehensions, and chains of `and` or of `or`: a chain counts once, however many parts it has. The `if` clauses of
    comprehensions, `assert` and `async for` count nothing.

    It is the way in which other projects were measured that this one is compared with. Counted so, dramatiq (848b35f)
    has 17.0, procrastinate (f099a75) 11.5, httpx (ae1b9f6) 15.9, taskiq (ae2b788) 12.4 and Temporal's SDK for Python
    (3a464f9, without what is generated of protocols) 10.1.
    """
    all_branches = 0
    all_lines = 0
    for module in sources:
        ways, lines = module.branches_and_lines
        all_branches += ways
        all_lines += lines
    return 100 * all_branches / all_lines if all_lines else 0.0


def function_lines(module: Module) -> set[int]:
    """Return the numbers of the lines of code in functions: no docstrings, comments or blank lines."""
    inside: set[int] = set()
    documentation: set[int] = set()
    for function in module.functions:
        last = function.end_lineno or function.lineno
        inside.update(range(function.lineno, last + 1))
        documentation |= documentation_lines(function)
    return inside & code_lines(module) - documentation


def bound_name(node: ast.AST) -> str | None:
    """Return the name that a piece of code binds: a variable, an attribute, a parameter, or part of a pattern."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            return name
        case ast.Attribute(attr=name, ctx=ast.Store()):
            return name
        case ast.arg(arg=name):
            return name
        case ast.MatchAs(name=name) | ast.MatchStar(name=name):
            return name
        case ast.ExceptHandler(name=name):
            return name
        case _:
            return None


def house_words(sources: Iterable[Module]) -> Iterator[str]:
    """Return where a word is bound that says nothing of the type or role of what it stands for."""
    for module in sources:
        if not SILENT_WORD.search(module.text):
            continue  # most modules need no syntax tree
        for node in ast.walk(module.tree):
            name = bound_name(node)
            if name is not None and name.lstrip("_") in SILENT_NAMES:
                yield f"{module.path}:{getattr(node, 'lineno', 0)} {name}"


def arguments(function: Function) -> int:
    """Return how many parameters a function has, without `self` and `cls`."""
    given = function.args
    names = [
        argument.arg
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)
    ]
    return len([name for name in names if name not in ("self", "cls")])


def public_names(module: Module) -> int:
    """Return how many functions and classes a module shows."""
    shown = [
        node for node in module.tree.body if isinstance(node, Function | ast.ClassDef)
    ]
    return len([node for node in shown if not node.name.startswith("_")])


def spread(values: Iterable[float]) -> str:
    """Return median, 95th percentile and maximum."""
    numbers = sorted(values)
    return f"{median(numbers):.0f} / {quantiles(numbers, n=20)[18]:.0f} / {numbers[-1]:.0f}"


def import_graph() -> dict[str, set[str]]:
    """Return which modules of ours each module of ours imports."""
    graph = grimp.build_graph(*ROOMS)
    return {
        name: set(graph.find_modules_directly_imported_by(name))
        for name in graph.modules
    }


def import_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle of imports, empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def error_classes(sources: Iterable[Module]) -> tuple[int, int]:
    """Return how many classes of errors there are, and in how many modules."""
    count = 0
    homes = set()
    for module in sources:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and any(
                "Error" in ast.unparse(base) for base in node.bases
            ):
                count += 1
                homes.add(module.path)
    return count, len(homes)


def per_thousand(count: int, sources: list[Module]) -> str:
    """Return how often something is there in a thousand lines."""
    return f"{1000 * count / sum(len(module.lines) for module in sources):.2f}"


def nodes(sources: Iterable[Module], *kinds: type[ast.AST]) -> int:
    """Return how many nodes of some kinds there are."""
    return sum(
        isinstance(node, kinds) for module in sources for node in ast.walk(module.tree)
    )


def tuple_assignments(sources: Iterable[Module]) -> int:
    """Return how many assignments give several values to several names at once."""
    count = 0
    for module in sources:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                count += any(isinstance(target, ast.Tuple) for target in node.targets)
    return count


def sizes(sources: list[Module]) -> dict[str, str]:
    """Return how large modules and functions are, and how they hang together."""
    functions = [function for module in sources for function in module.functions]
    parameters = [arguments(function) for function in functions]
    graph = import_graph()
    return {
        "modules / lines": f"{len(sources)} / {sum(len(module.lines) for module in sources)}",
        "module lines, median / p95 / max": spread(
            len(module.lines) for module in sources
        ),
        "modules over 400 lines": str(
            sum(len(module.lines) > 400 for module in sources)
        ),
        "function lines, median / p95 / max": spread(
            body_lines(function) for function in functions
        ),
        "branches of a function, median / p95 / max": spread(
            branches(function) for function in functions
        ),
        "parameters, median / p95 / max": spread(parameters),
        "functions with six parameters or more": f"{sum(n >= 6 for n in parameters) / len(parameters):.1%}",
        "public names of a module, median / p95 / max": spread(
            public_names(module) for module in sources
        ),
        "fan-out, median / p95 / max": spread(
            len(imported) for imported in graph.values()
        ),
        "circle of imports": " ".join(import_circle(graph)) or "none",
        "error classes / modules": "{} / {}".format(*error_classes(sources)),
    }


def texts(sources: list[Module]) -> dict[str, str]:
    """Return how much is said beside the code, and how much is left unsaid."""
    functions = [function for module in sources for function in module.functions]
    lines = [line for module in sources for line in module.lines]
    documented = sum(
        len(documentation_lines(node))
        for module in sources
        for node in ast.walk(module.tree)
        if isinstance(node, Function | ast.ClassDef | ast.Module)
    )
    comments = sum(line.lstrip().startswith("#") for line in lines)
    public = [function for function in functions if not function.name.startswith("_")]
    undocumented = [function for function in public if not ast.get_docstring(function)]
    annotations = list(parameter_types(functions))
    untyped = [
        text
        for text in annotations
        if text in ("Any", "Json") or "Any]" in text or "Json]" in text
    ]
    broad = sum(
        "except Exception" in line or "except BaseException" in line for line in lines
    )
    return {
        "docstring lines": f"{documented / len(lines):.0%}",
        "comment lines in 100": f"{100 * comments / len(lines):.1f}",
        "public functions without docstring": f"{len(undocumented) / len(public):.0%}",
        "`type: ignore` in 1,000 lines": per_thousand(
            sum("type: ignore" in line for line in lines), sources
        ),
        "`except Exception` in 1,000 lines": per_thousand(broad, sources),
        "`Any` and `Json` among annotations": f"{len(untyped) / len(annotations):.1%}",
        "lines over 100 characters": f"{sum(len(line) > 100 for line in lines) / len(lines):.1%}",
        "mean characters of a line": f"{mean(len(line) for line in lines):.0f}",
    }


def parameter_types(functions: Iterable[Function]) -> Iterator[str]:
    """Return the types of parameters, as they are written."""
    for function in functions:
        given = function.args
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
            if argument.annotation is not None:
                yield ast.unparse(argument.annotation)


def air(sources: list[Module]) -> dict[str, str]:
    """Return how much happens in a line, and how it is called."""
    stored = sum(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        for module in sources
        for node in ast.walk(module.tree)
    )
    comprehensions = nodes(
        sources, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp
    )
    return {
        "house words among bindings": f"{len(list(house_words(sources)))} of {stored + nodes(sources, ast.arg)}",
        "branches in 100 lines of code": f"{density(sources):.1f}",
        "comprehensions in 1,000 lines": per_thousand(comprehensions, sources),
        "ternaries in 1,000 lines": per_thousand(nodes(sources, ast.IfExp), sources),
        "tuple assignments in 1,000 lines": per_thousand(
            tuple_assignments(sources), sources
        ),
    }


def table(root: Path) -> dict[str, str]:
    """Return all measures, with what they are called."""
    sources = modules(root)
    return sizes(sources) | texts(sources) | air(sources)
