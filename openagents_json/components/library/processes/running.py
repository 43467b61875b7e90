"""One program in a process group of its own, which ends with it: nothing that it started is left behind.

Its output is read while it runs, and no further than its bound. What it is given stands in a file without a name, so
that a program that does not read it holds nobody up.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Final

from openagents_json.components.context import CancelToken
from openagents_json.components.errors import (
    CancelledByEngine,
    NonRetryableError,
    RetryableError,
)
from openagents_json.components.library.permissions import local_files

_PIECE: Final = 65536
_MOST_ERRORS: Final = 10_000
"""How many of the last bytes that a program writes to its standard error are kept."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a program may run, and how much it may write."""

    seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program left."""

    status: int
    output: bytes
    errors: str


def run_program(
    what: str,
    command: Sequence[str],
    given: bytes,
    environment: Mapping[str, str],
    bounds: Bounds,
    token: CancelToken,
) -> Ended:
    """Run a program to its end, or end it, with all that it has started.

    Raises NonRetryableError, RetryableError and CancelledByEngine.
    """
    with _folder() as folder, tempfile.TemporaryFile() as input_file:
        input_file.write(given)
        input_file.seek(0)
        process = _started(what, command, input_file, environment, folder)
        return _Program(what, process, bounds, token).to_its_end()


@contextmanager
def _folder() -> Iterator[str]:
    """Give the folder that a program runs in: that of `file.*` if there is one, else an empty one for this time."""
    files = local_files()
    if files:
        yield files
        return
    with tempfile.TemporaryDirectory(prefix="openagents-") as folder:
        yield folder


def _started(
    what: str,
    command: Sequence[str],
    input_file: IO[bytes],
    environment: Mapping[str, str],
    folder: str,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=input_file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NonRetryableError(f"{what}: it cannot be started: {reason}") from None


class _Program:
    """A program that runs."""

    def __init__(
        self,
        what: str,
        process: subprocess.Popen[bytes],
        bounds: Bounds,
        token: CancelToken,
    ) -> None:
        self._what = what
        self._process = process
        self._bounds = bounds
        self._token = token
        self._lock = threading.Lock()
        self._is_reaped = False
        self._output = bytearray()
        self._errors = bytearray()
        self._failure: Exception | None = None

    def to_its_end(self) -> Ended:
        """Wait for the end, and return what there was."""
        ended, says_end = os.pipe()
        waiter = threading.Thread(target=self._wait, args=(says_end,), daemon=True)
        waiter.start()
        self._token.on_cancel(lambda _reason: self._kill())
        try:
            self._read(ended)
        finally:
            self._kill()
            waiter.join()
            self._reap()
            os.close(ended)
        if self._token.cancelled:
            raise CancelledByEngine(self._token.reason)
        if self._failure is not None:
            raise self._failure
        errors = self._errors.decode("utf-8", "replace")
        return Ended(self._process.returncode, bytes(self._output), errors)

    def _wait(self, says_end: int) -> None:
        """Wait until the program has ended, and say so; what it has started ends then, too."""
        # It is left to be reaped: until then its number is nobody else's, and can be used to end the group.
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._kill()
        os.close(says_end)

    def _kill(self) -> None:
        """End the program and all of its group."""
        # Under the lock: once it is reaped, the number may be that of another program.
        with self._lock:
            if not self._is_reaped:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _reap(self) -> None:
        with self._lock:
            self._process.wait()
            self._is_reaped = True
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read(self, ended: int) -> None:
        """Read what the program writes until it has ended, or is to end."""
        ends = time.monotonic() + self._bounds.seconds
        outputs = {
            _descriptor(self._process.stdout): self._take_output,
            _descriptor(self._process.stderr): self._take_errors,
        }
        with selectors.DefaultSelector() as selector:
            for descriptor in (*outputs, ended):
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            while self._failure is None:
                ready = selector.select(max(0.0, ends - time.monotonic()))
                readable = [key.fd for key, _ in ready]
                for descriptor in readable:
                    if descriptor != ended and not self._take(descriptor, outputs):
                        selector.unregister(descriptor)
                if readable == [ended]:
                    # Nothing more can be read: what somebody writes who left the group is not waited for.
                    return
                if time.monotonic() >= ends:
                    self._fail(
                        RetryableError(
                            f"{self._what}: it took longer than its time (timeout_seconds)"
                        )
                    )

    def _take(self, descriptor: int, outputs: Mapping[int, object]) -> bool:
        """Read a piece; gives whether there may be more."""
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        take = outputs[descriptor]
        take(piece)  # type: ignore[operator]
        return bool(piece)

    def _take_output(self, piece: bytes) -> None:
        self._output += piece
        if len(self._output) > self._bounds.max_bytes:
            self._fail(
                NonRetryableError(
                    f"{self._what}: it writes more than {self._bounds.max_bytes} bytes (max_bytes)"
                )
            )

    def _take_errors(self, piece: bytes) -> None:
        self._errors += piece
        del self._errors[:-_MOST_ERRORS]

    def _fail(self, failure: Exception) -> None:
        self._failure = failure


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise RuntimeError("the program has no pipe")
    return stream.fileno()
