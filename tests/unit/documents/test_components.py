"""Components: declared, bound, found, pooled, loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import gc
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as s
from pydantic import BaseModel

from eventstore.codec import normalise
from openagents_json import (
    Context,
    NonRetryableError,
    Registry,
    RetryableError,
    agent,
    capability,
    tool,
)
from openagents_json.catalog.loader import load
from openagents_json.components.binding import Signature, plain
from openagents_json.components.context import CancelToken
from openagents_json.components.errors import (
    CancelledByEngine,
    CannotLoad,
    InvalidComponentInput,
    InvalidDeclaration,
    UnknownComponent,
    describe_error,
)
from openagents_json.components.pool import InstancePool

ANY_JSON = s.recursive(
    s.none()
    | s.booleans()
    | s.integers()
    | s.floats(allow_nan=False, allow_infinity=False)
    | s.text(max_size=5),
    lambda inner: (
        s.lists(inner, max_size=3)
        | s.dictionaries(s.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def _nothing_stays_declared() -> Iterator[None]:
    """Forget what a test declares: an engine that is given no components has all that the program has declared."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("openagents_components_"):
            del sys.modules[name]
    gc.collect()


def context(token: CancelToken | None = None) -> Context:
    return Context(
        "0-r",
        "s",
        "w",
        1,
        "0-r/s",
        None,
        token or CancelToken(),
        lambda: 0,
        lambda _: None,
    )


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Model(BaseModel):
    name: str


def test_decorators_leave_the_object_as_it_is_and_work_inside_and_outside_a_class() -> (
    None
):
    @agent("bot", version="2.0.0")
    class Bot:
        @capability("say")
        def speak(self, text: str) -> str:
            return text.upper()

        @capability
        def listen(self) -> str:
            return "..."

    @capability("sing", agent_name="bot")
    def sing(text: str = "la") -> str:
        return text

    @tool
    def bare(n: int) -> int:
        return n + 1

    registry = Registry()
    for thing in (Bot, sing, bare):
        registry.add(thing)
    assert (Bot().speak("a"), sing(), bare(1)) == ("A", "la", 2)
    assert {"bot.say", "bot.listen", "bot.sing", "bare"} <= set(registry.names())
    assert registry.resolve("bot.say").invoke({"text": "hi"}, context()) == "HI"
    assert registry.resolve("bot.say").spec.version == "2.0.0"


def test_the_context_is_injected_by_annotation_or_by_name() -> None:
    @tool("one")
    def one(where: Context, n: int = 1) -> str:
        return f"{where.step_id}{n}"

    @tool("two")
    def two(context, n=2):  # type: ignore[no-untyped-def]
        return f"{context.run_id}{n}"

    registry = Registry()
    registry.add(one)
    registry.add(two)
    assert registry.resolve("one").invoke({}, context()) == "s1"
    assert registry.resolve("two").invoke({"n": 5}, context()) == "0-r5"
    assert [p.name for p in registry.find("one").inputs or ()] == ["n"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [1, 2.0], [1.5, True, "1", None]),
        (float, [1, 1.5], ["x", None]),
        (str, ["a"], [1, None, ["a"]]),
        (bool, [True], [1, "true"]),
        (list[int], [[1, 2]], [["x"], "x", 3]),
        (dict[str, int], [{"a": 1}], [{"a": "x"}, []]),
        (int | None, [1, None], ["x"]),
        (Literal["a", "b"], ["a"], ["c"]),
        (Model, [{"name": "n"}], [{"name": 1}, {}, "n"]),
        (Point, [{"x": 1}], [{"x": "a"}, {}]),
        (Colour, ["red"], ["blue"]),
        (date, ["2026-01-01"], ["soon"]),
    ],
)
def test_parameters_are_checked_by_their_annotations(
    hint: Any, good: list[Any], bad: list[Any]
) -> None:
    def function(value):  # type: ignore[no-untyped-def]
        return value

    function.__annotations__["value"] = hint
    signature = Signature(function, "f", method=False)
    for value in good:
        signature.bind({"value": value})
    for value in bad:
        with pytest.raises(InvalidComponentInput, match="input value"):
            signature.bind({"value": value})


@given(s.dictionaries(s.sampled_from(["a", "b", "c"]), ANY_JSON))
def test_any_inputs_are_taken_or_refused_by_name(inputs: dict[str, Any]) -> None:
    def function(a: int, b: str = "x") -> None:
        """Take two."""

    try:
        bound = Signature(function, "f", method=False).bind(inputs)
    except InvalidComponentInput as error:
        refused = error.path
    else:
        refused = ""
        function(**bound)
    assert refused in ("", "a", "b", "c")
    assert refused or set(inputs) <= {"a", "b"}


@given(ANY_JSON)
def test_json_results_stay_as_they_are(value: Any) -> None:
    assert normalise(plain(value)) == value


def test_models_and_dataclasses_become_plain() -> None:
    value = {"m": Model(name="n"), "p": (Point(1), [Colour.RED]), "d": date(2026, 1, 2)}
    assert plain(value) == {
        "m": {"name": "n"},
        "p": [{"x": 1, "y": 0}, ["red"]],
        "d": "2026-01-02",
    }


def test_versions_are_chosen_by_range_and_prereleases_only_when_nothing_else_is_there() -> (
    None
):
    registry = Registry()
    for version in ("1.0.0", "1.2.0", "2.0.0", "3.0.0-rc.1"):
        registry.add(tool("t", version=version)(lambda v=version: v))
    chosen = {
        ask: registry.find(ask)
        for ask in ("t", "t@^1.0.0", "t@~1.0.0", "t@9", "t@nonsense", "u")
    }
    assert {ask: spec and spec.version for ask, spec in chosen.items()} == {
        "t": "2.0.0",
        "t@^1.0.0": "1.2.0",
        "t@~1.0.0": "1.0.0",
        "t@9": None,
        "t@nonsense": None,
        "u": None,
    }
    registry.add(tool("longer")(lambda: 1))
    with pytest.raises(UnknownComponent, match="did you mean 'longer'"):
        registry.resolve("longr")


def test_a_declaration_that_makes_no_component_is_refused() -> None:
    class Empty:
        """No capability."""

    for thing in (
        agent("e")(Empty),
        tool("two words")(lambda: 1),
        tool("v", version="one")(lambda: 1),
        7,
    ):
        with pytest.raises(InvalidDeclaration):
            Registry().add(thing)
    registry = Registry()
    registry.add(tool("same")(lambda: 1))
    with pytest.raises(InvalidDeclaration, match="declared twice"):
        registry.add(tool("same")(lambda: 2))


class Counted:
    """Counts its life."""

    all_of_them: ClassVar[list[Counted]] = []

    def __init__(self) -> None:
        self.state = "new"
        Counted.all_of_them.append(self)

    async def initialize(self) -> None:
        self.state = "ready"

    def health_check(self) -> bool:
        return self.state == "ready"

    def cleanup(self) -> None:
        self.state = "gone"


def test_instances_are_made_once_looked_after_and_replaced_when_broken() -> None:
    Counted.all_of_them.clear()
    pool = InstancePool(Counted)
    with pool.borrowed() as first, pool.borrowed() as second:
        assert first is not second
        assert first.state == "ready"
    with pool.borrowed() as again:
        assert again in (first, second)
        again.state = "broken"
    with pool.borrowed() as other:
        assert other.state == "ready"
    pool.close()
    assert len(Counted.all_of_them) == 2
    assert {instance.state for instance in Counted.all_of_them} == {"gone"}


def test_an_initialisation_that_fails_is_the_failure_of_the_call_also_on_a_loop() -> (
    None
):
    class Broken:
        async def initialize(self) -> None:
            raise ValueError("no model")

    async def borrow() -> None:
        with InstancePool(Broken).borrowed():
            raise AssertionError("it was not initialised")

    for attempt in (
        lambda: asyncio.run(borrow()),
        lambda: InstancePool(Broken).shared(),
    ):
        with pytest.raises(ValueError, match="no model"):
            attempt()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("x = (", "SyntaxError"),
        ("import no_such_thing", "no_such_thing"),
        ("from openagents_json import tool\n@tool('a b')\ndef f(): ...", "one word"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_one_error(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(CannotLoad, match=says):
        load([str(tmp_path / "c.py")])


def test_a_program_may_have_its_own_component_in_the_place_of_a_built_in(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.py").write_text(
        "from openagents_json import tool\n@tool('echo')\ndef echo(x: int) -> int:\n  return -x"
    )
    registry = load([str(tmp_path / "c.py")])
    assert registry.resolve("echo").invoke({"x": 3}, context()) == -3
    assert registry.resolve("noop").invoke({}, context()) is None


def test_tokens_tell_once_and_wake_whoever_waits() -> None:
    token = CancelToken()
    told: list[Any] = []
    token.on_cancel(told.append)
    assert token.wait(0) is False
    token.cancel("first")
    token.cancel("second")
    token.on_cancel(told.append)
    assert (told, token.reason, token.wait(0)) == (["first", "first"], "first", True)
    with pytest.raises(CancelledByEngine, match="first"):
        context(token).heartbeat()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "retryable", "after"),
    [
        (ValueError("x"), True, None),
        (NonRetryableError("x"), False, None),
        (RetryableError("x", retry_after=1.5), True, 1500),
        (InvalidComponentInput("c", "p", "r"), False, None),
        (Unspeakable(), True, None),
        (SystemExit(3), True, None),
        (ValueError("\ud800" * 9999), True, None),
    ],
)
def test_errors_become_data(
    error: BaseException, retryable: bool, after: int | None
) -> None:
    described = describe_error(error)
    assert (described["type"], described["retryable"]) == (
        type(error).__name__,
        retryable,
    )
    assert described.get("retry_after_ms") == after
    assert len(described["message"]) <= 2000
    assert normalise(described) == described


def test_a_module_hands_on_what_it_names_in_all(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(
        "from openagents_json import tool\n\n\n@tool('read')\ndef read() -> int:\n    return 1\n\n\n"
        "@tool('write')\ndef write() -> int:\n    return 2\n"
    )
    handed_on = tmp_path / "second.py"
    handed_on.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom first import read, write\n__all__ = ['read']\n"
    )
    names = load([str(handed_on)], announced=False).names()
    assert list(names) == ["read"]
