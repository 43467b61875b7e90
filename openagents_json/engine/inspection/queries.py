"""What the views say: runs by any combination, steps under way, workers, components, and failures by class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eventstore.event import Recorded
from eventstore.passwords import masked
from eventstore.redis.coordination.members import Directory
from eventstore.runs import RunStore
from eventstore.views import Row
from openagents_json.engine.answers.lists import (
    ArchivedRun,
    ArchivePage,
    FailureClass,
    OpenStep,
    RunPage,
    RunRow,
    WorkerRow,
)
from projections.projection import Counted
from projections.reader import Views
from projections.runs import RUNS, RunFilter
from projections.search import Query
from projections.steps import ComponentStatistics, component_statistics

if TYPE_CHECKING:
    from projections.verify import Drift

_AS_OF_PAGE: Final = 200


class Queries:
    """Questions to the views of a store; answers are as new as the log, unless a `stale` one will do."""

    def __init__(self, views: Views, store: RunStore, directory: Directory) -> None:
        self.views = views
        self._store = store
        self._directory = directory

    def runs(
        self,
        chosen: RunFilter | None = None,
        *,
        limit: int = 50,
        after: str = "",
        stale: bool = False,
    ) -> RunPage:
        """Return a page of runs, newest first.

        Raises ViewBehind and InvalidQuery.
        """
        page = self.views.search(
            "runs", (chosen or RunFilter()).query(limit=limit, after=after), stale=stale
        )
        return RunPage(
            tuple(_row(item.key, item.document) for item in page.items), page.next
        )

    def archived(
        self, chosen: RunFilter | None = None, *, limit: int = 50, after: str = ""
    ) -> ArchivePage:
        """Return a page of archived runs, those that were archived last first.

        Raises ViewBehind and InvalidQuery.
        """
        criteria = chosen or RunFilter()
        facets = replace(criteria, started_from=None, started_to=None).query(
            limit=limit, after=after
        )
        page = self.views.search("archive", replace(facets, where=criteria.matches))
        return ArchivePage(
            tuple(_archived(item.key, item.document) for item in page.items), page.next
        )

    def now_ms(self) -> int:
        """Return the time of the store's server, in ms since 1970."""
        return self._store.now_ms()

    def run_of(self, beginning: str) -> str:
        """Return the run whose id begins like that; what begins none is given back.

        Raises ViewBehind and AmbiguousRun.
        """
        from openagents_json.engine.inspection.beginnings import run_beginning_with

        return run_beginning_with(beginning, self.views)

    def count(self, chosen: RunFilter | None = None, *, stale: bool = False) -> int:
        """Count runs.

        Raises ViewBehind, and InvalidQuery where ends or durations are asked for.
        """
        return self.views.count("runs", (chosen or RunFilter()).query(), stale=stale)

    def as_of(
        self,
        time_ms: int,
        chosen: RunFilter | None = None,
        *,
        limit: int = 50,
        after: str = "",
    ) -> RunPage:
        """Return a page of runs as they were at a time: what has changed since is folded from its history.

        Raises ViewBehind and InvalidQuery.
        """
        criteria = chosen or RunFilter()
        until = time_ms + 1
        if criteria.started_to is not None:
            until = min(until, criteria.started_to)
        # What never changes is asked of the view; the rest is compared with the rows as they were then.
        lasting = RunFilter(
            workflow=criteria.workflow,
            labels=criteria.labels,
            parent=criteria.parent,
            source=criteria.source,
            started_from=criteria.started_from,
            started_to=until,
        )
        matching: list[RunRow] = []
        query = replace(lasting.query(limit=limit, after=after), limit=_AS_OF_PAGE)
        while True:
            page = self.views.search("runs", query, stale=bool(matching))
            rows = self._back_then(
                {item.key: item.document for item in page.items}, time_ms
            )
            for item in page.items:
                row = rows.get(item.key)
                if row is not None and criteria.matches(row):
                    matching.append(_row(item.key, row))
                if len(matching) == limit:
                    more = item is not page.items[-1] or page.next
                    return RunPage(tuple(matching), item.cursor if more else "")
            if not page.next:
                return RunPage(tuple(matching), "")
            query = replace(query, after=page.next)

    def _back_then(self, rows_now: Mapping[str, Any], time_ms: int) -> dict[str, Any]:
        rows_then: dict[str, Any] = {}
        changed_since = []
        for run, row in rows_now.items():
            if row["changed_ms"] > time_ms:
                changed_since.append(run)
            else:
                rows_then[run] = row
        histories = self._store.read([(run, 0) for run in changed_since])
        for run, history in zip(changed_since, histories, strict=True):
            row = _folded(history, time_ms)
            if row is not None:
                rows_then[run] = row
        return rows_then

    def steps(
        self, *, status: str = "", worker: str = "", stale: bool = False
    ) -> list[OpenStep]:
        """Return the steps under way in all runs, in no order.

        Raises ViewBehind.
        """
        # All of them are read at once: whoever sorts them may have closed the store by then.
        return [
            step
            for run in self.views.documents("steps", stale=stale)
            for step in _open_steps(run)
            if status in ("", step.status) and step.worker.startswith(worker)
        ]

    def components(self, *, stale: bool = False) -> list[ComponentStatistics]:
        """Return what happened to the attempts of each component.

        Raises ViewBehind.
        """
        return component_statistics(self.views.tallies("steps", stale=stale))

    def workers(self, *, stale: bool = False) -> list[WorkerRow]:
        """Return all worker processes on record, the latest first.

        Raises ViewBehind.
        """
        from openagents_json.engine.worker_types.rows import worker_rows

        rows = worker_rows(self.views, self._directory, stale=stale)
        return [WorkerRow(**row) for row in rows]

    def failures(self, *, stale: bool = False) -> list[FailureClass]:
        """Return the classes of failures, the latest first.

        Raises ViewBehind.
        """
        classes: dict[str, dict[str, Any]] = {}
        for tally in self.views.tallies("runs", stale=stale):
            for name, value in tally.items():
                fingerprint, _, part = name.partition("/")
                _add_part(classes.setdefault(fingerprint, {"count": 0}), part, value)
        failures = [
            self._failure(fingerprint, totals)
            for fingerprint, totals in classes.items()
        ]
        return sorted(
            failures, key=lambda item: (item.last_ms, item.fingerprint), reverse=True
        )

    def verify(self, name: str) -> list[Drift]:
        """Compare a view with a fold of the whole log; gives what differs.

        Raises UnknownProjection.
        """
        return self.views.verify(name)

    def _failure(self, fingerprint: str, totals: Mapping[str, Any]) -> FailureClass:
        first = totals["first"]
        last = totals["last"]
        now = self.views.count(
            "runs", Query(((f"fingerprint={fingerprint}",),)), stale=True
        )
        return FailureClass(
            fingerprint,
            last["workflow"],
            last["step"],
            last["type"],
            last["message"],
            totals["count"],
            now,
            first["run"],
            first["at_ms"],
            last["run"],
            last["at_ms"],
        )


def _add_part(totals: dict[str, Any], part: str, value: Any) -> None:
    """Add what one partition tells of a class: its count, or the first or the last failure there."""
    if part == "count":
        totals["count"] += value
        return
    earlier = totals.get(part)
    if earlier is None:
        totals[part] = value
        return
    is_later = value["at_ms"] > earlier["at_ms"]
    if is_later == (part == "last"):
        totals[part] = value


def _folded(history: Iterable[Recorded], time_ms: int) -> Any:
    """Return the row of a run as it was at a time, None when it had not begun."""
    row = None
    types = RUNS.types or ()
    for event in history:
        if event.time_ms > time_ms or event.type not in types:
            continue
        applied = RUNS.apply(row, event)
        row = applied.document if isinstance(applied, Counted) else applied
    return row


def _archived(run: str, row: Mapping[str, Any]) -> ArchivedRun:
    file = masked(row["url"]), row["sha256"], row["bytes"]
    return ArchivedRun(_row(run, row), *file, row["archived_ms"], row["archived_by"])


def _row(run: str, row: Mapping[str, Any]) -> RunRow:
    return RunRow(
        run,
        row["workflow"],
        row["version"],
        row["status"],
        row["started_ms"],
        row.get("ended_ms"),
        row["events"],
        row.get("labels") or {},
        row.get("parent"),
        row.get("error"),
        row.get("step"),
        row.get("fingerprint"),
        row.get("reopened", 0),
        row.get("source"),
        row.get("held", False),
        row.get("redacted", False),
        row.get("imported"),
    )


def _open_steps(run: Row) -> Iterator[OpenStep]:
    for path, step in run.document["steps"].items():
        yield OpenStep(
            run.key,
            run.document["workflow"],
            path,
            step["status"],
            step["since_ms"],
            step.get("attempt", 0),
            str(step.get("worker", "")),
        )
