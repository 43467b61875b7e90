"""The reports of a store: each a stream of its own, appended to by whoever is first, with its values encrypted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from eventstore.errors import WrongExpectedVersion
from eventstore.event import Event
from eventstore.redis.run_keys import KeyStore
from executor.clock import ulid
from executor.encryption import REPORT
from openagents_json.engine.archive.shredding import Shredded, rewritten
from openagents_json.engine.errors import HealNotFound, InvalidHeal
from openagents_json.engine.healing.backtest import Fix
from openagents_json.engine.healing.report import HealReport, fold
from openagents_json.engine.healing.requests import HealRequest
from openagents_json.engine.healing.sizes import parse_stop, parse_waves
from openagents_json.engine.healing.values import HIDDEN, HealValues
from openagents_json.engine.services import Services
from projections.runs import RunFilter

_NOT_SAID: Final[tuple[object, ...]] = (None, (), {}, False)


class ReportStore:
    """Begins, reads, appends to and redacts the reports of heals."""

    def __init__(self, services: Services) -> None:
        core = services.core
        self._services = services
        self._core = core
        self._values = HealValues(KeyStore(core.store), core.keyring)

    def begin(self, request: HealRequest) -> HealReport:
        """Begin a report.

        Raises InvalidHeal.
        """
        if request.chosen == RunFilter():
            raise InvalidHeal(
                "say which failed runs are to be healed: all of them are hardly one class"
            )
        data = _started(request)
        plan = request.fix.plan
        if plan is not None:  # whoever goes on needs it, wherever that is
            self._core.definitions.keep(plan)
        heal = f"{REPORT}{ulid(self._core.clock.now_ms())}"
        # The key comes before the first event: a report that begins has values to hide already.
        self._values.begin(heal)
        return self.append(HealReport(heal), [Event("HealStarted", data)])

    def report(self, heal: str) -> HealReport:
        """Read a report.

        Raises HealNotFound.
        """
        if not heal.startswith(REPORT):
            raise HealNotFound(heal)
        report = self._newest(HealReport(heal))
        if not report.version:
            raise HealNotFound(heal)
        return report

    def append(self, report: HealReport, events: Sequence[Event]) -> HealReport:
        """Append to a report, unless somebody else was faster, and give it as it is then."""
        commit = self._core.handler.commit_id()
        # Who was slower appends nothing: what the report has come to by now is decided on anew.
        with suppress(WrongExpectedVersion):
            stored = self._values.sealed(report.id, events, redacted=report.redacted)
            self._services.events.append(
                report.id,
                stored,
                expected=report.version,
                commit_id=commit,
                actor=self._services.actor,
                cause=report.id,
            )
        return self._newest(report)

    def _newest(self, report: HealReport) -> HealReport:
        recorded = self._services.events.read(report.id, after=report.version)
        return fold(report, self._values.opened(report.id, recorded))

    def redact(self, heal: str, reason: str, *, wait_seconds: float) -> Shredded:
        """Erase the values of a report for good.

        Raises HealNotFound, and InvalidHeal for a report of an earlier version.
        """
        report = self.report(heal)
        if _holds_values(report) and not self._is_hidden(heal):
            raise InvalidHeal(
                f"{heal} was begun by an earlier version: its values lie in the log, where they stay"
            )
        changed = False
        # First it is said, then the key goes: whoever reads it from now on does not look for the key. A crash between
        # the two leaves a key that the next call destroys.
        while not report.redacted:
            report = self.append(report, [Event("HealRedacted", {"reason": reason})])
            changed = True
        self._values.destroy(heal)
        files = rewritten(self._core, wait_seconds)
        return Shredded(run=heal, changed=changed, log=files.state, why=files.why)

    def _is_hidden(self, heal: str) -> bool:
        """Tell whether a report has its values as ciphertext."""
        return any(HIDDEN in item.data for item in self._services.events.read(heal))

    def require_values(self, report: HealReport) -> None:
        """Refuse to go on with a report whose values cannot be read.

        Raises RunSealed and InvalidHeal.
        """
        is_finished = report.closed or not (report.unread or report.redacted)
        if is_finished:
            return
        if report.redacted or self._values.key(report.id) is None:
            raise InvalidHeal(
                f"the values of {report.id} were erased, so nobody can go on with it",
                remedy="begin another one",
            )

    def fix_of(self, report: HealReport) -> Fix:
        """Return the fix that a report is about.

        Raises DefinitionMissing and DefinitionChanged.
        """
        fix = report.request["fix"]
        definition = fix["definition"]
        plan = self._core.definitions.plan(definition) if definition else None
        return Fix(plan, fix["inputs"], report.request["mocks"])


def _started(request: HealRequest) -> dict[str, Any]:
    """Return the data of HealStarted.

    Raises InvalidHeal.
    """
    plan = request.fix.plan
    criteria = asdict(request.chosen)
    return {
        "where": {
            name: value for name, value in criteria.items() if value not in _NOT_SAID
        },
        "fix": {
            "definition": plan.hash if plan else "",
            "workflow": plan.id if plan else "",
            "version": plan.version if plan else "",
            "inputs": dict(request.fix.edits),
        },
        "mocks": dict(request.fix.mocks),
        "waves": parse_waves(request.waves),
        "stop": parse_stop(request.stop_after_failures),
        "limit": request.limit,
        "reason": request.reason,
    }


def _holds_values(report: HealReport) -> bool:
    """Tell whether a report quotes what runs worked with."""
    if report.skipped or report.request["mocks"]:
        return True
    fix: Mapping[str, Any] = report.request["fix"]
    if fix["inputs"]:
        return True
    return any(verdict.reason or verdict.error for verdict in report.verdicts.values())
