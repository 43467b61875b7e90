"""A file that says whether a process can work, for whoever can look at files alone: probes of a container, scripts."""

from __future__ import annotations

import logging
from pathlib import Path

from openagents_json.engine.errors import InvalidSetting

log = logging.getLogger(__name__)


class ReadyFile:
    """A file that is there as long as the store answers, and as new as the last beat; for one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def clear(self) -> None:
        """Take away what a process has left that was killed: this one is not ready yet.

        Raises InvalidSetting when there cannot be a file.
        """
        try:
            self._path.touch()
            self._path.unlink()
        except OSError as error:
            reason = f"{self._path} cannot be written ({error.strerror})"
            raise InvalidSetting("ready_file", reason) from error

    def tell(self, ready: bool) -> None:
        """Say whether this process is ready; a disk that is full keeps nobody from work."""
        try:
            if ready:
                self._path.touch()
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the ready file cannot be kept: %s", error)
