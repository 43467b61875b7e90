"""A run moves to another store in the middle of its life, and is never live in both.

The order is what makes it safe to die anywhere: the run is paused, then ended here, and only then does it begin there.
Its history stays here, and the part before its end is what goes there, so whoever asks again finds out from the two
histories what is left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from eventstore.redis.raw import RawEvent, read_raw
from eventstore.run_model import Code
from executor.errors import RunNotFound
from executor.histories.importing import probe
from executor.histories.incoming import IncomingHistory
from executor.runs.commit import build
from executor.runs.repository import Session
from openagents_json.engine.archive.capsules import Capsule, adopt, take
from openagents_json.engine.errors import NotMoved
from openagents_json.engine.facade import Engine
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st

SETTLE_MS: Final = 60_000
LOOK_S: Final = 0.1
TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Move:
    """Which run goes from where to where; `settle_ms` is how long steps under way may take to end."""

    source: Engine
    target: Engine
    run: str
    settle_ms: int = SETTLE_MS

    @property
    def destination(self) -> str:
        """Name the other store, the same way every time."""
        return f"{self.target.core.connection.where} prefix {self.target.core.store.keys.prefix}"

    @property
    def leaving(self) -> str:
        """Return the reason of the pause that is ours."""
        return f"moving to {self.destination}"

    @property
    def gone(self) -> str:
        """Return the reason of the end here."""
        return f"moved to {self.destination}; if it is not there, promote it again"


@dataclass(frozen=True, slots=True)
class Promoted:
    """A run that has moved: where to, and what it is there."""

    run: str
    destination: str
    status: str


def promote(move: Move) -> Promoted:
    """Move an open run to another store, where it goes on; done again, it does what is left of it.

    Raises RunNotFound, NotMoved, Rejected, AnotherHistory and EventStoreError.
    """
    for stage in STAGES:
        stage(move)
    return Promoted(move.run, move.destination, move.target.state(move.run).status)


def check(move: Move) -> None:
    """Refuse what cannot move, before anything is done.

    Raises NotMoved, RunNotFound and Rejected.
    """
    here = move.source.core.store
    there = move.target.core.store
    is_same_store = (
        move.source.url == move.target.url and here.keys.prefix == there.keys.prefix
    )
    if is_same_store:
        raise NotMoved(move.run, "it is in that store already")
    session = move.source.core.sessions.load(move.run)
    if _has_left(move, session):
        return
    if session.state.closed:
        why = f"it has ended ({session.state.status}); `runs export` and `runs import` take a copy of it there"
        raise NotMoved(move.run, f"{why}{_elsewhere(session)}")
    if there.heads([move.run])[0] is not None:
        raise NotMoved(
            move.run,
            f"there is a run of this id at {move.destination}, and this one has not ended here",
        )
    probe(move.target.core.handler, _arriving(move))


def pause(move: Move) -> None:
    """Let nothing more begin here; a run that is paused already stays so, and there too."""
    session = move.source.core.sessions.load(move.run)
    is_under_way = not session.state.closed and session.state.status != st.PAUSED
    if is_under_way:
        move.source.pause(move.run, move.leaving)


def settle(move: Move) -> None:
    """Wait until nothing is under way here.

    Raises NotMoved when that takes too long; the run is paused then.
    """
    clock = move.source.core.clock
    deadline_ms = clock.steady_ms() + move.settle_ms
    nobody = threading.Event()  # only waited for: nobody sets it
    while True:
        session = move.source.core.sessions.load(move.run)
        busy = _under_way(session)
        if session.state.closed or not busy:
            return
        if clock.steady_ms() > deadline_ms:
            why = f"step {busy[0]} is still under way; the run stays paused here: promote it again, or resume it"
            raise NotMoved(move.run, why)
        nobody.wait(LOOK_S)


def leave(move: Move) -> None:
    """End the run here without undoing anything, if nobody has resumed it meanwhile: the point of no return.

    Raises NotMoved.
    """
    core = move.source.core
    for _ in range(TRIES):
        session = core.sessions.load(move.run)
        if session.state.closed:
            return
        if session.state.status != st.PAUSED or _under_way(session):
            raise NotMoved(move.run, "somebody resumed it meanwhile; promote it again")
        if _ended(move, session):
            return
    raise NotMoved(
        move.run, f"something happened to it {TRIES} times meanwhile; promote it again"
    )


def _ended(move: Move, session: Session) -> bool:
    """End the run here as it was seen; False when something has happened to it since."""
    command = cmd.CancelRun(move.gone, force=True, compensate=False)
    handler = move.source.core.handler
    built = build(
        session,
        command,
        handler.commit_id(),
        actor=move.source.actor,
        limits=handler.limits,
        child=handler.child_id,
    )
    if built is None:
        return False
    # The commit is fenced by the version that was seen; a duplicate is our own, of a try whose answer was lost.
    [answer] = handler.send([built])
    return answer.code in (Code.DONE, Code.DUPLICATE)


def arrive(move: Move) -> None:
    """Bring the history before its end to the other store, where the run waits.

    Raises NotMoved, AnotherHistory and Rejected.
    """
    session = move.source.core.sessions.load(move.run)
    if not _has_left(move, session):
        raise NotMoved(
            move.run,
            f"it has ended here ({session.state.status}) meanwhile{_elsewhere(session)}",
        )
    adopt(
        move.target.core,
        _before_leaving(move),
        actor=move.source.actor,
        reason=move.leaving,
        how="promote",
    )


def verify(move: Move) -> None:
    """Read back what has arrived.

    Raises NotMoved.
    """
    sent = _before_leaving(move).events
    arrived = read_raw(move.target.core.store, move.run)[: len(sent)]
    for mine, theirs in zip(sent, arrived, strict=False):
        # Positions are each store's own, and the metadata there says whether it was in an archive.
        if mine != replace(theirs, n=mine.n, metadata=mine.metadata):
            why = f"event {mine.version} is another one at {move.destination}; it is ended here"
            raise NotMoved(move.run, why)
    if len(arrived) != len(sent):
        why = (
            f"only {len(arrived)} of {len(sent)} events are at {move.destination}; it is ended here: "
            "promote it again"
        )
        raise NotMoved(move.run, why)


def go_on(move: Move) -> None:
    """Let the run go on there, unless it was paused by somebody else."""
    state = move.target.core.sessions.load(move.run).state
    if state.status == st.PAUSED and state.reason == move.leaving:
        move.target.resume(move.run, f"moved from {move.source.core.connection.where}")


STAGES: Final[tuple[Callable[[Move], None], ...]] = (
    check,
    pause,
    settle,
    leave,
    arrive,
    verify,
    go_on,
)
"""What a promotion does, in order; each can be done again, and after a crash all of them are."""


def _has_left(move: Move, session: Session) -> bool:
    return session.state.status == st.CANCELLED and session.state.reason == move.gone


def _elsewhere(session: Session) -> str:
    reason = session.state.reason
    if reason.startswith("moved to "):
        return f"; it was {reason}"
    return ""


def _under_way(session: Session) -> list[str]:
    steps = session.state.steps
    return sorted(
        path for path in session.state.open_steps if steps[path].status == st.STARTED
    )


def _arriving(move: Move) -> IncomingHistory:
    capsule = take(move.source.core, move.run, actor=move.source.actor)
    return IncomingHistory(
        run=move.run,
        history=capsule.events,
        definitions=capsule.definitions,
        blobs=capsule.blobs,
        source=capsule.source,
    )


def _before_leaving(move: Move) -> Capsule:
    """Return the run as it was before it was ended here.

    Raises RunNotFound.
    """
    history = read_raw(move.source.core.store, move.run)
    if not history:
        raise RunNotFound(move.run)
    return take(
        move.source.core,
        move.run,
        actor=move.source.actor,
        upto=_last_before_end(history),
    )


def _last_before_end(history: tuple[RawEvent, ...]) -> int:
    end = history[-1].commit
    return max(event.version for event in history if event.commit != end)
