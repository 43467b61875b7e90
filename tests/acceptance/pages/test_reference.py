"""The pages of the reference are what the program says, and the site has a place for every page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REMEDY = "run scripts/reference and commit what it writes"


def reference(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / "reference"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_pages_of_the_reference_are_what_the_program_says() -> None:
    done = reference("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_page_that_is_not_what_the_program_says_is_named_with_what_to_do(
    tmp_path: Path,
) -> None:
    for name in ("openagents_json", "cli", "executor", "projections", "eventstore"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    pages = tmp_path / "docs" / "reference"
    pages.mkdir(parents=True)
    (pages / "decorators.md").write_text("# Options of decorators\n")
    program = (ROOT / "scripts" / "reference").read_text()
    copy = tmp_path / "reference"
    copy.write_text(program.replace("parents[1]", "parents[0]"))
    command = [sys.executable, str(copy), "--check", "decorators"]
    done = subprocess.run(command, capture_output=True, text=True)
    told = f"docs/reference/decorators.md: not what the program says; {REMEDY}\n"
    assert (done.returncode, done.stdout) == (1, told)
    written = subprocess.run(command[:2] + command[3:], capture_output=True, text=True)
    assert (written.returncode, written.stdout) == (0, "")
    assert (pages / "decorators.md").read_text() == (
        ROOT / "docs" / "reference" / "decorators.md"
    ).read_text()


def test_every_page_has_its_place_in_the_navigation_of_the_site() -> None:
    placed = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    docs = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "adr"
    }
    examples = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "examples").rglob("README.md")
    }
    assert (docs | examples) - placed == set()
    assert placed - docs - examples == {"adr/index.md"}


def test_every_example_says_how_it_is_run() -> None:
    silent = [
        folder.name
        for folder in (ROOT / "examples").iterdir()
        if folder.is_dir()
        and folder.name != "__pycache__"
        and "```" not in (folder / "README.md").read_text()
    ]
    assert silent == []


def test_the_site_is_not_built_with_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    for name in (".venv", "scripts", "mkdocs.yml", "examples", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "how-to" / "deploy.md").open("a") as page:
        page.write("\n[nowhere](upgrade.md#nowhere)\n")
    command = [str(tmp_path / "scripts" / "site"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    [warning] = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert "'upgrade.md#nowhere'" in warning


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "adr" and path.name != "index.md"
    ]
    assert [page for page in pages if f"({page})" not in readme] == []
