"""What the files of `deploy/` say, and servers that are begun with them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from cli.root import cli
from eventstore.redis.embedded.server_program import find_program
from tests.acceptance.processes import ROOT
from tests.conftest import wait_for

DEPLOY = ROOT / "deploy"
PASSWORDS = {
    f"{user}_PASSWORD": f"of-{user}"
    for user in ("WORKER", "API", "AUDITOR", "ADMIN", "REPLICA", "SENTINEL")
}


def composed() -> dict[str, Any]:
    """Return the compose file, with what its parts share."""
    loaded: dict[str, Any] = yaml.safe_load(
        (DEPLOY / "compose" / "compose.yaml").read_text()
    )
    return loaded


class UnitParser(ConfigParser):
    """Reads units of systemd: names have capitals, and may stand twice."""

    def __init__(self) -> None:
        super().__init__(interpolation=None, strict=False)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(file: Path) -> ConfigParser:
    """Read a unit of systemd."""
    parser = UnitParser()
    parser.read_string(file.read_text())
    return parser


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Return each command line of `openagents` in the files, with where it stands."""
    for name, service in composed()["services"].items():
        if "openagents-json" in service.get("image", ""):
            yield f"compose.yaml: {name}", service["command"]
    for file in sorted((DEPLOY / "chart" / "templates").glob("*.yaml")):
        for words in chart_arguments(file.read_text()):
            yield f"chart: {file.name}", words
    for file in sorted((DEPLOY / "systemd").glob("*.service")):
        program, *words = shlex.split(unit(file)["Service"]["ExecStart"])
        if Path(program).name == "openagents":
            # The name of an instance: the port of a service, the type of a worker.
            yield file.name, [word.replace("%i", "8080") for word in words]


def chart_arguments(template: str) -> Iterator[list[str]]:
    """Return the arguments of the containers of a template, with a 1 in the place of each value."""
    text = re.sub(r"{{(?!-).*?}}", "1", template)
    for inline in re.findall(r"^ *args: (\[.*\])$", text, re.MULTILINE):
        yield json.loads(inline)
    for block in re.findall(r"^ *args:\n((?: +(?:- .*|{{-.*)\n)+)", text, re.MULTILINE):
        yield re.findall(r"^ *- (.*)$", block, re.MULTILINE)


def parse(words: list[str]) -> dict[str, Any]:
    """Return the options of a command line as the command reads them. Raises click.UsageError where it refuses them."""
    command: click.Command | None = cli
    name: str | None = "openagents"
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(click.Context(command), words)
    assert command is not None
    return command.make_context(name, list(words)).params


@contextmanager
def begun(kind: str, folder: Path, *options: str) -> Iterator[Path]:
    """Begin a server as its unit and its container do, and give its socket."""
    folder.mkdir(exist_ok=True)
    socket = folder / "s.sock"
    environment = {
        "PATH": os.environ["PATH"],
        "SERVER": str(find_program()),
        "RUNTIME": str(folder),
        **PASSWORDS,
    }
    command = [str(DEPLOY / "server" / "start"), kind, "--port", "0"]
    command += ["--unixsocket", str(socket), "--dir", str(folder), *options]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: socket.exists() or server.poll() is not None)
        assert server.poll() is None, (folder / "log").read_text()
        yield socket
    finally:
        server.terminate()
        server.wait()


def url(socket: Path, user: str) -> str:
    """Return the URL by which a user reaches a server."""
    return f"unix://{user}:{PASSWORDS[f'{user.upper()}_PASSWORD']}@{socket}"
