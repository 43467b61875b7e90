"""The running system: open a store, start runs, wait for them; the composition root behind it."""

from openagents_json.engine.siblings import guard

guard()

from executor.journal import Limits  # noqa: E402 - the guard comes first
from openagents_json.engine.documents import DocumentUnreadable  # noqa: E402
from openagents_json.engine.facade import Engine, WaitTimeout  # noqa: E402
from openagents_json.engine.settings import Settings, from_environment  # noqa: E402
from openagents_json.engine.views import HistoryEvent, Result, RunInfo, StepInfo  # noqa: E402

__all__ = [
    "DocumentUnreadable",
    "Engine",
    "HistoryEvent",
    "Limits",
    "Result",
    "RunInfo",
    "Settings",
    "StepInfo",
    "WaitTimeout",
    "from_environment",
]
