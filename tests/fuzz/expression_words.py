"""Words and pieces of expressions to be put together."""

from __future__ import annotations

from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.predicates import TESTS

OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<")

LITERALS = (
    "1",
    "-2",
    "0.5",
    "'x'",
    "'a,b'",
    "true",
    "none",
    "[1, 'a']",
    "{'k': 5}",
    "(1, 2)",
)

SYNTAX = (
    *OPERATORS,
    *(
        "<=",
        ">",
        ">=",
        "=",
        "in",
        "and",
        "or",
        "not",
        "is",
    ),
    *(
        "if",
        "else",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ".",
        "|",
        "'",
        '"',
        "[0]",
        "[-1]",
        "[1:]",
        "[::2]",
    ),
    *(
        "'x'",
        "'a,b'",
        "0",
        "1",
        "-2",
        "0.5",
        "9",
        "1e3",
        "true",
        "none",
        "[]",
        "{}",
        "[1, 'a']",
        "{'k': 5}",
        "(1, 2)",
    ),
    *(
        "(2)",
        "('k')",
        "(attribute='k')",
        "(true)",
        "(',')",
        "('a', 'b')",
        "default=9",
        "reverse=true",
        "start=[]",
    ),
)

NAMES = ("n", "f", "t", "e", "z", "y", "l", "w", "o", "r")

WORDS: tuple[str, ...] = (
    *SYNTAX,
    *NAMES,
    *(f"| {name}" for name in FILTERS),
    *(f"is {name}" for name in TESTS),
)

ATOMS = (
    *NAMES,
    *LITERALS,
    "''",
    "[]",
    "2 ** 70",
)

BINARY = (
    *OPERATORS,
    ">=",
    "in",
    "not in",
    "and",
    "or",
)

ARGUMENTS: tuple[str, ...] = (
    "",
    "()",
    "(2)",
    "('k')",
    "(attribute='k')",
    "('g', 'equalto', 'x')",
    "('equalto', 1)",
    "(true)",
    "(',')",
)

MEMBERS = (
    ".k",
    "['k']",
    "[0]",
    "[-1]",
    "[1:]",
    "[::2]",
    "[:n]",
    ".items",
    "[n]",
    "['a']",
    ".a.k",
    "[t]",
)

LAZY = (
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "unique",
    "reverse",
    "items",
)
