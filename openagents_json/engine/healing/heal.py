"""Healing a class of failed runs: a backtest first, then, in waves, the runs for which it proved the fix.

All of it is on record in a stream of its own, the report, and goes on from there after a crash: each step of it is
either on the report, or seen in the history of the run that it was for. Several processes may go on with the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from openagents_json.engine.archive.shredding import Shredded
from openagents_json.engine.healing.report import HealReport
from openagents_json.engine.healing.report_backtest import ReportBacktest, Tell
from openagents_json.engine.healing.report_store import ReportStore
from openagents_json.engine.healing.requests import HealRequest, SandboxSettings
from openagents_json.engine.healing.waves import WaveLimits, Waves
from openagents_json.engine.services import FILES_SECONDS, Services

if TYPE_CHECKING:
    from openagents_json.engine.answers.runs import Result


_USUAL_SANDBOX: Final = SandboxSettings()


def _quiet(_: str) -> None:
    """Tell nobody."""


class Healing:
    """Heals classes of failed runs."""

    def __init__(self, services: Services, wait: Callable[..., Result]) -> None:
        """`wait` takes a run and a timeout in seconds, as `Engine.wait` does."""
        self._reports = ReportStore(services)
        self._backtest = ReportBacktest(services, self._reports)
        self._waves = Waves(services, self._reports, wait)

    def begin(self, request: HealRequest) -> HealReport:
        """Begin a report.

        Raises InvalidHeal.
        """
        return self._reports.begin(request)

    def report(self, heal: str) -> HealReport:
        """Read a report.

        Raises HealNotFound.
        """
        return self._reports.report(heal)

    def redact(
        self, heal: str, reason: str = "", *, wait_seconds: float = FILES_SECONDS
    ) -> Shredded:
        """Erase the values of a report for good: what it was given, and why runs were not healed.

        What it did stays on record; if it is not closed, nobody goes on with it. Raises HealNotFound, and InvalidHeal
        for a report of an earlier version, whose values are on the log as they are.
        """
        return self._reports.redact(heal, reason, wait_seconds=wait_seconds)

    def backtest(
        self,
        heal: str,
        components: Sequence[str],
        *,
        limit_ms: int = 30_000,
        tell: Tell = _quiet,
        sandbox: SandboxSettings = _USUAL_SANDBOX,
        tell_sandbox: Tell = _quiet,
    ) -> HealReport:
        """Find out for each run what the fix would make of it, with nothing written but the report.

        `components` are the modules that the sandbox loads, `limit_ms` is how long a step may take in it;
        `tell_sandbox` is told what keeps them in before any of them runs. Raises HealNotFound, SandboxTooWeak and
        ViewBehind.
        """
        return self._backtest.run(
            heal,
            components,
            limit_ms=limit_ms,
            tell=tell,
            sandbox=sandbox,
            tell_sandbox=tell_sandbox,
        )

    def go_on(
        self,
        heal: str,
        *,
        wave_seconds: float = 600.0,
        idle_seconds: float | None = 60.0,
        force: bool = False,
        tell: Tell = _quiet,
    ) -> HealReport:
        """Heal in waves until all is done or the stop condition holds; one that has stopped goes on with `force`.

        Raises HealNotFound, WaveUnfinished when runs do not end within `wave_seconds`, NobodyWorks when no worker that
        could go on has been there for `idle_seconds` (None: that is waited for, too), RunSealed for a run whose key is
        not here, and InvalidHeal when the backtest is not complete.
        """
        limits = WaveLimits(wave_seconds, idle_seconds)
        return self._waves.go_on(heal, limits=limits, force=force, tell=tell)


def as_json(report: HealReport) -> dict[str, Any]:
    """Return a report as JSON."""
    members = {field.name: getattr(report, field.name) for field in fields(report)}
    del members["verdicts"], members["request"]
    request = dict(report.request)
    order: Sequence[str] = request.pop("order", ())
    tested = [run for run in order if run in report.verdicts]
    return {
        **members,
        "wish": request,  # what programs read is called as ever
        "status": report.status,
        "counts": report.counts,
        "runs": [asdict(report.verdicts[run]) for run in tested],
        "well": report.well,
    }
