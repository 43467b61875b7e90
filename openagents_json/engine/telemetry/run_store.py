"""A store of runs that tells what goes through it: commits, claims, heartbeats, what is due, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from eventstore.errors import EventStoreError
from eventstore.run_model import (
    Claimed,
    ClaimReply,
    ClaimRequest,
    Code,
    Commit,
    Committed,
    DueReply,
    Heard,
    Lease,
)
from eventstore.runs import (
    NOTHING,
    Definitions,
    HintRequest,
    Offered,
    PipelineReplies,
    RunStore,
    WakeUp,
)
from openagents_json import work_index
from openagents_json.engine.telemetry.meter import ERRORS, Meter
from openagents_json.engine.telemetry.port import Instrument, Telemetry
from openagents_json.workflow.core.event_types import CLOSED_AS

COMMITS: Final = Instrument(
    "openagents.commits", "{commit}", "Commits, by source and outcome"
)
EVENTS: Final = Instrument(
    "openagents.events", "{event}", "Events that were written to runs, by source"
)
ASKED: Final = Instrument(
    "openagents.claims.asked",
    "{step}",
    "Steps for which there was room at a claim, by queue",
)
STARTED: Final = Instrument(
    "openagents.claims", "{step}", "Attempts that began, by queue and way"
)
CLAIM_WAIT: Final = Instrument(
    "openagents.claims.wait", "ms", "From ready to claimed, of first attempts, by queue"
)
READY_AGE: Final = Instrument(
    "openagents.ready.age",
    "ms",
    "Age of the oldest ready step of a partition, by queue",
)
ENDED: Final = Instrument(
    "openagents.runs.ended", "{run}", "Runs that ended, by status"
)
LEASES: Final = Instrument(
    "openagents.leases.extended", "{lease}", "Leases in heartbeats, by outcome"
)
DUE: Final = Instrument("openagents.due", "{member}", "What time has brought, by kind")

SOURCES: Final = {
    "new": "start",
    "cas": "decision",
    "fact": "outcome",
    "adopt": "adoption",
}
"""The mode of a commit -> what it comes from."""

HELD: Final = {1: "held", 2: "cancelled", 0: "lost", -1: "unknown"}
"""What a store says of a lease in a heartbeat -> its name."""


class MeasuredRunStore:
    """A RunStore in front of another one, with the same answers and the same round trips."""

    def __init__(
        self, store: RunStore, telemetry: Telemetry, steady_ms: Callable[[], float]
    ) -> None:
        self._store = store
        self._meter = meter = Meter(telemetry, steady_ms)
        self._exchange = meter.timed("exchange", store.exchange)
        self._offer = meter.timed("offer", store.offer)
        self._claim = meter.timed("claim", store.claim)
        self._beat = meter.timed("beat", store.beat)
        self._due = meter.timed("due", store.due)
        # What is only timed.
        self.tell = meter.timed("tell", store.tell)
        self.weigh = meter.timed("weigh", store.weigh)
        self.postpone = meter.timed("postpone", store.postpone)
        self.read = meter.timed("read", store.read)
        self.first = meter.timed("first", store.first)
        self.read_one = meter.timed("read_one", store.read_one)
        self.heads = meter.timed("heads", store.heads)
        self.positions = meter.timed("positions", store.positions)
        self.statuses = meter.timed("statuses", store.statuses)
        self.blobs = meter.timed("blobs", store.blobs)
        self.is_gone = meter.timed("is_gone", store.is_gone)
        self.holder_of = meter.timed("holder_of", store.holder_of)
        self.put_definitions = meter.timed("put_definitions", store.put_definitions)
        self.definitions = meter.timed("definitions", store.definitions)
        self.begin_reading = meter.timed("begin_reading", store.begin_reading)
        self.put_snapshot = meter.timed("put_snapshot", store.put_snapshot)
        # What has no time of its own: the first needs no store, the others take as long as their callers let them.
        self.partition_of = store.partition_of
        self.now_ms = store.now_ms
        self.backwards = store.backwards
        self.wait = store.wait
        self.wait_for_end = store.wait_for_end

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self._store.partitions

    @property
    def is_cluster(self) -> bool:
        """Tell whether partitions lie on several nodes."""
        return self._store.is_cluster

    # -- commits -----------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> Committed:
        """Carry out one commit."""
        return self.exchange([commit]).commits[0]

    def exchange(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
    ) -> PipelineReplies:
        """Carry out commits, and count them."""
        with self._unanswered(commits):
            exchanged = self._exchange(
                commits, definitions=definitions, wakeups=wakeups
            )
        for commit, reply in zip(commits, exchanged.commits, strict=True):
            self._count_commit(commit, reply)
        return exchanged

    def offer(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
        request: HintRequest | None = None,
    ) -> Offered:
        """Carry out commits, each with an answer or an error of its own, and count them."""
        with self._unanswered(commits):
            offered = self._offer(
                commits, definitions=definitions, wakeups=wakeups, request=request
            )
        for commit, reply in zip(commits, offered.commits, strict=True):
            if isinstance(reply, EventStoreError):
                self._meter.add(ERRORS, 1, operation="offer", error=reply.code)
                self._meter.add(
                    COMMITS, 1, source=SOURCES[commit.mode], outcome="error"
                )
            else:
                self._count_commit(commit, reply)
        return offered

    @contextmanager
    def _unanswered(self, commits: Sequence[Commit]) -> Iterator[None]:
        """Count the commits of a call that raises."""
        try:
            yield
        except EventStoreError:
            for commit in commits:
                self._meter.add(
                    COMMITS, 1, source=SOURCES[commit.mode], outcome="error"
                )
            raise

    def _count_commit(self, commit: Commit, reply: Committed) -> None:
        source = SOURCES[commit.mode]
        self._meter.add(COMMITS, 1, source=source, outcome=reply.code.name.lower())
        if reply.code is Code.FACTS_ONLY:
            self._meter.add(EVENTS, commit.fact_events, source=source)
        if reply.code is not Code.DONE:
            return
        self._meter.add(EVENTS, len(commit.events) + len(reply.leases), source=source)
        self._count_end(commit)
        queue = commit.claim.queue if commit.claim else ""
        begun = sum(kind == work_index.STARTED for kind, _ in commit.events)
        self._meter.add(STARTED, begun, queue=queue, way="batch")
        self._meter.add(STARTED, len(reply.leases), queue=queue, way="commit")
        for _ in reply.leases:  # the commit that made them ready has claimed them
            self._meter.record(CLAIM_WAIT, 0, queue=queue)

    def _count_end(self, commit: Commit) -> None:
        """Count the end of a run, which is nearly always the last event of a commit."""
        if commit.mode == "adopt":  # it came to its end elsewhere
            return
        for kind, _ in commit.events:
            status = CLOSED_AS.get(kind)
            if status:
                self._meter.add(ENDED, 1, status=status)

    # -- claims ------------------------------------------------------------------------------------------

    def claim(
        self, claims: Sequence[ClaimRequest], *, worker: str, lease_ms: int
    ) -> list[ClaimReply]:
        """Take ready steps, and count them."""
        dated = [replace(claim, dated=True) for claim in claims]
        replies = self._claim(dated, worker=worker, lease_ms=lease_ms)
        for request in claims:
            self._meter.add(ASKED, request.at_most, queue=request.queue)
        requests = iter(claims)
        for (
            reply
        ) in replies:  # in the order of the requests, without those that were left out
            request = next(
                request for request in requests if request.partition == reply.partition
            )
            self._count_claims(request.queue, reply)
        return replies

    def listen(
        self, claim: ClaimRequest, *, worker: str, lease_ms: int, block_ms: int
    ) -> Heard:
        """Sleep until there is work, and count what is taken with the wake-up; how long it takes is nobody's doing."""
        heard = self._store.listen(
            replace(claim, dated=True),
            worker=worker,
            lease_ms=lease_ms,
            block_ms=block_ms,
        )
        if heard.reply is not None:
            self._meter.add(ASKED, claim.at_most, queue=claim.queue)
            self._count_claims(claim.queue, heard.reply)
        return heard

    def _count_claims(self, queue: str, reply: ClaimReply) -> None:
        self._meter.add(EVENTS, len(reply.claimed), source="claim")
        self._meter.add(STARTED, len(reply.claimed), queue=queue, way="claim")
        for claimed in reply.claimed:
            ready_ms = _ready_ms(claimed)
            if ready_ms is not None:
                self._meter.record(CLAIM_WAIT, reply.time_ms - ready_ms, queue=queue)

    # -- leases and time ---------------------------------------------------------------------------------

    def beat(
        self, leases: Sequence[Lease], lease_ms: int, *, begin: bool = False
    ) -> list[int]:
        """Extend leases, and count what became of them."""
        answers = self._beat(leases, lease_ms, begin=begin)
        for answer, outcome in HELD.items():
            self._meter.add(LEASES, answers.count(answer), outcome=outcome)
        return answers

    def due(
        self,
        partitions: Sequence[int],
        queues: Sequence[str],
        *,
        at_most: int = 200,
        push_ms: int = 5000,
    ) -> list[DueReply]:
        """Take what is due, count it, and note how long ready steps have waited."""
        replies = self._due(partitions, queues, at_most=at_most, push_ms=push_ms)
        for reply in replies:
            for member in reply.members:
                self._meter.add(DUE, 1, kind=member.kind.name.lower())
            for ready in reply.ready:
                if ready.count:
                    self._meter.record(READY_AGE, ready.age_ms, queue=ready.queue)
        return replies


def _ready_ms(claimed: Claimed) -> int | None:
    """Return since when a step was ready; None for a later attempt, and where its history was sent to another claim."""
    if claimed.lease.attempt > 1:
        return None
    return next(
        (
            event.time_ms
            for event in claimed.events
            if event.version == claimed.scheduled_version
        ),
        None,
    )
