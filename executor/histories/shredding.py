"""Shredding: a run is closed for good by destroying the key that reads its payloads; the log itself stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from eventstore.event import Recorded
from executor.errors import RunNotFound
from executor.runs.codec import is_sealed
from executor.runs.handler import Handler
from executor.runs.payloads import SHREDDED, is_shredded
from executor.runs.repository import Session
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st

WIPED = ("key", "snap", "emit")
"""What of a run goes with its key: the key itself, the snapshot, and what its components showed."""


def shred(handler: Handler, run: str, reason: str, *, actor: str) -> bool:
    """Destroy the key of a closed run, in the commit that says so; False when that has happened already.

    Raises RunNotFound, EncryptionError, and Rejected when the run is open, held, awaited by its parent, or was never
    encrypted.
    """
    session = handler.sessions.load(run)
    if session.key is None:
        if is_sealed(handler.store.first(run)):
            _wipe_key(handler, run)
            return False
        what = "the run is not encrypted, so it has no key to destroy"
        raise cmd.Rejected("not_encrypted", what, session.state.status)
    refuse_awaited(handler, session)
    command = cmd.RedactRun(SHREDDED, reason=reason)
    once = f"shred-{run}"
    # The key goes in the commit that says so: before it, a crash would leave a run that nobody can read and no word of
    # why; after it, a run that says that its key is gone while it is there.
    handled = handler.handle(
        run, command, actor=actor, wipe=WIPED, commit_id=once, session=session
    )
    handler.sessions.keyring.forget(run)
    return handled.changed


def adopt_key(handler: Handler, run: str, key: bytes) -> None:
    """Keep the key of a run that comes from elsewhere, unless it was destroyed here.

    One that was kept before by mistake makes way: it opens nothing. Raises Rejected, InvalidKey for one that does not
    open the run, and EncryptionError.
    """
    keyring = handler.sessions.keyring
    recorded = _refuse_shredded(handler, run)
    if any(map(is_sealed, recorded)):
        keyring.check_key(run, key, recorded, handler.sessions.payloads.fetch)
    keyring.adopt_key(run, key, replace=not handler.store.is_gone(run))
    # Looked at again after the write: who shreds the run between the first look and the write destroys no key, because
    # there is none yet, and this one would stay.
    try:
        _refuse_shredded(handler, run)
    except cmd.Rejected:
        _wipe_key(handler, run)
        raise


def _refuse_shredded(handler: Handler, run: str) -> Sequence[Recorded]:
    """Return the history of a run whose key was not destroyed.

    Raises Rejected.
    """
    recorded = handler.store.read([(run, 0)])[0]
    if is_shredded(recorded):
        what = f"the key of run {run} was destroyed here, as its history shows"
        raise cmd.Rejected("shredded", f"{what}: it is not kept again", "")
    return recorded


def _wipe_key(handler: Handler, run: str) -> None:
    """Destroy the key of a shredded run, should it have come back: it may have been here before its history was."""
    handler.sessions.keyring.destroy(run)


def refuse_awaited(handler: Handler, session: Session) -> None:
    """Refuse to erase a result that a parent run has not taken in yet: it would go on with null.

    Raises Rejected and EncryptionError.
    """
    parent = session.state.parent
    if not parent:
        return
    try:
        waiting = handler.sessions.load(str(parent.get("run", ""))).state
    except RunNotFound:
        return
    step = waiting.steps.get(str(parent.get("step")))
    if step is not None and step.child == session.run and step.status in st.OPEN_STEP:
        what = (
            f"step {parent['step']} of run {parent['run']} waits for the result "
            "of this run; try again when it has it"
        )
        raise cmd.Rejected("awaited", what, session.state.status)
