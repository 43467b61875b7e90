"""The running system: open a store, start runs, wait for them; the composition root behind it."""

from openagents_json.engine.siblings import guard

guard()

from executor.encryption import RunSealed  # noqa: E402
from executor.journal import Limits  # noqa: E402 - the guard comes first
from executor.schedule_times import Schedule  # noqa: E402
from executor.starting import Started  # noqa: E402
from openagents_json.engine.backtest import Fix  # noqa: E402
from openagents_json.engine.documents import DocumentUnreadable  # noqa: E402
from openagents_json.engine.errors import ConcurrencyLimitReached, HealError, WaitTimeout  # noqa: E402
from openagents_json.engine.facade import Engine  # noqa: E402
from openagents_json.engine.heal_report import HealReport  # noqa: E402
from openagents_json.engine.healing import HealWish  # noqa: E402
from openagents_json.engine.reads import RunPage, RunRow  # noqa: E402
from openagents_json.engine.settings import Settings, from_environment  # noqa: E402
from openagents_json.engine.views import HistoryEvent, Result, RunInfo, StepInfo  # noqa: E402
from projections.runs import STATUSES, RunFilter  # noqa: E402

__all__ = [
    "STATUSES",
    "ConcurrencyLimitReached",
    "DocumentUnreadable",
    "Engine",
    "Fix",
    "HealError",
    "HealReport",
    "HealWish",
    "HistoryEvent",
    "Limits",
    "Result",
    "RunFilter",
    "RunInfo",
    "RunPage",
    "RunRow",
    "RunSealed",
    "Schedule",
    "Settings",
    "Started",
    "StepInfo",
    "WaitTimeout",
    "from_environment",
]
