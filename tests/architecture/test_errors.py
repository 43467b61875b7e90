"""The tree of errors: every class of ours is in it, says a code of its own, and crosses the boundary of a process."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import pickle
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cli.failing.advice import ADVICE
from eventstore.errors import EventStoreError
from eventstore.event import Position, Recorded
from executor.errors import (
    AnotherHistory,
    EncryptionError,
    InPart,
    NoSuchVersion,
    RunNotFound,
)
from openagents_json.components.errors import ComponentExit, RetryableError
from openagents_json.engine.errors import HealError, NotArchived, WaitTimeout
from openagents_json.errors import Conflict, OpenAgentsError, RunUnreadable, file_errors
from openagents_json.workflow.errors import REJECTIONS, InvalidDefinition, Rejected
from openagents_json.workflow.language.validate import validate
from projections.errors import ProjectionFailed

ROOMS = ("eventstore", "projections", "executor", "openagents_json", "cli")
ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "error_codes.json"


def every_module() -> Iterator[Any]:
    for room in ROOMS:
        package = importlib.import_module(room)
        yield package
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                yield importlib.import_module(module.name)


@cache
def exceptions() -> list[type[BaseException]]:
    """Return the classes of exceptions that modules of ours define."""
    kinds = {
        kind
        for module in every_module()
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, BaseException)
        and kind.__module__.split(".")[0] in ROOMS
    }
    return sorted(kinds, key=lambda kind: kind.__name__)


def errors() -> list[type[OpenAgentsError]]:
    return [kind for kind in exceptions() if issubclass(kind, OpenAgentsError)]


def test_no_exception_of_ours_stands_outside_of_the_tree() -> None:
    assert [
        kind for kind in exceptions() if not issubclass(kind, OpenAgentsError)
    ] == []
    assert len(errors()) > 100


def test_each_error_says_a_code_of_its_own() -> None:
    assert [kind.__name__ for kind in errors() if "code" not in vars(kind)] == []
    codes = [kind.code for kind in errors()]
    assert [
        code for code in codes if not code.isidentifier() or code != code.lower()
    ] == []
    assert sorted(codes) == sorted(set(codes))


def test_no_code_and_no_status_ever_changes() -> None:
    """Programs of users decide by them: a line may be added to this file, and none may be changed."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["errors"] == {
        kind.code: [kind.exit_status, kind.http_status] for kind in errors()
    }
    assert golden["rejections"] == sorted(REJECTIONS)


def test_every_code_of_a_rejection_is_known() -> None:
    """Of those that stand in the program; those that are the status of a run are known by their names."""
    used = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            used |= set(re.findall(r"""Rejected\(\s*"([a-z_]+)\"""", path.read_text()))
    assert len(used) > 15
    assert used - REJECTIONS.keys() == set()


def test_the_reference_lists_every_code() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "errors", "--check"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "docs/reference/errors.md is as scripts/errors writes it\n",
    )


COMMAND = re.compile(
    r"\bopenagents (audit|dev|doctor|init|keys|run|runs|schedules|steps|validate|worker|workers|workflows)\b"
)


def texts_of(path: Path) -> Iterator[str]:
    """Return the texts of a module that are no documentation."""
    tree = ast.parse(path.read_text())
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in told:
            yield str(node.value)


def test_messages_for_programs_speak_of_no_commands() -> None:
    """Commands give advice of their own (`cli.failing.advice`); findings of the doctor are for people."""
    paths = [path for room in ROOMS[:-1] for path in (ROOT / room).rglob("*.py")]
    speaking = [
        (str(path.relative_to(ROOT)), text)
        for path in paths
        if path.parent.name != "diagnosis"
        for text in texts_of(path)
        if COMMAND.search(text)
    ]
    assert speaking == []


def test_commands_advise_on_errors_that_there_are() -> None:
    codes = {kind.code for kind in errors()} | set(REJECTIONS)
    assert {name.partition(":")[0] for name in ADVICE} <= codes


def test_what_to_do_is_apart_from_what_happened() -> None:
    error = NotArchived("0-x")
    assert (error.remedy, str(error)) == ("", "run 0-x is not in the archive")
    limited = Conflict("it is there; already", remedy="take another one")
    assert str(limited) == "it is there; already; take another one"
    assert sent(limited).remedy == "take another one"
    with pytest.raises(OpenAgentsError) as told, file_errors("here", "go away"):
        raise PermissionError(13, "no")
    assert (told.value.remedy, str(told.value)) == ("go away", "here: no; go away")


def test_errors_of_a_room_stand_in_one_module() -> None:
    assert [
        kind.__name__
        for kind in errors()
        if kind.__module__.rpartition(".")[2] != "errors"
    ] == []


def test_names_of_errors_are_unique() -> None:
    names = [kind.__name__ for kind in errors()]
    assert sorted(names) == sorted(set(names))


def test_statuses_are_those_of_a_failure() -> None:
    assert {kind.exit_status for kind in errors()} == {1, 2, 4, 5, 6, 7, 8}
    assert [kind for kind in errors() if not 400 <= kind.http_status < 600] == []


VALUES: dict[str, Any] = {
    "Mapping[str, Any]": {"type": "ValueError", "message": "no", "step": "s"},
    "Mapping[str, Any] | None": {"type": "ValueError", "message": "no", "step": "s"},
    "str": "run-1",
    "str | None": "step-1",
    "int": 3,
    "bool": True,
    "float": 1.5,
    "float | str": 1.5,
    "object": 7,
    "Path": Path("data"),
    "tuple[str, ...]": ("a", "b"),
    "Iterable[str]": ["a", "b"],
    "Sequence[tuple[str, str]]": [("/a", "is missing")],
    "Sequence[str | int]": ["a", 0],
    "Sequence[str]": ["3"],
    "BaseException": ValueError("out of range"),
    "Recorded": Recorded(
        "0-1", 1, Position(0, 1), 0, "c1", "me", "", "RunStarted", {}, {}
    ),
}


def example(kind: type[OpenAgentsError]) -> OpenAgentsError:
    """Make an error with arguments of the types that it wants."""
    if kind is InvalidDefinition:
        return InvalidDefinition(validate({"id": "x"}))
    if "__init__" not in {
        name
        for base in kind.__mro__
        if issubclass(base, OpenAgentsError) and base is not OpenAgentsError
        for name in vars(base)
    }:
        return kind("what happened; what to do")
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        arguments[name] = VALUES[parameter.annotation]
    return (
        kind(**arguments)
        if kind is not RetryableError
        else RetryableError("later", retry_after=2)
    )


def sent(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


def shown(value: Any) -> Any:
    """Return a value so that it can be compared with its copy; exceptions are never equal to another."""
    return (type(value), str(value)) if isinstance(value, BaseException) else value


# By their codes, which are kept: to gather the classes takes every module of ours, in each worker of pytest-xdist.
@pytest.mark.parametrize("code", json.loads(GOLDEN.read_text())["errors"])
@pytest.mark.parametrize("copied", [sent, copy.copy, copy.deepcopy])
def test_each_error_is_the_same_in_another_process(
    code: str, copied: Callable[[Any], Any]
) -> None:
    [kind] = [kind for kind in errors() if kind.code == code]
    error = example(kind)
    error.add_note("seen by a worker")
    again = copied(error)
    assert type(again) is kind
    assert (str(again), again.args, again.code) == (str(error), error.args, error.code)
    assert list(map(shown, vars(again).values())) == list(
        map(shown, vars(error).values())
    )
    assert vars(again).keys() == vars(error).keys()


class Entangled(Exception):
    """An error of somebody's library, which pickle can write and cannot read again."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


def test_what_cannot_cross_to_another_process_is_told_as_text() -> None:
    again = sent(ComponentExit("bank.charge", Entangled("no answer", "port 7")))
    assert again.error == "no answer at port 7"
    assert str(again) == "component bank.charge raised Entangled: no answer at port 7"
    event = VALUES["Recorded"]
    failed = sent(ProjectionFailed("totals", event, Entangled("no answer", "port 7")))
    assert (failed.event, failed.error) == (event, "no answer at port 7")


@pytest.mark.parametrize(
    "kind", [RunNotFound, NoSuchVersion, AnotherHistory, InPart, NotArchived]
)
def test_what_programs_catch_as_a_lookup_error_still_is_one(
    kind: type[Exception],
) -> None:
    assert issubclass(kind, LookupError)


def test_what_programs_catch_as_other_errors_of_python_still_is_one() -> None:
    assert issubclass(WaitTimeout, TimeoutError)
    assert issubclass(HealError, RuntimeError)


def test_a_run_that_cannot_be_read_is_one_kind() -> None:
    names = {kind.__name__ for kind in errors() if issubclass(kind, RunUnreadable)}
    assert names >= {
        "RunNotFound",
        "BrokenHistory",
        "UnknownEvent",
        "DefinitionMissing",
        "DefinitionChanged",
    }
    assert names >= {
        "BlobMissing",
        "BlobChanged",
        "HeadUnreadable",
        "RunSealed",
        "KeyMissing",
        "DamagedPayload",
    }
    assert not issubclass(EncryptionError, EventStoreError)


def test_a_rejection_says_in_its_own_code_what_does_not_fit() -> None:
    rejected = sent(Rejected("closed", "the run is completed", "completed"))
    assert (rejected.code, Rejected.code, rejected.status) == (
        "closed",
        "rejected",
        "completed",
    )
    assert isinstance(rejected, Conflict)


def test_what_befalls_a_file_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with (
        pytest.raises(OpenAgentsError) as told,
        file_errors(missing, "name one that is there"),
    ):
        missing.read_bytes()
    assert (
        str(told.value)
        == f"{missing}: No such file or directory; name one that is there"
    )
    assert isinstance(told.value, OSError)
