"""Commits of runs: carried out by one script, many in a pipeline, and each answered for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from eventstore.driver_errors import translate
from eventstore.errors import EventStoreError, EventUnreadable, StoreUnavailable
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.commits.groups import (
    CommitGroup,
    CommitPipeline,
    commit_groups,
)
from eventstore.redis.coordination.wakeups import ring_call, take_call
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    essential,
    load_text,
    refused_when_full,
)
from eventstore.redis.run_reads import RedisRunReads
from eventstore.run_model import Code, Commit, Committed, Lease
from eventstore.runs import (
    NOTHING,
    Definitions,
    HintRequest,
    Offered,
    PipelineReplies,
    WakeUp,
)

ANSWERS: Final = 4
"""Where the reply of a commit's script has the answers to its commits."""

CODES: Final = {int(code): code for code in Code}


def run_script(name: str) -> Script:
    """Return a script of the run store."""
    return Script(name, load_text("runs_common.lua") + load_text(f"{name}.lua"))


def _carried_out(answer: Committed | EventStoreError) -> Committed:
    if isinstance(answer, EventStoreError):
        raise answer
    return answer


def asked_for(replies: Sequence[Any]) -> list[bool]:
    """Tell which wake-ups nobody has heard; one that could not be sent is a hint that is lost, and no more."""
    return [reply == 1 for reply in replies]


_BEHIND_HEAD: Final = "equal or smaller than the target stream top item"
"""What a server says of an event whose version the stream of its run has already, see lua/commit.lua."""


class RedisRunCommits(RedisRunReads):
    """Commits of runs; every call is one round trip unless it says otherwise."""

    def __init__(self, connection: Connection, keyspace: Keyspace) -> None:
        super().__init__(connection, keyspace)
        self._commit = run_script("commit")
        # A server at its memory limit refuses what begins a run, and carries out all other commits: runs that have
        # begun can end, and be archived.
        self._begin = Script("begin", refused_when_full(self._commit.text))

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
        """Carry out commits in one pipeline: recording, storing what they refer to and ringing are one round trip."""
        pipeline = self._pipeline(commits, definitions)
        try:
            replies = self.call([*pipeline.calls, *self.ring_calls(wakeups)])
        except EventStoreError as error:
            raise self._refusal([c.run for c in commits], error) from error.__cause__
        answers: dict[int, Committed | EventStoreError] = {}
        for group, end in pipeline.groups:
            answers.update(self._answers_to(group, commits, replies[end]))
        done = [_carried_out(answers[index]) for index in range(len(commits))]
        return PipelineReplies(done, asked_for(replies[len(pipeline.calls) :]))

    def offer(
        self,
        commits: Sequence[Commit],
        *,
        definitions: Definitions = NOTHING,
        wakeups: Sequence[WakeUp] = (),
        request: HintRequest | None = None,
    ) -> Offered:
        """Carry out commits in one pipeline, each with an answer or an error of its own: none hinders another.

        Raises StoreUnavailable when nobody knows what was carried out; the same commits can be sent again.
        """
        pipeline = self._pipeline(commits, definitions)
        bell_calls = self.ring_calls(wakeups)
        if request is not None:
            bell_calls.append(take_call(self.keys, request))
        replies = self.answers([*pipeline.calls, *bell_calls])
        taken = None if request is None else replies.pop()
        answers: dict[int, Committed | EventStoreError] = {}
        for group, end in pipeline.groups:
            reply = replies[end]
            answers.update(
                self._each_alone(group, commits, reply, definitions)
                if isinstance(reply, EventStoreError)
                else self._answers_to(group, commits, reply)
            )
        self._store_again(pipeline, replies)
        ordered = [answers[index] for index in range(len(commits))]
        unheard = asked_for(replies[len(pipeline.calls) :])
        # Without an answer, the drain asks again by itself.
        hints = None if isinstance(taken, Exception) else taken
        return Offered(ordered, unheard, hints)

    def _pipeline(
        self, commits: Sequence[Commit], definitions: Definitions
    ) -> CommitPipeline:
        pipeline = CommitPipeline(self._ahead(self.definition_calls(definitions)))
        for group in self._groups(commits):
            pipeline.add(group)
        return pipeline

    def _store_again(self, pipeline: CommitPipeline, replies: Sequence[Any]) -> None:
        """Store what was refused of that which commits rely on that were carried out: they are there, so they get it.

        There may have been no room for it, and then some for them.
        """
        again: list[Call] = []
        for index in pipeline.relied_on(replies):
            call = pipeline.calls[index]
            if isinstance(replies[index], Exception):
                again.append(
                    essential(*call.args) if isinstance(call, PlainCall) else call
                )
        if again:
            self.call(again)

    def _answers_to(
        self, group: CommitGroup, commits: Sequence[Commit], reply: list[Any]
    ) -> dict[int, Committed | EventStoreError]:
        """Read the reply to commits that shared a call."""
        return {
            index: self._refusal(
                [commits[index].run], translate(answer, self.connection.where)
            )
            if isinstance(answer, Exception)
            else self.committed(commits[index], answer)
            for index, answer in zip(group.indexes, reply[ANSWERS], strict=True)
        }

    def _each_alone(
        self,
        group: CommitGroup,
        commits: Sequence[Commit],
        error: EventStoreError,
        definitions: Definitions,
    ) -> dict[int, Committed | EventStoreError]:
        """Answer commits whose call was refused as a whole: one of them may be why, so each is sent by itself.

        Those that were carried out before that are found by their ids.
        """
        if isinstance(error, StoreUnavailable):
            return dict.fromkeys(group.indexes, error)
        if len(group.indexes) == 1:
            [index] = group.indexes
            return {index: self._refusal([commits[index].run], error)}
        alone: dict[int, Committed | EventStoreError] = {}
        for index in group.indexes:
            # What they refer to may have been refused with them: a server that was full has room by now, perhaps.
            offered = self.offer([commits[index]], definitions=definitions)
            alone[index] = offered.commits[0]
        return alone

    def _refusal(self, runs: Sequence[str], error: EventStoreError) -> EventStoreError:
        """Return why commits were refused; where events stand behind the head of a run, that is said of them."""
        if _BEHIND_HEAD not in str(error):
            return error
        for run in runs:
            newest = (b"XREVRANGE", self.keys.stream(run), b"+", b"-", b"COUNT", 1)
            try:
                self.recorded(run, self.connection.command(*newest))
            except EventStoreError as reason:
                return reason
        return EventStoreError(
            f"there are events that no commit names: {', '.join(runs)}",
            remedy="the repair of the doctor looks at them",
        )

    def ring_calls(self, wakeups: Sequence[WakeUp]) -> list[ScriptCall]:
        """Build the calls of wake-ups; each replies 1 when nobody has heard it."""
        return [
            ring_call(self.keys, wakeup.queue, wakeup.partitions) for wakeup in wakeups
        ]

    def _ahead(self, before: Sequence[Call]) -> list[Call]:
        """Return what is sent together with commits of that which they rely on, most often all of it.

        In a cluster it may lie on another node, which may be away while theirs is not; so it is sent ahead, and a node
        that dies gets the time to be replaced.
        """
        if not (before and self.connection.is_cluster):
            return list(before)
        replies = retrying(lambda: self._answers(before), FAILOVER_SECONDS)
        return [
            call
            for call, reply in zip(before, replies, strict=True)
            if isinstance(reply, Exception)
        ]

    def _groups(self, commits: Sequence[Commit]) -> list[CommitGroup]:
        return commit_groups(commits, self.keys, self._script_of, self._before)

    def _script_of(self, commit: Commit) -> Script:
        return self._begin if commit.mode == "new" else self._commit

    def _before(self, commit: Commit) -> Sequence[Call]:
        """Build the calls that store what stands beside the log; nearly no commit has any."""
        if not commit.blobs and not commit.refers:
            return ()
        payloads = {b.sha: b.data for b in commit.blobs}
        return self.payload_calls(
            commit.run, payloads, commit.refers, begun=commit.mode != "new"
        )

    def commit_call(self, commit: Commit) -> ScriptCall:
        """Build the script call of one commit, for a pipeline of the caller's."""
        [group] = commit_groups([commit], self.keys, self._script_of, lambda _: ())
        return group.call

    def committed(self, commit: Commit, answer: list[Any]) -> Committed:
        """Read the answer to a commit."""
        code, version, position, time_ms, extra = answer[:5]
        code = CODES[code]
        if code is Code.DONE:
            leases = tuple(
                Lease(commit.run, s.decode(), f.decode(), a, int(d))
                for s, f, a, d in extra
            )
            claims = self._by_itself(commit.run, answer[5])
            return Committed(code, version, position, time_ms, leases, claims)
        if code is Code.FENCED:
            return Committed(
                code,
                version,
                position,
                time_ms,
                fenced=tuple(s.decode() for s in extra),
            )
        if code is Code.NAMED:
            [holder] = extra
            return Committed(code, version, position, time_ms, holder=holder.decode())
        if code is Code.FULL:
            [queue] = extra
            return Committed(code, version, position, time_ms, full=queue.decode())
        return Committed(
            code, version, position, time_ms, events=self._by_itself(commit.run, extra)
        )

    def _by_itself(self, run: str, entries: Iterable[Any]) -> tuple[Recorded, ...]:
        """Read events that came with those of other runs; none of a run that cannot be read: it must not hold them up.

        Whoever loads that run is told why.
        """
        try:
            return self.recorded(run, entries)
        except EventUnreadable:
            return ()
