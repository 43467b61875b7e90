"""Commands to many runs at once: loaded, decided and committed together, in as few round trips as for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.errors import StoreUnavailable
from eventstore.run_model import Code, Committed, Guard
from executor.runs.commit import BuiltCommit, build
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.work_index import DueKey
from openagents_json.workflow.core import commands as cmd


@dataclass(frozen=True, slots=True)
class GuardedCommand:
    """A command to a run, with what guards it and which due members it settles; `handle` knows what they mean."""

    run: str
    command: cmd.Command
    guard: Guard | None = None
    settle: bool = False
    drop: tuple[DueKey, ...] = ()


def carry_out(
    handler: Handler, orders: Sequence[GuardedCommand], *, actor: str
) -> list[GuardedCommand]:
    """Carry out commands to different runs together; gives those that have to be carried out one by one.

    Those are the ones that others were faster with, or that do not fit what this process knows of their runs. Raises
    StoreUnavailable.
    """
    sessions = _sessions(handler, orders)
    times = (handler.time_for(session, order.command) for order, session in sessions)
    # Asked for once, if anybody needs it.
    now_ms = next((time_ms for time_ms in times if time_ms), 0)
    offers: list[tuple[Session, BuiltCommit]] = []
    for order, session in sessions:
        built = _built(handler, order, session, actor, now_ms)
        if built is not None:
            offers.append((session, built))
    done = _offered(handler, offers) if offers else set()
    return [order for order in orders if order.run not in done]


def _offered(
    handler: Handler, offers: Sequence[tuple[Session, BuiltCommit]]
) -> set[str]:
    """Offer commits, and return the runs that took theirs."""
    done: set[str] = set()
    replies = handler.offer([built for _, built in offers])
    for (session, built), reply in zip(offers, replies, strict=True):
        if isinstance(reply, Committed) and reply.code is Code.DONE:
            handler.remember(session, built, reply)
            done.add(session.run)
    return done


def _sessions(
    handler: Handler, orders: Sequence[GuardedCommand]
) -> list[tuple[GuardedCommand, Session]]:
    cached = [(order, handler.sessions.get(order.run)) for order in orders]
    fresh = [order for order, session in cached if session is None]
    runs = [order.run for order in fresh]
    try:
        loaded = handler.sessions.load_all(runs) if runs else []
    except StoreUnavailable:
        raise
    except Exception:
        # One of them cannot be read: each for itself tells which, and why.
        loaded = []
    there = [(order, session) for order, session in cached if session is not None]
    return there + list(zip(fresh, loaded, strict=False))


def _built(
    handler: Handler, order: GuardedCommand, session: Session, actor: str, now_ms: int
) -> BuiltCommit | None:
    try:
        return build(
            session,
            order.command,
            handler.commit_id(),
            actor=actor,
            guard=order.guard,
            limits=handler.limits,
            settle=order.settle,
            child=handler.child_id,
            drop=order.drop,
            now_ms=now_ms,
        )
    except Exception:  # it is Rejected, perhaps as it was and not as it is, or worse: for itself it tells why
        return None
