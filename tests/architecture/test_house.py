"""The rules of the house: sizes, names, imports, what is in the wheel, and words that must not appear."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.measures import import_circle, import_graph

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("eventstore", "projections", "executor", "cli", "openagents_json")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


DECLARATIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.ClassDef,
    ast.Pass,
)
COMPUTED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def only_declares(body: list[ast.stmt]) -> bool:
    """Tell whether a module says what things are and does nothing: classes without methods, constants, imports."""
    for node in body:
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (documents or isinstance(node, DECLARATIONS)) or any(
            isinstance(x, COMPUTED) for x in ast.walk(node)
        ):
            return False
        if isinstance(node, ast.ClassDef) and not only_declares(node.body):
            return False
    return True


PRODUCT = (*ROOMS, "benchmarks", "examples")
MODULE_LINES = dict.fromkeys(PRODUCT, 400) | {"tests": 550}
FUNCTION_LINES = dict.fromkeys(PRODUCT, 40) | {"tests": 65}
"""Tests may be longer: a scenario is read from top to bottom, and torn in two it would have to be put together."""


def test_modules_are_short_but_for_those_that_only_declare() -> None:
    """A list of declarations is read as a list, and torn in two it would be read less well.

    A scenario of a test is read from top to bottom, so tests may have more lines.
    """
    long = {}
    for folder, limit in MODULE_LINES.items():
        for path in sources(folder):
            name = str(path.relative_to(ROOT))
            text = path.read_text()
            count = len(text.splitlines())
            if count <= limit:
                continue
            if not only_declares(ast.parse(text).body):
                long[name] = count
    assert long == {}


def test_folders_have_a_sentence_and_at_most_16_modules() -> None:
    folders = {path.parent for path in sources(*ROOMS, "tests")}
    crowded = {
        str(f.relative_to(ROOT)): n
        for f in folders
        if (n := len([*f.glob("*.py")]) - 1) > 16
    }
    silent = [
        str(folder.relative_to(ROOT))
        for folder in folders
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert (crowded, silent) == ({}, [])


def test_nobody_outside_of_the_engine_reaches_into_it() -> None:
    outside = [
        path
        for path in sources("cli", "examples")
        if ".core" in strip_imports(path.read_text())
    ]
    assert outside == []


def strip_imports(text: str) -> str:
    return re.sub(r"^\s*(from|import) .*$", "", text, flags=re.MULTILINE)


def test_there_is_no_circle_of_imports() -> None:
    assert import_circle(import_graph()) == []


def test_functions_are_short() -> None:
    """A scenario of a test is read from top to bottom, so tests may have more lines; docstrings do not count."""
    long = []
    for folder, limit in FUNCTION_LINES.items():
        for path in sources(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                count = lines_of_body(node)
                if count > limit:
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    long.append(f"{where} {node.name} has {count}")
    assert long == []


def lines_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(function) is not None and len(function.body) > 1
    first = function.body[1 if documented else 0]
    return (function.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize(
    "name", ["openagents_json", "openagents_json.engine", "eventstore"]
)
def test_exported_names_are_there_and_sorted_out(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for exported in module.__all__:
        assert getattr(module, exported) is not None


IMPORT_EACH_ALONE = """
import gc, importlib, os, sys, threading, traceback
rooms, names = sys.argv[1].split(","), sys.argv[2:]
for name in names:
    importlib.import_module(name)
ours = [name for name in sys.modules if name.split(".")[0] in rooms]
for name in ours:
    del sys.modules[name]
threads = threading.active_count()
gc.collect()
gc.freeze()
gc.disable()
imported = set()
for name in names:
    if name in imported:
        continue
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
            assert threading.active_count() == threads, "it starts threads"
            os.write(writer, " ".join(n for n in sys.modules if n.split(".")[0] in rooms).encode())
        except BaseException:
            print(name, traceback.format_exc(), flush=True)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as names_of_child:
        imported.update(names_of_child.read().decode().split())
    if os.waitpid(child, 0)[1]:
        print(name, "ended its process")
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a process for each module
def test_each_module_imports_alone_without_side_effects() -> None:
    """Whoever imports comes first, in a process of its own; what comes with it is not tried again.

    There is no circle, so what comes with another is imported as if it came first.
    """
    graph = import_graph()
    importers_first = reversed([*TopologicalSorter(graph).static_order()])
    names = [
        name for name in importers_first if not name.startswith("eventstore.testing")
    ]
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        IMPORT_EACH_ALONE,
        ",".join(ROOMS),
        *names,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_authors_get_a_light_import() -> None:
    heavy = "('redis', 'celery', 'pydantic', 'jinja2')"
    code = (
        f"import sys, openagents_json; sys.exit(any(m in sys.modules for m in {heavy}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode
        == 0
    )


def importers(package: str) -> set[str]:
    pattern = re.compile(rf"^\s*(?:from|import) {package}\b", re.MULTILINE)
    return {
        str(p.relative_to(ROOT))
        for p in sources(*ROOMS)
        if pattern.search(p.read_text())
    }


def test_drivers_stay_in_their_rooms() -> None:
    assert all(
        path.startswith("executor/celery/")
        for path in importers("celery") | importers("kombu")
    )
    assert all(path.startswith("eventstore/redis/") for path in importers("redis"))
    assert all(
        path.startswith("cli/") for path in importers("click") | importers("rich")
    )
    assert importers("cryptography") == {
        "executor/encryption.py",
        "projections/ledger/signing.py",
    }
    assert importers("opentelemetry") == {
        "openagents_json/engine/telemetry/opentelemetry.py"
    }
    assert importers("fsspec") == {
        "openagents_json/engine/archive/files.py",
        "openagents_json/components/library/places/remote.py",
    }


RAW = re.compile(
    r"\b(PlainCall|ScriptCall|Scripts|load_text|essential)\b"
    r"|connection\.(command|blocking_call|client)\b"
    r"|store\.(call|scan)\("
)
"""How a command is said to a server."""

COMMAND = re.compile(r"""b["'][A-Z]{3,}["']""")


def test_commands_are_said_to_servers_by_the_adapters_alone() -> None:
    """Whoever needs something of a store asks a method of the adapter that owns the key."""
    above = sources("executor", "projections", "openagents_json", "cli")
    saying = {
        str(p.relative_to(ROOT)): m[0]
        for p in above
        for w in (RAW, COMMAND)
        if (m := w.search(p.read_text()))
    }
    assert saying == {}


def test_the_store_of_runs_is_a_port_to_those_who_run_steps() -> None:
    concrete = importers("eventstore.redis.runs") | importers("eventstore.redis.client")
    outside = {
        path
        for path in concrete
        if not path.startswith(("eventstore/redis/", "openagents_json/engine/"))
    }
    assert outside == {"executor/integrity/derived_state.py"}, (
        "it looks for damage in what that adapter stores"
    )


def test_the_wheel_holds_the_five_packages_and_their_data(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(ROOT),
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        build, check=True, capture_output=True, env={**os.environ, "PATH": path}
    )
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {
        name.split("/")[0]
        for name in names
        if not name.split("/")[0].endswith(".dist-info")
    }
    assert tops == set(ROOMS)
    assert {
        "eventstore/redis/lua/commit.lua",
        "eventstore/redis/lua/append.lua",
        "openagents_json/py.typed",
        "openagents_json/server/page/files/index.html",
        "openagents_json/server/page/files/app/main.js",
        "openagents_json/server/page/files/style/page.css",
        "openagents_json/server/page/files/vendored/preact.js",
    } <= set(names)
    assert not [name for name in names if "/tests/" in name]


def test_everything_that_is_installed_is_locked_by_the_hashes_of_its_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    locked = {}
    for line in lock:
        if not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
            assert hashes, f"{requirement} has no hash: scripts/lock"
            pinned = Requirement(requirement)
            locked[canonicalize_name(pinned.name)] = next(
                iter(pinned.specifier)
            ).version
    groups = project["dependency-groups"].values()
    for text in [
        *project["project"]["dependencies"],
        *(text for group in groups for text in group),
    ]:
        required = Requirement(text)
        version = locked.get(canonicalize_name(required.name), "none")
        assert version in required.specifier, (
            f"{required} is locked at {version}: scripts/lock"
        )


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wrong = re.compile(
        r"(^|[^A-Za-z0-9_.])/(w"
        + r"ork|ro"
        + r"ot)/|py"
        + r"pi\.org/simple|python"
        + r"hosted"
    )
    mentions = []
    for name in tracked:
        path = ROOT / name
        if (
            path.suffix not in (".pdf", ".png", ".svg")
            and path.is_file()
            and wrong.search(path.read_text("utf-8", "replace"))
        ):
            mentions.append(name)
    assert mentions == []


def test_all_that_the_program_prints_goes_through_one_module() -> None:
    prints = re.compile(
        r"click\.(echo|secho|style)|(?<![.\w])print\(|sys\.(stdout|stderr)\.write|Console\("
    )
    allowed = {"terminal.py", "drawing.py", "main.py"}
    printing = [
        str(path)
        for path in (ROOT / "cli").rglob("*.py")
        if path.name not in allowed and prints.search(path.read_text())
    ]
    assert printing == []


def test_each_decision_has_a_number_of_its_own() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [page.name[:4] for page in pages]
    assert numbers == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        title = re.match(r"# (\d{4}):", page.read_text())
        assert title is None or title[1] == page.name[:4], page.name
