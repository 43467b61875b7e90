"""How the head of a run is read: its fields, and the records of its open steps (lua/runs_common.lua)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventstore.errors import HeadUnreadable
from eventstore.run_model import RunHead, StepRecord


def _pairs(reply: Any) -> dict[bytes, bytes]:
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2], strict=True))


def read_head(run: str, reply: Any) -> RunHead | None:
    """Read the fields of a head; None where there is no such run.

    Raises HeadUnreadable.
    """
    fields = _pairs(reply)
    if not fields:
        return None
    try:
        return _head(
            run, {key.decode(): value.decode() for key, value in fields.items()}
        )
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
        queue,
        int(priority),
        int(attempt),
        int(scheduled),
        flags,
        fence,
        name,
        int(expiry),
        int(deadline),
    )
