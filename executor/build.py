"""From a decision to the commit that carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventstore.run_model import ClaimWish, Commit, Guard, Lease
from executor.journal import Encoded, Limits, PayloadRefused, encode
from executor.sessions import Session
from openagents_json.workflow import commands as cmd
from openagents_json.workflow.changes import Changes, changes
from openagents_json.workflow.decide import Decision, decision
from openagents_json.workflow.turn import RUN, ChildId
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Signature:
    """Who makes a commit and what guards it."""

    mode: str
    commit_id: str
    actor: str
    cause: str
    guard: Guard | None = None
    claim: ClaimWish | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A commit with the decision behind it; `opens` counts claimable steps by queue."""

    commit: Commit
    decision: Decision
    changes: Changes
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
    wish: ClaimWish | None = None,
    limits: Limits,
    settle: bool = False,
    child: ChildId,
    drop: Sequence[str] = (),
) -> Built | None:
    """Decide on a session and build the commit; None when nothing happens.

    `drop` are due members that are settled with this, whatever is decided; `child` names child runs. Payloads that
    the store does not take become failures of their step. Raises Rejected.
    """
    made, encoded = decide_encoded(session, command, limits, child)
    if not made.events and not settle and not drop:
        return None
    mode = "fact" if leases else ("new" if isinstance(command, cmd.StartRun) else "cas")
    signature = Signature(mode, commit_id, actor, cause or session.commit, guard, wish)
    return assemble(
        session, made, encoded, leases, signature, settle=settle or isinstance(command, cmd.Advance), drop=drop
    )


def decide_encoded(
    session: Session, command: cmd.Command, limits: Limits, child: ChildId, *, ahead: int = 0
) -> tuple[Decision, Encoded]:
    """Decide on a session and encode what happens; payloads that the store does not take become failures of their step.

    `ahead` counts the events of the run that the version of the session does not. Raises Rejected.
    """
    version = session.version + ahead
    refused: dict[str, dict[str, Json]] = {}
    while True:
        made = decision(session.plan, session.state, command, refused, child, limits.bounds, version)
        try:
            return made, encode(made.events, limits, session.key)
        except PayloadRefused as error:
            command = _refuse(command, error, refused)


def assemble(
    session: Session,
    made: Decision,
    encoded: Encoded,
    leases: Sequence[Lease],
    signature: Signature,
    *,
    settle: bool,
    drop: Sequence[str] = (),
    last_fence: int = 0,
    moved: Changes | None = None,
) -> Built:
    """Build the commit of a decision.

    `last_fence` is that of the last attempt that the worker began without a claim, 0 for none. `moved` are the index
    changes where they do not follow from the decision alone.
    """
    if moved is None:
        moved = changes(session.plan, session.state, made.events, made.state)
    final = {x.step for x in leases if x.step not in made.open_after_facts}
    options = _options(session, moved, final, settle, drop, unfinished=made.unfinished)
    if made.state.definition != session.state.definition and session.version:
        options["def"] = made.state.definition
    if last_fence:
        options["f"] = str(last_fence)
    commit = Commit(
        run=session.run,
        mode=signature.mode,
        commit_id=signature.commit_id,
        events=encoded.events,
        version=session.version,
        last_commit=session.commit,
        actor=signature.actor,
        cause=signature.cause,
        facts=tuple((x.step, x.fence, x.step in final) for x in leases),
        fact_events=made.facts,
        guard=signature.guard,
        claim=signature.claim,
        blobs=encoded.blobs,
        options=options,
    )
    return Built(commit, made, moved, _opens(session, moved))


def _refuse(command: cmd.Command, error: PayloadRefused, refused: dict[str, dict[str, Json]]) -> cmd.Command:
    described: dict[str, Json] = {"type": error.kind, "message": str(error), "retryable": False}
    key = error.step or RUN
    if isinstance(command, cmd.StartRun) and (error.step is None or key in refused):
        raise error
    if isinstance(command, cmd.RecordOutcomes) and any(x.step == key for x in command.outcomes):
        return cmd.RecordOutcomes(
            tuple(cmd.Failed(x.step, x.attempt, described) if x.step == key else x for x in command.outcomes)
        )
    if key in refused:
        raise error
    refused[key] = described
    return command


def _opens(session: Session, moved: Changes) -> dict[str, int]:
    opens: dict[str, int] = {}
    for opened in moved.opened:
        if opened.delay_ms:
            continue
        opens[opened.queue] = opens.get(opened.queue, 0) + 1
    for reopened in moved.reopened:
        if not reopened.delay_ms:
            queue = session.plan.of(reopened.step).queue
            opens[queue] = opens.get(queue, 0) + 1
    for seat in moved.seats:
        opens[seat.queue] = opens.get(seat.queue, 0) + seat.ready
    for step in moved.unpark:
        queue = session.plan.of(step).queue
        opens[queue] = opens.get(queue, 0) + 1
    return opens


def _options(
    session: Session, moved: Changes, final: set[str], settle: bool, drop: Sequence[str], *, unfinished: bool
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if moved.status:
        options["st"] = moved.status
    if moved.cancel is not None:
        options["can"] = str(int(moved.cancel))
    if moved.hold is not None:
        options["hold"] = str(int(moved.hold))
    if moved.opened:
        options["open"] = [
            [
                o.step,
                o.queue,
                o.priority,
                o.start_to_close_ms,
                o.delay_ms,
                o.schedule_to_start_ms,
                o.total_ms,
                o.index,
                o.attempt,
                o.component,
            ]
            for o in moved.opened
        ]
    if moved.reopened:
        options["reopen"] = [
            [r.step, r.delay_ms, r.schedule_to_start_ms, r.start_to_close_ms, r.component] for r in moved.reopened
        ]
    if moved.seats:
        options["seat"] = [
            [s.step, s.queue, s.priority, s.start_to_close_ms, s.attempt, s.version, s.flags, int(s.ready), s.component]
            for s in moved.seats
        ]
    shut = [step for step in moved.shut if step not in final]
    for name, steps in (("shut", shut), ("park", moved.park), ("unpark", moved.unpark)):
        if steps:
            options[name] = list(steps)
    if settle:
        options["settle"] = True
    return options | _due_options(session, moved, drop, unfinished=unfinished)


def _due_options(session: Session, moved: Changes, drop: Sequence[str], *, unfinished: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if not (moved.timers or moved.untimers or drop or unfinished):
        return options
    timers = [[_member(kind, session.run, step), delay, at] for kind, step, delay, at in moved.timers]
    untimers = [*drop, *(_member(kind, session.run, step) for kind, step in moved.untimers)]
    if unfinished:
        timers.append([_member("w", session.run, ""), 0, 0])
    if timers:
        options["timers"] = timers
    if untimers:
        options["untimers"] = untimers
    return options


def _member(kind: str, run: str, step: str) -> str:
    return f"{kind}|{run}|{step}" if step else f"{kind}|{run}"
