"""Every key name, built in one place; all keys of a partition share one hash tag, so they lie in one cluster slot.

<prefix>:{<p>}:meta          hash    n: events of the partition; e: how many losses were met, see lua/look_back.lua
<prefix>:{<p>}:losses        list    what was lost although it had been acknowledged, see there; expires
<prefix>:{<p>}:log           stream  one entry a commit, id <n>-<ms>: r stream, f first version, l last version
<prefix>:{<p>}:run:<stream>  stream  events, id <version>-0: t type, d data, m ms, n position, c commit, a actor,
                                     y cause, and x metadata where there is some
<prefix>:{<p>}:head:<stream> hash    v version, lc last commit id; runs have more, see lua/runs_common.lua
<prefix>:{<p>}:checkpoints   hash    consumer -> n
<prefix>:{<p>}:due, ready:<queue>, view:<name>, blob:<sha>   see lua/runs_common.lua
<prefix>:{<p>}:fair:<queue>, fair:<queue>|<key>, ring:<queue>, turn:<queue>, weights   whose turn it is, see there
<prefix>:{<p>}:ready:<queue>|<component>, aside:<queue>, has:<hash>   what waits for which workers, see there
<prefix>:{<p>}:claim:<id>    string  what a claim took, for whoever lost the reply; expires, see lua/claim.lua
<prefix>:{<p>}:refs:<sha>    set     runs that refer to a blob
<prefix>:{<p>}:names         hash    business keys, hashed -> the run that each stands for
<prefix>:{<p>}:gone          hash    archived runs, whose ids nobody else gets -> last position
<prefix>:{<p>}:gate:<kind>:<key>, line:<kind>:<key>          see lua/gate.lua
<prefix>:{<p>}:schedule:<name>, view:schedules               see lua/schedule.lua
<prefix>:{<p>}:hook:<name>, hooked:<name>                    see lua/hook.lua; expire
<prefix>:{<p>}:emit:<run>    stream  what components show while they run; expires
<prefix>:{<p>}:stage:<run>:<token>  stream  a history that is about to be taken over, see lua/adopt.lua; expires
<prefix>:{<p>}:snap:<run>    string  a folded state, zlib of [format, version, commit, state]; a cache, expires
<prefix>:{<p>}:key:<run>     string  the data key of an encrypted run, wrapped: <format>.<master key id>.<base64>
<prefix>:{<p>}:ledger:<part>         what proves the log, see lua/seal.lua
<prefix>:{-1}:catalog        hash    "<kind>:<name>" -> where its events are and what they come to, see lua/catalog.lua
<prefix>:{-1}:catalog:names, catalog:words  zset   what names, and words of them, begin with
<prefix>:{-2}:leases         hash    who may do something alone, see lua/lease.lua; with {-2}:leases:ends, a zset
<prefix>:{-3}:orders         hash    what workers are told, see lua/order.lua; with {-3}:orders:log, a stream
<prefix>:{<p>}:fence:<lease> string  the highest token of a lease that came to a slot, see lua/fence.lua; expires
<prefix>:fence:{<key>}:<lease>  string  the same in the slot of a key that belongs to no partition
<prefix>:store               hash    layout, partitions, run_id of the server last seen
<prefix>:def:<hash>          string  immutable definitions
<prefix>:registry:<part>     hash    API keys and hooks by name; of older versions, workflows and components too
<prefix>:asked:<hash>        string  "<run> <workflow>" that an idempotency key stands for; expires
<prefix>:request:<hash>      hash    a request with an idempotency key, see lua/request.lua; expires
<prefix>:allowance:<key id>  string  what a caller of the services may still ask for, see lua/allowance.lua; expires
<prefix>:remote              hash    workers over HTTP that were seen lately, as <prefix>:workers
<prefix>:remote:claim:<id>   string  what a claim over HTTP was given, for whoever lost the answer; expires
<prefix>:confirmed           string  written before replicas are waited for, see replication.py
<prefix>:audit               hash    the ledger's id, and its public keys
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass, field
from typing import Final

from eventstore.errors import InvalidRequest

LAYOUT: Final = "1"

CATALOG: Final = -1
"""The partition of the catalog: it has a log of its own, beside those of runs."""

LEASES: Final = -2
"""The partition of leases: all of them lie in one slot, and none of the log."""

ORDERS: Final = -3
"""The partition of what workers are told; none of the log, either."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_TAGGED: Final = re.compile(rb"([^{]*\{[^}]+\}:)")
_NUMBERED: Final = re.compile(r"([0-9]{1,9})-")


@functools.cache
def _base(prefix: str, partition: int) -> bytes:
    """Return what all names of a partition begin with: each commit asks for several of them."""
    return f"{prefix}:{{{partition}}}:".encode()


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The key names of a store."""

    prefix: str = "oa"
    partitions: int = 8
    _numbers: dict[str, int] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )
    """The numbers of partitions by the texts that streams begin with."""

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise InvalidRequest(
                f"prefix {self.prefix!r} must be 1 to 64 letters, digits, dots, dashes or underscores"
            )
        if not 1 <= self.partitions <= 16384:
            raise InvalidRequest(
                f"{self.partitions} partitions: there must be 1 to 16384"
            )
        self._numbers.update((str(p), p) for p in range(self.partitions))

    def partition_of(self, stream: str) -> int:
        """Return the partition of a stream: the number that its name begins with, or else a hash of the name."""
        number, dash, _ = stream.partition("-")
        if dash and (partition := self._numbers.get(number)) is not None:
            return partition
        match = _NUMBERED.match(stream)
        if match and int(match[1]) < self.partitions:
            return int(match[1])
        return zlib.crc32(stream.encode("utf-8", "surrogatepass")) % self.partitions

    def _key(self, partition: int, rest: str) -> bytes:
        return _base(self.prefix, partition) + rest.encode("utf-8", "surrogatepass")

    def of_partition(self, partition: int) -> list[bytes]:
        """Name what each commit of a partition writes: its counter, its log and its due set."""
        base = _base(self.prefix, partition)
        return [base + b"meta", base + b"log", base + b"due"]

    def of_run(self, partition: int, run: str) -> tuple[bytes, bytes]:
        """Name the events of a run and its head."""
        base = _base(self.prefix, partition)
        name = run.encode("utf-8", "surrogatepass")
        return base + b"run:" + name, base + b"head:" + name

    def meta(self, partition: int) -> bytes:
        """Name the counter of a partition."""
        return self._key(partition, "meta")

    def log(self, partition: int) -> bytes:
        """Name the log of a partition."""
        return self._key(partition, "log")

    def due(self, partition: int) -> bytes:
        """Name the due set of a partition."""
        return self._key(partition, "due")

    def losses(self, partition: int) -> bytes:
        """Name the record of what a partition has lost."""
        return self._key(partition, "losses")

    def checkpoints(self, partition: int) -> bytes:
        """Name the checkpoints of a partition."""
        return self._key(partition, "checkpoints")

    def stream(self, stream: str) -> bytes:
        """Name the events of a stream."""
        return self._key(self.partition_of(stream), f"run:{stream}")

    def head(self, stream: str) -> bytes:
        """Name the head of a stream."""
        return self._key(self.partition_of(stream), f"head:{stream}")

    def ready(self, partition: int, queue: str) -> bytes:
        """Name the ready set of a queue in a partition."""
        return self._key(partition, f"ready:{queue}")

    def claim(self, partition: int, claim_id: str) -> bytes:
        """Name what a claim took."""
        return self._key(partition, f"claim:{claim_id}")

    def fair(self, partition: int, queue: str) -> bytes:
        """Name the set that counts the steps of a queue that have fairness keys."""
        return self._key(partition, f"fair:{queue}")

    def ring(self, partition: int, queue: str) -> bytes:
        """Name the fairness keys of a queue by whose turn it is."""
        return self._key(partition, f"ring:{queue}")

    def weights(self, partition: int) -> bytes:
        """Name the weights of fairness keys that were said from outside."""
        return self._key(partition, "weights")

    def aside(self, partition: int, queue: str) -> bytes:
        """Name the set of components for which steps of a queue were set aside."""
        return self._key(partition, f"aside:{queue}")

    def has(self, partition: int, having: str) -> bytes:
        """Name what workers with the components of a hash can run."""
        return self._key(partition, f"has:{having}")

    def view(self, partition: int, name: str) -> bytes:
        """Name a view of a partition."""
        return self._key(partition, f"view:{name}")

    def blob(self, partition: int, sha: str) -> bytes:
        """Name a payload that is stored beside the log."""
        return self._key(partition, f"blob:{sha}")

    def references(self, partition: int, sha: str) -> bytes:
        """Name the set of runs that refer to a payload that is stored beside the log."""
        return self._key(partition, f"refs:{sha}")

    def gate(self, partition: int, name: str) -> bytes:
        """Name the state of a lock, rate or debounce."""
        return self._key(partition, f"gate:{name}")

    def line(self, partition: int, name: str) -> bytes:
        """Name the line before a lock."""
        return self._key(partition, f"line:{name}")

    def schedule(self, name: str) -> bytes:
        """Name a schedule."""
        return self._key(self.partition_of(name), f"schedule:{name}")

    def hook(self, name: str) -> tuple[bytes, bytes]:
        """Name what has come to an inbound hook, and the order in which it came."""
        partition = self.partition_of(name)
        return (
            self._key(partition, f"hook:{name}"),
            self._key(partition, f"hooked:{name}"),
        )

    def output(self, run: str) -> bytes:
        """Name the side stream of what the components of a run emit."""
        return self._key(self.partition_of(run), f"emit:{run}")

    def end(self, run: str) -> bytes:
        """Name what tells those who wait for the end of a run."""
        return self._key(self.partition_of(run), f"end:{run}")

    def snapshot(self, run: str) -> bytes:
        """Name the snapshot of a run's state."""
        return self._key(self.partition_of(run), f"snap:{run}")

    def names(self, partition: int) -> bytes:
        """Name which runs business keys stand for."""
        return self._key(partition, "names")

    def gone(self, partition: int) -> bytes:
        """Name the archived runs of a partition."""
        return self._key(partition, "gone")

    def key(self, run: str) -> bytes:
        """Name the wrapped data key of an encrypted run."""
        return self._key(self.partition_of(run), f"key:{run}")

    def ledger(self, partition: int, part: str) -> bytes:
        """Name a part of the ledger of a partition."""
        return self._key(partition, f"ledger:{part}")

    def audit(self) -> bytes:
        """Name the record of the ledger."""
        return f"{self.prefix}:audit".encode()

    def stage(self, run: str, token: str) -> bytes:
        """Name where the history of a run is put that is about to be taken over."""
        return self._key(self.partition_of(run), f"stage:{run}:{token}")

    def definition(self, digest: str) -> bytes:
        """Name a definition."""
        return f"{self.prefix}:def:{digest}".encode()

    def asked(self, digest: str) -> bytes:
        """Name what an idempotency key stands for, by the hash of the key."""
        return f"{self.prefix}:asked:{digest}".encode()

    def request(self, digest: str) -> bytes:
        """Name what is known of a request with an idempotency key, by a hash of that."""
        return f"{self.prefix}:request:{digest}".encode()

    def allowance(self, caller: str) -> bytes:
        """Name what a caller of the services may still ask for."""
        return f"{self.prefix}:allowance:{caller}".encode()

    def remote_claim(self, claim: str) -> bytes:
        """Name what a claim over HTTP was given."""
        return f"{self.prefix}:remote:claim:{claim}".encode()

    def registry(self, part: str) -> bytes:
        """Name a part of what is published: components, workflows or aliases."""
        return f"{self.prefix}:registry:{part}".encode()

    def catalog(self, part: str = "") -> bytes:
        """Name what the names of the catalog have come to, beside the stream of its events; or a part of its index."""
        return self._key(CATALOG, f"catalog:{part}" if part else "catalog")

    def views(self) -> bytes:
        """Name which generations of views are in use, and which are being built."""
        return f"{self.prefix}:views".encode()

    def leases(self) -> bytes:
        """Name the leases."""
        return self._key(LEASES, "leases")

    def lease_ends(self) -> bytes:
        """Name when leases end."""
        return self._key(LEASES, "leases:ends")

    def orders(self, part: str = "") -> bytes:
        """Name what workers are told, or the log of that."""
        return self._key(ORDERS, f"orders:{part}" if part else "orders")

    def fence(self, key: bytes, lease: str) -> bytes:
        """Name the highest token of a lease that came to the slot of a key, in that slot."""
        tagged = _TAGGED.match(key)
        if tagged:
            return tagged[1] + f"fence:{lease}".encode()
        return f"{self.prefix}:fence:".encode() + b"{" + key + f"}}:{lease}".encode()

    def store(self) -> bytes:
        """Name the record of the store itself."""
        return f"{self.prefix}:store".encode()
