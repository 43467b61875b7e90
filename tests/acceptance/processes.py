"""The command line for acceptance tests: in this process where a process is not the point, else in its own."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from click.testing import CliRunner

from cli.main import main
from openagents_json.engine import Engine
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / "tests" / "components" / "chaos.py"
LOADED = "openagents_components_"
"""How the names of modules begin that were loaded from files of components."""
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]


def openagents(
    *arguments: str, folder: Path = ROOT, given: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end in this process, which starts nothing: it has its exit code and streams."""
    done = openagents_bytes(*arguments, folder=folder, given=given)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def openagents_bytes(
    *arguments: str, folder: Path = ROOT, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in this process; gives its output as it is."""
    code: object = None
    with (
        contextlib.chdir(folder),
        _as_a_new_process(),
        CliRunner().isolation(given) as (out, err, _),
        _logging(),
    ):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
        sys.stderr.flush()
        return subprocess.CompletedProcess(
            arguments, int(str(code or 0)), out.getvalue(), err.getvalue()
        )


def in_process_of_its_own(
    *arguments: str, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end, as a user's shell does."""
    command = [str(Path(sys.executable).with_name("openagents")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder
    )


@contextlib.contextmanager
def _as_a_new_process() -> Iterator[None]:
    """Let a command load components as their files are now, and leave nothing of them to others."""
    path, writes = list(sys.path), sys.dont_write_bytecode
    kept = {
        name: sys.modules.pop(name)
        for name in list(sys.modules)
        if name.startswith(LOADED)
    }
    before = set(sys.modules)
    sys.dont_write_bytecode = (
        True  # a file that is written twice in a second has one date
    )
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, writes
        for name in set(sys.modules) - before:
            if name.startswith(LOADED) or _is_a_reader_s(sys.modules[name]):
                del sys.modules[name]
        sys.modules.update(kept)


def _is_a_reader_s(module: ModuleType) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and not origin.startswith(
        (str(ROOT), sys.prefix, sys.base_prefix)
    )


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Show on stderr what a process that sets up no logging shows: warnings, of the command's own threads."""
    others = {thread.ident for thread in threading.enumerate()} - {
        threading.get_ident()
    }
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.thread not in others)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def worker(
    store: Server,
    prefix: str,
    *,
    broker: Server | None = None,
    components: Path = COMPONENTS,
    more: tuple[str, ...] = (),
    broker_url: str = "",
) -> subprocess.Popen[str]:
    """Start a worker process."""
    arguments = [
        "worker",
        "--url",
        store.url,
        "--broker",
        broker_url or (broker or store).url,
        "--prefix",
        prefix,
    ]
    arguments += [
        "-c",
        str(components),
        "--concurrency",
        "2",
        "--lease-ms",
        "1500",
        *more,
    ]
    log = (store.directory / "worker.log").open("a")
    with log:
        return ForkedProcess(
            [*COMMAND, *arguments],
            stdout=log,
            stderr=log,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )


def wait_until_working(engine: Engine, *processes: subprocess.Popen[str]) -> None:
    """Wait until workers can take steps, and end in good order when they are told to."""
    awaited = {str(process.pid) for process in processes}
    wait_for(
        lambda: (
            awaited
            <= {row.worker.split(":")[1] for row in engine.views.workers() if row.alive}
        )
    )
