"""Healing a class of failed runs: a backtest first, then, in waves, the runs for which it proved the fix.

All of it is on record in a stream of its own, the report, and goes on from there after a crash: each step of it is
either on the report, or seen in the history of the run that it was for. Several processes may go on with the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventstore.errors import WrongExpectedVersion
from eventstore.event import Event
from eventstore.redis.embedded.data_directory import directory_of, parts
from eventstore.redis.run_keys import KeyStore
from executor.clock import ulid
from executor.encryption import REPORT
from executor.errors import PayloadRefused, RunNotFound, RunSealed
from openagents_json.engine.archive.shredding import Shredded, rewritten
from openagents_json.engine.errors import (
    HealNotFound,
    InvalidHeal,
    SandboxTooWeak,
    WaitTimeout,
    WaveUnfinished,
)
from openagents_json.engine.healing import report as hr
from openagents_json.engine.healing.backtest import (
    UNPROVEN,
    Fix,
    Verdict,
    backtest,
    command_of,
)
from openagents_json.engine.healing.report import (
    HealReport,
    fold,
    next_of,
    parse_stop,
    parse_waves,
)
from openagents_json.engine.healing.values import HIDDEN, HealValues
from openagents_json.engine.services import FILES_SECONDS, Services
from openagents_json.engine.settings import own_secrets, sandbox_environment
from openagents_json.errors import RunUnreadable
from openagents_json.simulation.sandbox import PROGRAM, Sandbox
from openagents_json.simulation.sandbox_bounds import Bounds
from openagents_json.statuses import ENDS
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.errors import CannotEdit, InvalidInputs
from projections.runs import RunFilter

if TYPE_CHECKING:
    from openagents_json.engine.inspection.values import Result

BATCH = 20
"""How many backtests are appended to the report at once."""

_PAGE = 200

Tell = Callable[[str], None]


def _quiet(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class HealWish:
    """Which failed runs, at most `limit` of them, are healed by what, in which `waves`, and when that stops."""

    chosen: RunFilter
    fix: Fix = field(default_factory=Fix)
    waves: str = "1,10%,100%"
    stop_after_failures: str = "1"
    limit: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SandboxWish:
    """How components are kept in while a fix is tested.

    `strict`: the kernel refuses all of it, or nothing runs. `variables` are names of the environment that they see
    beside the harmless ones, `secrets` files and folders that they may not read beside the usual ones. `program` is
    what the sandbox runs.
    """

    strict: bool = False
    variables: tuple[str, ...] = ()
    secrets: tuple[Path, ...] = ()
    program: tuple[str, ...] = PROGRAM


class Healing:
    """Heals classes of failed runs."""

    def __init__(self, services: Services, wait: Callable[..., Result]) -> None:
        """`wait` takes a run and a timeout in seconds, as `Engine.wait` does."""
        self._services = services
        self._core = services.core
        self._wait = wait
        self._values = HealValues(KeyStore(services.core.store), services.core.keyring)

    def begin(self, wish: HealWish) -> HealReport:
        """Begin a report.

        Raises InvalidHeal.
        """
        if wish.chosen == RunFilter():
            raise InvalidHeal(
                "say which failed runs are to be healed: all of them are hardly one class"
            )
        waves, stop, plan = (
            parse_waves(wish.waves),
            parse_stop(wish.stop_after_failures),
            wish.fix.plan,
        )
        if plan is not None:  # whoever goes on needs it, wherever that is
            self._core.definitions.keep(plan)
        data = {
            "where": {
                name: value
                for name, value in asdict(wish.chosen).items()
                if value not in (None, (), {}, False)
            },
            "fix": {
                "definition": plan.hash if plan else "",
                "workflow": plan.id if plan else "",
                "version": plan.version if plan else "",
                "inputs": dict(wish.fix.edits),
            },
            "mocks": dict(wish.fix.mocks),
            "waves": waves,
            "stop": stop,
            "limit": wish.limit,
            "reason": wish.reason,
        }
        heal = f"{REPORT}{ulid(self._core.clock.now_ms())}"
        self._values.begin(heal)
        return self._append(HealReport(heal), [Event("HealStarted", data)])

    def report(self, heal: str) -> HealReport:
        """Read a report.

        Raises HealNotFound.
        """
        found = self._read(HealReport(heal)) if heal.startswith(REPORT) else None
        if found is None or not found.version:
            raise HealNotFound(heal)
        return found

    def _read(self, report: HealReport) -> HealReport:
        """Return a report as it is by now."""
        recorded = self._services.events.read(report.id, after=report.version)
        return fold(report, self._values.opened(report.id, recorded))

    def redact(
        self, heal: str, reason: str = "", *, wait_seconds: float = FILES_SECONDS
    ) -> Shredded:
        """Erase the values of a report for good: what it was given, and why runs were not healed.

        What it did stays on record; if it is not closed, nobody goes on with it. Raises HealNotFound, and InvalidHeal
        for a report of an earlier version, whose values are on the log as they are.
        """
        report, changed = self.report(heal), False
        if HIDDEN not in {
            name for item in self._services.events.read(heal) for name in item.data
        } and _tells(report):
            raise InvalidHeal(
                f"{heal} was begun by an earlier version: its values lie in the log, where they stay"
            )
        while (
            not report.redacted
        ):  # said first: whoever reads it from now on does not look for the key
            report, changed = (
                self._append(report, [Event("HealRedacted", {"reason": reason})]),
                True,
            )
        self._values.destroy(heal)
        files = rewritten(self._core, wait_seconds)
        return Shredded(heal, changed, files.state, files.why)

    def _require_values(self, report: HealReport) -> None:
        """Refuse to go on with a report whose values cannot be read.

        Raises RunSealed and InvalidHeal.
        """
        if report.closed or not (report.unread or report.redacted):
            return
        if report.redacted or self._values.key(report.id) is None:
            raise InvalidHeal(
                f"the values of {report.id} were erased, so nobody can go on with it; begin another one"
            )

    # -- the backtest ------------------------------------------------------------------------------------

    def backtest(
        self,
        heal: str,
        components: Sequence[str],
        *,
        limit_ms: int = 30_000,
        tell: Tell = _quiet,
        sandbox: SandboxWish = SandboxWish(),
        tell_sandbox: Tell = _quiet,
    ) -> HealReport:
        """Find out for each run what the fix would make of it, with nothing written but the report.

        `components` are the modules that the sandbox loads, `limit_ms` is how long a step may take in it;
        `tell_sandbox` is told what keeps them in before any of them runs. Raises HealNotFound, SandboxTooWeak and
        ViewBehind.
        """
        report = self.report(heal)
        if report.tested:
            _require(report, sandbox)
            return report
        self._require_values(report)
        if "order" not in report.wish:
            runs, more = self._selected(report)
            report = self._append(
                report, [Event("RunsSelected", {"runs": runs, "more": more})]
            )
        fix = self._fix(report)
        environment, folder = sandbox_environment(names=sandbox.variables), Path.cwd()
        secrets = self._secrets(sandbox, folder)
        with Sandbox(
            components, environment, folder, secrets=secrets, program=sandbox.program
        ) as opened:
            report = self._in_bounds(report, opened.bounds(), tell_sandbox)
            _require(report, sandbox)
            while batch := [] if report.redacted else _untested(report):
                found = [self._tested(run, fix, opened, limit_ms) for run in batch]
                report = self._append(
                    report,
                    [Event("RunBacktested", asdict(verdict)) for verdict in found],
                )
                tell(
                    f"{len(report.verdicts)} of {len(report.wish['order'])} runs tested"
                )
        self._require_values(report)
        while not report.tested:
            report = self._append(
                report, [Event("BacktestClosed", {"counts": report.counts})]
            )
        _require(
            report, sandbox
        )  # others may have tested some of the runs, in a sandbox of theirs
        return report

    def _secrets(self, wish: SandboxWish, folder: Path) -> list[Path]:
        """Return where our own secrets are; where the program lies in a data directory, all that is the server's."""
        own = [directory_of(self._core.connection), *own_secrets(), *wish.secrets]
        places = dict.fromkeys(
            (folder / path).resolve() for path in own if path is not None
        )
        return [
            part
            for place in places
            for part in (parts(place) if folder.is_relative_to(place) else (place,))
        ]

    def _in_bounds(self, report: HealReport, bounds: Bounds, tell: Tell) -> HealReport:
        """Put on record what keeps components in, before any of them runs."""
        tell(bounds.text())
        while report.sandbox is None or report.sandbox.and_(bounds) != report.sandbox:
            report = self._append(report, [Event("SandboxBegun", asdict(bounds))])
        return report

    def _selected(self, report: HealReport) -> tuple[list[str], bool]:
        where: Mapping[str, Any] = report.wish["where"]
        given: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x for name, x in where.items()
        }
        chosen, limit = (
            RunFilter(**{**given, "status": ("failed",)}),
            report.wish["limit"],
        )
        runs = list(_first(self._found(chosen), limit + 1))
        return runs[:limit], len(runs) > limit

    def _found(self, chosen: RunFilter) -> Iterator[str]:
        after = ""
        while True:
            page = self._services.views.runs(chosen, limit=_PAGE, after=after)
            yield from (row.id for row in page.items)
            if not page.next:
                return
            after = page.next

    def _tested(self, run: str, fix: Fix, sandbox: Sandbox, limit_ms: int) -> Verdict:
        try:
            session = self._core.sessions.load(run)
        except RunUnreadable as error:  # it is left alone, and the others are healed
            return Verdict(run, 0, UNPROVEN, str(error))
        return backtest(
            session, fix, sandbox, now_ms=self._core.clock.now_ms(), limit_ms=limit_ms
        )

    def _fix(self, report: HealReport) -> Fix:
        wish = report.wish["fix"]
        plan = (
            self._core.definitions.plan(wish["definition"])
            if wish["definition"]
            else None
        )
        return Fix(plan, wish["inputs"], report.wish["mocks"])

    # -- the waves ---------------------------------------------------------------------------------------

    def go_on(
        self,
        heal: str,
        *,
        wave_seconds: float = 600.0,
        force: bool = False,
        tell: Tell = _quiet,
    ) -> HealReport:
        """Heal in waves until all is done or the stop condition holds; one that has stopped goes on with `force`.

        Raises HealNotFound, WaveUnfinished when runs do not end within `wave_seconds`, RunSealed for a run whose key is
        not here, and InvalidHeal when the backtest is not complete.
        """
        report = self.report(heal)
        self._require_values(report)
        if report.stopped and force:
            report = self._append(report, [Event("HealResumed", {})])
        while True:
            kind, runs = next_of(report)
            match kind:
                case hr.BACKTEST:
                    raise InvalidHeal(
                        f"the backtest of {heal} is not complete; go on with that first"
                    )
                case hr.BEGIN_WAVE:
                    data = {"number": len(report.waves) + 1, "runs": runs}
                    report = self._append(report, [Event("WaveStarted", data)])
                    tell(f"wave {data['number']}: {len(runs)} runs")
                case hr.HEAL:
                    report = self._append(report, [self._healed(report, runs[0])])
                case hr.AWAIT:
                    report = self._append(
                        report, [self._awaited(report, runs, wave_seconds)]
                    )
                case hr.STOP:
                    why = f"{report.ended['failed']} of {len(report.healed)} healed runs have failed again"
                    report = self._append(report, [Event("HealStopped", {"why": why})])
                case hr.CLOSE:
                    data = {
                        **report.ended,
                        "skipped": len(report.skipped),
                        "left": len(report.left),
                    }
                    report = self._append(
                        report, [Event("HealClosed", {"counts": data})]
                    )
                case _:
                    return report

    def _healed(self, report: HealReport, run: str) -> Event:
        """Open a run again, once, if it is as it was when it was tested; gives what to say of it.

        Raises RunSealed.
        """
        verdict, fix = report.verdicts[run], self._fix(report)
        reason = ": ".join(
            text for text in (f"healed by {report.id}", report.wish["reason"]) if text
        )
        try:
            command = command_of(self._core.sessions.load(run), fix, reason)
            self._core.handler.handle(
                run,
                command,
                actor=self._services.actor,
                cause=report.id,
                plan=fix.plan,
                version=verdict.version,
            )
        except RunSealed:  # somebody who has the key goes on
            raise
        except (
            cmd.Rejected,
            InvalidInputs,
            CannotEdit,
            PayloadRefused,
            RunUnreadable,
        ) as error:
            if self._reopened(report, run) is None:
                return Event("RunHealSkipped", {"run": run, "why": str(error)})
        return Event(
            "RunHealed",
            {"run": run, "version": self._reopened(report, run) or verdict.version + 1},
        )

    def _reopened(self, report: HealReport, run: str) -> int | None:
        """Return the version at which this heal opened a run again, None if it did not."""
        later = self._core.store.read([(run, report.verdicts[run].version)])[0]
        return next(
            (
                x.version
                for x in later
                if x.type == ev.RunReopened.__name__ and x.cause == report.id
            ),
            None,
        )

    def _awaited(
        self, report: HealReport, runs: Sequence[str], seconds: float
    ) -> Event:
        """Wait until the runs of a wave have ended, and count how they did.

        Raises WaveUnfinished.
        """
        clock = self._core.clock
        ends = clock.steady_ms() + seconds * 1000
        counts: dict[str, int] = dict.fromkeys(ENDS, 0)
        waits = []
        for run in runs:
            left = max(0.001, (ends - clock.steady_ms()) / 1000)
            try:
                counts[self._wait(run, timeout=left).status] += 1
            except WaitTimeout:
                waits.append(run)
            except RunNotFound:
                counts[self._left_as(run)] += 1
        if waits:
            raise WaveUnfinished(
                report.id, report.waves[-1].number, tuple(waits), seconds
            )
        return Event("WaveClosed", {"number": report.waves[-1].number, **counts})

    def _left_as(self, run: str) -> str:
        """Return how a run ended that has left the store; nobody knows whether one that was deleted completed."""
        archived: Any = next(iter(self._services.views.views.get("archive", run)), None)
        return str(archived["status"]) if archived else "cancelled"

    # -- the report --------------------------------------------------------------------------------------

    def _append(self, report: HealReport, events: Sequence[Event]) -> HealReport:
        """Append to a report, unless somebody else was faster, and give it as it is then."""
        store, commit = self._services.events, self._core.handler.commit_id()
        with suppress(
            WrongExpectedVersion
        ):  # what it has come to by now is decided on anew
            stored = self._values.sealed(report.id, events, redacted=report.redacted)
            store.append(
                report.id,
                stored,
                expected=report.version,
                commit_id=commit,
                actor=self._services.actor,
                cause=report.id,
            )
        return self._read(report)


def _require(report: HealReport, wish: SandboxWish) -> None:
    """Refuse a backtest whose sandbox is, or was, not what it had to be.

    Raises SandboxTooWeak.
    """
    bounds = report.sandbox or Bounds(
        leaves=("anything: its backtest did not say what it kept from components",)
    )
    if wish.strict and bounds.leaves:
        raise SandboxTooWeak(report.id, bounds.leaves, bounds.text())


def _untested(report: HealReport) -> list[str]:
    """Return the runs that are tested next."""
    return [run for run in report.wish["order"] if run not in report.verdicts][:BATCH]


def _tells(report: HealReport) -> bool:
    """Tell whether a report holds values."""
    texts = any(x.reason or x.error for x in report.verdicts.values()) or report.skipped
    return bool(report.wish["fix"]["inputs"] or report.wish["mocks"] or texts)


def _first(items: Iterator[str], count: int) -> Iterator[str]:
    for _, item in zip(range(count), items, strict=False):
        yield item


def as_json(report: HealReport) -> dict[str, Any]:
    """Return a report as JSON."""
    shown: Mapping[str, Any] = {
        f.name: getattr(report, f.name) for f in fields(report) if f.name != "verdicts"
    }
    wish = {name: value for name, value in report.wish.items() if name != "order"}
    runs = [
        asdict(report.verdicts[run])
        for run in report.wish.get("order", ())
        if run in report.verdicts
    ]
    return {
        **shown,
        "wish": wish,
        "status": report.status,
        "counts": report.counts,
        "runs": runs,
        "well": report.well,
    }
