"""The running system: open a store, start runs, wait for them; the composition root behind it."""

from openagents_json.engine.siblings import guard

guard()

from executor.journal import Limits  # noqa: E402 - the guard comes first
from executor.schedule_times import Schedule  # noqa: E402
from openagents_json.engine.documents import DocumentUnreadable  # noqa: E402
from openagents_json.engine.facade import ConcurrencyLimitReached, Engine, WaitTimeout  # noqa: E402
from openagents_json.engine.settings import Settings, from_environment  # noqa: E402
from openagents_json.engine.views import HistoryEvent, Result, RunInfo, StepInfo  # noqa: E402

__all__ = [
    "ConcurrencyLimitReached",
    "DocumentUnreadable",
    "Engine",
    "HistoryEvent",
    "Limits",
    "Result",
    "RunInfo",
    "Schedule",
    "Settings",
    "StepInfo",
    "WaitTimeout",
    "from_environment",
]
