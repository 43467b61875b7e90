"""The documentation is true: its programs run and print what it says, its commands work, its tables are complete."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from openagents_json.workflow.language.schema import KNOWN_KEYS, SCHEMA
from tests.acceptance.demo import needs_the_demo
from tests.acceptance.processes import COMMAND, ROOT, openagents
from tests.conftest import KINDS, Server, wait_for
from tests.fork_server import ForkedProcess, run_forked

PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
DEMO = ".openagents/demo"
SERVER = "redis://localhost:6379"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    kind: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*match) for match in BLOCK.findall(page.read_text())]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def programs() -> list[tuple[str, str, str | None]]:
    """List the programs of the documentation with what they are said to print."""
    collected: list[Any] = []
    for page in PAGES:
        here = blocks(page)
        for block, following in zip(here, [*here, None][1:], strict=True):
            if block.kind == "python" and not block.file:
                printed = (
                    following.text if following and following.kind == "text" else None
                )
                collected.append((f"{page.stem}-{len(collected)}", block.text, printed))
    return collected


@pytest.mark.parametrize(
    ("program", "printed"), [p[1:] for p in programs()], ids=[p[0] for p in programs()]
)
def test_a_program_runs_and_prints_what_is_said(
    program: str, printed: str | None, tmp_path: Path
) -> None:
    done = run_forked(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (printed or "completed {'text': 'Hello, Ada!'}\n")


def prepare(page: Path, folder: Path) -> None:
    """Write the files that a page tells its reader to save; the README's program gives two."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
    if not (folder / "components.py").exists():
        (folder / "components.py").write_text(
            'from openagents_json import tool\n\n\n@tool("greet")\ndef greet(name: str) -> str:\n    return name\n'
        )
        step = {"id": "say", "component": "greet", "inputs": {"name": "{{input.name}}"}}
        (folder / "workflow.json").write_text(
            json.dumps({"id": "w", "steps": [step], "output": "{{say.output}}"})
        )


def follow_the_demo(store: Path, folder: Path) -> list[str]:
    """Return a reader who has run `make demo` a copy of their own, when its killed worker is missed; gives the runs."""
    shutil.copytree(store, folder / DEMO, ignore=shutil.ignore_patterns("*.sock"))
    with Engine.embedded(folder / DEMO, workers=0) as engine:
        wait_for(lambda: not engine.core.directory.workers())
    listed = run(f"openagents runs list --data {DEMO} --json", folder)
    return [row["id"] for row in json.loads(listed.stdout)]


def commands(page: Path) -> list[str]:
    lines = [
        line
        for block in blocks(page)
        if block.kind == "shell"
        for line in block.text.splitlines()
    ]
    return [
        line
        for line in lines
        if line.startswith(("openagents ", "export ", "python examples/"))
    ]


def begin(page: Path, folder: Path) -> None:
    """Do what a reader has done who comes to the commands of a page: its programs have run, or else a workflow has."""
    stores = {
        path for line in commands(page) for path in re.findall(r"--data (\S+)", line)
    } - {DEMO}
    for block in blocks(page) if stores else ():
        if (
            block.kind == "python"
            and not block.file
            and any(f'"{store}"' in block.text for store in stores)
        ):
            run_forked(
                [sys.executable, "-c", block.text],
                cwd=folder,
                env=environment(),
                check=True,
                timeout=60,
            )
    if DEMO not in page.read_text():
        run("openagents run workflow.json --input name=x --workers 0 --detach", folder)


def export(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a variable as a shell would: with the output of a command of ours, or what was there, for a part of it."""
    name, _, value = shlex.split(line)[1].partition("=")
    value = re.sub(
        r"\$\((openagents [^)]+)\)",
        lambda match: run(match[1], folder).stdout.strip(),
        value,
    )
    monkeypatch.setenv(
        name, re.sub(r"\$(\w+)", lambda match: os.environ[match[1]], value)
    )


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = shlex.split(line)[1:]
    if line.startswith("python "):
        program = [sys.executable, str(ROOT / arguments[0]), *arguments[1:]]
        return subprocess.run(program, cwd=folder, capture_output=True, text=True)
    if arguments[0] in ("dev", "worker"):
        return until_stopped(arguments, folder)
    if arguments[0] == "serve":
        return served(arguments, folder)
    return openagents(*arguments, folder=folder)


def until_stopped(
    arguments: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command that does not end by itself until it has been there for others, then tell it to stop."""
    process = ForkedProcess(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    where = [
        x
        for o in ("--url", "--prefix")
        if o in arguments
        for x in (o, arguments[arguments.index(o) + 1])
    ]

    def there() -> bool:
        done = openagents("doctor", *where, "--json", folder=folder)
        assert process.poll() is None, process.communicate()
        return bool(done.stdout and json.loads(done.stdout)["workers"])

    wait_for(there)
    process.send_signal(signal.SIGINT if arguments[0] == "dev" else signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def served(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Serve on a free port until it is said where, then tell it to stop."""
    process = ForkedProcess(
        [*COMMAND, *arguments, "--port", "0"],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("serving on http://127.0.0.1:")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def followed() -> list[Any]:
    """Return the pages with commands; those that use a server of their reader's take the kind that is installed."""
    pages = [page for page in PAGES if commands(page)]
    kinds = [
        (page, KINDS[-1] if SERVER in page.read_text() else KINDS[0]) for page in pages
    ]
    return [
        pytest.param(
            page,
            kind,
            id=f"{page.stem}-{kind}",
            marks=needs_the_demo if DEMO in page.read_text() else (),
        )
        for page, kind in kinds
    ]


@pytest.mark.parametrize(("page", "server"), followed(), indirect=["server"])
def test_the_commands_of_a_page_work(
    page: Path,
    tmp_path: Path,
    server: Server,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(page, tmp_path)
    ids = (
        follow_the_demo(request.getfixturevalue("demo").store, tmp_path)
        if DEMO in page.read_text()
        else []
    )
    begin(page, tmp_path)
    for line in commands(page):
        if line.startswith("export "):
            export(line, tmp_path, monkeypatch)
            continue
        line = line.replace(SERVER, f"{server.url} --prefix {page.stem}-{server.kind}")
        if re.match("openagents runs (pause|resume|cancel) ", line):
            started = run(
                "openagents run workflow.json --input name=x --workers 0 --detach",
                tmp_path,
            )
            ids.append(json.loads(started.stdout)["id"])
        line, _, code = line.partition(" # exit code ")
        done = run(line.replace("RUN", ids[-1] if ids else ""), tmp_path)
        allowed = (
            (int(code),) if code else ((0, 1) if " runs resume " in line else (0,))
        )
        assert done.returncode in allowed, (line, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        if line.startswith("openagents run ") and "@" not in line:
            ids.append(json.loads(done.stdout)["id"])
            if page.stem == "first-workflow":
                assert json.loads(done.stdout)["output"] == {
                    "text": "It is 21.5 degrees in Oslo."
                }


def test_the_published_schema_and_the_tables_of_the_reference_are_those_of_the_model() -> (
    None
):
    done = subprocess.run(
        [sys.executable, "scripts/schema", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (
        json.loads((ROOT / "docs/reference/workflow.schema.json").read_text()) == SCHEMA
    )


def test_the_reference_names_every_key() -> None:
    text = (ROOT / "docs/reference/workflow.md").read_text()
    missing = [
        key
        for kind in KNOWN_KEYS
        for key in sorted(KNOWN_KEYS[kind])
        if f"`{key}`" not in text
    ]
    assert missing == []


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            is_elsewhere = target.startswith(("http://", "https://"))
            assert is_elsewhere or (page.parent / target).exists(), (page.name, target)
