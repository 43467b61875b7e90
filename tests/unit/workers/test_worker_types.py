"""Worker types are configured part by part, in a file, the environment and code; each part says where it comes from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from executor.attempts.step_limits import StepLimits
from openagents_json import tool
from openagents_json.catalog.registry import Registry
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.engine import Settings
from openagents_json.engine.errors import InvalidProfile, InvalidSetting
from openagents_json.engine.profiles.resolve import resolve
from openagents_json.engine.profiles.schema import profiles_schema
from openagents_json.engine.settings import from_environment
from openagents_json.engine.worker_types.settle import (
    check_memory,
    pool_of,
    processes_of,
    work_settings,
    worker_settings,
)
from openagents_json.engine.workers import _without_components

FILE = """\
[profiles.default]
concurrency = 3
leases = {tool = "5s"}

[profiles.default.worker_types.agent]
pool = "prefork"
memory_mb = 900
lease_ms = 60000
max_processes = 4

[profiles.default.worker_types.agent.components."writer.write"]
memory_mb = 1200
max_attempts = 2

[profiles.default.worker_types.tool]
prefetch = 1
"""
VARIABLES = {
    "OPENAGENTS_WORKER_TYPES__AGENT__CONCURRENCY": "8",
    "OPENAGENTS_WORKER_TYPES__TOOL__PREFETCH": "2",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "openagents.toml").write_text(FILE)
    return tmp_path


def read(folder: Path, environment: Mapping[str, str], **values: Any) -> Settings:
    return Settings.from_profile(folder=folder, environment=environment, **values)


def test_each_layer_says_parts_and_leaves_the_others_as_they_are(folder: Path) -> None:
    in_code = {"agent": {"memory_mb": 700}, "gpu": {"queue": "render"}}
    settings = read(folder, VARIABLES, worker_types=in_code)
    agent, tool = settings.worker_types["agent"], settings.worker_types["tool"]
    assert (agent.pool, agent.concurrency, agent.memory_mb) == ("prefork", 8, 700)
    assert agent.components["writer.write"].memory_mb == 1200
    assert (tool.prefetch, settings.worker_types["gpu"].queue) == (2, "render")
    assert from_environment(VARIABLES).worker_types["agent"].concurrency == 8


def test_each_part_says_where_it_comes_from(folder: Path) -> None:
    from openagents_json.engine.worker_types.listing import parts_of

    given = {"worker_types": {"tool": {"max_attempts": 5}}}
    resolved = resolve(Settings, given, environment=VARIABLES, folder=folder)
    shown = {part.name: part for part in parts_of(resolved)}
    file = folder / "openagents.toml"
    by_file = {
        "worker_types.agent.pool": ("prefork", f"{file}:6"),
        "worker_types.agent.memory_mb": (900, f"{file}:7"),
        'worker_types.agent.components."writer.write".max_attempts': (2, f"{file}:13"),
        "worker_types.tool.concurrency": (3, f"{file}:2"),
        "worker_types.tool.lease_ms": (5000, f"{file}:3"),
    }
    seen = {name: (shown[name].value, shown[name].source.where) for name in by_file}
    assert seen == by_file
    variable = shown["worker_types.agent.concurrency"].source
    assert variable.where == "OPENAGENTS_WORKER_TYPES__AGENT__CONCURRENCY"
    assert shown["worker_types.tool.max_attempts"].source.kind == "option"
    assert shown["worker_types.agent.prefetch"].source.kind == "default"
    assert shown["worker_types.agent.queue"].value == "agent"


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("memory_mb = 900", "memry_mb = 900", 7, "did you mean 'memory_mb'?"),
        ("memory_mb = 900", 'memory_mb = "900"', 7, "a whole number, not a text"),
        ("memory_mb = 900", "memory_mb = -1", 7, "greater than or equal to 0"),
        ('pool = "prefork"', 'pool = "gevent"', 6, "'threads', 'prefork' or 'solo'"),
        ("lease_ms = 60000", "lease_ms = 20", 8, "a lease has 300 ms at least"),
        ("max_attempts = 2", "prefetch = 2", 13, "is no setting of a worker type"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    folder: Path, old: str, new: str, line: int, reason: str
) -> None:
    (folder / "openagents.toml").write_text(FILE.replace(old, new))
    with pytest.raises(InvalidProfile) as refused:
        read(folder, {})
    assert refused.value.line == line
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("WORKER_TYPES__AGENT__CONCURRENCY", "many", "valid integer"),
        ("WORKER_TYPES__AGENT__CONCURENCY", "1", "did you mean 'concurrency'?"),
        ("WORKER_TYPES__AGENT", "1", "names no worker type and its setting"),
        ("WORKER_TYPES", "agent", "has to be a table"),
    ],
)
def test_variables_that_cannot_be_are_refused(
    tmp_path: Path, variable: str, value: str, reason: str
) -> None:
    with pytest.raises(InvalidSetting, match="worker_types") as refused:
        read(tmp_path, {f"OPENAGENTS_{variable}": value})
    assert reason in refused.value.reason


def test_the_schema_takes_the_files_that_are_read_and_refuses_what_is_misspelt(
    folder: Path,
) -> None:
    import tomllib

    schema = profiles_schema()
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    assert check.is_valid(tomllib.loads(FILE))
    assert not check.is_valid(tomllib.loads(FILE.replace("memory_mb", "memry_mb")))
    assert json.dumps(schema)


def test_processes_of_a_type_serve_it_alone_and_options_hold_for_all(
    folder: Path,
) -> None:
    settings = read(folder, {})
    agent = processes_of(settings, "agent", {"concurrency": None, "pool": None})
    assert (agent.queue, agent.pool, agent.at_least, agent.at_most) == (
        "agent",
        "prefork",
        1,
        4,
    )
    assert (agent.settings.queues, agent.settings.concurrency) == ("agent", 3)
    tool = processes_of(settings, "tool", {"concurrency": 6, "pool": "solo"})
    assert (tool.settings.concurrency, tool.pool) == (6, "solo")
    work = work_settings(tool.settings, ("tool",))
    assert (work.lease_of("tool.async"), work.prefetch_of("tool")) == (5000, 1)
    other = processes_of(settings, "gpu", {})
    assert (other.queue, other.pool, other.at_most) == ("gpu", "threads", 1)


def test_limits_of_a_component_stand_above_those_of_its_type(folder: Path) -> None:
    limits = work_settings(read(folder, {}), ("agent", "tool")).limits
    agent = limits.types["agent"]
    assert agent.of("writer.write@^1.0") == StepLimits(0, 1200, 2)
    assert agent.of("writer.read") == StepLimits(0, 900, 0)
    assert limits.smallest_memory_mb == 900


def test_what_a_component_declares_stands_between_its_configuration_and_its_type(
    folder: Path,
) -> None:
    registry = Registry()

    @registry.tool("writer.write", memory_mb=700, max_attempts=5, step_seconds=1.5)
    def write() -> None: ...

    @registry.tool("writer.read", resources={"max_attempts": 4, "gpus": "one"})
    def read_1() -> None: ...

    @registry.tool("writer.read", version="2.0.0", memory_mb=800)
    def read_2() -> None: ...

    limits = work_settings(read(folder, {}), ("agent", "other"), registry).limits
    agent, other = limits.types["agent"], limits.types["other"]
    assert agent.of("writer.write", registry) == StepLimits(1500, 1200, 2)
    assert agent.of("writer.read@^0.1", registry) == StepLimits(0, 900, 4)
    assert agent.of("writer.read@^2", registry) == StepLimits(0, 800, 0)
    assert agent.of("writer.other", registry) == StepLimits(0, 900, 0)
    assert other.of("writer.write", registry) == StepLimits(1500, 700, 5)
    assert limits.catalog is registry


def test_limits_that_no_limit_could_be_are_refused_where_they_are_declared() -> None:
    for option, value in (
        ("memory_mb", "900"),
        ("memory_mb", 1.5),
        ("step_seconds", -1),
        ("step_seconds", math.nan),
        ("max_attempts", True),
        ("resources", {"max_attempts": "two"}),
        ("resources", 3),
    ):
        options: dict[str, Any] = {option: value}
        with pytest.raises(InvalidDeclaration, match=option):
            tool("x", **options)


def test_a_memory_limit_of_a_component_is_held_or_it_is_told_that_it_is_not(
    folder: Path,
) -> None:
    registry = Registry()

    @registry.tool("big", memory_mb=100_000, max_attempts=2)
    def big() -> None: ...

    told: list[str] = []
    settings = read(folder, {})
    held = worker_settings(settings, ("tool",), registry, "prefork", told.append)
    assert held.limits_memory
    assert told == []
    unheld = worker_settings(settings, ("tool",), registry, "threads", told.append)
    assert not unheld.limits_memory
    assert unheld.limits.types["tool"].of("big", registry) == StepLimits(0, 0, 2)
    assert "not held by the pool 'threads'" in told[0]


def test_a_memory_limit_is_refused_where_it_could_not_be_held(folder: Path) -> None:
    settings = read(folder, {})
    work = work_settings(settings, ("agent",))
    check_memory(work, "prefork")
    for pool in ("threads", "solo"):
        with pytest.raises(InvalidSetting, match="share one process"):
            check_memory(work, pool)
    check_memory(work_settings(settings, ("tool",)), "threads")
    small = read(folder, {}, worker_types={"agent": {"memory_mb": 1}})
    with pytest.raises(InvalidSetting, match="has loaded the components"):
        check_memory(work_settings(small, ("agent",)), "prefork")
    assert pool_of(settings, ("agent",)) == "prefork"
    assert pool_of(settings, ("agent", "tool")) == "threads"


def test_a_type_that_no_component_belongs_to_is_told_with_the_nearest() -> None:
    registry = Registry()
    registry.tool("t", queue="render")(lambda: 1)
    assert list(_without_components(("rendr", "render", "gpu"), registry)) == [
        "no component here is of worker type 'gpu'",
        "no component here is of worker type 'rendr'; did you mean 'render'?",
    ]
