"""Programs of Python that are forked from a process that has imported what our commands import.

Nine tenths of what a command of a test costs is its imports. A fork has processes, signals, streams and an end of its
own, as whatever is begun anew; how commands are found and begun is for the tests of that, which begin them anew.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    "cli.commands.doctor",
    "cli.commands.dev.command",
    "cli.commands.run",
    "cli.commands.worker",
    "cli.commands.runs.group",
    "cli.commands.runs.heal",
    "cli.drawing",
    "cli.failing.failures",
    "cli.main",
    "cli.root",
    "openagents_json.engine.facade",
    "openagents_json.engine.healing.heal",
    "openagents_json.engine.open",
    "openagents_json.engine.telemetry.loading",
    "openagents_json.engine.wiring.client",
    "openagents_json.engine.wiring.worker",
    "openagents_json.engine.workers",
    "openagents_json.simulation.sandbox",
    "openagents_json.testing",
    "executor.celery.worker",
    "eventstore.redis.embedded.server",
    "eventstore.redis.streams",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.events.receiver",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.strategy",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization",
    "jsonschema",
    "kombu.pidbox",
    "kombu.transport.redis",
    "rich.console",
    "rich.table",
    "sqlalchemy",
    "tests.conftest",
)
SERVER = """
from tests.fork_server import become_a_program, end_at_once
try:
    exec(become_a_program())
except SystemExit as ended:
    end_at_once(ended.code)
    raise
end_at_once(None)
"""
PR_SET_CHILD_SUBREAPER = 36


def command(program: str, *arguments: str) -> list[str]:
    """Return what begins a program anew: the text of it, and what it is given."""
    return [sys.executable, "-c", program, *arguments]


class ForkedProcess(subprocess.Popen[Any]):
    """A process that runs `python -c PROGRAM ...`, forked from the fork server of this process."""

    def _execute_child(self, *given: Any) -> None:
        """Fork where the standard library would begin a process anew; what surrounds it stays the library's."""
        library: Any = subprocess.Popen
        names = library._execute_child.__code__.co_varnames[1:]
        options = dict(zip(names, given, strict=False))
        python, flag, program, *arguments = options["args"]
        if (python, flag) != (sys.executable, "-c"):
            raise ValueError(f"only python -c PROGRAM is forked: {options['args']}")
        request = {
            "program": program,
            "arguments": arguments,
            "folder": str(options["cwd"] or Path.cwd()),
            "environment": dict(options["env"] or os.environ),
            "session": options["start_new_session"],
        }
        ends = (options["p2cread"], options["c2pwrite"], options["errwrite"])
        streams = [own if end == -1 else end for own, end in enumerate(ends)]
        self.pid = _fork_server().fork(request, streams)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        library._close_pipe_fds(self, *(options[name] for name in pipes))


def run_forked(
    arguments: list[str], *, check: bool = False, timeout: float = 120, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, as subprocess.run does."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ForkedProcess(arguments, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


class ForkServer:
    """The process that others are forked from: it ends when this side closes the socket."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(SERVER, str(theirs.fileno())),
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def fork(self, request: dict[str, Any], streams: list[int]) -> int:
        """Begin a program, as a child of this process; gives its number."""
        with _adopting():
            text = json.dumps(request).encode()
            socket.send_fds(self._socket, [len(text).to_bytes(4)], streams)
            self._socket.sendall(text)
            return int.from_bytes(_receive(self._socket, 4))

    def end(self) -> None:
        self._socket.close()
        self._process.wait(60)


_started: list[ForkServer] = []
"""The fork server of this process, once a test has asked for a program."""


def _fork_server() -> ForkServer:
    if not _started:
        _started.append(ForkServer())
    return _started[0]


def end_fork_server() -> None:
    """End the process that programs were forked from; they go on."""
    while _started:
        _started.pop().end()


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of a grandchild whose parent ends meanwhile, and of nobody's later: those go to init."""
    control = ctypes.CDLL(None).prctl
    control(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        control(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def become_a_program() -> CodeType:
    """Import what programs need, then fork for each request; returns in the forks, with the code of the program."""
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        for name in IMPORTED:
            importlib.import_module(name)
        gc.freeze()  # what all share is not looked through, and so not copied, by each
        while True:
            length, streams, _, _ = socket.recv_fds(requests, 4, 3)
            if not length:
                os._exit(0)  # whoever asked has ended
            request = json.loads(_receive(requests, int.from_bytes(length)))
            pid = _fork_for_the_parent()
            if not pid:
                break
            requests.sendall(pid.to_bytes(4))
            for number in streams:
                os.close(number)
    return _begun(request, streams)


def end_at_once(code: object) -> None:
    """End a program in the order in which an interpreter does, without taking its modules apart, as nobody sees that.

    To take apart what was only read so far copies it: ten times what the fork has cost. Returns where more is to be
    done than to end: what ended the program is a text to print, or a stream takes nothing.
    """
    library: Any = threading
    library._shutdown()  # waits for threads, as those may still use what `atexit` puts away
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # none, or one that takes no more
        return
    if code is None or isinstance(code, int):
        os._exit((code or 0) & 0xFF)


def _fork_for_the_parent() -> int:
    """Fork a grandchild that has no parent here; gives its number, and 0 in itself."""
    numbers, number = os.pipe()
    adoptions, adoption = os.pipe()
    between = os.fork()
    if not between and (pid := os.fork()):
        os.write(number, pid.to_bytes(4))
        os._exit(0)
    if between:
        os.waitpid(between, 0)  # from here on the grandchild has another parent
        pid = int.from_bytes(os.read(numbers, 4))
    os.close(adoption)
    if not between:
        os.read(adoptions, 1)  # ends when the last other end is closed: it may go on
        pid = 0
    for end in (numbers, number, adoptions):
        os.close(end)
    return pid


def _begun(request: dict[str, Any], streams: list[int]) -> CodeType:
    """Become in all that a program sees of its process as if it had been begun anew."""
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    paths = os.environ.get("PYTHONPATH")
    sys.path[1:1] = paths.split(os.pathsep) if paths else []
    sys.argv[1:] = request["arguments"]
    return compile(request["program"], "<string>", "exec")


def _receive(stream: socket.socket, length: int) -> bytes:
    return stream.recv(length, socket.MSG_WAITALL)
