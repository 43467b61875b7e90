"""The report of a heal: a stream of its own, folded to what has been found and done, and what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from immutables import Map

from eventstore.event import Recorded
from openagents_json.engine.healing.backtest import FIXED, VERDICTS, Verdict
from openagents_json.engine.healing.sizes import reached, wave_sizes
from openagents_json.simulation.sandbox_bounds import Bounds
from openagents_json.statuses import ENDS
from openagents_json.workflow.types import Json

BACKTEST, BEGIN_WAVE, HEAL, AWAIT, STOP, CLOSE, STOPPED, CLOSED = (
    "backtest",
    "begin a wave",
    "heal",
    "await",
    "stop",
    "close",
    "stopped",
    "closed",
)


@dataclass(frozen=True, slots=True)
class Wave:
    """Runs that are healed together; how they ended is known when it is closed."""

    number: int
    runs: tuple[str, ...]
    closed: bool = False
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class HealReport:
    """A heal as far as it has come.

    `request` is what was asked for, `sandbox` what kept components in while it was tested. `healed` gives by run the
    version of its RunReopened, `skipped` why one was left alone. `forgiven` are failures that somebody has seen and
    gone on in spite of. Its values are no more where it is `redacted`; `unread` are those whose key is not here.
    """

    id: str
    version: int = 0
    request: Mapping[str, Json] = field(default_factory=dict)
    verdicts: Map[str, Verdict] = field(default_factory=Map)
    tested: bool = False
    more: bool = False
    waves: tuple[Wave, ...] = ()
    healed: Map[str, int] = field(default_factory=Map)
    skipped: Map[str, str] = field(default_factory=Map)
    stopped: str = ""
    closed: bool = False
    forgiven: int = 0
    sandbox: Bounds | None = None
    redacted: bool = False
    unread: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Count the verdicts."""
        tally = Counter(verdict.verdict for verdict in self.verdicts.values())
        return {name: tally[name] for name in VERDICTS}

    @property
    def proven(self) -> list[str]:
        """Return the runs that the fix heals, in the order in which they were found."""
        order: Sequence[str] = self.request.get("order") or ()
        tested = [run for run in order if run in self.verdicts]
        if not tested:  # the order is a value that may have been erased
            tested = sorted(self.verdicts)
        return [run for run in tested if self.verdicts[run].verdict == FIXED]

    @property
    def ended(self) -> dict[str, int]:
        """Count how the healed runs ended, in waves that are closed."""
        return {name: sum(getattr(wave, name) for wave in self.waves) for name in ENDS}

    @property
    def left(self) -> list[str]:
        """Return the proven runs that are in no wave yet."""
        begun = {run for wave in self.waves for run in wave.runs}
        return [run for run in self.proven if run not in begun]

    @property
    def status(self) -> str:
        """Say how far it is: testing, tested, healing, stopped, redacted or closed."""
        if self.closed:
            return "closed"
        if self.redacted:
            return "redacted"
        if self.stopped:
            return "stopped"
        if self.waves:
            return "healing"
        return "tested" if self.tested else "testing"

    @property
    def well(self) -> bool:
        """Tell whether all that was proven is healed, and completed; where nothing was, nothing is well."""
        if not self.closed:
            return False
        proven = len(self.proven)
        if not proven and self.verdicts:
            return False
        return self.ended["completed"] == proven


def fold(report: HealReport, recorded: Iterable[Recorded]) -> HealReport:
    """Return the report after more of its events; those that are known already change nothing."""
    for item in recorded:
        if item.version == report.version + 1:
            report = _after(report, item)
    return report


def _after(report: HealReport, item: Recorded) -> HealReport:
    """Return a report after one more event; one of a newer version changes nothing that is looked at here."""
    unread = report.unread or "unread" in item.data
    change = _CHANGES.get(item.type)
    if change is not None:
        report = change(report, item.data)
    return replace(report, version=item.version, unread=unread)


Data = Mapping[str, Any]


def _started(report: HealReport, data: Data) -> HealReport:
    request = dict(data)
    request.pop("unread", None)
    return replace(report, request=request)


def _selected(report: HealReport, data: Data) -> HealReport:
    request = {**report.request, "order": data["runs"]}
    return replace(report, request=request, more=data["more"])


def _backtested(report: HealReport, data: Data) -> HealReport:
    names = {field.name for field in fields(Verdict)}
    members = {name: data[name] for name in names & data.keys()}
    verdicts = report.verdicts.set(data["run"], Verdict(**members))
    return replace(report, verdicts=verdicts)


def _sandbox_begun(report: HealReport, data: Data) -> HealReport:
    bounds = Bounds(tuple(data["used"]), tuple(data["leaves"]))
    if report.sandbox is not None:
        bounds = report.sandbox.and_(bounds)
    return replace(report, sandbox=bounds)


def _wave_started(report: HealReport, data: Data) -> HealReport:
    wave = Wave(data["number"], tuple(data["runs"]))
    return replace(report, waves=(*report.waves, wave))


def _wave_closed(report: HealReport, data: Data) -> HealReport:
    counts = {name: data[name] for name in ENDS}
    closed = replace(report.waves[-1], closed=True, **counts)
    return replace(report, waves=(*report.waves[:-1], closed))


_CHANGES: Final[Mapping[str, Callable[[HealReport, Data], HealReport]]] = {
    "HealStarted": _started,
    "RunsSelected": _selected,
    "RunBacktested": _backtested,
    "SandboxBegun": _sandbox_begun,
    "BacktestClosed": lambda report, _: replace(report, tested=True),
    "RunHealed": lambda report, data: replace(
        report, healed=report.healed.set(data["run"], data["version"])
    ),
    "RunHealSkipped": lambda report, data: replace(
        report, skipped=report.skipped.set(data["run"], data["why"])
    ),
    "WaveStarted": _wave_started,
    "WaveClosed": _wave_closed,
    "HealStopped": lambda report, data: replace(report, stopped=data["why"]),
    "HealResumed": lambda report, _: replace(
        report, stopped="", forgiven=report.ended["failed"]
    ),
    "HealClosed": lambda report, _: replace(report, closed=True),
    "HealRedacted": lambda report, _: replace(report, redacted=True),
}
"""What each event changes."""


def next_of(report: HealReport) -> tuple[str, tuple[str, ...]]:
    """Say what comes next, and for which runs."""
    if report.closed:
        return CLOSED, ()
    if report.stopped or report.redacted:
        return STOPPED, ()
    if not report.tested:
        return BACKTEST, ()
    if report.waves and not report.waves[-1].closed:
        return _next_in_wave(report, report.waves[-1].runs)
    sizes = wave_sizes(report.request["waves"], len(report.proven))
    if len(report.waves) >= len(sizes):
        return CLOSE, ()
    # Failures that somebody has gone on in spite of do not stop the heal once more.
    failed = report.ended["failed"] - report.forgiven
    has_too_many_failures = failed and reached(
        report.request["stop"], failed, len(report.healed)
    )
    if has_too_many_failures:
        return STOP, ()
    return BEGIN_WAVE, tuple(report.left[: sizes[len(report.waves)]])


def _next_in_wave(
    report: HealReport, runs: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """Heal what is pending first; then those that were healed are awaited together."""
    resolved = {*report.healed, *report.skipped}
    pending = tuple(run for run in runs if run not in resolved)
    if pending:
        return HEAL, pending
    return AWAIT, tuple(run for run in runs if run in report.healed)
