"""The page of the expression language: each filter, test and method with an example that is evaluated here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openagents_json.testing import play
from openagents_json.workflow.expressions.functions.filters import FILTERS
from openagents_json.workflow.expressions.functions.members import OF_OBJECTS, OF_TEXTS
from openagents_json.workflow.expressions.functions.predicates import TESTS
from pages.text import code, table

INPUTS = {
    "name": "ada lovelace",
    "prices": [3, 1, 2, 3],
    "people": [
        {"name": "Ada", "age": 36, "city": "London"},
        {"name": "Blaise", "age": 39, "city": "Paris"},
        {"name": "Carl", "age": 77, "city": "London"},
    ],
    "stock": {"lamp": 2, "chair": 0},
}
"""What the examples refer to."""

Meanings = Mapping[str, tuple[str, str]]
"""A name -> what it means, and an example."""

FILTER_MEANINGS: Meanings = {
    "abs": ("the number without its sign", "-3 | abs"),
    "capitalize": (
        "the first letter large, the others small",
        "input.name | capitalize",
    ),
    "count": ("the same as `length`", "input.people | count"),
    "d": ("the same as `default`", "input.stock.sofa | d(0)"),
    "default": (
        "fills in for what is missing; with `true`, for what is empty, too",
        "input.stock.sofa | default(0)",
    ),
    "dictsort": (
        'the members of an object as pairs, by key, or `by="value"`; `reverse`',
        "input.stock | dictsort",
    ),
    "first": ("the first element, or character", "input.prices | first"),
    "float": (
        "a number with a point; what is none becomes 0.0, or the argument",
        '"2.5" | float',
    ),
    "int": (
        "a whole number; what is none becomes 0, or the argument; `base`",
        '"42" | int',
    ),
    "items": ("the members of an object as pairs", "input.stock | items"),
    "join": (
        "the elements as one text, with a text between them; `attribute` takes a member of each",
        'input.people | join(", ", attribute="name")',
    ),
    "last": ("the last element, or character", "input.prices | last"),
    "length": (
        "how many elements, members or characters there are",
        "input.people | length",
    ),
    "list": (
        "the elements as an array: the characters of a text, the keys of an object",
        '"abc" | list',
    ),
    "lower": ("in small letters", '"ADA" | lower'),
    "map": (
        "something of each element: a member (`attribute`, with a `default`), or what a filter makes of it",
        'input.people | map(attribute="age") | list',
    ),
    "max": ("the largest element; `attribute`", "input.prices | max"),
    "min": ("the smallest element; `attribute`", 'input.people | min(attribute="age")'),
    "reject": (
        "the elements for which a test does not hold",
        'input.prices | reject("odd") | list',
    ),
    "rejectattr": (
        "the elements for whose member a test does not hold",
        'input.people | rejectattr("city", "eq", "London") | map(attribute="name") | list',
    ),
    "replace": (
        "one text in the place of another",
        'input.name | replace("ada", "Ada")',
    ),
    "reverse": (
        "the elements, or characters, from the last to the first",
        "input.prices | reverse",
    ),
    "round": (
        'rounds to so many places; half goes to the even neighbour; or `method="ceil"`, `"floor"`',
        "3.14159 | round(2)",
    ),
    "select": (
        "the elements for which a test holds",
        'input.prices | select("gt", 1) | list',
    ),
    "selectattr": (
        "the elements for whose member a test holds",
        'input.people | selectattr("age", "lt", 40) | map(attribute="name") | list',
    ),
    "sort": (
        "the elements in their order; `attribute` (several with commas), `reverse`, `case_sensitive`",
        'input.people | sort(attribute="age", reverse=true) | map(attribute="name") | list',
    ),
    "string": ("as text", "42 | string"),
    "sum": (
        "the elements added up; `attribute`, `start`",
        'input.people | sum(attribute="age")',
    ),
    "title": ("each word begins with a large letter", "input.name | title"),
    "tojson": ("as JSON in a text, its keys sorted; `indent`", "input.stock | tojson"),
    "trim": (
        "without spaces, or the given characters, at both ends",
        '"  ada  " | trim',
    ),
    "truncate": (
        "cut to so many characters, the `end` (three dots) among them",
        "input.name | truncate(8, true)",
    ),
    "unique": ("each element once; `attribute`", "input.prices | unique | list"),
    "upper": ("in large letters", '"ada" | upper'),
    "wordcount": ("how many words there are", "input.name | wordcount"),
}

TEST_MEANINGS: Meanings = {
    "boolean": ("it is true or false", "true is boolean"),
    "defined": ("it is there", "input.stock.lamp is defined"),
    "divisibleby": ("it can be divided by a number", "9 is divisibleby(3)"),
    "eq": ("it equals; also `==`, `equalto`", "1 is eq(1.0)"),
    "equalto": ("the same as `eq`", '"a" is equalto("a")'),
    "escaped": ("never: texts are not escaped here", '"a" is escaped'),
    "even": ("it is an even number", "4 is even"),
    "false": ("it is `false`", "false is false"),
    "float": ("it is a number with a point", "1.0 is float"),
    "ge": ("it is greater, or equal; also `>=`", "2 is ge(2)"),
    "greaterthan": ("the same as `gt`", "3 is greaterthan(2)"),
    "gt": ("it is greater; also `>`", "3 is gt(2)"),
    "in": (
        "it is one of the elements, a key, or a part of the text",
        '"lamp" is in(input.stock)',
    ),
    "integer": ("it is a whole number", "1 is integer"),
    "iterable": ("it has elements", "input.prices is iterable"),
    "le": ("it is less, or equal; also `<=`", "2 is le(2)"),
    "lessthan": ("the same as `lt`", "1 is lessthan(2)"),
    "lower": ("it is in small letters", "input.name is lower"),
    "lt": ("it is less; also `<`", "1 is lt(2)"),
    "mapping": ("it is an object", "input.stock is mapping"),
    "ne": ("it does not equal; also `!=`", "1 is ne(2)"),
    "none": ("it is null", "none is none"),
    "number": ("it is a number", "1.5 is number"),
    "odd": ("it is an odd number", "3 is odd"),
    "sequence": (
        "it has a length, and elements by number or key",
        "input.prices is sequence",
    ),
    "string": ("it is a text", "input.name is string"),
    "true": ("it is `true`", "true is true"),
    "undefined": ("it is not there", "input.stock.sofa is undefined"),
    "upper": ("it is in large letters", '"ADA" is upper'),
}

TEXT_MEANINGS: Meanings = {
    "capitalize": (
        "the first letter large, the others small",
        "input.name.capitalize()",
    ),
    "count": ("how often a text is in it", 'input.name.count("a")'),
    "endswith": ("whether it ends so", 'input.name.endswith("lace")'),
    "find": ("where a text begins in it, or -1", 'input.name.find("love")'),
    "index": ("where a text begins in it, or an error", 'input.name.index("love")'),
    "isalpha": ("whether it has letters only", '"abc".isalpha()'),
    "isdigit": ("whether it has digits only", '"42".isdigit()'),
    "lower": ("in small letters", '"ADA".lower()'),
    "lstrip": (
        "without spaces, or the given characters, at its beginning",
        '"  ada".lstrip()',
    ),
    "replace": (
        "one text in the place of another, everywhere or so many times",
        'input.name.replace("a", "o", 1)',
    ),
    "rstrip": (
        "without spaces, or the given characters, at its end",
        '"ada!!".rstrip("!")',
    ),
    "split": ("its parts, between spaces or a given text", "input.name.split()"),
    "startswith": ("whether it begins so", 'input.name.startswith("ada")'),
    "strip": (
        "without spaces, or the given characters, at both ends",
        '"-ada-".strip("-")',
    ),
    "title": ("each word begins with a large letter", "input.name.title()"),
    "upper": ("in large letters", "input.name.upper()"),
}

OBJECT_MEANINGS: Meanings = {
    "get": (
        "a member, or else null, or the second argument",
        'input.stock.get("sofa", 0)',
    ),
    "items": ("its members as pairs", "input.stock.items()"),
    "keys": ("its keys", "input.stock.keys()"),
    "values": ("its values", "input.stock.values()"),
}

OPERATORS: Sequence[tuple[str, str]] = (
    (
        "`+` `-` `*` `/` `//` `%` `**`: numbers; `/` gives a number with a point, `//` a whole one",
        "7 // 2 + 7 % 2",
    ),
    ("`~`: texts put together", '"lamps: " ~ input.stock.lamp'),
    (
        "`==` `!=` `<` `<=` `>` `>=`: comparisons, also in a chain",
        "1 < input.stock.lamp <= 2",
    ),
    (
        "`in`, `not in`: an element, a key, a part of a text",
        '"sofa" not in input.stock',
    ),
    ("`is`, `is not`: a test", "input.stock.lamp is not odd"),
    ("`and`, `or`, `not`", "input.stock.lamp and not input.stock.chair"),
    ("`a if condition else b`: one of two", '"some" if input.stock.lamp else "none"'),
    (
        "`value | filter`: a filter; several are done from left to right",
        "input.prices | sort | first",
    ),
    ("`value.name`, `value[key]`: a member", 'input.stock["lamp"]'),
    ("`value[from:to]`: a part of an array or a text", "input.prices[1:3]"),
    (
        "`[...]`, `{...}`: arrays and objects",
        '{"total": input.prices | sum, "first": [input.prices[0]]}',
    ),
)

BEGIN = """# Expressions

<!-- Written by scripts/reference. Meanings and examples stand in scripts/pages/expressions.py. -->

What may stand between `{{` and `}}` in a [document](workflow.md#templates). The lists are closed: whatever is not in
them is refused by `validate`. Each result below is what the engine gives.

The examples are evaluated with these inputs:

"""


def page() -> str:
    """Return the page; a filter, test or method without a meaning, or one that is no more, is an error."""
    sections = [
        ("Filters", "filter", FILTER_MEANINGS, FILTERS),
        ("Tests", "test", TEST_MEANINGS, [name for name in TESTS if name.isalpha()]),
        ("Methods of texts", "method", TEXT_MEANINGS, OF_TEXTS),
        ("Methods of objects", "method", OBJECT_MEANINGS, OF_OBJECTS),
    ]
    lines = ["```json", json.dumps(INPUTS, indent=2), "```", "", "## Operators", ""]
    results = evaluated([example for _, example in OPERATORS])
    rows = zip(OPERATORS, results, strict=True)
    lines += table(
        ["operator", "example", "gives"],
        [[_escaped(meaning), code(e), code(r)] for (meaning, e), r in rows],
    )
    for title, kind, meanings, names in sections:
        _check(title, meanings, names)
        lines += [f"## {title}", "", *_rows(kind, meanings)]
    return BEGIN + "\n".join([*lines, *END])


def _rows(kind: str, meanings: Meanings) -> list[str]:
    results = evaluated([example for _, example in meanings.values()])
    rows = zip(meanings.items(), results, strict=True)
    return table(
        [kind, "meaning", "example", "gives"],
        [
            [code(name), _escaped(meaning), code(e), code(r)]
            for (name, (meaning, e)), r in rows
        ],
    )


def _escaped(meaning: str) -> str:
    return meaning.replace("|", "\\|")


def _check(title: str, meanings: Meanings, names: Iterable[str]) -> None:
    missing = sorted(set(names) - set(meanings))
    surplus = sorted(set(meanings) - set(names))
    if missing or surplus:
        raise SystemExit(
            f"{title}: without a meaning in scripts/pages/expressions.py: {missing}; not there any more: {surplus}"
        )


def evaluated(examples: Sequence[str]) -> list[str]:
    """Return what the engine gives for each expression, as JSON: a run in memory puts them into its output."""
    document: dict[str, Any] = {
        "id": "examples",
        "inputs": {name: {} for name in INPUTS},
        "steps": [{"id": "nothing", "sleep": 0}],
        "output": [f"{{{{{example}}}}}" for example in examples],
    }
    done = play(document, INPUTS)
    assert done.status == "completed", done.error
    return [json.dumps(result) for result in done.output]


END = [
    "## Members that are not there",
    "",
    "A member that is not there is an error, which names what is there. `default` fills in for it. The result of a",
    "step that was skipped is null, and so is whatever is looked up in it: see [templates](workflow.md#templates).",
    "",
    "What an evaluation may cost is [bounded](workflow.md#what-an-evaluation-may-cost).",
    "",
]
