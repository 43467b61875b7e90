"""The engine is the one door: what the command line needs is behind it, and programs come in by the same settings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openagents_json import engine
from openagents_json.engine import Engine, Settings
from openagents_json.errors import OpenAgentsError

ROOT = Path(__file__).resolve().parents[2]
OF_THE_COMMAND_LINE = (
    "openagents_json.client",
    "openagents_json.engine",
    "openagents_json.errors",
    "openagents_json.server",
)
OTHERWISE_IN_PROGRAMS = {
    "actor",
    "audit_key",
    "broker",
    "components",
    "encryption_keys",
    "leases",
    "partitions",
}
"""Arguments of programs that have another type or default than the variable of the environment."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_command_line_needs_the_engine_the_services_and_the_errors_alone() -> None:
    past_the_engine = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted((ROOT / "cli").rglob("*.py"))
        for module in imported(path)
        if module.partition(".")[0] == "openagents_json"
        and not f"{module}.".startswith(
            tuple(f"{name}." for name in OF_THE_COMMAND_LINE)
        )
    }
    assert past_the_engine == set()


@pytest.mark.parametrize("opening", [Engine.embedded, Engine.connect])
def test_programs_get_the_defaults_of_the_settings(
    opening: Callable[..., Engine],
) -> None:
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(opening).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    common = given.keys() & Settings.model_fields.keys() - OTHERWISE_IN_PROGRAMS
    settings = Settings()
    assert {name: given[name] for name in common} == {
        name: getattr(settings, name) for name in common
    }
    assert {"durability", "lease_ms", "prefix"} <= common


def test_the_engine_exports_the_errors_that_it_says_it_raises() -> None:
    documented = {
        name
        for _, member in inspect.getmembers(Engine)
        for sentence in re.findall(r"Raises ([^.]+)", inspect.getdoc(member) or "")
        for name in re.findall(r"\b[A-Z]\w*[a-z]\b", sentence)
    }
    assert len(documented) > 8
    missing = {name for name in documented if not hasattr(engine, name)}
    assert missing == set()
    families = {getattr(engine, name) for name in documented}
    assert {kind for kind in families if not issubclass(kind, OpenAgentsError)} == set()
    assert engine.OpenAgentsError is OpenAgentsError
