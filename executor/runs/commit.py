"""From a decision to the commit that carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from eventstore.run_model import Commit, CommitClaim, Guard, Lease
from executor.errors import PayloadRefused
from executor.runs.codec import EncodedEvents, Limits, encode
from executor.runs.repository import Session
from openagents_json.work_index import DueKey, IndexChanges
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decider import Decision, decision
from openagents_json.workflow.core.decide.decision import RUN, ChildId
from openagents_json.workflow.core.indexes.changes import changes
from openagents_json.workflow.types import Json

STANDING: Final = frozenset({ev.StepCompleted, ev.StepScheduled})
"""What is decided alike whether other steps have been claimed meanwhile or not: the open ones are waited for anyhow."""


class CommitContext(Struct, frozen=True, gc=False):
    """Who makes a commit and what guards it."""

    mode: str
    commit_id: str
    actor: str
    cause: str
    guard: Guard | None = None
    claim: CommitClaim | None = None


class BuiltCommit(Struct, frozen=True, gc=False):
    """A commit with the decision behind it; `opens` counts claimable steps by queue."""

    commit: Commit
    decision: Decision
    changes: IndexChanges
    opens: dict[str, int]


def build(
    session: Session,
    command: cmd.Command,
    commit_id: str,
    *,
    actor: str,
    cause: str = "",
    leases: Sequence[Lease] = (),
    guard: Guard | None = None,
    next_claim: CommitClaim | None = None,
    limits: Limits,
    settle: bool = False,
    child: ChildId,
    drop: Sequence[DueKey] = (),
    now_ms: int = 0,
) -> BuiltCommit | None:
    """Decide on a session and build the commit; None when nothing happens.

    `drop` are due members that are settled with this, whatever is decided; `child` names child runs; `now_ms` is the
    store's time where the decision needs it. Payloads that the store does not take become failures of their step.
    Raises Rejected.
    """
    decided, encoded = decide_encoded(session, command, limits, child, now_ms=now_ms)
    changes_nothing = not decided.events and not settle and not drop
    if changes_nothing:
        return None
    signature = CommitContext(
        mode=_mode(command, leases),
        commit_id=commit_id,
        actor=actor,
        cause=cause or session.commit,
        guard=guard,
        claim=next_claim,
    )
    return assemble(
        session,
        decided,
        encoded,
        leases,
        signature,
        settle=settle or isinstance(command, cmd.Advance),
        drop=drop,
    )


def _mode(command: cmd.Command, leases: Sequence[Lease]) -> str:
    """Return what the script checks: the leases of facts, that there is no such run, or where its log ends."""
    if leases:
        return "fact"
    return "new" if isinstance(command, cmd.StartRun) else "cas"


def decide_encoded(
    session: Session,
    command: cmd.Command,
    limits: Limits,
    child: ChildId,
    *,
    ahead: int = 0,
    now_ms: int = 0,
) -> tuple[Decision, EncodedEvents]:
    """Decide on a session and encode what happens; payloads that the store does not take become failures of their step.

    `ahead` counts the events of the run that the version of the session does not. Raises Rejected.
    """
    version = session.version + ahead
    refused: dict[str, dict[str, Json]] = {}
    while True:
        decided = decision(
            session.plan,
            session.state,
            command,
            refused,
            child,
            limits.bounds,
            version,
            now_ms,
        )
        try:
            return decided, encode(decided.events, limits, session.key)
        except PayloadRefused as error:
            command = _refuse(command, error, refused)


def assemble(
    session: Session,
    decided: Decision,
    encoded: EncodedEvents,
    leases: Sequence[Lease],
    signature: CommitContext,
    *,
    settle: bool,
    drop: Sequence[DueKey] = (),
    last_fence: int = 0,
    indexes: IndexChanges | None = None,
) -> BuiltCommit:
    """Build the commit of a decision.

    `last_fence` is that of the last attempt that the worker began without a claim, 0 for none. `indexes` are the index
    changes where they do not follow from the decision alone.
    """
    if indexes is None:
        indexes = changes(session.plan, session.state, decided.events, decided.state)
    still_open = decided.open_after_facts
    facts = tuple([(x.step, x.fence, x.step not in still_open) for x in leases])
    final = {step for step, _, is_final in facts if is_final}
    other_definition = (
        session.version and decided.state.definition != session.state.definition
    )
    commit = Commit(
        run=session.run,
        mode=signature.mode,
        commit_id=signature.commit_id,
        events=encoded.events,
        version=session.version,
        last_commit=session.commit,
        actor=signature.actor,
        cause=signature.cause,
        facts=facts,
        fact_events=decided.facts,
        guard=signature.guard,
        claim=signature.claim,
        blobs=encoded.blobs,
        changes=indexes.of_commit(
            final, drop, settled=settle, unfinished=decided.unfinished
        ),
        definition=decided.state.definition if other_definition else "",
        last_fence=last_fence or None,
        stands=_stands(session, decided, leases),
    )
    return BuiltCommit(
        commit=commit, decision=decided, changes=indexes, opens=_opens(session, indexes)
    )


def _stands(session: Session, decided: Decision, leases: Sequence[Lease]) -> bool:
    """Tell whether a decision is the same behind claims that others may make meanwhile; else nobody can make any."""
    if len(session.state.open_steps) <= len(leases):
        return False
    return all(type(event) in STANDING for event in decided.events)


def _refuse(
    command: cmd.Command, error: PayloadRefused, refused: dict[str, dict[str, Json]]
) -> cmd.Command:
    described: dict[str, Json] = {
        "type": error.kind,
        "message": str(error),
        "retryable": False,
    }
    key = error.step or RUN
    if isinstance(command, cmd.StartRun) and error.step is None:
        raise error
    if isinstance(command, cmd.RecordOutcomes):
        steps = {outcome.step for outcome in command.outcomes}
        if key in steps:
            return cmd.RecordOutcomes(_failed(command.outcomes, key, described))
    if key in refused:
        raise error
    refused[key] = described
    return command


def _failed(
    outcomes: Iterable[cmd.Outcome], step: str, error: Mapping[str, Json]
) -> tuple[cmd.Outcome, ...]:
    """Return outcomes with a failure in the place of those of one step."""
    replaced: list[cmd.Outcome] = []
    for outcome in outcomes:
        if outcome.step == step:
            outcome = cmd.Failed(step, outcome.attempt, error, outcome.usage)
        replaced.append(outcome)
    return tuple(replaced)


def _opens(session: Session, indexes: IndexChanges) -> dict[str, int]:
    """Count the steps that may be claimed from now on, by queue."""
    queues = [step.queue for step in indexes.ready if not step.delay_ms]
    has_steps = indexes.requeued or indexes.restored or indexes.resumed
    if has_steps:
        again = [step.step for step in indexes.requeued if not step.delay_ms]
        queues += [step.queue for step in indexes.restored if step.ready]
        queues += [session.plan.of(step).queue for step in (*again, *indexes.resumed)]
    opens: dict[str, int] = {}
    for queue in queues:
        opens[queue] = opens.get(queue, 0) + 1
    return opens
