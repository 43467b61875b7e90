"""Where log lines go, and how they look: each that is about a step names its run, the step and the attempt."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from cli.terminal import is_quiet, line, lines, say

_FIELDS: Final = {
    "run_id": "run",
    "step_id": "step",
    "attempt": "attempt",
    "request_id": "request",
    "method": "method",
    "route": "route",
    "operation": "operation",
    "status": "status",
    "ms": "ms",
    "actor": "actor",
    "key_id": "key",
}
"""What a record says of its step, or of its request, by the name that it has in a line."""

_CHATTY: Final = ("celery", "kombu", "amqp", "asyncio", "redis", "uvicorn")
"""Loggers of libraries that tell at INFO what nobody has asked."""


def begin_logging(level: str, form: str) -> None:
    """Write lines from a level on to stderr, as text or as JSON; to be called once in a process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = StderrHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(_name_step)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(number)
    if number > logging.DEBUG:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(max(number, logging.WARNING))


def teller(form: str) -> Callable[[str], None]:
    """Return what prints lines beside the log, from whatever thread, as text or as JSON; nothing with `--quiet`.

    They are told at whatever level lines are logged from.
    """
    quiet = is_quiet()
    shown = _as_json if form == "json" else str

    def tell(sentence: str) -> None:
        if not quiet:
            say(shown(sentence), err=True)

    return tell


def _as_json(sentence: str) -> str:
    about = {"name": "openagents", "levelname": "INFO", "msg": sentence}
    return JsonLines().format(logging.makeLogRecord(about))


class StderrHandler(logging.StreamHandler[Any]):
    """Writes to what the standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.setStream(sys.stderr)
        super().emit(record)


def _name_step(record: logging.LogRecord) -> bool:
    """Let a line of any logger say in which step it was written, if it was in one."""
    from openagents_json.engine.components import current_attempt

    if not hasattr(record, "run_id"):
        for name, value in current_attempt().items():
            setattr(record, name, value)
    return True


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for attribute, name in _FIELDS.items():
        value = getattr(record, attribute, None)
        if value is not None:
            yield name, value


class TextLines(logging.Formatter):
    """Lines for people: time (UTC), level, what happened, and where."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as a line; a traceback follows on lines of its own."""
        moment = datetime.fromtimestamp(record.created, UTC)
        clock = moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        about = "".join(f" {name}={line(str(x))}" for name, x in _fields(record))
        head = f"{clock} {record.levelname:<7} {record.getMessage()}{about}"
        trace = _trace(self, record)
        if trace:
            return f"{head}\n{trace}"
        return head


class JsonLines(logging.Formatter):
    """A line of JSON for each record; a traceback is one of its texts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as JSON."""
        moment = datetime.fromtimestamp(record.created, UTC)
        value: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_fields(record)),
        }
        trace = _trace(self, record)
        if trace:
            value["traceback"] = trace
        return json.dumps(value, ensure_ascii=True, default=str)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the traceback that belongs to a record, as text that moves no cursor; empty when it has none."""
    if not record.exc_info:
        return lines(record.exc_text or "")
    return lines(formatter.formatException(record.exc_info))
