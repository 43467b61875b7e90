"""The doors of an engine to what others of the network need: keys, and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from openagents_json.engine.api_keys import ApiKeys
    from openagents_json.engine.hooks.actions import StartsAndSignals
    from openagents_json.engine.hooks.service import Hooks
    from openagents_json.engine.webhooks.service import PlansAndLocks, Webhooks
    from openagents_json.engine.wiring.client import Core


class HookDoors:
    """What an engine gives to let others in."""

    core: Core
    actor: str

    def now_ms(self) -> int:
        """Return the time of the store's server, in ms since 1970."""
        return self.core.store.now_ms()

    @property
    def api_keys(self) -> ApiKeys:
        """Return the keys of those who may call the services."""
        from eventstore.redis.coordination.allowances import Allowances
        from eventstore.redis.coordination.records import RecordTable
        from openagents_json.engine.api_keys import ApiKeys

        store = self.core.store
        table = RecordTable(store, "api_keys")
        return ApiKeys(table, Allowances(store), self.now_ms, self.actor)

    @property
    def hooks(self) -> Hooks:
        """Return the inbound hooks of the store: what other services send, signed, starts runs or signals them."""
        from openagents_json.engine.hooks.service import Hooks
        from openagents_json.engine.settings import secret

        return Hooks(cast("StartsAndSignals", self), secret)

    @property
    def webhooks(self) -> Webhooks:
        """Return the webhooks of the store: who is told of events of runs, each delivery by a run."""
        from openagents_json.engine.webhooks.service import Webhooks

        return Webhooks(cast("PlansAndLocks", self))
