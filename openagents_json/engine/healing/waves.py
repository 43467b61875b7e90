"""The waves of a heal: runs are opened again, awaited and counted, until all is done or the stop condition holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventstore.event import Event
from executor.errors import PayloadRefused, RunNotFound, RunSealed
from executor.runs.errors import BusinessKeyTaken
from openagents_json.engine.errors import InvalidHeal, WaitTimeout, WaveUnfinished
from openagents_json.engine.healing import report as hr
from openagents_json.engine.healing.backtest import command_of
from openagents_json.engine.healing.idleness import IdleWatch
from openagents_json.engine.healing.report import HealReport, next_of
from openagents_json.engine.healing.report_store import ReportStore
from openagents_json.engine.services import Services
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import ENDS
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.errors import CannotEdit, InvalidInputs

if TYPE_CHECKING:
    from openagents_json.engine.answers.runs import Result

SHORTEST_WAIT_S = 0.001


@dataclass(frozen=True, slots=True)
class WaveLimits:
    """How long is waited for the runs of a wave, and how long of it while nobody works; None: all the time."""

    wave_seconds: float
    idle_seconds: float | None


_NOT_HEALED = (
    cmd.Rejected,
    BusinessKeyTaken,
    InvalidInputs,
    CannotEdit,
    PayloadRefused,
    RunUnreadable,
)
"""Why a run is left alone; the others of its wave are healed."""


class Waves:
    """Heals the proven runs of a report; each step of it is on the report, or in the history of the run."""

    def __init__(
        self, services: Services, reports: ReportStore, wait: Callable[..., Result]
    ) -> None:
        self._services = services
        self._core = services.core
        self._reports = reports
        self._wait = wait

    def go_on(
        self,
        heal: str,
        *,
        limits: WaveLimits,
        force: bool,
        tell: Callable[[str], None],
    ) -> HealReport:
        """Do what comes next until nothing does.

        Raises HealNotFound, WaveUnfinished, NobodyWorks, RunSealed and InvalidHeal.
        """
        report = self._reports.report(heal)
        self._reports.require_values(report)
        if report.stopped and force:
            report = self._reports.append(report, [Event("HealResumed", {})])
        while True:
            action, runs = next_of(report)
            event = self._event_of(report, action, runs, limits)
            if event is None:
                return report
            report = self._reports.append(report, [event])
            if action == hr.BEGIN_WAVE:
                tell(f"wave {event.data['number']}: {len(runs)} runs")

    def _event_of(
        self, report: HealReport, action: str, runs: Sequence[str], limits: WaveLimits
    ) -> Event | None:
        """Do what comes next, and say what happened; None when nothing comes next."""
        match action:
            case hr.BACKTEST:
                raise InvalidHeal(
                    f"the backtest of {report.id} is not complete",
                    remedy="go on with that first",
                )
            case hr.BEGIN_WAVE:
                number = len(report.waves) + 1
                return Event("WaveStarted", {"number": number, "runs": runs})
            case hr.HEAL:
                return self.heal_run(report, runs[0])
            case hr.AWAIT:
                return self._awaited(report, runs, limits)
            case hr.STOP:
                failed = report.ended["failed"]
                healed = len(report.healed)
                why = f"{failed} of {healed} healed runs have failed again"
                return Event("HealStopped", {"why": why})
            case hr.CLOSE:
                rest = {"skipped": len(report.skipped), "left": len(report.left)}
                return Event("HealClosed", {"counts": {**report.ended, **rest}})
            case _:
                return None

    def heal_run(self, report: HealReport, run: str) -> Event:
        """Open a run again, once, if it is as it was when it was tested; gives what to say of it.

        Raises RunSealed.
        """
        verdict = report.verdicts[run]
        why_not = ""
        try:
            self._reopen(report, run, verdict.version)
        except RunSealed:  # somebody who has the key goes on
            raise
        except _NOT_HEALED as error:
            why_not = str(error)
        # The run is opened before the report says so. Who died in between, or came second, is refused above, and
        # learns from the history of the run that this heal has opened it already.
        version = self._reopened(report, run)
        if why_not and version is None:
            return Event("RunHealSkipped", {"run": run, "why": why_not})
        data = {"run": run, "version": version or verdict.version + 1}
        return Event("RunHealed", data)

    def _reopen(self, report: HealReport, run: str, version: int) -> None:
        """Open a run again under the fix; the version is a fence against whatever has happened since the backtest."""
        fix = self._reports.fix_of(report)
        reason = f"healed by {report.id}"
        if report.request["reason"]:
            reason += f": {report.request['reason']}"
        self._core.handler.handle(
            run,
            command_of(self._core.sessions.load(run), fix, reason),
            actor=self._services.actor,
            cause=report.id,
            plan=fix.plan,
            version=version,
        )

    def _reopened(self, report: HealReport, run: str) -> int | None:
        """Return the version at which this heal opened a run again, None if it did not."""
        [later] = self._core.store.read([(run, report.verdicts[run].version)])
        for event in later:
            is_of_this_heal = (
                event.type == ev.RunReopened.__name__ and event.cause == report.id
            )
            if is_of_this_heal:
                return event.version
        return None

    def _awaited(
        self, report: HealReport, runs: Sequence[str], limits: WaveLimits
    ) -> Event:
        """Wait until the runs of a wave have ended, and count how they did.

        Raises WaveUnfinished and NobodyWorks.
        """
        seconds = limits.wave_seconds
        deadline_ms = self._core.clock.steady_ms() + seconds * 1000
        number = report.waves[-1].number
        idle = IdleWatch(
            services=self._services,
            heal=report.id,
            wave=number,
            limit_seconds=limits.idle_seconds,
        )
        counts: dict[str, int] = dict.fromkeys(ENDS, 0)
        unfinished = []
        for run in runs:
            # Behind the deadline the others are still asked, without waiting: they may have ended long ago.
            try:
                counts[self._end_of(run, deadline_ms, idle).status] += 1
            except WaitTimeout:
                unfinished.append(run)
            except RunNotFound:
                counts[self._left_as(run)] += 1
        if unfinished:
            raise WaveUnfinished(
                heal=report.id,
                wave=number,
                open_runs=tuple(unfinished),
                seconds=seconds,
            )
        return Event("WaveClosed", {"number": number, **counts})

    def _end_of(self, run: str, deadline_ms: float, idle: IdleWatch) -> Result:
        """Wait for the end of a run, and look now and then whether somebody works on it.

        Raises WaitTimeout behind the deadline, NobodyWorks and RunNotFound.
        """
        while True:
            left_seconds = (deadline_ms - self._core.clock.steady_ms()) / 1000
            wait_seconds = max(SHORTEST_WAIT_S, idle.slice_of(left_seconds))
            try:
                return self._wait(run, timeout=wait_seconds)
            except WaitTimeout:
                if wait_seconds >= left_seconds:
                    raise
                idle.look(run)

    def _left_as(self, run: str) -> str:
        """Return how a run ended that has left the store; nobody knows whether one that was deleted completed."""
        archived: Any = next(iter(self._services.views.views.get("archive", run)), None)
        if archived:
            return str(archived["status"])
        return "cancelled"
