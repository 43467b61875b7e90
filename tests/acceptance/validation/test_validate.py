"""`validate` as a user sees it: by how strict a mode, mended in the file, and again after each edit."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import wait_for

DOCUMENT = """\
{
  "id": "w",
  "inputs": {"name": {"type": "string"}, "rest": {}},
  "steps": [{"id": "greet", "component": "greet", "timeuot": 5,
    "inputs": {"name": "{{input.name}}"}}],
  "output": "{{greeet.output}}"
}
"""
MENDED = DOCUMENT.replace("timeuot", "timeout").replace("greeet", "greet")


def validated(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return openagents("validate", "w.json", *arguments, folder=folder)


def test_what_is_surely_meant_is_written_into_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(DOCUMENT)
    file.chmod(0o640)
    assert validated(tmp_path).returncode == 4
    done = validated(tmp_path, "--fix")
    assert (done.returncode, file.read_text()) == (0, MENDED)
    assert done.stderr.count(": fixed") == 2
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["w.json"]
    again = validated(tmp_path, "--fix")
    assert (again.returncode, again.stderr, file.read_text()) == (0, "", MENDED)


def test_a_mode_says_what_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(MENDED)
    (tmp_path / "none.py").write_text("")
    normal = validated(tmp_path)
    assert normal.returncode == 0
    assert "3:50: warning unused_input: nothing refers to" in normal.stdout
    strict = validated(tmp_path, "--mode", "strict")
    assert (strict.returncode, "error unused_input" in strict.stdout) == (4, True)
    permissive = validated(tmp_path, "--mode", "permissive")
    assert permissive.stdout == "w.json: valid\n"
    missing = validated(tmp_path, "-c", "none.py")
    assert (missing.returncode, "unknown_component" in missing.stdout) == (4, True)
    missing = validated(tmp_path, "-c", "none.py", "--mode", "permissive")
    assert missing.returncode == 0
    assert "warning unknown_component" in missing.stdout


@pytest.mark.parametrize("option", ["--fix", "--watch"])
def test_standard_input_is_neither_mended_nor_watched(
    tmp_path: Path, option: str
) -> None:
    done = openagents("validate", "-", option, folder=tmp_path)
    assert done.returncode == 2
    assert "need files" in done.stderr


def test_files_that_are_validated_together_call_each_other(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "from openagents_json import tool\n\n\n"
        "@tool\ndef add(n: int) -> int:\n    return n\n"
    )
    (tmp_path / "child.yaml").write_text(
        "id: child\nsteps: [{id: a, component: add, inputs: {n: 1}}]\n"
        "outputs: {label: {type: string}, count: {source: '{{a.output}}'}}\n"
    )
    call = '{"id": "w", "steps": [{"id": "c", "workflow": "child"}, %s]}'
    step = '{"id": "s", "component": "add", "inputs": {"n": "{{c.output.label}}"}}'
    (tmp_path / "w.json").write_text(call % step)
    alone = validated(tmp_path, "-c", "parts.py")
    assert (alone.returncode, alone.stdout) == (0, "w.json: valid\n")
    together = validated(tmp_path, "child.yaml", "-c", "parts.py")
    assert "cannot_fit: '{{c.output.label}}' is a string or null" in together.stdout
    (tmp_path / "w.json").write_text(call % step.replace("label", "count"))
    together = validated(tmp_path, "child.yaml", "-c", "parts.py")
    assert "cannot_fit" not in together.stdout


class Lines:
    """What a process prints, read as it comes."""

    def __init__(self, stream: IO[str]) -> None:
        self.text = ""
        self._stream = stream
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self._stream:
            self.text += line


def test_a_file_is_checked_again_after_each_edit(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(MENDED)
    (tmp_path / "parts.py").write_text(
        "from openagents_json import tool\n\n\n@tool\ndef greet(name: str): ...\n"
    )
    called = tmp_path / "called.yaml"
    called.write_text("id: called\ninputs: {x: {}}\nsteps: [{id: a, sleep: 1}]\n")
    process = subprocess.Popen(
        [*COMMAND, "validate", "w.json", "called.yaml", "--watch", "-c", "parts.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    assert process.stdout is not None
    lines = Lines(process.stdout)
    try:
        wait_for(lambda: "watching" in lines.text)
        file.write_text(MENDED.replace("{{input.name}}", "{{input.nam}}"))
        wait_for(lambda: "error missing_workflow_input" in lines.text)
        file.write_text(MENDED.replace("greet.output", "greet.output.x"))
        wait_for(lambda: lines.text.count("w.json: valid") == 2)
        call = '{"id": "call", "workflow": "called", "inputs": {"x": 1}}'
        file.write_text(MENDED.replace('"steps": [', f'"steps": [{call}, '))
        wait_for(lambda: lines.text.count("w.json: valid") == 3)
        called.write_text(called.read_text().replace("x:", "y:"))
        wait_for(lambda: "warning unknown_called_input" in lines.text)
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, lines.text
    lines.reader.join()
    process.stdout.close()
