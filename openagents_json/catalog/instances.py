"""The instances of agent classes in one process: one pool for each class and configuration, looked after together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from openagents_json.components.decorators import Declaration
from openagents_json.components.pool import InstancePool, PoolLimits
from openagents_json.workflow.component_spec import ComponentSpec


class AgentInstances:
    """The pools of a registry's agents; `pools` gives them, once for each capability."""

    def __init__(
        self, pools: Callable[[], Iterator[tuple[ComponentSpec, InstancePool]]]
    ) -> None:
        self._all = pools

    def pool_for(self, cls: type, declared: Declaration) -> InstancePool:
        """Return the pool of a class: the one that is there already, where code and configuration are the same."""
        limits = PoolLimits(
            declared.instances, declared.idle_seconds, declared.checkout_seconds
        )
        config = declared.metadata.get("config")
        pool = InstancePool(
            cls, config, build=declared.build, shared=declared.shared, limits=limits
        )
        same = (other for _, other in self._all() if other.key == pool.key)
        return next(same, pool)

    def pools(self) -> dict[str, InstancePool]:
        """Return the pools, each by the name of an agent; of several versions of it, the later ones say theirs."""
        pools: dict[str, InstancePool] = {}
        for spec, pool in self._all():
            if pool in pools.values():
                continue
            agent_name = spec.name.rpartition(".")[0]
            if agent_name in pools:
                agent_name = f"{agent_name}@{spec.version}"
            pools[agent_name] = pool
        return pools

    def close(self) -> None:
        """Close the instances that nobody uses."""
        for pool in self.pools().values():
            pool.close()

    async def close_on_loop(self) -> None:
        """Close the instances of the running event loop."""
        for pool in self.pools().values():
            await pool.close_on_loop()

    def reap(self) -> None:
        """Close what has been idle for too long."""
        for pool in self.pools().values():
            pool.reap()

    def statistics(self) -> dict[str, dict[str, float]]:
        """Return what has happened to the instances of the agents that have been called, by the name of the agent."""
        rows = {name: pool.statistics() for name, pool in self.pools().items()}
        return {name: row for name, row in rows.items() if row["created"]}
