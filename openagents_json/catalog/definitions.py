"""Immutable definitions of workflows, by content hash: stored once, compiled once a process."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from eventstore import codec
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.runs import Definitions as Stored
from eventstore.runs import RunStore
from openagents_json.catalog.errors import DefinitionChanged, DefinitionMissing
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.definition import Definition
from openagents_json.workflow.language.compile import compile_plan


def checked(digest: str, raw: bytes | None) -> bytes:
    """Return a stored definition that is what it is named by: who can write to the store can replace it.

    Raises DefinitionMissing and DefinitionChanged.
    """
    if raw is None:
        raise DefinitionMissing(digest)
    if hashlib.sha256(raw).hexdigest() != digest:
        raise DefinitionChanged(digest)
    return raw


def as_stored(*plans: Plan) -> Stored:
    """Return the definitions of plans as they are stored, to go before the commits that refer to them.

    They are sent with every start: a store that lost its tail may have lost the definition too.
    """
    return {plan.hash: plan.encoded for plan in plans}


class Definitions:
    """The store's definitions with this process's compiled plans."""

    def __init__(self, store: RunStore, *, capacity: int = 1024) -> None:
        self._store = store
        self._plans = _Plans(capacity)

    def compile(self, definition: Definition) -> Plan:
        """Return the plan of a bound definition."""
        return self._plans.get(definition)

    def keep(self, plan: Plan) -> None:
        """Store the definition of a plan, for whoever goes on with it."""
        self._store.put_definitions(as_stored(plan))

    def plan(self, digest: str) -> Plan:
        """Return the plan of a stored definition.

        Raises DefinitionMissing and DefinitionChanged.
        """
        plan = self._plans.peek(digest)
        if plan is not None:
            return plan
        [stored] = self._store.definitions([digest])
        raw = checked(digest, stored)
        return self._plans.get(Definition(codec.decode(raw), raw, digest))


class _Plans:
    """Plans by hash, the least recently used forgotten first; safe for threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._lock = ForkSafeLock()

    def peek(self, digest: str) -> Plan | None:
        """Return a plan if it is there."""
        with self._lock:
            plan = self._plans.get(digest)
            if plan is not None:
                self._plans.move_to_end(digest)
            return plan

    def get(self, definition: Definition) -> Plan:
        """Return the plan of a definition, compiled when it is new."""
        plan = self.peek(definition.hash)
        if plan is None:
            plan = compile_plan(definition)
            with self._lock:
                self._plans[definition.hash] = plan
                if len(self._plans) > self._capacity:
                    self._plans.popitem(last=False)
        return plan
