"""Commands of a request that may be sent again: each has a commit id of its own, by which the log tells of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from executor.runs.committer import Handled
from executor.runs.handler import Handler
from openagents_json.workflow.core import commands as cmd


class HandlerOnce(Handler):
    """Carries out the command of one request, once.

    Where it was carried out, its commit stands in the log of the run behind the version `after`: who dies between that
    and the answer, or is late and meets another who has taken the request over, finds it there.
    """

    def __init__(
        self, handler: Handler, request: str, after: int, on_repeat: Callable[[], None]
    ) -> None:
        vars(self).update(vars(handler))  # the same parts, with the same caches
        self._request = request
        self._after = after
        self._on_repeat = on_repeat

    def handle(
        self, run: str, command: cmd.Command, *, actor: str, **options: Any
    ) -> Handled:
        """Carry out a command on a run, unless that was done before.

        Raises as `Handler.handle` does.
        """
        if isinstance(command, cmd.Advance):
            return super().handle(run, command, actor=actor, **options)
        commit_id = self._commit_of(run, command)
        # In this order: what comes behind the session is seen by the commit itself, what came before it is read here.
        session = self.sessions.load(run)
        [behind] = self.store.read([(run, self._after)])
        if any(item.commit == commit_id for item in behind):
            self._on_repeat()
            return Handled(session, changed=False)
        return super().handle(
            run,
            command,
            actor=actor,
            **{**options, "commit_id": commit_id, "session": session},
        )

    def _commit_of(self, run: str, command: cmd.Command) -> str:
        named = f"{self._request}\0{run}\0{type(command).__name__}"
        digest = hashlib.sha256(named.encode("utf-8", "surrogatepass"))
        return f"i{digest.hexdigest()[:24]}"
