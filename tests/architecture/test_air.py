"""How the code reads: names say type or role, and a line holds about one thought."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.measures import (
    SILENT_NAMES,
    Module,
    branches,
    density,
    function_lines,
    house_words,
    modules,
)

ROOT = Path(__file__).resolve().parents[2]

measured_once = pytest.mark.xdist_group("air")
"""Puts a test beside the others that measure the product, so that it is measured once."""

PRINTED = {("openagents_json/workflow/language/problems.py", "found")}
"""Fields that are printed as JSON: what users read keeps its name."""

MOST_BRANCHES = 22.6
"""Branches in 100 lines of code, over the whole product; it may be lowered, and is not raised."""

MOST_BRANCHES_OF_A_FOLDER = 24
"""The same for a folder that is not named below."""

DENSE_FOLDERS = {
    "cli": 27,
    "cli/commands/dev": 25,
    "cli/commands/runs/inspection": 29,
    "cli/commands/runs/steering": 27,
    "cli/inputs": 25,
    "cli/live": 27,
    "eventstore/redis/driver": 27,
    "eventstore/redis/driver/fitness": 26,
    "executor/attempts": 25,
    "executor/coordination": 25,
    "executor/histories": 26,
    "executor/integrity": 32,
    "executor/runs": 27,
    "openagents_json": 30,
    "openagents_json/catalog": 28,
    "openagents_json/components": 27,
    "openagents_json/components/declared": 27,
    "openagents_json/components/declared/openapi": 27,
    "openagents_json/components/library/databases": 28,
    "openagents_json/components/library/mail": 26,
    "openagents_json/components/library/places": 26,
    "openagents_json/engine/archive": 25,
    "openagents_json/engine/diagnosis": 30,
    "openagents_json/engine/handles": 26,
    "openagents_json/engine/healing": 26,
    "openagents_json/engine/inputs": 28,
    "openagents_json/engine/inspection": 27,
    "openagents_json/engine/pictures": 26,
    "openagents_json/engine/profiles": 25,
    "openagents_json/workflow": 27,
    "openagents_json/workflow/core": 31,
    "openagents_json/workflow/core/decide": 31,
    "openagents_json/workflow/core/fold": 28,
    "openagents_json/workflow/expressions": 30,
    "openagents_json/workflow/expressions/functions": 29,
    "openagents_json/workflow/history": 29,
    "openagents_json/workflow/language": 26,
    "openagents_json/workflow/language/checks": 26,
    "openagents_json/workflow/language/yaml_text": 26,
    # Each keyword of JSON Schema is a case of its own.
    "openagents_json/workflow/validation/schemas": 42,
    "projections": 25,
}
"""Folders that are denser: their limits are lowered with them, and none is added without a reason beside it."""

SLACK = 4
"""How far a folder may lie below its limit, before the limit has to follow."""


def parsed(text: str) -> Module:
    return Module(Path("module.py"), text)


@cache
def product() -> list[Module]:
    return modules(ROOT)


@cache
def folders() -> dict[str, float]:
    by_folder: dict[str, list[Module]] = defaultdict(list)
    for module in product():
        by_folder[str(module.path.parent.relative_to(ROOT))].append(module)
    return {folder: density(inside) for folder, inside in by_folder.items()}


@measured_once
def test_names_say_type_or_role() -> None:
    silent = []
    outside = modules(ROOT, ("benchmarks", "examples", "tests"))
    for line in house_words([*product(), *outside]):
        where, name = line.removeprefix(f"{ROOT}/").rsplit(" ", 1)
        if (where.partition(":")[0], name) not in PRINTED:
            silent.append(f"{where} {name}")
    assert silent == []


@pytest.mark.parametrize("word", sorted(SILENT_NAMES))
def test_a_name_is_seen_wherever_it_is_bound(word: str) -> None:
    texts = [
        f"{word} = 1",
        f"{word}: int = 1",
        f"first, {word} = pair",
        f"(pair := 1, {word} := 2)",
        f"thing.{word} = 1",
        f"thing._{word} = 1",
        f"def function({word}): ...",
        f"def function(*, {word}=1): ...",
        f"function = lambda {word}: 1",
        f"for {word} in pair: ...",
        f"pair = [1 for {word} in pair]",
        f"with pair as {word}: ...",
        f"try: ...\nexcept OSError as {word}: ...",
        f"match pair:\n    case [{word}, *_]: ...",
    ]
    unseen = [text for text in texts if not list(house_words([parsed(text)]))]
    assert unseen == []


def test_a_name_that_is_only_read_is_somebody_elses() -> None:
    assert list(house_words([parsed("count = thing.found + made")])) == []


@measured_once
def test_the_product_has_air() -> None:
    assert density(product()) <= MOST_BRANCHES


@measured_once
def test_no_folder_gets_denser() -> None:
    limits = defaultdict(lambda: MOST_BRANCHES_OF_A_FOLDER, DENSE_FOLDERS)
    dense = {
        folder: measured
        for folder, measured in folders().items()
        if measured > limits[folder]
    }
    assert dense == {}


@measured_once
def test_limits_follow_folders_that_got_air() -> None:
    """A limit far above its folder would let it get dense again."""
    measured = folders()
    loose = {
        folder: measured.get(folder)
        for folder, limit in DENSE_FOLDERS.items()
        if limit - measured.get(folder, 0.0) > SLACK
    }
    assert loose == {}, "lower the limit, or strike it out"


def test_branches_are_counted_in_a_hundred_lines() -> None:
    straight = "def function():\n" + "    call()\n" * 9
    branching = "def function():\n" + "    call() if ready else wait()\n" * 9
    assert (density([parsed(straight)]), density([parsed(branching)])) == (0.0, 90.0)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("if a: b()\nelif c: d()\nelse: e()", 2),
        ("b = a if c else d", 1),
        ("for a in b: c()", 1),
        ("while a: b()", 1),
        ("try: a()\nexcept B: c()\nexcept D: e()\nfinally: f()", 2),
        ("match a:\n    case 1: b()\n    case _: c()", 2),
        ("a = b and c and d", 1),
        ("a = b and (c or d)", 2),
        ("a = [b for c in d for b in c if b if c]", 2),
        ("assert a", 0),
        ("with a: b()", 0),
        ("a = lambda: b", 0),
    ],
)
def test_what_a_branch_is(code: str, count: int) -> None:
    assert branches(ast.parse(code)) == count


def test_lines_are_those_of_code_in_functions() -> None:
    text = """
@decorator
def function(
    parameter,
):
    \"\"\"Return it,

    whatever it is.
    \"\"\"
    # a comment

    def inner():
        \"\"\"Return it.\"\"\"
        return parameter

    return inner

TABLE = {
    "a": 1,
}
"""
    lines = text.splitlines()
    counted = [lines[n - 1].strip() for n in sorted(function_lines(parsed(text)))]
    assert counted == [
        "def function(",
        "parameter,",
        "):",
        "def inner():",
        "return parameter",
        "return inner",
    ]
