"""A project that `init` begins runs as it is, and `init` destroys nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.processes import in_process_of_its_own, openagents

FILES = {
    "workflow.json",
    "workflow.schema.json",
    "components.py",
    "test_workflow.py",
    "pytest.ini",
    "README.md",
    ".gitignore",
}


def test_all_that_init_writes_runs_in_processes_of_its_own(tmp_path: Path) -> None:
    # As in a checkout of another project: what that sets for its own tests is not for these.
    above = "[tool.pytest.ini_options]\naddopts = '--no-such-option'\n"
    (tmp_path / "pyproject.toml").write_text(above)
    begun = in_process_of_its_own("init", "my project", folder=tmp_path)
    assert (begun.returncode, begun.stderr) == (0, "")
    project = tmp_path / "my project"
    assert {path.name for path in project.iterdir()} == FILES
    assert "cd 'my project'" in begun.stdout

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr

    # The command is the one that both the output and the README of the project give.
    command = "openagents run workflow.json --input name=Ada -c components.py"
    assert command in begun.stdout
    assert command in (project / "README.md").read_text()
    done = in_process_of_its_own(*command.split()[1:], folder=project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == {"text": "Hello, Ada!", "letters": 8}


def test_the_document_is_valid_without_a_warning_and_names_a_schema_that_is_there(
    tmp_path: Path,
) -> None:
    assert openagents("init", folder=tmp_path).returncode == 0
    checked = openagents(
        "validate", "workflow.json", "-c", "components.py", folder=tmp_path
    )
    assert checked.stdout == "workflow.json: valid\n"
    schema = json.loads((tmp_path / "workflow.json").read_text())["$schema"]
    published = Path(__file__).parents[3] / "docs/reference/workflow.schema.json"
    assert json.loads((tmp_path / schema).read_text()) == json.loads(
        published.read_text()
    )
    assert len((tmp_path / "README.md").read_text().splitlines()) == 10


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_overwritten_and_nothing_is_begun_beside_it(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to("nowhere")
    refused = openagents("init", folder=tmp_path)
    assert refused.returncode == 1
    assert name in refused.stderr
    assert "nothing was written" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = openagents("init", "file/project", folder=tmp_path)
    assert refused.returncode == 1
    assert "file/project" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_json_names_the_files(tmp_path: Path) -> None:
    begun = openagents("init", "--json", folder=tmp_path)
    assert set(json.loads(begun.stdout)["files"]) == FILES
