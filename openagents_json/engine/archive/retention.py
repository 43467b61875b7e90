"""How long runs are kept: rules by class, the first that fits decides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from openagents_json.engine.answers.lists import RunRow
from openagents_json.engine.archive.archive import Archive, DepartedRun, Departure
from openagents_json.engine.errors import CannotLeave, PolicyUnreadable
from openagents_json.engine.inspection.queries import Queries
from openagents_json.errors import NotFound, RunUnreadable
from openagents_json.statuses import ENDS, ClosedStatus
from projections.runs import RunFilter

_UNITS: Final = {
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_AGE: Final = re.compile(r"(\d+)([smhdw])")
PAGE: Final = 200

RETENTION: Final = "retention"
"""The lease of who applies a policy."""


class Rule(BaseModel):
    """Which runs, by when they ended, and what becomes of them: archive (to an URL), delete, or keep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    workflow: tuple[str, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    status: tuple[ClosedStatus, ...] = ()
    error: tuple[str, ...] = ()
    older_than: str = "0s"
    then: Literal["archive", "delete", "keep"]
    to: str = ""
    limit: int = Field(default=1_000_000, ge=1)

    @field_validator("workflow", "status", "error", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        if isinstance(value, str):
            return (value,)
        return value

    @field_validator("older_than")
    @classmethod
    def _age(cls, value: str) -> str:
        if not _AGE.fullmatch(value):
            raise ValueError(f"{value!r} is no age; write 90s, 15m, 2h, 30d or 8w")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if self.to and self.then != "archive":
            raise ValueError(f"`to` says nothing for {self.then!r}")
        return self

    @property
    def age_ms(self) -> int:
        """Return for how long runs stay after their end."""
        match = _AGE.fullmatch(self.older_than)
        if match:
            return int(match[1]) * _UNITS[match[2]]
        return 0


class Policy(BaseModel):
    """Rules in order; `to` is where they archive unless they say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = Field(min_length=1)
    to: str = ""

    @property
    def deletes(self) -> bool:
        """Tell whether a rule deletes runs for good."""
        return any(rule.then == "delete" for rule in self.rules)

    def archive_of(self, rule: Rule) -> str:
        """Return where a rule archives."""
        return rule.to or self.to


def read_policy(path: Path, default_to: str = "") -> Policy:
    """Read a policy.

    Raises PolicyUnreadable.
    """
    try:
        policy = Policy.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise PolicyUnreadable(str(path), str(error.strerror)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyUnreadable(str(path), f"{where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise PolicyUnreadable(str(path), f"it is no JSON ({error})") from error
    policy = policy.model_copy(update={"to": policy.to or default_to})
    for rule in policy.rules:
        if rule.then == "archive" and not policy.archive_of(rule):
            why = f"rule {rule.name!r} archives, and nothing says where: give `to`"
            raise PolicyUnreadable(str(path), why)
    return policy


@dataclass(slots=True)
class RuleResult:
    """What a rule came to: how many runs it fits, what left, and what stayed, with the reason."""

    rule: str
    then: str
    fits: int = 0
    held: int = 0
    gone: list[DepartedRun] = field(default_factory=list)
    stayed: dict[str, str] = field(default_factory=dict)

    @property
    def leaving(self) -> int:
        """Return how many runs are to leave: those that it fits and nobody holds."""
        return self.fits - self.held

    @property
    def before(self) -> int:
        """Return the bytes of memory that the runs took."""
        return sum(run.before for run in self.gone)

    @property
    def archived(self) -> int:
        """Return the bytes of their files."""
        return sum(run.archived for run in self.gone)

    @property
    def left(self) -> int:
        """Return the bytes that notes of them take."""
        return sum(run.left for run in self.gone)


def apply(
    policy: Policy,
    archive: Archive,
    reads: Queries,
    now_ms: int,
    *,
    reason: str = "",
    without: Sequence[str] = (),
    dry_run: bool = False,
) -> list[RuleResult]:
    """Apply the rules; safe to run again. Of two at once, the second waits for some seconds, then it is refused.

    Raises ViewBehind, ArchiveUnreachable, and InvalidRequest for a place that cannot keep runs, before one has left;
    LockTaken when another applies a policy, and LockLost when another has begun to because this one was paused.
    """
    # All places are looked at before the first run leaves.
    departures = [_departure(policy, rule, reason, without) for rule in policy.rules]
    with nullcontext(archive) if dry_run else archive.alone(RETENTION) as holder:
        return _carried_out(policy, departures, holder, reads, now_ms, dry_run)


def _carried_out(
    policy: Policy,
    departures: Sequence[Departure],
    archive: Archive,
    reads: Queries,
    now_ms: int,
    dry_run: bool,
) -> list[RuleResult]:
    decided: set[str] = set()
    results = []
    for rule, departure in zip(policy.rules, departures, strict=True):
        result = RuleResult(rule.name, rule.then)
        leaves = rule.then != "keep" and not dry_run
        for row in _rows(rule, reads, now_ms):
            if row.id in decided:
                continue
            decided.add(row.id)
            result.fits += 1
            if row.held:
                result.held += 1
            elif leaves:
                _leave(result, archive, row.id, departure)
            if result.fits >= rule.limit:
                break
        results.append(result)
    return results


def _departure(
    policy: Policy, rule: Rule, reason: str, without: Sequence[str]
) -> Departure:
    to = policy.archive_of(rule) if rule.then == "archive" else ""
    return Departure(to, reason or f"rule {rule.name}", tuple(without))


def _leave(result: RuleResult, archive: Archive, run: str, how: Departure) -> None:
    try:
        result.gone.append(archive.leave(run, how))
    except CannotLeave as error:
        result.stayed[run] = error.why
    except (NotFound, RunUnreadable) as error:
        # Somebody else was faster, or has the key.
        result.stayed[run] = str(error)


def _rows(rule: Rule, reads: Queries, now_ms: int) -> Iterator[RunRow]:
    """Return the closed runs of a class that ended long enough ago; pages are read before what is on them leaves."""
    chosen = RunFilter(
        status=rule.status or ENDS,
        workflow=rule.workflow,
        labels=rule.labels,
        error=rule.error,
        ended_from=0,
        ended_to=now_ms - rule.age_ms,
    )
    after = ""
    while True:
        page = reads.runs(chosen, limit=PAGE, after=after)
        yield from page.items
        if not page.next:
            return
        after = page.next
