"""Runs begin: their first commits, in as few round trips as for one, and the idempotency keys that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.run_model import Code, Committed
from eventstore.runs import Definitions as Stored
from executor.errors import KeyConflict, RunExists
from executor.runs.commit import BuiltCommit, build
from executor.runs.committer import Committer, Handled
from executor.runs.idempotency import OriginalRequest, conflict, key_of_another
from executor.runs.idempotency import Request as Request
from executor.runs.key_notes import KeyNotes, Note
from executor.runs.refusals import refusal
from executor.runs.repository import Session
from openagents_json.catalog.definitions import as_stored
from openagents_json.errors import OpenAgentsError, RunUnreadable
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Start:
    """A run to begin; a fixed commit id makes the start repeatable.

    `request` is what its caller asked for under an idempotency key; without one, whoever starts it again means it.
    """

    run: str
    plan: Plan
    inputs: Mapping[str, Json]
    commit_id: str = ""
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    cancelled: str = ""
    request: Request | None = None


class RunBeginnings:
    """Begins runs; safe for threads."""

    def __init__(self, committer: Committer, key_notes: KeyNoteStore) -> None:
        self._committer = committer
        self._notes = KeyNotes(key_notes, self._never_began)

    def start_each(
        self, starts: Sequence[Start], *, actor: str
    ) -> list[Handled | Exception]:
        """Start runs in one round trip; one that the same commit id started before is answered unchanged.

        One that has not begun has its error, RunExists when another commit has taken the id, and KeyConflict when its
        key has begun another request; the others have begun.
        Raises PayloadOverLimit, and then none has.
        """
        fresh = [self._fresh(start) for start in starts]
        builts = [
            self._first(session, start, actor)
            for session, start in zip(fresh, starts, strict=True)
        ]
        results: dict[int, Handled | Exception] = dict(self._without_their_keys(starts))
        indexes = [index for index in range(len(starts)) if index not in results]
        needed = as_stored(*(starts[index].plan for index in indexes))
        replies = (
            self._offer_patiently([builts[index] for index in indexes], needed)
            if indexes
            else ()
        )
        self._give_back([starts[index] for index in indexes], replies)
        for index, reply in zip(indexes, replies, strict=True):
            results[index] = self._begun(
                starts[index], fresh[index], builts[index], reply
            )
        return [results[index] for index in range(len(starts))]

    def check(self, starts: Sequence[Start], *, actor: str) -> None:
        """Refuse what could not begin whatever is in the store, and write nothing.

        Raises PayloadOverLimit.
        """
        for start in starts:
            self._first(self._fresh(start), start, actor)

    def _fresh(self, start: Start) -> Session:
        """Return the session of a run that is not on the log yet."""
        key = self._committer.sessions.keyring.fresh(start.run)
        return Session(start.run, 0, "", initial(), start.plan, key)

    def _without_their_keys(
        self, starts: Sequence[Start]
    ) -> dict[int, OpenAgentsError]:
        """Return why some may not begin, by their indexes: keys that stand for runs of others, or find no room."""
        keyed = [
            (index, note)
            for index, start in enumerate(starts)
            if (note := _note(start)) is not None
        ]
        answers = self._notes.take([note for _, note in keyed])
        refused: dict[int, OpenAgentsError] = {}
        for (index, _), answer in zip(keyed, answers, strict=True):
            if isinstance(answer, EventStoreError):
                refused[index] = answer
            elif answer is not None:
                refused[index] = key_of_another(
                    answer.run, answer.workflow, starts[index].plan
                )
        return refused

    def _give_back(
        self, starts: Sequence[Start], replies: Sequence[Committed | EventStoreError]
    ) -> None:
        """Return back the keys of starts that were refused; whether those were whose server is away, nobody knows."""
        refused = [
            note
            for start, reply in zip(starts, replies, strict=True)
            if isinstance(reply, EventStoreError)
            and not isinstance(reply, StoreUnavailable)
            and (note := _note(start)) is not None
        ]
        if refused:
            self._notes.give_back(refused)

    def _never_began(self, run: str) -> bool:
        """Tell whether a run that is there was never let in."""
        try:
            return refusal(self._committer.sessions.load(run).state) is not None
        except RunUnreadable:
            return False

    def _offer_patiently(
        self, builts: Sequence[BuiltCommit], definitions: Stored
    ) -> list[Committed | EventStoreError]:
        """Offer commits, and again those whose node of a cluster is away: its replica may take its index soon.

        A server that is alone has been waited for already when it is said to be away.
        """
        answers = dict(enumerate(self._committer.offer(builts, definitions)))

        def again() -> None:
            away = [
                i
                for i, answer in answers.items()
                if isinstance(answer, StoreUnavailable)
            ]
            if away:
                answers.update(
                    zip(
                        away,
                        self._committer.offer([builts[i] for i in away], definitions),
                        strict=True,
                    )
                )
            for answer in answers.values():
                if isinstance(answer, StoreUnavailable):
                    raise answer

        with suppress(StoreUnavailable):  # then it is the answer
            retrying(again, FAILOVER_SECONDS)
        return list(answers.values())

    def _begun(
        self,
        start: Start,
        session: Session,
        built: BuiltCommit,
        reply: Committed | EventStoreError,
    ) -> Handled | Exception:
        if isinstance(reply, EventStoreError):
            return reply
        if reply.code is Code.EXISTS:
            return RunExists(session.run)
        if reply.code is Code.DUPLICATE:
            try:
                handled = Handled(
                    self._committer.sessions.load(session.run),
                    changed=False,
                    time_ms=reply.time_ms,
                )
                return self._conflict(start, handled.session) or handled
            except OpenAgentsError as error:
                return error
        return Handled(
            self._committer.remember(session, built, reply),
            changed=True,
            time_ms=reply.time_ms,
        )

    def _conflict(self, start: Start, session: Session) -> KeyConflict | None:
        """Return why a run that is there was begun by another request than the one that met it."""
        if start.request is None:
            return None
        first = self._committer.store.first(session.run)
        [started] = self._committer.sessions.payloads.decode([first])
        if not isinstance(started, ev.RunStarted):
            return None
        inputs = None if session.state.erased else started.inputs
        plan = self._committer.definitions.plan(started.definition)
        return conflict(
            start.request,
            start.plan,
            OriginalRequest(session.run, plan, inputs, first.actor),
        )

    def _first(self, session: Session, start: Start, actor: str) -> BuiltCommit:
        command = cmd.StartRun(
            start.run, start.inputs, start.labels, start.parent, start.cancelled
        )
        commit_id = start.commit_id or self._committer.commit_id()
        built = build(
            session,
            command,
            commit_id,
            actor=actor,
            limits=self._committer.limits,
            child=self._committer.child_id,
        )
        if built is None:
            raise RunExists(start.run)
        return begun(built, session)


def _note(start: Start) -> Note | None:
    return (
        None
        if start.request is None
        else Note(start.request.key, start.run, start.plan.id)
    )


def begun(built: BuiltCommit, session: Session) -> BuiltCommit:
    """Return the commit of a new run with what its head says of it, and with its key."""
    key = session.key.wrapped if session.key is not None else ""
    plan = session.plan
    return replace(
        built,
        commit=replace(
            built.commit, workflow=plan.id, definition=plan.hash, wrapped_key=key
        ),
    )
