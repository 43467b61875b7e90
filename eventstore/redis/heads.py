"""How the head of a run is read: its fields, and the records of its open steps (lua/runs_common.lua)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore.errors import HeadUnreadable
from eventstore.redis.stored_texts import pairs_of
from eventstore.run_model import RunHead, RunPosition, StepRecord


def read_head(run: str, reply: Any) -> RunHead | None:
    """Read the fields of a head; None where there is no such run.

    Raises HeadUnreadable.
    """
    fields = dict(pairs_of(reply))
    if not fields:
        return None
    try:
        return _head(
            run, {key.decode(): value.decode() for key, value in fields.items()}
        )
    except ValueError as error:
        raise HeadUnreadable(run, str(error)) from error


def read_position(
    run: str, status: bytes | None, version: bytes | None
) -> RunPosition | None:
    """Read how far a run is from two fields of its head; None where there is no such run.

    Raises HeadUnreadable.
    """
    if version is None:
        return None
    try:
        return RunPosition((status or b"").decode(), int(version))
    except ValueError as error:
        raise HeadUnreadable(run, str(error)) from error


def _head(run: str, text: Mapping[str, str]) -> RunHead:
    return RunHead(
        run=run,
        version=int(text.get("v", "0")),
        last_commit=text.get("lc", ""),
        status=text.get("st", ""),
        definition=text.get("def", ""),
        workflow=text.get("wf", ""),
        cancel=text.get("can") == "1",
        steps={
            key[2:]: _record(value)
            for key, value in text.items()
            if key.startswith("s:")
        },
        adopting=text.get("adopting") == "1",
    )


def _record(value: str) -> StepRecord:
    queue, priority, attempt, scheduled, _, flags, fence, worker, expiry, deadline = (
        value.split("|")
    )
    name = worker.removeprefix("?")  # before those who may not have begun
    return StepRecord(
        queue=queue,
        priority=int(priority),
        attempt=int(attempt),
        scheduled_version=int(scheduled),
        flags=flags,
        fence=fence,
        worker=name,
        expiry_ms=int(expiry),
        deadline_ms=int(deadline),
    )
