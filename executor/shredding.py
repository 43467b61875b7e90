"""Shredding: a run is closed for good by destroying the key that reads its payloads; the log itself stays as it is."""

from __future__ import annotations

from executor.handle import Handler
from executor.journal import is_sealed
from executor.payloads import SHREDDED
from executor.sessions import RunNotFound, Session
from openagents_json.workflow import commands as cmd
from openagents_json.workflow import state as st

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
            return False
        what = (
            "the run is not encrypted, so it has no key to destroy; `openagents runs redact` erases payloads in place"
        )
        raise cmd.Rejected("not_encrypted", what, session.state.status)
    refuse_awaited(handler, session)
    command = cmd.RedactRun(SHREDDED, reason=reason)
    once = f"shred-{run}"
    handled = handler.handle(run, command, actor=actor, wipe=WIPED, commit_id=once, session=session)
    handler.sessions.keyring.forget(run)
    return handled.changed


def refuse_awaited(handler: Handler, session: Session) -> None:
    """Refuse to erase a result that a parent run has not taken in yet: it would go on with null.

    Raises Rejected and EncryptionError.
    """
    parent = session.state.parent or {}
    try:
        above = handler.sessions.load(str(parent.get("run", ""))).state if parent else st.initial()
    except RunNotFound:
        return
    step = above.steps.get(str(parent.get("step")))
    if step is not None and step.child == session.run and step.status in st.OPEN_STEP:
        what = (
            f"step {parent['step']} of run {parent['run']} waits for the result of this run; try again when it has it"
        )
        raise cmd.Rejected("awaited", what, session.state.status)
