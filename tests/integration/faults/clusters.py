"""Clusters whose nodes can be killed or stopped, with a replica for each primary or without."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from tests.conftest import wait_for
from tests.integration.faults.test_cluster import Node

NODE_TIMEOUT_MS = 1000


class Member(Node):
    """A node that is found missing soon, and whose absence the others bear."""

    def start(self) -> None:
        super().start()
        for name, value in (
            ("cluster-node-timeout", NODE_TIMEOUT_MS),
            ("cluster-require-full-coverage", "no"),
            ("cluster-allow-replica-migration", "no"),
            ("repl-diskless-sync-delay", 0),
        ):
            self.client.config_set(name, value)

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def say(self, section: str) -> dict[str, Any]:
        return dict(self.client.info(section))


class Members:
    """Three primaries with a third of the slots each, and after them their replicas, where there are some."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.primaries, self.replicas = members[:3], members[3:]
        first = members[0]
        for number, node in enumerate(members):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                span = (number * 5461, number * 5461 + 5460 + (number == 2))
                node.client.execute_command("CLUSTER ADDSLOTSRANGE", *span)
            first.client.execute_command(
                "CLUSTER MEET", "127.0.0.1", node.port, node.bus
            )
        wait_for(self._agree)
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            wait_for(lambda p=primary, r=replica: follows(p, r))  # type: ignore[misc]
            wait_for(lambda p=primary: self.copied(p))  # type: ignore[misc]
        wait_for(lambda: all(self._shown(member) for member in self.members))

    def url(self, *members: Member) -> str:
        return "redis+cluster://" + ",".join(
            member.name for member in members or self.members[:1]
        )

    def owner(self, key: str) -> Member:
        return self.primaries[min(2, key_slot(key.encode()) // 5461)]

    def _agree(self) -> bool:
        states = [
            dict(member.client.execute_command("CLUSTER INFO"))
            for member in self.members
        ]
        return all(
            s["cluster_state"] == "ok"
            and int(s["cluster_known_nodes"]) == len(self.members)
            for s in states
        )

    def _shown(self, member: Member) -> bool:
        """Tell whether a node shows all others to clients."""
        spans = member.client.execute_command("CLUSTER SLOTS")
        return len({(node[0], node[1]) for span in spans for node in span[2:]}) == len(
            self.members
        )

    def copied(self, primary: Member) -> bool:
        """Tell whether the replica of a primary has all that it has."""
        replica = self.replicas[self.primaries.index(primary)]
        return offset(replica, "slave_repl_offset") == offset(
            primary, "master_repl_offset"
        )


def follows(primary: Member, replica: Member) -> bool:
    try:
        replica.client.execute_command("CLUSTER REPLICATE", primary.id)
    except redis.ResponseError:  # it has not heard of it yet
        return False
    return True


def offset(member: Member, name: str) -> int:
    answer = member.say("replication")
    return (
        int(answer.get(name, -1))
        if answer.get("master_link_status", "up") == "up"
        else -2
    )


@contextmanager
def cluster_of(kind: str, folder: Path, nodes: int = 3) -> Iterator[Members]:
    """A cluster that ends with the block: of three primaries, or of six nodes, three of them replicas."""
    members: list[Member] = []
    try:
        for number in range(nodes):
            members.append(Member(kind, folder / str(number)))
        yield Members(members)
    finally:
        for member in members:
            member.stop()
