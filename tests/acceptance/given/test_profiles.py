"""Settings come from options, the environment, a profile, or are the defaults, in this order; a command says which."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine, Settings
from openagents_json.engine.errors import InvalidProfile, InvalidSetting
from openagents_json.engine.profiles.file import is_trusted
from openagents_json.engine.profiles.resolve import resolve
from tests.acceptance.processes import in_process_of_its_own, openagents
from tests.acceptance.terminals import Terminal

PROFILES = """\
default_profile = "local"

[profiles.local]
data = "store"
components = ["parts.py"]
leases = {agent = "60s", tool = 5000}

[profiles.production]
url = "@redis.url"
prefix = "shop"
partitions = 64
encryption_keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
grace_seconds = 2
"""
URL = "redis://ann:s3cret-word@127.0.0.1:1/0"
PARTS = """
from openagents_json import tool

@tool("greet")
def greet(name: str) -> str:
    return f"Hello, {name}!"
"""
GREETING = {
    "id": "greeting",
    "inputs": {"name": {"type": "string", "required": True}},
    "steps": [
        {"id": "say", "component": "greet", "inputs": {"name": "{{input.name}}"}}
    ],
    "output": "{{say.output}}",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("OPENAGENTS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "openagents.toml").write_text(PROFILES)
    (tmp_path / "redis.url").write_text(f"{URL}\n")
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "greeting.json").write_text(json.dumps(GREETING))
    (tmp_path / "deep" / "down").mkdir(parents=True)
    return tmp_path


def shown(folder: Path, *arguments: str) -> dict[str, Any]:
    done = openagents("config", "show", "--json", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def told(folder: Path, *arguments: str) -> tuple[int, str]:
    done = openagents("config", "show", *arguments, folder=folder)
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return done.returncode, line


def test_a_run_from_a_subfolder_uses_the_store_and_components_of_the_profile(
    project: Path,
) -> None:
    below = project / "deep" / "down"
    run = ["run", "../../greeting.json", "-i", "name=Ada"]
    done = in_process_of_its_own(*run, folder=below)
    assert json.loads(done.stdout)["output"] == "Hello, Ada!", done.stderr
    assert not (below / "store").exists()
    with Engine.open(Settings.from_profile(folder=below), components=[]) as engine:
        assert [row.workflow for row in engine.views.runs().items] == ["greeting"]


def test_one_order_of_precedence(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prefix(*arguments: str) -> tuple[Any, ...]:
        row = shown(project, *arguments)["settings"]["prefix"]
        return row["value"], row["from"], row["where"]

    assert prefix() == ("oa", "default", None)
    at = f"{project / 'openagents.toml'}:10"
    assert prefix("--profile", "production") == ("shop", "profile", at)
    monkeypatch.setenv("OPENAGENTS_PREFIX", "here")
    variable = ("here", "environment", "OPENAGENTS_PREFIX")
    assert prefix("--profile", "production") == variable
    option = ("now", "option", "--prefix")
    assert prefix("--profile", "production", "--prefix", "now") == option
    monkeypatch.setenv("OPENAGENTS_PREFIX", "")
    monkeypatch.setenv("OPENAGENTS_PROFILE", "production")
    assert prefix() == ("shop", "profile", at)
    assert prefix("--profile", "local") == ("oa", "default", None)
    settings = Settings.from_profile(folder=project, prefix="mine", environment={})
    assert (settings.prefix, settings.leases) == (
        "mine",
        {"agent": 60_000, "tool": 5000},
    )


def test_what_is_shown_fits_and_tells_no_secret(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        terminal = Terminal(["config", "show", "--profile", "production"], project)
        assert terminal.code == 0
        lines = terminal.text.splitlines()
        assert max(map(len, lines[1:])) <= width
        assert "redis://ann:***@127.0.0.1:1/0" in terminal.text
        assert "openagents.toml:9" in terminal.text
        assert "by --profile" in lines[0]
        assert "s3cret-word" not in terminal.text
        assert "MDEy" not in terminal.text
    document = shown(project, "--profile", "production")
    assert "s3cret" not in json.dumps(document)
    assert document["settings"]["encryption_keys"]["value"] == ["***"]
    assert document["profile"]["name"] == "production"
    copied = resolve(Settings, {}, profile="production", folder=project).secret_files
    assert [path.name for path in copied] == ["openagents.toml", "redis.url"]


def test_what_components_may_reach_is_shown_with_the_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    permissions = shown(project)["components_may_reach"]
    assert {row["from"] for row in permissions.values()} == {"default"}
    everybody = {name for name, row in permissions.items() if row["value"] == "*"}
    assert everybody == {"http_hosts", "email_recipients"}
    variables = {
        "OPENAGENTS_HTTP_HOSTS": "api.example.com",
        "OPENAGENTS_HTTP_PRIVATE": "10.1.0.0/16",
        "OPENAGENTS_FILES": "shared",
        "OPENAGENTS_SQL_WRITABLE": "orders",
        "OPENAGENTS_EMAIL_RECIPIENTS": "*@example.org",
        "OPENAGENTS_PROCESS_VARIABLES": "MODE",
        "OPENAGENTS_CONNECTION_ORDERS": "postgresql://ann:s3cret-word@db/orders",
        "OPENAGENTS_PROGRAM_CONVERT": "/usr/bin/convert --key s3cret-word",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    rows = shown(project)["components_may_reach"].values()
    told = {row["where"]: row["value"] for row in rows}
    assert told == variables | {
        "OPENAGENTS_CONNECTION_ORDERS": "postgresql://ann:***@db/orders",
        "OPENAGENTS_PROGRAM_CONVERT": "/usr/bin/convert",
    }
    for width in (80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = Terminal(["config", "show"], project).text.splitlines()
        assert max(map(len, lines[1:])) <= width
        assert [line.split()[0] for line in lines[-8:]] == [
            name.removeprefix("OPENAGENTS_").lower() for name in variables
        ]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ('prefx = "x"', 4, "prefx is no setting; did you mean 'prefix'?"),
        ('partitions = "64"', 4, "partitions has to be a whole number, not a text"),
        ("partitions = true", 4, "a whole number, not true or false"),
        ('data = "x"\n\nprefix = [\n  "a",\n]', 6, "prefix has to be a text"),
        ("lease_ms = 1", 4, "lease_ms: Input should be greater than"),
        ('durability = "strong"', 4, "durability: "),
        ("components = [1]", 4, "components has to be an array of texts"),
        ('leases = {agent = "soon"}', 4, "leases: "),
        ("leases = {agent = true}", 4, "leases of agent has to be a length"),
        ('url = "@nowhere"', 4, "cannot be read: No such file"),
        ("prefix = nothing", 4, "it is not TOML"),
        ('prefix = "a"\nprefix = "b"', 5, "it is not TOML"),
        ('encryption_keys = ["s3cret-key"]', 4, "encryption_keys: "),
        ('[profile.other]\nprefix = "x"', 4, "no key 'profile' here; did you mean"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_line(
    project: Path, lines: str, line: int, reason: str
) -> None:
    file = project / "openagents.toml"
    file.write_text(f"# Ours\n\n[profiles.default]\n{lines}\n")
    code, message = told(project)
    assert (code, message.startswith(f"openagents: {file}:{line}: ")) == (2, True), (
        message
    )
    assert reason in message
    assert "s3cret" not in message
    with pytest.raises(InvalidProfile, match=f":{line}: "):
        Settings.from_profile(folder=project)


def test_of_several_unknown_keys_the_first_of_the_file_is_told(project: Path) -> None:
    keys = [f"key_{number}" for number in range(20)]
    (project / "openagents.toml").write_text("".join(f"{key} = 1\n" for key in keys))
    assert "openagents.toml:1: there is no key 'key_0' here" in told(project)[1]


def test_a_profile_that_is_not_there_is_told_with_the_nearest(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, message = told(project, "--profile", "prodution")
    assert (code, "did you mean 'production'?" in message) == (6, True)
    empty = tmp_path_factory.mktemp("empty")
    code, message = told(empty, "--profile", "production")
    assert (code, "there is no openagents.toml in" in message) == (6, True)
    assert shown(empty)["profile"]["file"] is None
    (project / "openagents.toml").write_text("[profiles.one]\n")
    assert shown(project)["profile"]["name"] is None
    (project / "openagents.toml").write_text(
        'default_profile = "two"\n[profiles.one]\n'
    )
    code, message = told(project)
    assert (code, ":1: default_profile: there is no profile 'two'" in message) == (
        2,
        True,
    )


def test_a_file_of_another_user_is_read_only_if_it_is_asked_for(project: Path) -> None:
    ours, others = os.geteuid(), os.geteuid() + 12345
    assert is_trusted(ours, ours)
    assert is_trusted(0, others)
    assert not is_trusted(others, ours)
    if ours == 0:  # only root can give a file to somebody else
        os.chown(project / "openagents.toml", others, others)
        code, message = told(project / "deep")
        assert (code, f"belongs to another user (uid {others})" in message) == (2, True)
        document = shown(project / "deep", "--profile", "local")
        assert document["profile"]["name"] == "local"


def test_a_program_that_misspells_a_setting_is_told(project: Path) -> None:
    with pytest.raises(InvalidSetting, match="did you mean 'prefix'"):
        Settings.from_profile(folder=project, prefx="x")
    with pytest.raises(InvalidSetting, match=r"setting lease_ms \(lease_ms=\)"):
        Settings.from_profile(folder=project, lease_ms=1)


def test_commands_to_copy_name_the_profile_that_was_asked_for(project: Path) -> None:
    start = ["run", "greeting.json", "-i", "name=x", "--workers", "0", "--detach"]
    done = openagents(*start, "--profile", "local", folder=project)
    run = json.loads(done.stdout)["id"]
    asked = openagents("runs", "show", run, "--profile", "local", folder=project)
    usual = openagents("runs", "show", run, folder=project)
    assert "--profile local" in asked.stdout
    assert "--profile" not in usual.stdout
    assert "--data" not in asked.stdout + usual.stdout


def test_the_reference_names_every_setting() -> None:
    page = Path(__file__).resolve().parents[3] / "docs/reference/configuration.md"
    text = page.read_text()
    assert [name for name in Settings.model_fields if f"| `{name}` |" not in text] == []


def test_parts_of_worker_types_are_shown_with_where_they_come_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = '[profiles.local.worker_types.agent]\npool = "prefork"\n'
    (project / "openagents.toml").write_text(f"{PROFILES}\n{table}")
    monkeypatch.setenv("OPENAGENTS_WORKER_TYPES__AGENT__CONCURRENCY", "7")
    rows = shown(project)["settings"]
    at = f"{project / 'openagents.toml'}:{PROFILES.count(chr(10)) + 3}"
    assert rows["worker_types.agent.pool"] == {
        "value": "prefork",
        "from": "profile",
        "where": at,
    }
    concurrency = rows["worker_types.agent.concurrency"]
    assert (concurrency["value"], concurrency["from"]) == (7, "environment")
    assert rows["worker_types.agent.lease_ms"]["value"] == 60_000
    schema = json.loads(openagents("config", "schema", folder=project).stdout)
    assert schema["$id"] == "urn:openagents-json:profiles"
