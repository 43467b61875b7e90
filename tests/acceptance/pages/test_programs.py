"""The programs of examples, as a user runs them: a process, an empty folder, and what is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from openagents_json.engine import Engine, RunFilter
from tests.acceptance.processes import ROOT, openagents

EXAMPLES = ROOT / "examples"


def begin(program: str, *arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / program), *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    program: str, *arguments: str, folder: Path, given: str | None = None
) -> list[str]:
    """Run a program to its end; gives the lines that it has printed."""
    with begin(program, *arguments, folder=folder) as process:
        out, err = process.communicate(given, timeout=120)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_an_agent_streams_and_a_person_approves(tmp_path: Path) -> None:
    lines = run(
        "agent_pipeline/article.py", "the tides", folder=tmp_path, given="yes\n"
    )
    shown = "\n".join(lines[1:])
    assert lines[0].startswith("run ")
    assert shown.startswith("All about the tides. ")
    assert "the tides, in short and in plain words." in shown
    assert lines[-1].endswith("published as the-tides.txt")
    page = (tmp_path / "the-tides.txt").read_text()
    assert page == "the tides, in short and in plain words.\n"
    refused = run("agent_pipeline/article.py", "fog", "--answer", "no", folder=tmp_path)
    assert refused[-1] == "not published"
    assert not (tmp_path / "fog.txt").exists()


def test_an_article_waits_for_its_approval_over_the_end_of_its_program(
    tmp_path: Path,
) -> None:
    with begin("agent_pipeline/article.py", "ice", folder=tmp_path) as process:
        assert process.stdout is not None
        printed = ""
        while "publish it?" not in printed:
            printed += process.stdout.read(1)
        process.kill()
    listed = openagents("runs", "waiting", "--json", folder=tmp_path)
    [waiting] = json.loads(listed.stdout)
    answer = ["approve", "--payload", '{"approved": true}', "--wait", "--json"]
    answer += ["-c", str(EXAMPLES / "agent_pipeline" / "components.py")]
    done = openagents("runs", "signal", waiting["run"], *answer, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ice.txt").exists()


def test_500_files_are_imported_tried_again_repaired_and_healed(tmp_path: Path) -> None:
    lines = run("file_import/import_files.py", folder=tmp_path)
    assert lines[0] == "482 of 500 files imported"
    assert set(lines[1:3]) == {
        "  13 failed: ValueError in transform",
        "  5 failed: KeyError in transform",
    }
    assert lines[3:] == [
        "5 files were sent again and imported",
        "13 of 13 are proven to be healed",
        "0 files are left that failed",
        "982 rows, 2607.50 in all",
    ]
    again = run("file_import/import_files.py", folder=tmp_path)
    assert (again[0], again[-1]) == ("500 of 500 files imported", lines[-1])
    with Engine.embedded(tmp_path / ".openagents", components=[], workers=0) as engine:
        assert engine.views.count(RunFilter(workflow=("import-file",))) == 500
        assert engine.doctor() == []


def test_orders_are_taken_on_a_schedule_and_undone_where_they_fail(
    tmp_path: Path,
) -> None:
    lines = run("order_saga/shop.py", folder=tmp_path)
    assert lines[:9] == [
        "order 1: lamp: sent",
        "order 2: lamp: sent",
        "order 3: chair: refused: the card was declined",
        "order 4: chair: refused: nobody delivers to Atlantis",
        "order 5: sofa: refused: there is no sofa left",
        "stock: 2 chair",
        "stock: 3 lamp",
        "stock: 0 sofa",
        "paid: 80.00",
    ]
    undone = sorted(line.partition(" undone: ")[2] for line in lines[9:])
    assert undone == [
        "charge~compensate, reserve~compensate",
        "nothing",
        "reserve~compensate",
    ]
