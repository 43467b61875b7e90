"""The backtest of a report: each of its runs under the fix, in a sandbox, with nothing written but the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from eventstore.event import Event
from eventstore.redis.embedded.data_directory import directory_of, parts
from openagents_json.engine.errors import SandboxTooWeak
from openagents_json.engine.healing.backtest import UNPROVEN, Fix, Verdict, backtest
from openagents_json.engine.healing.report import HealReport
from openagents_json.engine.healing.report_store import ReportStore
from openagents_json.engine.healing.requests import SandboxSettings
from openagents_json.engine.services import Services
from openagents_json.engine.settings import own_secrets, sandbox_environment
from openagents_json.errors import RunUnreadable
from openagents_json.simulation.sandbox import Sandbox
from openagents_json.simulation.sandbox_bounds import Bounds
from projections.runs import RunFilter

BATCH = 20
"""How many backtests are appended to the report at once."""

_PAGE = 200

Tell = Callable[[str], None]


class ReportBacktest:
    """Finds out for the runs of a report what the fix would make of them; who was interrupted goes on behind it."""

    def __init__(self, services: Services, reports: ReportStore) -> None:
        self._services = services
        self._core = services.core
        self._reports = reports

    def run(
        self,
        heal: str,
        components: Sequence[str],
        *,
        limit_ms: int,
        tell: Tell,
        sandbox: SandboxSettings,
        tell_sandbox: Tell,
    ) -> HealReport:
        """Test the runs of a report that have no verdict yet.

        Raises HealNotFound, SandboxTooWeak and ViewBehind.
        """
        report = self._reports.report(heal)
        if report.tested:
            _require_strict(report, sandbox)
            return report
        self._reports.require_values(report)
        report = self._with_runs(report)
        folder = Path.cwd()
        with Sandbox(
            components,
            sandbox_environment(names=sandbox.variables),
            folder,
            secrets=self._secrets(sandbox, folder),
            program=sandbox.program,
        ) as opened:
            report = self._with_bounds(report, opened.bounds(), tell_sandbox)
            _require_strict(report, sandbox)
            report = self._test_all(report, opened, limit_ms, tell)
        self._reports.require_values(report)
        while not report.tested:
            closed = Event("BacktestClosed", {"counts": report.counts})
            report = self._reports.append(report, [closed])
        # Others may have tested some of the runs, in a sandbox of theirs.
        _require_strict(report, sandbox)
        return report

    def _with_runs(self, report: HealReport) -> HealReport:
        """Put on record which runs are tested, once: whoever goes on tests the same ones."""
        if "order" in report.request:
            return report
        runs, more = self._selected(report)
        selected = Event("RunsSelected", {"runs": runs, "more": more})
        return self._reports.append(report, [selected])

    def _selected(self, report: HealReport) -> tuple[list[str], bool]:
        criteria: Mapping[str, Any] = report.request["where"]
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in criteria.items()
        }
        arguments["status"] = ("failed",)
        limit: int = report.request["limit"]
        matching = self._matching(RunFilter(**arguments))
        runs = list(islice(matching, limit + 1))
        return runs[:limit], len(runs) > limit

    def _matching(self, chosen: RunFilter) -> Iterator[str]:
        after = ""
        while True:
            page = self._services.views.runs(chosen, limit=_PAGE, after=after)
            yield from (row.id for row in page.items)
            if not page.next:
                return
            after = page.next

    def _secrets(self, sandbox: SandboxSettings, folder: Path) -> list[Path]:
        """Return where our own secrets are; where the program lies in a data directory, all that is the server's."""
        ours = [directory_of(self._core.connection), *own_secrets(), *sandbox.secrets]
        paths = dict.fromkeys((folder / path).resolve() for path in ours if path)
        hidden: list[Path] = []
        for path in paths:
            if folder.is_relative_to(path):
                hidden.extend(parts(path))
            else:
                hidden.append(path)
        return hidden

    def _with_bounds(
        self, report: HealReport, bounds: Bounds, tell: Tell
    ) -> HealReport:
        """Put on record what keeps components in, before any of them runs."""
        tell(bounds.text())
        while report.sandbox is None or report.sandbox.and_(bounds) != report.sandbox:
            begun = Event("SandboxBegun", asdict(bounds))
            report = self._reports.append(report, [begun])
        return report

    def _test_all(
        self, report: HealReport, sandbox: Sandbox, limit_ms: int, tell: Tell
    ) -> HealReport:
        """Test batch after batch; each is on record before the next begins, so a crash loses one at most."""
        fix = self._reports.fix_of(report)
        while not report.redacted and (batch := _untested(report)):
            verdicts = [self._tested(run, fix, sandbox, limit_ms) for run in batch]
            events = [Event("RunBacktested", asdict(verdict)) for verdict in verdicts]
            report = self._reports.append(report, events)
            tell(
                f"{len(report.verdicts)} of {len(report.request['order'])} runs tested"
            )
        return report

    def _tested(self, run: str, fix: Fix, sandbox: Sandbox, limit_ms: int) -> Verdict:
        try:
            session = self._core.sessions.load(run)
        except RunUnreadable as error:  # it is left alone, and the others are healed
            return Verdict(run=run, version=0, verdict=UNPROVEN, reason=str(error))
        now_ms = self._core.clock.now_ms()
        return backtest(session, fix, sandbox, now_ms=now_ms, limit_ms=limit_ms)


def _require_strict(report: HealReport, sandbox: SandboxSettings) -> None:
    """Refuse a backtest whose sandbox is, or was, not what it had to be.

    Raises SandboxTooWeak.
    """
    bounds = report.sandbox or Bounds(
        leaves=("anything: its backtest did not say what it kept from components",)
    )
    if sandbox.strict and bounds.leaves:
        raise SandboxTooWeak(report.id, bounds.leaves, bounds.text())


def _untested(report: HealReport) -> list[str]:
    """Return the runs that are tested next."""
    return [run for run in report.request["order"] if run not in report.verdicts][
        :BATCH
    ]
