"""The running system: open a store, start runs, wait for them; the composition root behind it.

Its words are imported when they are asked for first (PEP 562), so that nobody pays for what another one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openagents_json.rooms import guard

guard()

if TYPE_CHECKING:
    from eventstore.errors import (
        EventStoreError,
        InvalidRequest,
        LockLost,
        LockTaken,
        NoStore,
        StoreFull,
        StoreUnavailable,
    )
    from eventstore.event import Emitted, Recorded
    from eventstore.passwords import has_password, masked, traceback_of
    from eventstore.private_files import is_there, replacing
    from eventstore.redis.coordination.allowances import Allowance
    from eventstore.redis.driver.fitness.rewriting import LogState
    from eventstore.redis.leases.record import LeaseRecord
    from executor.coordination.overlaps import OVERLAPS
    from executor.coordination.schedule_progress import Progress
    from executor.coordination.schedule_times import Firing, Schedule, iso
    from executor.coordination.starts import Started
    from executor.encryption import RunKey
    from executor.errors import (
        EncryptionError,
        InvalidKey,
        InvalidSchedule,
        KeyConflict,
        PayloadOverLimit,
        RunNotFound,
        RunSealed,
        TooManyStarts,
    )
    from executor.runs.codec import Limits
    from executor.runs.errors import BusinessKeyTaken
    from openagents_json.catalog.errors import UnknownWorkflow, VersionExists
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.answers.lists import RunPage, RunRow
    from openagents_json.engine.answers.runs import (
        HistoryEvent,
        Result,
        RunInfo,
        StepInfo,
    )
    from openagents_json.engine.api_keys import ApiKey
    from openagents_json.engine.components import load_components
    from openagents_json.engine.consistency.errors import PositionNotReached
    from openagents_json.engine.documents import WorkflowReference, find_problems
    from openagents_json.engine.errors import (
        CannotLeave,
        ConcurrencyLimitReached,
        DocumentUnreadable,
        HealError,
        NobodyWorks,
        OutputMismatch,
        RunCancelledError,
        RunFailedError,
        RunNotCompleted,
        SandboxTooWeak,
        StepFailedError,
        StillNeeded,
        WaitTimeout,
        WaveUnfinished,
    )
    from openagents_json.engine.facade import Engine
    from openagents_json.engine.handles.handle import RunHandle
    from openagents_json.engine.handles.started import StartedRun
    from openagents_json.engine.healing.backtest import Fix
    from openagents_json.engine.healing.report import HealReport
    from openagents_json.engine.healing.requests import HealRequest, SandboxSettings
    from openagents_json.engine.settings import Settings, from_environment
    from openagents_json.engine.telemetry.in_memory import InMemoryTelemetry
    from openagents_json.engine.telemetry.port import Instrument, Telemetry
    from openagents_json.errors import (
        Conflict,
        ContentTooLarge,
        FileUnusable,
        Forbidden,
        InvalidArgument,
        LimitReached,
        NotFound,
        OpenAgentsError,
        RunUnreadable,
        TimedOut,
        Unavailable,
    )
    from openagents_json.records import plain
    from openagents_json.statuses import CLOSED_RUN
    from openagents_json.workflow.core.bounds import Bounds
    from openagents_json.workflow.errors import (
        CannotEdit,
        InvalidBudget,
        InvalidDefinition,
        InvalidInputs,
        InvalidTime,
        Rejected,
    )
    from openagents_json.workflow.history.diff import Change, Comparison, changes_of
    from openagents_json.workflow.history.edits import edited
    from openagents_json.workflow.language.problems import Problem, Report
    from openagents_json.workflow.times import moment_of
    from openagents_json.workflow.validation.session import ValidationSession
    from projections.errors import InvalidQuery, KeyUnusable, ViewBehind
    from projections.ledger.findings import Audit
    from projections.ledger.signing import new_signer, public_pem
    from projections.runs import STATUSES, RunFilter
    from projections.steps import ComponentStatistics

__all__ = [
    "Allowance",
    "ApiKey",
    "Audit",
    "Bounds",
    "BusinessKeyTaken",
    "CannotEdit",
    "CannotLeave",
    "Change",
    "changes_of",
    "CLOSED_RUN",
    "Comparison",
    "ComponentStatistics",
    "ConcurrencyLimitReached",
    "Conflict",
    "ContentTooLarge",
    "DocumentUnreadable",
    "edited",
    "Emitted",
    "EncryptionError",
    "Engine",
    "EventStoreError",
    "FileUnusable",
    "find_problems",
    "Firing",
    "Fix",
    "Forbidden",
    "from_environment",
    "has_password",
    "HealError",
    "HealReport",
    "HealRequest",
    "HistoryEvent",
    "InMemoryTelemetry",
    "Instrument",
    "InvalidArgument",
    "InvalidBudget",
    "InvalidDefinition",
    "InvalidInputs",
    "InvalidKey",
    "InvalidQuery",
    "InvalidRequest",
    "InvalidSchedule",
    "InvalidTime",
    "is_there",
    "iso",
    "KeyConflict",
    "KeyUnusable",
    "LeaseRecord",
    "LimitReached",
    "Limits",
    "load_components",
    "LockLost",
    "LockTaken",
    "LogState",
    "masked",
    "moment_of",
    "new_signer",
    "NobodyWorks",
    "NoStore",
    "NotFound",
    "OpenAgentsError",
    "OutputMismatch",
    "OVERLAPS",
    "PayloadOverLimit",
    "plain",
    "PositionNotReached",
    "Problem",
    "Progress",
    "public_pem",
    "Recorded",
    "Registry",
    "Rejected",
    "replacing",
    "Report",
    "Result",
    "RunCancelledError",
    "RunFailedError",
    "RunFilter",
    "RunHandle",
    "RunInfo",
    "RunKey",
    "RunNotCompleted",
    "RunNotFound",
    "RunPage",
    "RunRow",
    "RunSealed",
    "RunUnreadable",
    "SandboxSettings",
    "SandboxTooWeak",
    "Schedule",
    "Settings",
    "Started",
    "StartedRun",
    "STATUSES",
    "StepFailedError",
    "StepInfo",
    "StillNeeded",
    "StoreFull",
    "StoreUnavailable",
    "Telemetry",
    "TimedOut",
    "TooManyStarts",
    "traceback_of",
    "Unavailable",
    "UnknownWorkflow",
    "ValidationSession",
    "VersionExists",
    "ViewBehind",
    "WaitTimeout",
    "WaveUnfinished",
    "WorkflowReference",
]

_HOMES = {
    "Allowance": "eventstore.redis.coordination.allowances",
    "ApiKey": "openagents_json.engine.api_keys",
    "Audit": "projections.ledger.findings",
    "Bounds": "openagents_json.workflow.core.bounds",
    "BusinessKeyTaken": "executor.runs.errors",
    "CannotEdit": "openagents_json.workflow.errors",
    "CannotLeave": "openagents_json.engine.errors",
    "Change": "openagents_json.workflow.history.diff",
    "changes_of": "openagents_json.workflow.history.diff",
    "CLOSED_RUN": "openagents_json.statuses",
    "Comparison": "openagents_json.workflow.history.diff",
    "ComponentStatistics": "projections.steps",
    "ConcurrencyLimitReached": "executor.errors",
    "Conflict": "openagents_json.errors",
    "ContentTooLarge": "openagents_json.errors",
    "DocumentUnreadable": "openagents_json.workflow.errors",
    "edited": "openagents_json.workflow.history.edits",
    "Emitted": "eventstore.event",
    "EncryptionError": "executor.errors",
    "Engine": "openagents_json.engine.facade",
    "EventStoreError": "eventstore.errors",
    "FileUnusable": "openagents_json.errors",
    "find_problems": "openagents_json.engine.documents",
    "Firing": "executor.coordination.schedule_times",
    "Fix": "openagents_json.engine.healing.backtest",
    "Forbidden": "openagents_json.errors",
    "from_environment": "openagents_json.engine.settings",
    "has_password": "eventstore.passwords",
    "HealError": "openagents_json.engine.errors",
    "HealReport": "openagents_json.engine.healing.report",
    "HealRequest": "openagents_json.engine.healing.requests",
    "HistoryEvent": "openagents_json.engine.answers.runs",
    "InMemoryTelemetry": "openagents_json.engine.telemetry.in_memory",
    "Instrument": "openagents_json.engine.telemetry.port",
    "InvalidArgument": "openagents_json.errors",
    "InvalidBudget": "openagents_json.workflow.errors",
    "InvalidDefinition": "openagents_json.workflow.errors",
    "InvalidInputs": "openagents_json.workflow.errors",
    "InvalidKey": "executor.errors",
    "InvalidQuery": "projections.errors",
    "InvalidRequest": "eventstore.errors",
    "InvalidSchedule": "executor.errors",
    "InvalidTime": "openagents_json.workflow.errors",
    "is_there": "eventstore.private_files",
    "iso": "executor.coordination.schedule_times",
    "KeyConflict": "executor.errors",
    "KeyUnusable": "projections.errors",
    "LeaseRecord": "eventstore.redis.leases.record",
    "LimitReached": "openagents_json.errors",
    "Limits": "executor.runs.codec",
    "load_components": "openagents_json.engine.components",
    "LockLost": "eventstore.errors",
    "LockTaken": "eventstore.errors",
    "LogState": "eventstore.redis.driver.fitness.rewriting",
    "masked": "eventstore.passwords",
    "moment_of": "openagents_json.workflow.times",
    "new_signer": "projections.ledger.signing",
    "NobodyWorks": "openagents_json.engine.errors",
    "NoStore": "eventstore.errors",
    "NotFound": "openagents_json.errors",
    "OpenAgentsError": "openagents_json.errors",
    "OutputMismatch": "openagents_json.engine.errors",
    "OVERLAPS": "executor.coordination.overlaps",
    "PayloadOverLimit": "executor.errors",
    "plain": "openagents_json.records",
    "PositionNotReached": "openagents_json.engine.consistency.errors",
    "Problem": "openagents_json.workflow.language.problems",
    "Progress": "executor.coordination.schedule_progress",
    "public_pem": "projections.ledger.signing",
    "Recorded": "eventstore.event",
    "Registry": "openagents_json.catalog.registry",
    "Rejected": "openagents_json.workflow.errors",
    "replacing": "eventstore.private_files",
    "Report": "openagents_json.workflow.language.problems",
    "Result": "openagents_json.engine.answers.runs",
    "RunCancelledError": "openagents_json.engine.errors",
    "RunFailedError": "openagents_json.engine.errors",
    "RunFilter": "projections.runs",
    "RunHandle": "openagents_json.engine.handles.handle",
    "RunInfo": "openagents_json.engine.answers.runs",
    "RunKey": "executor.encryption",
    "RunNotCompleted": "openagents_json.engine.errors",
    "RunNotFound": "executor.errors",
    "RunPage": "openagents_json.engine.answers.lists",
    "RunRow": "openagents_json.engine.answers.lists",
    "RunSealed": "executor.errors",
    "RunUnreadable": "openagents_json.errors",
    "SandboxSettings": "openagents_json.engine.healing.requests",
    "SandboxTooWeak": "openagents_json.engine.errors",
    "Schedule": "executor.coordination.schedule_times",
    "Settings": "openagents_json.engine.settings",
    "Started": "executor.coordination.starts",
    "StartedRun": "openagents_json.engine.handles.started",
    "STATUSES": "projections.runs",
    "StepFailedError": "openagents_json.engine.errors",
    "StepInfo": "openagents_json.engine.answers.runs",
    "StillNeeded": "openagents_json.engine.errors",
    "StoreFull": "eventstore.errors",
    "StoreUnavailable": "eventstore.errors",
    "Telemetry": "openagents_json.engine.telemetry.port",
    "TimedOut": "openagents_json.errors",
    "TooManyStarts": "executor.errors",
    "traceback_of": "eventstore.passwords",
    "Unavailable": "openagents_json.errors",
    "UnknownWorkflow": "openagents_json.catalog.errors",
    "ValidationSession": "openagents_json.workflow.validation.session",
    "VersionExists": "openagents_json.catalog.errors",
    "ViewBehind": "projections.errors",
    "WaitTimeout": "openagents_json.engine.errors",
    "WaveUnfinished": "openagents_json.engine.errors",
    "WorkflowReference": "openagents_json.engine.documents",
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
