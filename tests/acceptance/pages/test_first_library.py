"""The tutorial "your first component library", followed from an empty folder to a package that is installed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, in_process_of_its_own, openagents

PAGE = ROOT / "docs" / "tutorial" / "first-library.md"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLED = "installed"
INSTALL = "--quiet --no-index --no-deps --no-build-isolation --target"
"""How it is installed where there is no network, and the Python is not the reader's own."""


@dataclass(frozen=True)
class Block:
    kind: str
    words: str
    text: str

    @property
    def file(self) -> str:
        return self.words.strip().partition("=")[2].removesuffix(" append")


def blocks() -> Iterator[Block]:
    for kind, words, text in BLOCK.findall(PAGE.read_text()):
        yield Block(kind, words, text)


def save(block: Block, folder: Path) -> None:
    """Save a file as the reader is told to: anew, or at the end of what is there."""
    path = folder / block.file
    path.parent.mkdir(exist_ok=True)
    has_more = block.words.endswith(" append")
    before = f"{path.read_text()}\n\n" if has_more else ""
    path.write_text(before + block.text)


def carry_out(line: str, folder: Path) -> str:
    """Run a command of the page; gives what it prints."""
    program, *arguments = shlex.split(line)
    if program == "python":
        return python(arguments, folder)
    if (folder / INSTALLED).exists():
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        (elsewhere / "publish.yaml").write_text((folder / "publish.yaml").read_text())
        done = in_process_of_its_own(*arguments, folder=elsewhere)
    else:
        done = openagents(*arguments, folder=folder)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def python(arguments: list[str], folder: Path) -> str:
    is_install = "install" in arguments
    more = [*INSTALL.split(), INSTALLED] if is_install else ["-p", "no:cacheprovider"]
    command = [sys.executable, *arguments, *more]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return "" if is_install else done.stdout


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_the_library_of_the_tutorial_comes_to_be_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / INSTALLED
    monkeypatch.setenv("PYTHONPATH", f"{installed}{os.pathsep}{ROOT}")
    printed: dict[str, str] = {}
    latest = ""
    for block in blocks():
        if block.file:
            save(block, tmp_path)
        elif block.kind == "sh":
            for line in block.text.splitlines():
                latest = printed[line] = carry_out(line, tmp_path)
        else:
            assert (block.kind, lines(latest)[-len(lines(block.text)) :]) == (
                "text",
                lines(block.text),
            )
    runs = [line for line in printed if line.startswith("openagents run ")]
    outputs = [json.loads(printed[line])["output"] for line in runs]
    assert outputs == [
        {"text": "*** wrote this", "words": 3},
        {"text": "*** wrote that too", "words": 4},
    ]
    tests = printed["python -m pytest -q"]
    assert "2 passed" in tests
