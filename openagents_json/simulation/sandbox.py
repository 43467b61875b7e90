"""A process beside this one that runs components and keeps them from having any effect but their result.

It is a guard against accidents, such as a step that was declared idempotent and sends a message after all; it is none
against malice. What is refused: the network, other processes, changes of files outside of a folder of its own, and the
reading of secrets. The kernel refuses it as far as it can, and `bounds` says how far that is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from eventstore import codec
from openagents_json.simulation.sandbox_bounds import Bounds
from openagents_json.simulation.sandbox_secrets import secret_locations
from openagents_json.workflow.types import Json

LOADING_MS: Final = 60_000
PROGRAM: Final = (
    sys.executable,
    "-P",
    "-m",
    "openagents_json.simulation.sandbox_child",
)
"""What a sandbox runs: without the folder that it begins in among the modules that are looked through first."""

MEMORY: Final = 4 << 30
"""How much address space the process may take, in bytes."""


@dataclass(frozen=True, slots=True)
class SandboxCall:
    """A call of a component for a step; `limit_ms` is the time it may take."""

    component: str
    inputs: Mapping[str, Json]
    run: str
    step: str
    workflow: str
    attempt: int
    now_ms: int
    limit_ms: int
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class SandboxReply:
    """What came of a call: an output, or an error (type, message, retryable).

    It counts for nothing when something was `refused`, which says what, nor when it took too long (`late`).
    """

    output: Json = None
    error: Mapping[str, Json] | None = None
    refused: str = ""
    late: bool = False


class Sandbox:
    """Runs components in a process of their own, begun with the first call, and anew when it has died or hung.

    `components` are references as the loader takes them, relative to `directory`, the program's folder, in which the
    process begins; `environment` is all that it gets to see of this one's, and `secrets` are files and folders that it
    may not read, beside those that are called like secrets. Use it as a context manager, from one thread at a time.
    """

    def __init__(
        self,
        components: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        *,
        secrets: Sequence[Path] = (),
        memory: int = MEMORY,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._components = [
            str(directory / path) if path.endswith(".py") else path
            for path in components
        ]
        self._environment = environment
        self._directory = directory.resolve()
        self._memory = memory
        self._secrets = secret_locations([self._directory / path for path in secrets])
        self._program = program
        self._bounds: Bounds | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._broken = ""
        self._loaded = False

    def bounds(self) -> Bounds:
        """Say what keeps components in on this machine; none of them has been loaded by then."""
        self._begin()
        return self._bounds or Bounds(leaves=("anything: it did not begin",))

    def call(self, call: SandboxCall) -> SandboxReply:
        """Run a component."""
        self._begin()
        self._load()
        if self._broken:
            return SandboxReply(refused=self._broken)
        answer, late = self._asked(asdict(call), call.limit_ms)
        if answer is None:
            code = self._end()
            if late:
                return SandboxReply(late=True)
            return SandboxReply(refused=f"it ended its process (exit code {code})")
        if "unknown" in answer:
            return SandboxReply(
                refused=f"{answer['unknown']}; give its module with --components"
            )
        refused = answer.get("refused") or ()
        return SandboxReply(
            answer.get("output"),
            answer.get("error"),
            f"the sandbox does not allow {refused[0]}" if refused else "",
        )

    def _begin(self) -> None:
        if self._process is not None or self._broken:
            return
        try:
            folder = self._started()
        except OSError as error:
            self._broken = f"the sandbox does not begin ({error})"
            return
        begin = {
            "components": self._components,
            "folder": folder,
            "secrets": self._secrets,
            "memory": self._memory,
        }
        answer, _ = self._asked(begin, LOADING_MS)
        if answer is None:
            self._broken = f"the sandbox does not begin (exit code {self._end()})"
        else:
            self._take(Bounds(tuple(answer["used"]), tuple(answer["leaves"])))

    def _started(self) -> str:
        """Start the process and return the folder that is its own."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="openagents-sandbox-")
        folder = os.path.realpath(self._folder.name)
        self._process = subprocess.Popen(
            self._program,
            cwd=self._directory,
            env=self._surroundings(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return folder

    def _take(self, bounds: Bounds) -> None:
        """Take the bounds of a process, which may not be wider than was said before: namespaces, say, can run out."""
        more = [
            each
            for each in bounds.leaves
            if self._bounds is not None and each not in self._bounds.leaves
        ]
        if more:
            self._end()
            self._broken = f"the sandbox had to begin again, and does not keep components from {more[0]} any more"
        else:
            self._bounds = bounds

    def _surroundings(self, folder: str) -> dict[str, str]:
        path = [
            str(self._directory) if entry == "" else os.path.abspath(entry)
            for entry in sys.path
        ]
        return {
            **self._environment,
            "HOME": folder,
            "TMPDIR": folder,
            "XDG_CACHE_HOME": folder,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _load(self) -> None:
        """Load the components, unless that is done."""
        if self._loaded or self._broken:
            return
        answer, late = self._asked({}, LOADING_MS)
        if answer is None:
            why = (
                "take too long to load"
                if late
                else "end the process when they are loaded"
            )
            self._broken = f"in the sandbox, the components {why}"
        elif "error" in answer:
            why = (
                answer.get("refused")
                or [f"{answer['error']['type']}: {answer['error']['message']}"]
            )[0]
            self._broken = f"in the sandbox, the components cannot be loaded: {why}"
        self._loaded = not self._broken
        if self._broken:
            self._end()

    def _asked(self, what: Mapping[str, Any], limit_ms: int) -> tuple[Any, bool]:
        """Send a line and read one; gives None when none comes, and whether that is because the time was over."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None, False
        late = threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit_ms / 1000, kill)
        timer.start()
        try:
            process.stdin.write(codec.encode(what) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            return (codec.decode(line[:-1]), False)
        return (None, late.is_set())

    def _end(self) -> int:
        process = self._process
        self._process = None
        self._loaded = False
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._end()
        folder = self._folder
        self._folder = None
        if folder is not None:
            folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
