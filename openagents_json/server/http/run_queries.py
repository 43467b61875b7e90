"""Which runs: one grammar for the query strings of lists, for searches and for what is done to many runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
)

from openagents_json.engine import STATUSES, RunFilter
from openagents_json.server.http.values import NotNegative, Whole

_read_time: Final = TypeAdapter(datetime).validate_python
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MOST: Final = 1_000
"""So many runs stand on a page at most."""


def _status(text: str) -> str:
    if text not in STATUSES:
        raise ValueError(f"{text!r} is none of {', '.join(STATUSES)}")
    return text


def _time(value: object) -> datetime:
    """Read a time; numbers are refused, which might be seconds or milliseconds."""
    if not isinstance(value, str) or value.replace(".", "").isdecimal():
        raise ValueError("a time is written as 2026-11-23T08:00:00Z")
    return _read_time(value)


Status = Annotated[
    str,
    AfterValidator(_status),
    WithJsonSchema({"type": "string", "enum": list(STATUSES)}),
]
Label = Annotated[str, Field(pattern="^[^=]+=", examples=["team=sales"])]
Time = Annotated[datetime, BeforeValidator(_time)]
_MOST_NAMES: Final = 100
_Names = Annotated[list[str], Field(max_length=_MOST_NAMES)]


class RunQuery(BaseModel):
    """Which runs: every field narrows, several values of one mean any of them. Times are ISO 8601, UTC if unsaid."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[list[Status], Field(max_length=_MOST_NAMES)] = []
    workflow: _Names = []
    workflow_version: _Names = []
    label: list[Label] = Field(default=[], max_length=20, examples=[["team=sales"]])
    fingerprint: _Names = []
    error: _Names = []
    parent: _Names = []
    forked_from: _Names = []
    reopened: bool = False
    held: bool = False
    redacted: bool = False
    imported: bool = False
    started_after: Time | None = None
    started_before: Time | None = None
    ended_after: Time | None = None
    ended_before: Time | None = None
    took_over_ms: NotNegative | None = None
    took_under_ms: NotNegative | None = None

    def filter(self) -> RunFilter:
        """Return what the engine's views take."""
        return RunFilter(
            status=tuple(self.status),
            workflow=tuple(self.workflow),
            version=tuple(self.workflow_version),
            labels=dict(_pair(text) for text in self.label),
            fingerprint=tuple(self.fingerprint),
            error=tuple(self.error),
            parent=tuple(self.parent),
            source=tuple(self.forked_from),
            reopened=self.reopened,
            held=self.held,
            redacted=self.redacted,
            imported=self.imported,
            started_from=_ms(self.started_after),
            started_to=_ms(self.started_before),
            ended_from=_ms(self.ended_after),
            ended_to=_ms(self.ended_before),
            took_from=self.took_over_ms,
            took_to=self.took_under_ms,
        )


class RunPageQuery(RunQuery):
    """Which runs, and which page of them."""

    limit: Whole = Field(default=50, ge=1, le=MOST)
    after: str = Field(default="", description="The `next` of the page before.")
    as_of: Time | None = Field(default=None, description="As the runs were at a time.")

    @property
    def as_of_ms(self) -> int | None:
        """Return the time that the runs are shown as of, in ms since 1970."""
        return _ms(self.as_of)


class RunSearch(RunPageQuery):
    """Which runs, and which page of them, as the body of a request."""

    model_config = ConfigDict(strict=True)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _ms(moment: datetime | None) -> int | None:
    """Return a time in ms since 1970."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
