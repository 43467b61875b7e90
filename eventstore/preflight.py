"""P."""
from eventstore.keys import Keyspace
class Finding: ...
def check(*a, **k): return []
def require(connection, prefix, partitions, durability, *, now_ms, default_partitions): return Keyspace(prefix, partitions or default_partitions)
