"""Idempotency keys: a key stands for one request, and what it began answers that request only.

A request is compared with the first event of the run that the key has begun: so runs of any age can be told apart, and
of an encrypted run nothing can be learned without its key. For which workflow a key was used is noted beside the log
(`key_notes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eventstore import codec
from eventstore.runs import RunStore
from executor.errors import KeyConflict
from executor.runs.payloads import Payloads
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.types import Json
from openagents_json.workflow.versions import highest, is_range

UNNAMED: Final = frozenset({"", "program", "cli"})
"""Actors that nobody has named: they tell no caller from another."""

_DIGITS: Final = 12
"""How many digits of a hash a message shows."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for under an idempotency `key`: inputs as given, the reference if it was one, who asked."""

    key: str
    inputs: Mapping[str, Json]
    reference: str = ""
    caller: str = ""


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """What the key began: the plan and the inputs of the first event, None when they are erased, and who began it."""

    run: str
    plan: Plan
    inputs: Mapping[str, Json] | None
    caller: str = ""


def key_of_another(run: str, scope: str, plan: Plan) -> KeyConflict:
    """Return the conflict with what a key stands for when that is a run of another workflow, or business key."""
    workflow, _, _ = scope.partition(" ")
    if workflow == plan.id:
        return KeyConflict(run, "another business key", plan.hash)
    return KeyConflict(run, f"another workflow ({workflow}, not {plan.id})", plan.hash)


def caller_of(actor: str) -> str:
    """Return the caller that an actor names, empty for one that nobody has named."""
    return "" if actor in UNNAMED or actor.startswith("cli:") else actor


def conflict(
    request: Request, plan: Plan, begun: OriginalRequest
) -> KeyConflict | None:
    """Return why a request is another one than what its key began; None when it is the same one again.

    `plan` is what the request comes to now. The same document is the same workflow, whatever its components have become
    since; a reference is answered by any version that it allows.
    """
    run = begun.run
    hashes = (plan.hash, begun.plan.hash)
    if _are_others(request.caller, begun.caller):
        # What else differs is not for this one to know.
        return KeyConflict(run, "another caller")
    if not _same_workflow(request, plan, begun.plan):
        versions = f"{begun.plan.id}@{begun.plan.version}, definition {begun.plan.hash[:_DIGITS]}"
        difference = f"another workflow ({versions}, not {plan.hash[:_DIGITS]})"
        return KeyConflict(run, difference, *hashes)
    if begun.inputs is None:
        return None
    try:
        inputs = codec.normalise(check_inputs(begun.plan, request.inputs))
    except InvalidInputs:
        return KeyConflict(run, "other inputs", *hashes)
    names = differing(inputs, begun.inputs)
    if names:
        return KeyConflict(run, _other_inputs(names), *hashes)
    return None


def _are_others(actor: str, began_by: str) -> bool:
    """Tell whether two actors name callers, and not the same one."""
    callers = {caller_of(actor), caller_of(began_by)}
    return len(callers - {""}) > 1


def _other_inputs(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"other inputs ({shown})"


def _same_workflow(request: Request, plan: Plan, begun: Plan) -> bool:
    if codec.same(plan.definition["document"], begun.definition["document"]):
        return True
    if not request.reference or plan.version == begun.version:
        return False
    _, _, asked_for = request.reference.partition("@")
    if not asked_for or not is_range(asked_for):
        return True
    return highest(asked_for, [begun.version]) is not None


def fork_conflict(
    run: str, asked: Mapping[str, Json], caller: str, begun: Mapping[str, Json], by: str
) -> KeyConflict | None:
    """Return why a fork is another one than what its key began, by the inputs of each and who asks."""
    if _are_others(caller, by):
        return KeyConflict(run, "another caller")
    names = differing(asked, begun)
    if names:
        return KeyConflict(run, _other_inputs(names))
    return None


def refuse_other_signal(
    store: RunStore, payloads: Payloads, run: str, asked: cmd.SendSignal, caller: str
) -> None:
    """Refuse a signal whose idempotency key has sent another one.

    Raises KeyConflict.
    """
    [history] = store.read([(run, 0)])
    signals = [item for item in history if item.type == ev.SignalReceived.__name__]
    sent = [item for item in signals if item.data.get("signal") == asked.id]
    for item, event in zip(sent, payloads.decode(sent), strict=True):
        another = signal_conflict(run, asked, caller, event, item.actor)
        if another is not None:
            raise another


def signal_conflict(
    run: str, asked: cmd.SendSignal, caller: str, sent: ev.Event, by: str
) -> KeyConflict | None:
    """Return why a signal is another one than what its key has sent."""
    if _are_others(caller, by):
        return KeyConflict(run, "another caller", what="a signal to")
    if not isinstance(sent, ev.SignalReceived):
        return None
    if (asked.name, asked.key) != (sent.name, sent.key):
        return KeyConflict(run, "another name or key", what="a signal to")
    if codec.same(asked.payload, sent.payload):
        return None
    return KeyConflict(run, "another payload", what="a signal to")


def differing(one: Mapping[str, Json], other: Mapping[str, Json]) -> list[str]:
    """Return the names of the members that are not equal as JSON; 1 and 1.0 are."""
    names = dict.fromkeys((*one, *other))
    return [name for name in names if not _same_member(one, other, name)]


def _same_member(one: Mapping[str, Json], other: Mapping[str, Json], name: str) -> bool:
    if name not in one or name not in other:
        return False
    return codec.same(one[name], other[name])
