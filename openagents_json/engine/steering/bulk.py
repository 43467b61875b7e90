"""Many runs at once: chosen by a filter, then acted on one after the other, each told of by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from eventstore.errors import StoreRefused
from openagents_json.errors import OpenAgentsError, Unavailable
from openagents_json.statuses import CLOSED_RUN, ENDS
from projections.runs import STATUSES, RunFilter

if TYPE_CHECKING:
    from openagents_json.engine.answers.lists import RunRow
    from openagents_json.engine.documents import Document
    from openagents_json.engine.inspection.queries import Queries
    from openagents_json.workflow.types import Json

PAGE: Final = 500
"""How many rows are read at a time."""

FITTING: Final[Mapping[str, tuple[str, ...]]] = {
    "cancel": tuple(
        name for name in STATUSES if name not in (*CLOSED_RUN, "cancelling", "failing")
    ),
    "retry": ("failed",),
    "pause": ("running",),
    "resume": ("paused",),
    "delete": ENDS,
}
"""What can be done to many runs, and the statuses of those that it is for, unless a filter names others."""

Tell = Callable[[str, OpenAgentsError | None], None]
"""Gets each run when it is done, with the error where there was one."""


class RunActions(Protocol):
    """What an engine does to one run."""

    @property
    def views(self) -> Queries:
        """Return the views of the store."""

    def plan(self, workflow: Document) -> object:
        """Validate and compile a document."""

    def cancel(
        self, run: str, reason: str = "", *, force: bool, compensate: bool
    ) -> None:
        """Cancel a run."""

    def retry(
        self,
        run: str,
        *,
        step: str = "",
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
        workflow: Document | None = None,
    ) -> None:
        """Retry a run."""

    def pause(self, run: str, reason: str = "") -> None:
        """Pause a run."""

    def resume(self, run: str, reason: str = "") -> None:
        """Resume a run."""

    def delete(self, run: str, reason: str = "", *, without: Sequence[str]) -> object:
        """Delete a run."""


def _tell_nobody(_run: str, _error: OpenAgentsError | None) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class BulkResult:
    """What became of each run: those that are `done`, and those that `failed` with the error of each."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, OpenAgentsError] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether all of them are done."""
        return not self.failed


class Bulk:
    """Does something to all runs that a filter chooses; what one of them refuses does not stop the others.

    Each run is changed by a commit of its own, as if it had been named alone. So after a crash the same call goes on:
    what it has done to a run has taken the run out of what the filter chooses. Each method takes a filter, or the ids
    of runs; a filter that names no status means those that the method is for. An error that the next run would meet as
    well, such as Unavailable, ends a call; others are those of one run, and are told in the result.
    """

    def __init__(self, runs: RunActions) -> None:
        self._runs = runs

    def choose(
        self, action: str, chosen: RunFilter, *, limit: int | None = None
    ) -> list[RunRow]:
        """Return the runs that an action is for, newest first, `limit` of them at most.

        Raises ViewBehind and InvalidQuery.
        """
        fitting = chosen if chosen.status else replace(chosen, status=FITTING[action])
        rows: dict[str, RunRow] = {}
        for row in self._rows(fitting):
            if limit is not None and len(rows) >= limit:
                break
            rows[row.id] = row  # one may be on two pages when the view is built anew
        return list(rows.values())

    def _rows(self, chosen: RunFilter) -> Iterator[RunRow]:
        after = ""
        while True:
            page = self._runs.views.runs(chosen, limit=PAGE, after=after)
            yield from page.items
            if not page.next:
                return
            after = page.next

    def cancel(
        self,
        chosen: RunFilter | Sequence[str],
        reason: str = "",
        *,
        force: bool = False,
        compensate: bool = True,
        limit: int | None = None,
        tell: Tell = _tell_nobody,
    ) -> BulkResult:
        """Cancel open runs, as `Engine.cancel` does."""

        act = partial(
            self._runs.cancel, reason=reason, force=force, compensate=compensate
        )
        return self._each("cancel", chosen, limit, act, tell)

    def retry(
        self,
        chosen: RunFilter | Sequence[str],
        reason: str = "",
        *,
        step: str = "",
        workflow: Document | None = None,
        limit: int | None = None,
        tell: Tell = _tell_nobody,
    ) -> BulkResult:
        """Retry failed runs from their failures, or from a step, as `Engine.retry` does.

        Raises InvalidDefinition and UnknownWorkflow before any is retried.
        """
        if workflow is not None:
            self._runs.plan(workflow)
        act = partial(self._runs.retry, step=step, reason=reason, workflow=workflow)
        return self._each("retry", chosen, limit, act, tell)

    def pause(
        self,
        chosen: RunFilter | Sequence[str],
        reason: str = "",
        *,
        limit: int | None = None,
        tell: Tell = _tell_nobody,
    ) -> BulkResult:
        """Pause running runs, as `Engine.pause` does."""

        act = partial(self._runs.pause, reason=reason)
        return self._each("pause", chosen, limit, act, tell)

    def resume(
        self,
        chosen: RunFilter | Sequence[str],
        reason: str = "",
        *,
        limit: int | None = None,
        tell: Tell = _tell_nobody,
    ) -> BulkResult:
        """Resume paused runs, as `Engine.resume` does."""

        act = partial(self._runs.resume, reason=reason)
        return self._each("resume", chosen, limit, act, tell)

    def delete(
        self,
        chosen: RunFilter | Sequence[str],
        reason: str = "",
        *,
        without: Sequence[str] = (),
        limit: int | None = None,
        tell: Tell = _tell_nobody,
    ) -> BulkResult:
        """Delete closed runs for good, as `Engine.delete` does."""

        act = partial(self._runs.delete, reason=reason, without=without)
        return self._each("delete", chosen, limit, act, tell)

    def _each(
        self,
        action: str,
        chosen: RunFilter | Sequence[str],
        limit: int | None,
        act: Callable[[str], object],
        tell: Tell,
    ) -> BulkResult:
        if isinstance(chosen, RunFilter):
            # All of them are chosen before the first is changed: what fails again meanwhile is not chosen once more.
            chosen = [row.id for row in self.choose(action, chosen, limit=limit)]
        elif isinstance(chosen, str):  # the id of one run, which is a sequence too
            chosen = [chosen]
        result = BulkResult()
        for run in chosen[:limit]:
            error = _refusal(act, run)
            if error is None:
                result.done.append(run)
            else:
                result.failed[run] = error
            tell(run, error)
        return result


def _refusal(act: Callable[[str], object], run: str) -> OpenAgentsError | None:
    """Act on a run, and return what it answers instead of an exception.

    Raises Unavailable and StoreRefused: the next run would meet the same.
    """
    try:
        act(run)
    except (Unavailable, StoreRefused):
        raise
    except OpenAgentsError as error:
        return error
    return None
