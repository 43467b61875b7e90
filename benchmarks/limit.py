"""The limit: one bare Lua append from redis-py, in a loop and fifty to a pipeline."""

from __future__ import annotations

import time

import redis

SCRIPT = """#!lua
local v = redis.call('HINCRBY', KEYS[2], 'v', 1)
redis.call('XADD', KEYS[1], v .. '-0', 't', 'StepCompleted', 'd', ARGV[1])
redis.call('XADD', KEYS[3], '*', 'e', v)
return v
"""


def append(url: str, count: int = 2000) -> dict[str, float]:
    """Append events one at a time, then in pipelines of fifty."""
    client = redis.Redis.from_url(url)
    sha = client.script_load(SCRIPT)
    keys = ("bench:{l}:s", "bench:{l}:h", "bench:{l}:l")
    data = b'{"attempt":1,"output":null,"step":"s1"}'
    begun = time.perf_counter()
    for _ in range(count):
        client.evalsha(sha, 3, *keys, data)
    alone = (time.perf_counter() - begun) * 1000 / count
    begun = time.perf_counter()
    for _ in range(count // 50):
        pipe = client.pipeline(transaction=False)
        for _ in range(50):
            pipe.evalsha(sha, 3, *keys, data)
        pipe.execute()
    piped = count / (time.perf_counter() - begun)
    client.delete(*keys)
    return {"ms_per_append": alone, "piped_per_s": piped}
