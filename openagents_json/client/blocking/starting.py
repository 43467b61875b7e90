"""What a client begins: runs, many runs, durable calls of a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, overload

from openagents_json.client.blocking.handle import ClientRun, Runs
from openagents_json.client.calls import starting
from openagents_json.client.calls.documents import sent_signal
from openagents_json.client.keys import NewKey, keys_of
from openagents_json.engine import BusinessKeyTaken, RunNotFound, WaitTimeout
from openagents_json.engine.answers.runs import Result
from openagents_json.engine.starting.keyed import BEHIND

if TYPE_CHECKING:
    from openagents_json.client.calls.call import Call
    from openagents_json.client.calls.starting import Begun
    from openagents_json.client.wire.blocking import BlockingWire
    from openagents_json.engine.documents import Document
    from openagents_json.workflow.types import Json

Output = TypeVar("Output")


class ClientStarting(Runs):
    """The starts of a client: each has an idempotency key, so that one that is sent again begins no second run."""

    _wire: BlockingWire
    _new_key: NewKey

    @overload
    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: None = None,
    ) -> ClientRun[Json]: ...

    @overload
    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: type[Output],
    ) -> ClientRun[Output]: ...

    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: type[Any] | None = None,
    ) -> ClientRun[Any]:
        """Start a run and give its id, which is its handle too; as `Engine.start`, whose errors it raises."""
        key = idempotency_key or self._new_key()
        more = {"business_key": business_key, "on_conflict": on_conflict}
        call = starting.start(workflow, inputs, key, labels, budget, more)
        is_behind = on_conflict in BEHIND
        started = self._begun(call, is_behind=is_behind, timeout=conflict_timeout)
        # Nobody else has a key of this client's own: a start that was sent again has begun the run itself.
        is_own = idempotency_key is None and business_key is None
        return ClientRun(started.id, self, output, is_new=is_own or started.is_new)

    def _begun(
        self, call: Call[Begun], *, is_behind: bool, timeout: float | None
    ) -> Begun:
        """Start a run; where it begins behind another one, wait for the end of that."""
        ends_at = None if timeout is None else monotonic() + timeout
        while True:
            try:
                return self._wire.carry_out(call)
            except BusinessKeyTaken as taken:
                left = None if ends_at is None else ends_at - monotonic()
                if not is_behind or (left is not None and left <= 0):
                    raise
                try:
                    self.wait(taken.run, timeout=left)
                except RunNotFound:
                    continue  # it was deleted meanwhile, which is an end too
                except WaitTimeout:
                    raise taken from None

    def start_or_signal(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        business_key: str,
        signal: str,
        payload: Json = None,
        key: str | None = None,
        by: str = "",
        reason: str = "",
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
    ) -> ClientRun[Json]:
        """Send a signal to the open run of a business key; where there is none, one begins with it, in one commit.

        Raises as `start` and `signal` do.
        """
        sent = {"name": signal, **sent_signal(payload, key, by, reason)}
        more = {"business_key": business_key, "signal": sent}
        own_key = idempotency_key or self._new_key()
        call = starting.start(workflow, inputs, own_key, labels, budget, more)
        started = self._wire.carry_out(call)
        return ClientRun(started.id, self, is_new=started.is_new)

    def start_many(
        self,
        requests: Sequence[tuple[Document, Mapping[str, Json]]],
        *,
        keys: Sequence[str | None] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[ClientRun[Json]]:
        """Start several runs, a thousand with a request; one that has not begun says why in `error`."""
        run_keys = keys_of(keys, len(requests), self._new_key)
        calls = starting.start_many(requests, run_keys, labels)
        outcomes = [one for call in calls for one in self._wire.carry_out(call)]
        return [ClientRun(one.id, self, error=one.error) for one in outcomes]

    def start_job(
        self,
        component: str,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> ClientRun[Json]:
        """Call a component durably, without a document: a run of one step, whose output is what it returns."""
        key = idempotency_key or self._new_key()
        started = self._wire.carry_out(
            starting.start_job(component, inputs, key, labels)
        )
        is_new = idempotency_key is None or started.is_new
        return ClientRun(started.id, self, is_new=is_new)

    def run(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Start a run and wait for its end.

        Raises as `start` and `wait` do.
        """
        run = self.start(
            workflow,
            inputs,
            idempotency_key=idempotency_key,
            labels=labels,
            budget=budget,
        )
        return self.wait(run, timeout=timeout)
