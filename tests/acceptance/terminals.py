"""A terminal for one command of acceptance tests: in this process, or live, in one of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

from cli.main import main
from tests.conftest import wait_for
from tests.fork_server import ForkedProcess


class Terminal:
    """A terminal of its own for one command: what arrives there, after the program has done its part."""

    def __init__(self, arguments: list[str], folder: Path, given: str = "") -> None:
        self.code, self._folder = 0, folder
        master, slave = os.openpty()
        tty.setraw(slave)
        pieces: list[bytes] = []
        reader = threading.Thread(target=self._read, args=(master, pieces))
        reader.start()
        with open(slave, "w", encoding="utf-8", closefd=False) as paper:
            streams = sys.stdin, sys.stdout, sys.stderr
            handler = logging.StreamHandler(paper)
            logging.getLogger().addHandler(handler)
            try:
                sys.stdin, sys.stdout, sys.stderr = io.StringIO(given), paper, paper
                with contextlib.chdir(folder):
                    main(arguments)
            except SystemExit as ended:
                self.code = int(str(ended.code or 0))
            finally:
                sys.stdin, sys.stdout, sys.stderr = streams
                logging.getLogger().removeHandler(handler)
                paper.flush()
        os.close(slave)
        reader.join()
        self.text = b"".join(pieces).decode()

    def _read(self, master: int, pieces: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65536):
                pieces.append(piece)
        os.close(master)


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
LIVE = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from cli.main import main
main()
"""


class LiveTerminal:
    """A terminal of its own, with one command on it in a process of its own: keys that are pressed there reach it.

    As a person's: Ctrl-C is the terminal's doing, and what the command writes is seen as it comes, without colours.
    """

    def __init__(self, folder: Path, *arguments: str, columns: int = 80) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        self._pieces: list[bytes] = []
        environment = {**os.environ, "TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        self.process = ForkedProcess(
            [sys.executable, "-c", LIVE, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the last who had it open has closed it
            while piece := os.read(self._master, 65536):
                self._pieces.append(piece)

    @property
    def text(self) -> str:
        """Return what has arrived by now."""
        text = b"".join(self._pieces).decode(errors="replace")
        return ESCAPES.sub("", text).replace("\r\n", "\n")

    @property
    def words(self) -> str:
        """Return what has arrived by now with single spaces in the place of ends of lines."""
        return " ".join(self.text.split())

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until something has arrived."""

        def seen() -> bool:
            return re.search(pattern, self.words) is not None

        try:
            wait_for(seen)
        except AssertionError:
            raise AssertionError(f"no {pattern!r} in\n{self.text}") from None
        match = re.search(pattern, self.words)
        assert match is not None
        return match

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Wait for the end of the command; gives its exit status."""
        status = self.process.wait(60)
        self._reader.join(60)
        os.close(self._master)
        return status

    def close(self) -> None:
        """End the command, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.end()


@contextlib.contextmanager
def live(folder: Path, *arguments: str, columns: int = 80) -> Iterator[LiveTerminal]:
    """Have a command on a terminal for the time of a block; nothing of it is left behind."""
    terminal = LiveTerminal(folder, *arguments, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()
