"""The report of a heal: a stream of its own, folded to what has been found and done, and what comes next."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from immutables import Map

from eventstore.event import Recorded
from openagents_json.engine.errors import InvalidHeal
from openagents_json.engine.healing.backtest import FIXED, VERDICTS, Verdict
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
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)%")


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

    `wish` is what was asked for, `sandbox` what kept components in while it was tested. `healed` gives by run the
    version of its RunReopened, `skipped` why one was left alone. `forgiven` are failures that somebody has seen and
    gone on in spite of. Its values are no more where it is `redacted`; `unread` are those whose key is not here.
    """

    id: str
    version: int = 0
    wish: Mapping[str, Json] = field(default_factory=dict)
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
        found = Counter(verdict.verdict for verdict in self.verdicts.values())
        return {name: found[name] for name in VERDICTS}

    @property
    def proven(self) -> list[str]:
        """Return the runs that the fix heals, in the order in which they were found."""
        order: Sequence[str] = self.wish.get("order") or ()
        known = [run for run in order if run in self.verdicts] or sorted(self.verdicts)
        return [run for run in known if self.verdicts[run].verdict == FIXED]

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
        return "healing" if self.waves else ("tested" if self.tested else "testing")

    @property
    def well(self) -> bool:
        """Tell whether all that was proven is healed, and completed; where nothing was, nothing is well."""
        proven = len(self.proven)
        return (
            self.closed
            and self.ended["completed"] == proven
            and (proven > 0 or not self.verdicts)
        )


def fold(report: HealReport, recorded: Iterable[Recorded]) -> HealReport:
    """Return the report after more of its events; those that are known already change nothing."""
    for item in recorded:
        if item.version == report.version + 1:
            unread = report.unread or "unread" in item.data
            report = replace(
                _evolved(report, item.type, item.data),
                version=item.version,
                unread=unread,
            )
    return report


def _evolved(report: HealReport, kind: str, data: Mapping[str, Any]) -> HealReport:
    match kind:
        case "HealStarted":
            return replace(
                report,
                wish={name: value for name, value in data.items() if name != "unread"},
            )
        case "RunsSelected":
            return replace(
                report, wish={**report.wish, "order": data["runs"]}, more=data["more"]
            )
        case "RunBacktested":
            known = {
                one.name: data[one.name] for one in fields(Verdict) if one.name in data
            }
            return replace(
                report, verdicts=report.verdicts.set(data["run"], Verdict(**known))
            )
        case "SandboxBegun":
            bounds = Bounds(tuple(data["used"]), tuple(data["leaves"]))
            return replace(
                report,
                sandbox=bounds
                if report.sandbox is None
                else report.sandbox.and_(bounds),
            )
        case "BacktestClosed":
            return replace(report, tested=True)
        case "RunHealed":
            return replace(
                report, healed=report.healed.set(data["run"], data["version"])
            )
        case "RunHealSkipped":
            return replace(report, skipped=report.skipped.set(data["run"], data["why"]))
        case _:
            return _waved(report, kind, data)


def _waved(report: HealReport, kind: str, data: Mapping[str, Any]) -> HealReport:
    match kind:
        case "WaveStarted":
            return replace(
                report, waves=(*report.waves, Wave(data["number"], tuple(data["runs"])))
            )
        case "WaveClosed":
            last = report.waves[-1]
            closed = Wave(
                last.number,
                last.runs,
                True,
                data["completed"],
                data["failed"],
                data["cancelled"],
            )
            return replace(report, waves=(*report.waves[:-1], closed))
        case "HealStopped":
            return replace(report, stopped=data["why"])
        case "HealResumed":
            return replace(report, stopped="", forgiven=report.ended["failed"])
        case "HealClosed":
            return replace(report, closed=True)
        case "HealRedacted":
            return replace(report, redacted=True)
        case _:  # of a newer version
            return report


def next_of(report: HealReport) -> tuple[str, tuple[str, ...]]:
    """Say what comes next, and for which runs."""
    if report.closed or report.stopped or report.redacted:
        return (CLOSED if report.closed else STOPPED), ()
    if not report.tested:
        return BACKTEST, ()
    if report.waves and not report.waves[-1].closed:
        runs = report.waves[-1].runs
        pending = tuple(
            run
            for run in runs
            if run not in report.healed and run not in report.skipped
        )
        return (
            (HEAL, pending)
            if pending
            else (AWAIT, tuple(run for run in runs if run in report.healed))
        )
    sizes = wave_sizes(report.wish["waves"], len(report.proven))
    if len(report.waves) >= len(sizes):
        return CLOSE, ()
    failed = report.ended["failed"] - report.forgiven
    if failed and reached(report.wish["stop"], failed, len(report.healed)):
        return STOP, ()
    return BEGIN_WAVE, tuple(report.left[: sizes[len(report.waves)]])


# -- what people write -----------------------------------------------------------------------------------


def parse_waves(text: str) -> list[str]:
    """Read how many runs are healed when each wave is over: counts or percentages, rising, such as 1,10%,100%.

    Raises InvalidHeal.
    """
    found = [part.strip() for part in text.split(",")]
    for part in found:
        _check(part, "waves")
    return found


def parse_stop(text: str) -> str:
    """Read after how many failures a heal stops: a count, or a percentage of the runs healed so far.

    Raises InvalidHeal.
    """
    _check(text.strip(), "stop-after-failures")
    return text.strip()


def _check(part: str, name: str) -> None:
    share = _SHARE.fullmatch(part)
    if share is not None and 0 < float(share[1]) <= 100:
        return
    if share is not None or not re.fullmatch(r"[0-9]{1,9}", part) or int(part) < 1:
        raise InvalidHeal(
            f"{name}: {part!r} is neither a count from 1 on nor a percentage up to 100%"
        )


def _count(part: str, total: int) -> int:
    share = _SHARE.fullmatch(part)
    return min(
        total, int(part) if share is None else -int(-total * float(share[1]) // 100)
    )


def wave_sizes(waves: Sequence[str], total: int) -> list[int]:
    """Return how many runs each wave has, without those that would have none."""
    sizes, done = [], 0
    for part in waves:
        upto = max(done, _count(part, total))
        if upto > done:
            sizes.append(upto - done)
            done = upto
    return sizes


def reached(stop: str, failed: int, healed: int) -> bool:
    """Tell whether so many failures are as many as a stop condition allows, or more."""
    share = _SHARE.fullmatch(stop)
    return (
        failed >= int(stop)
        if share is None
        else failed * 100 >= float(share[1]) * max(1, healed)
    )
