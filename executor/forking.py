"""A new run with the past of another one: its events up to a version are copied, in one commit with what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eventstore import codec
from eventstore.event import Recorded
from eventstore.run_model import Code
from executor.build import Built, Signature, assemble, decide_encoded
from executor.handle import Handled, Handler, RunExists
from executor.journal import Encoded, decode_all
from executor.sessions import RunNotFound, Session
from openagents_json.workflow import commands as cmd
from openagents_json.workflow.changes import forked
from openagents_json.workflow.evolve import evolve_all
from openagents_json.workflow.plan import Plan
from openagents_json.workflow.reopen import taken_over
from openagents_json.workflow.state import RunState, initial
from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Fork:
    """Which run is left at which version, by what new one; the same commit id begins it only once."""

    source: str
    at: int
    run: str
    inputs: Mapping[str, Json] | None = None
    reason: str = ""
    commit_id: str = ""


class NoSuchVersion(LookupError):
    """A run has no event of that number."""

    def __init__(self, run: str, at: int, last: int) -> None:
        self.run, self.at, self.last = run, at, last
        super().__init__(f"run {run} has events 1 to {last}, and no event {at}")


def fork(handler: Handler, wanted: Fork, *, actor: str) -> Handled:
    """Begin the new run; its id must be of the partition of the source, where their payloads lie.

    Raises RunNotFound, NoSuchVersion, Rejected and RunExists.
    """
    recorded = handler.store.read([(wanted.source, 0)])[0]
    if not recorded:
        raise RunNotFound(wanted.source)
    if not 1 <= wanted.at <= len(recorded):
        raise NoSuchVersion(wanted.source, wanted.at, len(recorded))
    past = recorded[: wanted.at]
    refuse_erased_past(recorded)
    state = evolve_all(initial(), taken_over(decode_all(past, handler.sessions.fetch), wanted.run))
    plan = handler.definitions.plan(state.definition)
    built = _built(handler, wanted, plan, state, past, actor)
    reply = handler.send([built], [handler.definitions.store_call(plan)])[0]
    if reply.code is Code.EXISTS:
        raise RunExists(wanted.run)
    if reply.code is Code.DUPLICATE:
        return Handled(handler.sessions.load(wanted.run), changed=False, time_ms=reply.time_ms)
    fresh = Session(wanted.run, 0, "", initial(), plan)
    return Handled(handler.remember(fresh, built, reply), changed=True, time_ms=reply.time_ms)


def refuse_erased_past(recorded: Sequence[Recorded]) -> None:
    """Refuse to go on from events whose payloads are no more, which their fold alone does not show.

    Raises Rejected.
    """
    if any(item.type == "RunRedacted" for item in recorded):
        what = "payloads of the run are erased: what a fork would go on with is not there; start a new run"
        raise cmd.Rejected("erased", what, "")


def _built(handler: Handler, wanted: Fork, plan: Plan, state: RunState, past: Sequence[Recorded], actor: str) -> Built:
    copied = Session(wanted.run, 0, "", state, plan)
    command = cmd.ForkRun(wanted.source, wanted.at, wanted.inputs, wanted.reason)
    made, encoded = decide_encoded(copied, command, handler.limits, handler.child_id)
    lines = [_line(item, wanted.run) for item in past]
    whole = Encoded((*lines, *encoded.events), encoded.blobs)
    moved = forked(plan, state, made.events, made.state, len(past))
    signature = Signature("new", wanted.commit_id or handler.commit_id(), actor, wanted.source)
    built = assemble(copied, made, whole, (), signature, settle=True, moved=moved)
    options = {**built.commit.options, "wf": plan.id, "def": plan.hash}
    refers = tuple(dict.fromkeys(sha for item in past for _, sha, _ in _payloads(item)))
    return replace(built, commit=replace(built.commit, options=options, refers=refers))


def _payloads(item: Recorded) -> Sequence[Any]:
    """Give what an event refers to beside the log; the fork refers to it too."""
    return item.data.get("blobs") or () if isinstance(item.data, Mapping) else ()


def _line(item: Recorded, run: str) -> tuple[str, bytes]:
    """Give a stored event as one of the new run, marked: it happened once, so statistics count it once."""
    data = {**item.data, "copied": True}
    if item.type == "RunStarted":
        data["run"] = run
        data.pop("parent", None)
    return item.type, codec.encode(data)
