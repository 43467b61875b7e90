"""What is logged when a child process ends in the midst of a drain: a line, as nothing of ours is lost with it."""

from __future__ import annotations

import logging
from typing import Final

LOGGER: Final = "celery.worker.request"


class LostChildren(logging.Filter):
    """Turns Celery's trace of a lost child into a line: a drain is no task whose end somebody waits for."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all through, one kind of them with other words."""
        if _is_about_a_lost_child(record):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg = "a child process has ended while it worked; another one begins"
            record.args = ()
            record.exc_info = None
            record.exc_text = None
        return True


def _is_about_a_lost_child(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if record.exc_info else None
    return kind is not None and kind.__name__ == "WorkerLostError"


def tell_of_lost_children_in_a_line() -> None:
    """Have lost children told in a line, from here on; saying it again changes nothing."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(present, LostChildren) for present in logger.filters):
        logger.addFilter(LostChildren())
