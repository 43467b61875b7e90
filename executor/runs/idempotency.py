"""Idempotency keys: a key stands for one request, and what it began answers that request only.

A request is compared with the first event of the run that the key has begun: so runs of any age can be told apart, and
of an encrypted run nothing can be learned without its key. For which workflow a key was used is noted beside the log
(`key_notes`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore import codec
from eventstore.runs import RunStore
from executor.errors import KeyConflict
from executor.runs.payloads import Payloads
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan, canonical
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


def key_of_another(run: str, workflow: str, plan: Plan) -> KeyConflict:
    """Return the conflict with what a key stands for when that is a run of another workflow."""
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
    run, hashes = begun.run, (plan.hash, begun.plan.hash)
    asked_by, began_by = caller_of(request.caller), caller_of(begun.caller)
    if asked_by and began_by and asked_by != began_by:
        return KeyConflict(
            run, "another caller"
        )  # what else differs is not for this one to know
    if not _same_workflow(request, plan, begun.plan):
        versions = f"{begun.plan.id}@{begun.plan.version}, definition {begun.plan.hash[:_DIGITS]}"
        return KeyConflict(
            run, f"another workflow ({versions}, not {plan.hash[:_DIGITS]})", *hashes
        )
    if begun.inputs is None:
        return None
    try:
        inputs = codec.normalise(check_inputs(begun.plan, request.inputs))
    except InvalidInputs:
        return KeyConflict(run, "other inputs", *hashes)
    names = differing(inputs, begun.inputs)
    return (
        KeyConflict(run, f"other inputs ({', '.join(map(repr, names[:5]))})", *hashes)
        if names
        else None
    )


def _same_workflow(request: Request, plan: Plan, begun: Plan) -> bool:
    if _document_hash(plan) == _document_hash(begun):
        return True
    if not request.reference or plan.version == begun.version:
        return False
    asked_for = request.reference.partition("@")[2]
    return (
        not asked_for
        or not is_range(asked_for)
        or highest(asked_for, [begun.version]) is not None
    )


def _document_hash(plan: Plan) -> str:
    return hashlib.sha256(canonical(plan.definition["document"])).hexdigest()


def fork_conflict(
    run: str, asked: Mapping[str, Json], caller: str, begun: Mapping[str, Json], by: str
) -> KeyConflict | None:
    """Return why a fork is another one than what its key began, by the inputs of each and who asks."""
    asked_by, began_by = caller_of(caller), caller_of(by)
    if asked_by and began_by and asked_by != began_by:
        return KeyConflict(run, "another caller")
    names = differing(asked, begun)
    return (
        KeyConflict(run, f"other inputs ({', '.join(map(repr, names[:5]))})")
        if names
        else None
    )


def refuse_other_signal(
    store: RunStore, payloads: Payloads, run: str, asked: cmd.SendSignal, caller: str
) -> None:
    """Refuse a signal whose idempotency key has sent another one.

    Raises KeyConflict.
    """
    stored = [
        item
        for item in store.read([(run, 0)])[0]
        if item.type == ev.SignalReceived.__name__
    ]
    sent = [item for item in stored if item.data.get("signal") == asked.id]
    for item, event in zip(sent, payloads.decode(sent), strict=True):
        another = signal_conflict(run, asked, caller, event, item.actor)
        if another is not None:
            raise another


def signal_conflict(
    run: str, asked: cmd.SendSignal, caller: str, sent: ev.Event, by: str
) -> KeyConflict | None:
    """Return why a signal is another one than what its key has sent."""
    asked_by, sent_by = caller_of(caller), caller_of(by)
    if asked_by and sent_by and asked_by != sent_by:
        return KeyConflict(run, "another caller", what="a signal to")
    if not isinstance(sent, ev.SignalReceived):
        return None
    if (asked.name, asked.key) != (sent.name, sent.key):
        return KeyConflict(run, "another name or key", what="a signal to")
    if same_json(asked.payload, sent.payload):
        return None
    return KeyConflict(run, "another payload", what="a signal to")


def differing(one: Mapping[str, Json], other: Mapping[str, Json]) -> list[str]:
    """Return the names of the members that are not equal as JSON; 1 and 1.0 are."""
    names = dict.fromkeys((*one, *other))
    return [
        name
        for name in names
        if (name in one) != (name in other)
        or not same_json(one.get(name), other.get(name))
    ]


def same_json(one: Json, other: Json) -> bool:
    """Tell whether two values are equal as JSON; 1 and 1.0 are, 1 and true are not."""
    return codec.encode(_whole(one)) == codec.encode(_whole(other))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(member) for name, member in value.items()}
    return (
        [_whole(item) for item in value] if isinstance(value, list | tuple) else value
    )
