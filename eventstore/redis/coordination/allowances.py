"""What callers may still ask for, counted over all processes; see lua/allowance.lua."""

from __future__ import annotations

from dataclasses import dataclass

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import Script, ScriptCall, load_text


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller was told: so many calls are left, or there is one again in `wait_ms`, 0 where it was allowed."""

    left: int
    wait_ms: int
    full_ms: int
    """In how long all calls of a period are there again."""


class Allowances:
    """Counts the calls of callers; each is one round trip."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._script = Script("allowance", load_text("allowance.lua"))

    def take(self, caller: str, limit: int, period_ms: int) -> Allowance:
        """Take one of `limit` calls that a caller has in a period, as a bucket that fills evenly.

        The algorithm is the generic cell rate algorithm (ITU-T I.371). Sent twice, it takes two.
        """
        key = self._client.keys.allowance(caller)
        call = ScriptCall(self._script, [key], [limit, period_ms])
        allowed, number, full_ms = self._client.call([call])[0]
        if allowed:
            return Allowance(int(number), 0, int(full_ms))
        return Allowance(0, max(1, int(number)), int(full_ms))
