"""The log as a work store: runs are committed, claimed, extended and found again, each in one atomic script.

The layout is that of `RedisStreamStore`, so whatever is committed here can be read, tailed and projected there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from redis.exceptions import NoScriptError

from eventstore.driver_errors import translate
from eventstore.errors import EventStoreError
from eventstore.keys import Keyspace
from eventstore.redis.commits.run_commits import RedisRunCommits, run_script
from eventstore.redis.coordination.wakeups import bell_of, latest_of
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import (
    ALLOWED_WHEN_FULL,
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
)
from eventstore.redis.run_wire import UnreadEvents, due_reply
from eventstore.run_model import (
    Ability,
    Claimed,
    ClaimReply,
    ClaimRequest,
    DueReply,
    Heard,
    Lease,
    build_in,
)
from openagents_json.work_index import DueKey

log = logging.getLogger(__name__)

HAS_SECONDS: Final = 86_400
"""How long the store remembers what workers with certain components can run; asked after that, they tell again."""

PARTITIONS_AT_ONCE: Final = 64
"""So many partitions are looked at in one call: a server answers nobody else meanwhile."""

PART: Final = 1000
"""How many arguments a script passes on to one command: Lua takes no more than some 8,000."""


class RedisRunStore(RedisRunCommits):
    """Commits, claims, leases and due members of runs; every call is one round trip unless it says otherwise."""

    def __init__(
        self,
        connection: Connection,
        keyspace: Keyspace,
        *,
        whole_history: int = 24,
        master_keys: Sequence[str] = (),
    ) -> None:
        super().__init__(connection, keyspace)
        self._claim = run_script("claim")
        self._hear = _hear_script()
        self._beat = run_script("beat")
        self._due = run_script("due")
        self._whole = whole_history
        self._master_keys = " ".join(master_keys)

    # -- claims --------------------------------------------------------------------------------------------

    def claim(
        self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int
    ) -> list[ClaimReply]:
        """Carry out claims; partitions that cannot answer now are left out while others can."""
        calls = [self.claim_call(claim, worker, lease_ms) for claim in claims]
        replies = self.from_those_that_answer(calls)
        return [
            self.claimed(claim, reply, worker)
            for claim, reply in zip(claims, replies, strict=True)
            if reply is not None
        ]

    def listen(
        self, claim: ClaimRequest, *, worker: str, lease_ms: int, block_ms: int
    ) -> Heard:
        """Sleep until a partition has work, at most `block_ms`, and claim there with the wake-up.

        This uses a connection of its own. Nothing is claimed for a drain that has said that it is busy; in a cluster,
        where the bell and the partition lie on different nodes; and where replicas have to confirm what is claimed, as
        they cannot be asked behind a command that waits.
        """
        wait = (b"BZPOPMIN", bell_of(self.keys, claim.queue), block_ms / 1000)
        if self.is_cluster or self.connection.quorum is not None:
            [bell] = self.connection.listening_calls(wait)
            return Heard(_rung(bell))
        hear = self._hear_command(claim, worker, lease_ms)
        bell, reply = self.connection.listening_calls(wait, hear)
        if isinstance(reply, NoScriptError):
            with suppress(EventStoreError):
                self.connection.command(b"SCRIPT", b"LOAD", self._hear.text)
        if not reply or isinstance(reply, Exception):
            return Heard(_rung(bell))
        latest, claimed = reply
        asked = replace(claim, partition=int(latest))
        taken = self.claimed(asked, claimed, worker)
        is_looked_at = bool(taken.claimed) and _rung(bell) == asked.partition
        return Heard(None if is_looked_at else _rung(bell), taken)

    def _hear_command(
        self, claim: ClaimRequest, worker: str, lease_ms: int
    ) -> tuple[Any, ...]:
        names = (f"{self.keys.prefix}:{{", claim.queue, claim.id, claim.having)
        bell = latest_of(self.keys, claim.queue)
        arguments = self._arguments(claim, worker, lease_ms)
        return (b"EVALSHA", self._hear.sha, len(bell), *bell, *names, *arguments)

    def claim_call(self, claim: ClaimRequest, worker: str, lease_ms: int) -> ScriptCall:
        """Build the script call of a claim."""
        keys, partition = self.keys, claim.partition
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.due(partition),
            keys.ready(partition, claim.queue),
            keys.claim(partition, claim.id),
            keys.has(partition, claim.having),
        ]
        return ScriptCall(self._claim, names, self._arguments(claim, worker, lease_ms))

    def _arguments(self, claim: ClaimRequest, worker: str, lease_ms: int) -> list[Any]:
        """Return what is told to a claim, beside the names of its keys."""
        return [
            claim.at_most,
            worker,
            lease_ms,
            self._whole,
            self._master_keys,
            int(claim.dated),
            HAS_SECONDS,
            *_pairs_of(claim.able),
        ]

    def claimed(self, claim: ClaimRequest, reply: list[Any], worker: str) -> ClaimReply:
        """Read the reply of a claim."""
        left, now, unknown, aside, *items = reply
        taken = []
        for (
            run_,
            step,
            fence,
            attempt,
            deadline,
            version,
            commit,
            scheduled,
            previous,
            entries,
        ) in items:
            run = run_.decode()
            lease = Lease(run, step.decode(), fence.decode(), attempt, int(deadline))
            taken.append(
                Claimed(
                    lease,
                    version,
                    commit.decode(),
                    scheduled,
                    UnreadEvents(self._by_itself, run, entries),
                    previous.decode(),
                    now,
                    worker,
                )
            )
        return ClaimReply(
            claim.partition,
            left,
            now,
            tuple(taken),
            tuple(c.decode() for c in unknown),
            aside,
        )

    def tell(self, partition: int, having: str, able: Mapping[str, Ability]) -> None:
        """Say which components, as documents name them, workers can run that have the components of a hash."""
        self.call(self._tell_calls(partition, having, able))

    def _tell_calls(
        self, partition: int, having: str, able: Mapping[str, Ability]
    ) -> list[Call]:
        name = self.keys.has(partition, having)
        pairs = _pairs_of(able)
        parts = [pairs[i : i + PART] for i in range(0, len(pairs), PART)]
        return [
            *(essential(b"HSET", name, *part) for part in parts),
            PlainCall((b"EXPIRE", name, HAS_SECONDS)),
        ]

    def weigh(self, weights: Mapping[str, int | None]) -> None:
        """Say which weights fairness keys have from now on; each partition hears of it by itself.

        Raises StoreUnavailable where some may not have: said again, it is the same.
        """
        given = {key: weight for key, weight in weights.items() if weight is not None}
        pairs = [text for pair in given.items() for text in pair]
        taken_back = [key for key in weights if key not in given]
        calls: list[Call] = []
        for partition in range(self.keys.partitions):
            name = self.keys.weights(partition)
            calls += [
                essential(b"HSET", name, *pairs[i : i + PART])
                for i in range(0, len(pairs), PART)
            ]
            if taken_back:
                calls.append(PlainCall((b"HDEL", name, *taken_back)))
        self.call(calls)

    # -- leases and time ---------------------------------------------------------------------------------

    def beat(
        self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False
    ) -> list[int]:
        """Extend leases; for each of them 1 held, 2 held and the run is asked to cancel, 0 lost, -1 nobody knows.

        With `begin`, the store knows from then on that their steps may have begun. Raises EventStoreError when nobody
        knows of any of them.
        """
        by_partition: dict[int, list[int]] = {}
        for index, lease in enumerate(leases):
            by_partition.setdefault(self.keys.partition_of(lease.run), []).append(index)
        calls: list[Call] = []
        for partition, members in by_partition.items():
            args: list[Any] = [lease_ms, "begin" if begin else ""]
            for index in members:
                args += (leases[index].run, leases[index].step, leases[index].fence)
            calls.append(
                ScriptCall(
                    self._beat,
                    [self.keys.meta(partition), self.keys.due(partition)],
                    args,
                )
            )
        out = [-1] * len(leases)
        replies = self.answers(calls) if calls else []
        errors = [reply for reply in replies if isinstance(reply, EventStoreError)]
        if errors and len(errors) == len(calls):
            raise errors[0]
        for members, reply in zip(by_partition.values(), replies, strict=True):
            if not isinstance(reply, EventStoreError):
                for index, held in zip(members, reply, strict=True):
                    out[index] = held
        return out

    def due(
        self,
        partitions: Sequence[int],
        queues: Sequence[str],
        *,
        at_most: int = 200,
        push_ms: int = 5000,
    ) -> list[DueReply]:
        """Take what is due, up to so many members of a partition; they are pushed forward by `push_ms`, not removed.

        When there is more, what is taken is fair to what became due last and to other runs. Partitions that cannot
        answer now, because their slot is being moved, are left out while others can.
        """
        # A script sees one slot of a cluster; elsewhere, one call looks at many partitions.
        size = 1 if self.is_cluster else PARTITIONS_AT_ONCE
        groups = [partitions[i : i + size] for i in range(0, len(partitions), size)]
        replies = self.from_those_that_answer(
            [self._due_call(group, [at_most, push_ms, *queues]) for group in groups]
        )
        answers: list[tuple[int, Any]] = []
        for group, reply in zip(groups, replies, strict=True):
            if reply is not None:
                answers += zip(group, reply, strict=True)
        return self._due_replies(answers, queues)

    def _due_replies(
        self, answers: Sequence[tuple[int, Any]], queues: Sequence[str]
    ) -> list[DueReply]:
        """Read what partitions answer; raises the error of one where no other has anything else to say."""
        damaged = [x for x in answers if isinstance(x[1], Exception)]
        if damaged and len(damaged) == len(answers):
            raise translate(damaged[0][1], self.connection.where)
        for partition, error in damaged:
            log.error(
                "partition %d: what is due there cannot be looked at: %s",
                partition,
                error,
            )
        return [
            due_reply(partition, queues, reply)
            for partition, reply in answers
            if not isinstance(reply, Exception)
        ]

    def _due_call(self, partitions: Sequence[int], args: Sequence[Any]) -> ScriptCall:
        names = [(self.keys.meta(p), self.keys.due(p)) for p in partitions]
        return ScriptCall(self._due, [name for pair in names for name in pair], args)

    def postpone(self, key: DueKey, at_ms: int) -> bool:
        """Have a member that is there be due at a time; False when it is not there any more."""
        due, member = self.keys.due(self.partition_of(key.run)), key.key()
        postponing = essential(b"ZADD", due, b"XX", at_ms, member)
        return (
            self.call([postponing, PlainCall((b"ZSCORE", due, member))])[1] is not None
        )


def _hear_script() -> Script:
    """Return the script of a claim where nobody knows in which partition: that is found out before it."""
    common = load_text("runs_common.lua").removeprefix(ALLOWED_WHEN_FULL)
    claim = f"local function claim()\n{load_text('claim.lua')}\nend\n"
    reply = "return { latest, claim() }\n"
    return Script("hear", load_text("hear.lua") + common + claim + reply)


def _rung(bell: Any) -> int | None:
    """Return the partition by which somebody was woken; None for one who has slept his time out."""
    return int(bell[1]) if bell else None


def _pairs_of(able: Mapping[str, Ability]) -> list[str]:
    """Return abilities as scripts read them: 0, or 1 with the build behind it."""
    return [
        text
        for component, can in able.items()
        for text in (component, f"1{build_in(can)}" if can else "0")
    ]
