"""The running system: open a store, start runs, wait for them; the composition root behind it.

Its words are imported when they are asked for first (PEP 562), so that nobody pays for what another one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openagents_json.rooms import guard

guard()

if TYPE_CHECKING:
    from eventstore.errors import InvalidRequest, NoStore
    from eventstore.event import Recorded
    from eventstore.passwords import has_password, masked, traceback_of
    from eventstore.private_files import is_there, replacing
    from eventstore.redis.driver.rewriting import LogState
    from eventstore.redis.emissions import Emitted
    from executor.coordination.schedule_times import OVERLAPS, Schedule, iso
    from executor.coordination.schedules import Progress
    from executor.coordination.starts import Started
    from executor.encryption import RunKey
    from executor.errors import InvalidSchedule, KeyConflict, RunSealed, TooManyStarts
    from executor.runs.codec import Limits
    from openagents_json.engine.errors import (
        ConcurrencyLimitReached,
        DocumentUnreadable,
        HealError,
        SandboxTooWeak,
        WaitTimeout,
    )
    from openagents_json.engine.facade import Engine
    from openagents_json.engine.healing.backtest import Fix
    from openagents_json.engine.healing.heal import HealWish, SandboxWish
    from openagents_json.engine.healing.report import HealReport
    from openagents_json.engine.inspection.queries import RunPage, RunRow
    from openagents_json.engine.inspection.values import (
        HistoryEvent,
        Result,
        RunInfo,
        StepInfo,
    )
    from openagents_json.engine.settings import Settings, from_environment
    from openagents_json.engine.telemetry.in_memory import InMemoryTelemetry
    from openagents_json.engine.telemetry.port import Instrument, Telemetry
    from openagents_json.workflow.core.bounds import Bounds
    from projections.ledger.findings import Audit
    from projections.ledger.signing import new_signer, public_pem
    from projections.runs import STATUSES, RunFilter

__all__ = [
    "Audit",
    "Emitted",
    "InvalidRequest",
    "InvalidSchedule",
    "LogState",
    "NoStore",
    "OVERLAPS",
    "Progress",
    "Recorded",
    "RunKey",
    "has_password",
    "is_there",
    "iso",
    "masked",
    "new_signer",
    "public_pem",
    "replacing",
    "traceback_of",
    "STATUSES",
    "ConcurrencyLimitReached",
    "DocumentUnreadable",
    "Bounds",
    "Engine",
    "Fix",
    "HealError",
    "HealReport",
    "HealWish",
    "HistoryEvent",
    "InMemoryTelemetry",
    "Instrument",
    "KeyConflict",
    "Limits",
    "Result",
    "RunFilter",
    "RunInfo",
    "RunPage",
    "RunRow",
    "RunSealed",
    "SandboxTooWeak",
    "SandboxWish",
    "Schedule",
    "Settings",
    "Started",
    "StepInfo",
    "Telemetry",
    "TooManyStarts",
    "WaitTimeout",
    "from_environment",
]

_HOMES = {
    "Audit": "projections.ledger.findings",
    "Emitted": "eventstore.redis.emissions",
    "InvalidRequest": "eventstore.errors",
    "InvalidSchedule": "executor.errors",
    "LogState": "eventstore.redis.driver.rewriting",
    "NoStore": "eventstore.errors",
    "OVERLAPS": "executor.coordination.schedule_times",
    "Progress": "executor.coordination.schedules",
    "Recorded": "eventstore.event",
    "RunKey": "executor.encryption",
    "has_password": "eventstore.passwords",
    "is_there": "eventstore.private_files",
    "iso": "executor.coordination.schedule_times",
    "masked": "eventstore.passwords",
    "new_signer": "projections.ledger.signing",
    "public_pem": "projections.ledger.signing",
    "replacing": "eventstore.private_files",
    "traceback_of": "eventstore.passwords",
    "STATUSES": "projections.runs",
    "Bounds": "openagents_json.workflow.core.bounds",
    "ConcurrencyLimitReached": "executor.errors",
    "DocumentUnreadable": "openagents_json.workflow.errors",
    "Engine": "openagents_json.engine.facade",
    "Fix": "openagents_json.engine.healing.backtest",
    "HealError": "openagents_json.engine.errors",
    "HealReport": "openagents_json.engine.healing.report",
    "HealWish": "openagents_json.engine.healing.heal",
    "HistoryEvent": "openagents_json.engine.inspection.values",
    "InMemoryTelemetry": "openagents_json.engine.telemetry.in_memory",
    "Instrument": "openagents_json.engine.telemetry.port",
    "KeyConflict": "executor.errors",
    "Limits": "executor.runs.codec",
    "Result": "openagents_json.engine.inspection.values",
    "RunFilter": "projections.runs",
    "RunInfo": "openagents_json.engine.inspection.values",
    "RunPage": "openagents_json.engine.inspection.queries",
    "RunRow": "openagents_json.engine.inspection.queries",
    "RunSealed": "executor.errors",
    "Schedule": "executor.coordination.schedule_times",
    "SandboxTooWeak": "openagents_json.engine.errors",
    "SandboxWish": "openagents_json.engine.healing.heal",
    "Settings": "openagents_json.engine.settings",
    "Started": "executor.coordination.starts",
    "Telemetry": "openagents_json.engine.telemetry.port",
    "TooManyStarts": "executor.errors",
    "StepInfo": "openagents_json.engine.inspection.values",
    "WaitTimeout": "openagents_json.engine.errors",
    "from_environment": "openagents_json.engine.settings",
}


def __getattr__(name: str) -> Any:
    """Import a word when it is asked for first."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'openagents_json.engine' has no attribute {name!r}"
        )
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
