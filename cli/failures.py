"""How the command fails: one line on stderr that says what to do, never a traceback."""

from __future__ import annotations

import sys
from typing import NoReturn

from cli.terminal import say, say_lines


def expected() -> tuple[type[Exception], ...]:
    """Give the errors that say for themselves what happened; looked up only when something went wrong."""
    from eventstore.errors import EventStoreError
    from executor.histories.forking import NoSuchVersion
    from executor.histories.importing import AnotherHistory, HistoryUnfit, InPart
    from executor.runs.codec import PayloadRefused
    from executor.runs.repository import BrokenHistory, RunNotFound
    from openagents_json.components.errors import ComponentError
    from openagents_json.engine import ConcurrencyLimitReached, DocumentUnreadable, HealError
    from openagents_json.engine.archive.archive import NotArchived
    from openagents_json.engine.archive.capsule_file import CapsuleUnreadable
    from openagents_json.workflow.core.commands import Rejected
    from openagents_json.workflow.core.event_types import UnknownEvent
    from openagents_json.workflow.errors import WorkflowError
    from projections.errors import ProjectionError

    return (
        EventStoreError,
        PayloadRefused,
        RunNotFound,
        BrokenHistory,
        Rejected,
        UnknownEvent,
        WorkflowError,
        ComponentError,
        ProjectionError,
        ConcurrencyLimitReached,
        DocumentUnreadable,
        CapsuleUnreadable,
        AnotherHistory,
        InPart,
        HistoryUnfit,
        NoSuchVersion,
        NotArchived,
        HealError,
        OSError,
    )


def tell(error: Exception) -> NoReturn:
    """Say what an error means and end; one that nobody expected is a defect, and shown with where it happened."""
    from pydantic import ValidationError

    from eventstore.passwords import traceback_of

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        fail(f"setting {'.'.join(str(x) for x in first['loc'])}: {first['msg']}", 2)
    if isinstance(error, expected()):
        fail(str(error), 1)
    say_lines(traceback_of(error).rstrip("\n"), err=True)
    fail("this is a defect of openagents-json; please report it with the lines above", 1)


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong and end."""
    from eventstore.passwords import masked

    say(f"openagents: {masked(message)}", err=True)
    sys.exit(code)
