"""The running system: open a store, start runs, wait for them; the composition root behind it.

Its words are imported when they are asked for first (PEP 562), so that nobody pays for what another one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openagents_json.rooms import guard

guard()

if TYPE_CHECKING:
    from executor.conflicts import KeyConflict
    from executor.encryption import RunSealed
    from executor.journal import Limits
    from executor.schedule_times import Schedule
    from executor.starting import Started, TooManyStarts
    from openagents_json.engine.backtest import Fix
    from openagents_json.engine.documents import DocumentUnreadable
    from openagents_json.engine.errors import ConcurrencyLimitReached, HealError, SandboxTooWeak, WaitTimeout
    from openagents_json.engine.facade import Engine
    from openagents_json.engine.heal_report import HealReport
    from openagents_json.engine.healing import HealWish, SandboxWish
    from openagents_json.engine.reads import RunPage, RunRow
    from openagents_json.engine.settings import Settings, from_environment
    from openagents_json.engine.views import HistoryEvent, Result, RunInfo, StepInfo
    from openagents_json.workflow.bounds import Bounds
    from projections.runs import STATUSES, RunFilter

__all__ = [
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
    "TooManyStarts",
    "WaitTimeout",
    "from_environment",
]

_HOMES = {
    "STATUSES": "projections.runs",
    "Bounds": "openagents_json.workflow.bounds",
    "ConcurrencyLimitReached": "openagents_json.engine.errors",
    "DocumentUnreadable": "openagents_json.engine.documents",
    "Engine": "openagents_json.engine.facade",
    "Fix": "openagents_json.engine.backtest",
    "HealError": "openagents_json.engine.errors",
    "HealReport": "openagents_json.engine.heal_report",
    "HealWish": "openagents_json.engine.healing",
    "HistoryEvent": "openagents_json.engine.views",
    "KeyConflict": "executor.conflicts",
    "Limits": "executor.journal",
    "Result": "openagents_json.engine.views",
    "RunFilter": "projections.runs",
    "RunInfo": "openagents_json.engine.views",
    "RunPage": "openagents_json.engine.reads",
    "RunRow": "openagents_json.engine.reads",
    "RunSealed": "executor.encryption",
    "Schedule": "executor.schedule_times",
    "SandboxTooWeak": "openagents_json.engine.errors",
    "SandboxWish": "openagents_json.engine.healing",
    "Settings": "openagents_json.engine.settings",
    "Started": "executor.starting",
    "TooManyStarts": "executor.starting",
    "StepInfo": "openagents_json.engine.views",
    "WaitTimeout": "openagents_json.engine.errors",
    "from_environment": "openagents_json.engine.settings",
}


def __getattr__(name: str) -> Any:
    """Import a word when it is asked for first."""
    if name not in _HOMES:
        raise AttributeError(f"module 'openagents_json.engine' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
