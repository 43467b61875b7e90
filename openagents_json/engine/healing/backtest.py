"""What would become of a failed run under a fix: found out on its recorded history, without any effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from executor.runs.codec import ENCRYPTED, quotes
from executor.runs.repository import Session
from openagents_json.engine.inspection.replay import reopening
from openagents_json.simulation.errors import Stuck, Unproven
from openagents_json.simulation.lives import SimulatedRun
from openagents_json.simulation.rehearsal import Rehearsal, done_again, reused
from openagents_json.simulation.sandbox import Sandbox
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decision import order_key
from openagents_json.workflow.core.decide.step_start import REUSED
from openagents_json.workflow.core.paths import COMPENSATE, ON_FAILURE, compensation_of
from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.errors import CannotEdit, InvalidInputs
from openagents_json.workflow.history.edits import edited
from openagents_json.workflow.types import Json
from projections.fingerprint import fingerprint

FIXED = "fixed"
FAILING = "still failing"
DIVERGING = "would diverge"
UNPROVEN = "unproven"
VERDICTS = (FIXED, FAILING, DIVERGING, UNPROVEN)
NAMED = 100
"""How many steps a verdict names."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What is done another way: the `plan` that runs go by, values of inputs by path; `mocks` stand for steps.

    A fix of the components alone has neither.
    """

    plan: Plan | None = None
    edits: Mapping[str, Json] = field(default_factory=dict)
    mocks: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a backtest found about a run, on its first `version` events.

    `again` are the steps that were done again (those that were `mocked` among them), `reused` those whose results were
    taken from the log, at most a hundred of each. `error` and `fingerprint` are those of a run that fails again.
    """

    run: str
    version: int
    verdict: str
    reason: str = ""
    step: str = ""
    error: Mapping[str, Json] | None = None
    fingerprint: str = ""
    again: Sequence[str] = ()
    reused: Sequence[str] = ()
    mocked: Sequence[str] = ()


def command_of(session: Session, fix: Fix, reason: str) -> cmd.ReopenRun:
    """Return the command that applies a fix to a failed run.

    Raises Rejected, InvalidInputs and CannotEdit.
    """
    if session.state.status != st.FAILED:
        status = session.state.status
        raise cmd.Rejected("not_failed", f"the run is {status} by now", status)
    inputs = edited(session.state.inputs, fix.edits)
    return reopening(session, cmd.ReopenRun("", inputs, reason, replay=True), fix.plan)


def backtest(
    session: Session, fix: Fix, sandbox: Sandbox, *, now_ms: int, limit_ms: int
) -> Verdict:
    """Find out what would become of a run; nothing is written, and no step has an effect."""
    life = SimulatedRun(session.run, fix.plan or session.plan, session.state)
    world = Rehearsal(sandbox, fix.mocks, now_ms, limit_ms)
    try:
        world.rehearse(life, command_of(session, fix, "backtest"))
    except cmd.Rejected as error:
        verdict = DIVERGING if error.code == "does_not_fit" else UNPROVEN
        return Verdict(
            run=session.run,
            version=session.version,
            verdict=verdict,
            reason=error.reason,
        )
    except (InvalidInputs, CannotEdit, Stuck) as error:
        return Verdict(
            run=session.run,
            version=session.version,
            verdict=UNPROVEN,
            reason=str(error),
        )
    except Unproven as error:
        return _unproven(session, life, world, error)
    return _verdict(session, life, world)


def _unproven(
    session: Session, life: SimulatedRun, world: Rehearsal, error: Unproven
) -> Verdict:
    reason = error.reason
    if error.step:
        reason = f"step {error.step}: {reason}; --mock '{error.step}=JSON' says what it returns"
    verdict = Verdict(
        run=session.run,
        version=session.version,
        verdict=UNPROVEN,
        reason=reason,
        step=error.step,
    )
    return _with_steps(verdict, life, world)


def _verdict(session: Session, life: SimulatedRun, world: Rehearsal) -> Verdict:
    if life.state.status == st.COMPLETED:
        step, reason = divergence(session.state, life.state, life.plan)
        kind = DIVERGING if reason else FIXED
        verdict = Verdict(
            run=session.run,
            version=session.version,
            verdict=kind,
            reason=reason,
            step=step,
        )
    else:
        verdict = _failing(session, life.state)
    return _with_steps(verdict, life, world)


def _failing(session: Session, state: st.RunState) -> Verdict:
    """Say how a run fails again, with the fingerprint by which such failures are found on the log."""
    error = state.error or {}
    step = state.failed_step
    kind = str(error.get("type") or "unknown")
    message = str(error.get("message") or "")[:500]
    reason = f"step {step}: {kind}: {message}" if step else f"{kind}: {message}"
    stored = error
    if session.key is not None and quotes(error):  # on the log it would be ciphertext
        stored = {**error, "message": ENCRYPTED}
    return Verdict(
        run=session.run,
        version=session.version,
        verdict=FAILING,
        reason=reason,
        step=step or "",
        error={"type": kind, "message": message},
        fingerprint=fingerprint(state.workflow, step, stored),
    )


def _with_steps(verdict: Verdict, life: SimulatedRun, world: Rehearsal) -> Verdict:
    return replace(
        verdict,
        again=done_again(life)[:NAMED],
        reused=reused(life)[:NAMED],
        mocked=list(world.mocked)[:NAMED],
    )


def divergence(before: st.RunState, after: st.RunState, plan: Plan) -> tuple[str, str]:
    """Return the first step that completed on record and has another result now, and what became of it; "" for none."""
    done = [path for path, step in before.steps.items() if _counts(before, path, step)]
    for path in sorted(done, key=lambda path: order_key(plan, path)):
        outcome = _changed_outcome(before.steps[path], after.steps.get(path))
        if outcome:
            return path, f"step {path} {outcome}"
    return "", ""


def _changed_outcome(recorded: st.StepState, now: st.StepState | None) -> str:
    if now is None:
        return "completed on record, and has no place under the fix"
    if now.status != st.COMPLETED:
        return f"completed on record, and is {now.status} under the fix"
    if canonical(now.output) != canonical(recorded.output):
        # Which ones is not said: reports are kept, and would quote what runs worked with.
        return "returns something else under the fix than it did on record"
    return ""


def _counts(state: st.RunState, path: str, step: st.StepState) -> bool:
    """Tell whether a step has a result of its own, which was not undone."""
    if step.kind not in REUSED or step.status != st.COMPLETED:
        return False
    if path.endswith(COMPENSATE) or ON_FAILURE in path:
        return False
    undo = state.steps.get(compensation_of(path))
    return undo is None or undo.status != st.COMPLETED
