"""A terminal for one command of acceptance tests, in this process."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import tty
from pathlib import Path

from cli.main import main


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
