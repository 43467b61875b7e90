"""Ctx."""
import threading
from dataclasses import dataclass
from typing import Any
class CancelToken:
    def __init__(self): self._e=None; self.cancelled=False; self.reason=""; self._cb=[]
    def cancel(self, reason):
        if self.cancelled: return
        self.reason=reason; self.cancelled=True
        for c in self._cb: c(reason)
    def on_cancel(self, cb): self._cb.append(cb)
@dataclass(slots=True)
class Context:
    run_id: str
    step_id: str
    workflow_id: str
    attempt: int
    idempotency_key: str
    deadline_ms: int | None
    token: CancelToken
    now_ms: Any
    on_heartbeat: Any
