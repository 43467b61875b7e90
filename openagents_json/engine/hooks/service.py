"""Inbound hooks of a store: registered by name, and what is sent to them is kept, carried out once, and again if asked.

A delivery is kept before anything comes of it, with what it comes to. Then a run starts, or gets a signal, under a key
that comes from the hook and the id of the delivery: whoever dies in between, and however often it is sent, the run or
the signal is one.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.coordination.hook_deliveries import (
    MOST_DELIVERIES,
    HookDeliveryStore,
    StoredDelivery,
)
from eventstore.redis.coordination.records import RecordTable
from executor.clock import ulid
from openagents_json.engine.answers.hooks import Delivery, HookInfo, ReceivedDelivery
from openagents_json.engine.hooks.actions import (
    SIGNALLED,
    STARTED,
    StartsAndSignals,
    carry_out,
)
from openagents_json.engine.hooks.contents import Contents, Envelope
from openagents_json.engine.hooks.errors import (
    DeliveryDiffers,
    DeliveryNotFound,
    HookDisabled,
    HookNotFound,
    HookNotMapped,
    HookSecretUnusable,
    InvalidHook,
)
from openagents_json.engine.hooks.incoming import (
    Incoming,
    body_of,
    member_of,
    shown_headers,
)
from openagents_json.engine.hooks.mapping import Decision, mapped
from openagents_json.engine.hooks.signatures import FindSecret, scheme_of, verify
from openagents_json.engine.hooks.spec import HookSpec, spec_of
from openagents_json.errors import OpenAgentsError, Unavailable
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

RECEIVED: Final = "received"
FILTERED: Final = "filtered"
FAILED: Final = "failed"
SETTLED: Final = frozenset({FILTERED, STARTED, SIGNALLED})
"""What a delivery has come to for good: sent again, it is answered so."""

LONGEST_ERROR: Final = 1_000

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,199}")


@dataclass(frozen=True, slots=True)
class _Registered:
    """A hook with what it was registered with."""

    info: HookInfo
    spec: HookSpec


class Hooks:
    """The inbound hooks of a store."""

    def __init__(self, engine: StartsAndSignals, secret: FindSecret) -> None:
        self._engine = engine
        self._secret = secret
        self._clock = engine.core.clock
        self._table = RecordTable(engine.core.store, "hooks")
        self._deliveries = HookDeliveryStore(engine.core.store)

    @property
    def _envelope(self) -> Envelope:
        return Envelope(self._engine.core.keyring)

    # -- keeping -----------------------------------------------------------------------------------------

    def register(self, name: str, spec: Mapping[str, Any]) -> HookInfo:
        """Register a hook, or replace it; what it starts has to be published.

        Raises InvalidHook and UnknownWorkflow.
        """
        if not _NAME.fullmatch(name):
            raise InvalidHook(
                f"{name!r} is no name of a hook",
                remedy="use small letters, digits, and the characters _ -",
            )
        asked = spec_of(spec)
        mapped(asked)
        if asked.start is not None:
            self._engine.core.workflows.resolve(asked.start.workflow, name)
        record = {
            "spec": asked.model_dump(mode="json", exclude_unset=True),
            "created_ms": self._clock.now_ms(),
            "created_by": self._engine.actor,
        }
        self._table.put(name, record)
        return _info(name, record)

    def every(self) -> list[HookInfo]:
        """Return all hooks, by name."""
        records = self._table.every()
        return [_info(name, records[name]) for name in sorted(records)]

    def get(self, name: str) -> HookInfo:
        """Return a hook.

        Raises HookNotFound.
        """
        record = self._table.get(name)
        if record is None:
            raise HookNotFound(name)
        return _info(name, record)

    def delete(self, name: str) -> None:
        """Remove a hook with what was sent to it; its runs go on.

        Raises HookNotFound.
        """
        is_removed = self._table.remove(name)
        # Also where there is no hook: who died here before has left them, and asks again.
        self._deliveries.drop(name)
        if not is_removed:
            raise HookNotFound(name)

    def deliveries(self, name: str, *, limit: int = 50) -> list[Delivery]:
        """Return the newest deliveries to a hook, the newest first, without what they said.

        Raises HookNotFound.
        """
        self.get(name)
        newest = self._deliveries.newest(name, max(1, min(limit, MOST_DELIVERIES)))
        return [_delivery(stored, None) for stored in newest]

    def delivery(self, name: str, delivery: str) -> Delivery:
        """Return a delivery with its body and its headers; what proves who sent it is masked.

        Raises HookNotFound, DeliveryNotFound and EncryptionError.
        """
        stored = self._stored(name, delivery)
        return _delivery(stored, self._envelope.opened(name, stored.id, stored.content))

    # -- carrying out ------------------------------------------------------------------------------------

    def receive(self, name: str, incoming: Incoming) -> ReceivedDelivery:
        """Take a delivery: it is checked, kept, and carried out, unless it came before.

        Raises HookNotFound, HookDisabled, SignatureInvalid, HookSecretUnusable, HookBodyUnusable, DeliveryDiffers,
        HookNotMapped, and what `start` and `signal` raise.
        """
        hook = self._registered(name)
        if not hook.spec.enabled:
            raise HookDisabled(name)
        signature = hook.spec.signature
        signed = self._verified(hook, incoming)
        body = body_of(incoming)
        if signature.preset == "slack" and _asks_only(body):
            return ReceivedDelivery("", RECEIVED, challenge=member_of(body, _CHALLENGE))
        scheme = scheme_of(signature)
        given_id = incoming.first(scheme.id_header) or member_of(body, scheme.id_member)
        headers = shown_headers(incoming, (scheme.header,))
        arrived = _arrived(_delivery_id(given_id, signed), incoming)
        return self._carried_out(hook, arrived, Contents(body, headers))

    def _verified(self, hook: _Registered, incoming: Incoming) -> bytes:
        """Return what was signed with a secret of the hook; which of them is unusable is for who runs the service."""
        now_ms = self._clock.now_ms()
        try:
            return verify(hook.spec.signature, incoming, self._secret, now_ms)
        except HookSecretUnusable as error:
            told = "hook %s: the secret %s %s; set OPENAGENTS_SECRET_%s here"
            secret = error.secret
            log.error(told, hook.info.name, secret, error.reason, secret)
            raise

    def replay(
        self, name: str, delivery: str, *, idempotency_key: str | None = None
    ) -> ReceivedDelivery:
        """Carry a delivery out again, as the hook is now; with the same key, once.

        Raises HookNotFound, DeliveryNotFound, HookNotMapped, EncryptionError, and what `start` and `signal` raise.
        """
        hook = self._registered(name)
        stored = self._stored(name, delivery)
        contents = self._envelope.opened(name, stored.id, stored.content)
        seen = _seen(name, stored.id, contents)
        decision: Mapping[str, Any] | None = mapped(hook.spec).decide(seen)
        if decision is None:
            return ReceivedDelivery(stored.id, FILTERED)
        key = idempotency_key or ulid(self._clock.now_ms())
        once = _key("replay", name, f"{stored.id}\0{self._engine.actor}\0{key}")
        status, run = carry_out(self._engine, name, decision, once)
        self._deliveries.note(name, stored.id, status, run, again=True)
        return ReceivedDelivery(stored.id, status, run)

    def _carried_out(
        self, hook: _Registered, arrived: StoredDelivery, contents: Contents
    ) -> ReceivedDelivery:
        """Keep a delivery with what it comes to, and carry it out, unless it has come to something already."""
        name = hook.info.name
        decision: Mapping[str, Any] | None
        decision, error = _decided(hook, arrived.id, contents)
        taken = self._taken(name, arrived, contents, decision, error)
        if taken.digest != arrived.digest:
            raise DeliveryDiffers(taken.id)
        repeated = not taken.is_new
        if taken.status in SETTLED:
            return ReceivedDelivery(taken.id, taken.status, taken.outcome, repeated)
        if repeated:
            # What it came to when it was taken, and not what the hook makes of it now: it may have begun so already.
            kept = self._envelope.opened(name, taken.id, taken.content)
            decision = kept.decision or decision
        if decision is None:
            raise error or HookNotMapped("filter", "it is no longer let in")
        status, run = self._begun(name, taken.id, decision)
        return ReceivedDelivery(taken.id, status, run, repeated)

    def _taken(
        self,
        name: str,
        arrived: StoredDelivery,
        contents: Contents,
        decision: Mapping[str, Any] | None,
        error: HookNotMapped | None,
    ) -> StoredDelivery:
        status = RECEIVED if decision is not None else FILTERED
        outcome = ""
        if error is not None:
            status, outcome = FAILED, str(error)[:LONGEST_ERROR]
        kept = Contents(contents.body, contents.headers, decision)
        sealed = self._envelope.sealed(name, arrived.id, kept)
        offered = StoredDelivery(arrived.id, arrived.digest, sealed, status, outcome)
        return self._deliveries.take(name, offered)

    def _begun(
        self, name: str, delivery: str, decision: Mapping[str, Any]
    ) -> tuple[str, str]:
        """Carry a delivery out, and note what came of it."""
        engine = self._engine.acting_as(f"hook:{name}")
        try:
            once = _key("hook", name, delivery)
            status, run = carry_out(engine, name, decision, once)
        except Unavailable:
            raise  # it may have begun: sent again, it goes on from here
        except OpenAgentsError as error:
            told = str(error)[:LONGEST_ERROR]
            self._deliveries.note(name, delivery, FAILED, told, again=False)
            raise
        self._deliveries.note(name, delivery, status, run, again=False)
        return status, run

    def _registered(self, name: str) -> _Registered:
        info = self.get(name)
        return _Registered(info, spec_of(info.spec))

    def _stored(self, name: str, delivery: str) -> StoredDelivery:
        self.get(name)
        stored = self._deliveries.get(name, delivery)
        if stored is None:
            raise DeliveryNotFound(name, delivery)
        return stored


def _decided(
    hook: _Registered, delivery: str, contents: Contents
) -> tuple[Decision | None, HookNotMapped | None]:
    """Return what a delivery comes to, or why it cannot come to anything; neither for one that is not let in."""
    try:
        seen = _seen(hook.info.name, delivery, contents)
        return mapped(hook.spec).decide(seen), None
    except HookNotMapped as error:
        return None, error


_CHALLENGE: Final = "challenge"


def _asks_only(body: Json) -> bool:
    """Tell whether Slack only asks whether an address is that of a hook."""
    is_question = member_of(body, "type") == "url_verification"
    return is_question and bool(member_of(body, _CHALLENGE))


def _delivery_id(given_id: str, signed: bytes) -> str:
    """Return the id of a delivery: the sender's, or a hash where there is none, or none that an address can hold."""
    if _ID.fullmatch(given_id):
        return given_id
    return f"sha256-{hashlib.sha256(given_id.encode('utf-8', 'replace') or signed).hexdigest()}"


def _arrived(delivery: str, incoming: Incoming) -> StoredDelivery:
    digest = hashlib.sha256(incoming.body).hexdigest()
    return StoredDelivery(delivery, digest, b"", RECEIVED)


def _seen(hook: str, delivery: str, contents: Contents) -> dict[str, Json]:
    """Return what expressions see of a delivery."""
    headers: dict[str, Json] = dict(contents.headers)
    return {
        "body": contents.body,
        "headers": headers,
        "delivery": {"id": delivery, "hook": hook},
    }


def _key(kind: str, hook: str, delivery: str) -> str:
    digest = hashlib.sha256(f"{kind}\0{hook}\0{delivery}".encode()).hexdigest()
    return f"{kind}-{digest}"


def _info(name: str, record: Mapping[str, Any]) -> HookInfo:
    return HookInfo(name, record["spec"], record["created_ms"], record["created_by"])


def _delivery(stored: StoredDelivery, contents: Contents | None) -> Delivery:
    has_failed = stored.status == FAILED
    return Delivery(
        id=stored.id,
        status=stored.status,
        received_ms=stored.received_ms,
        run="" if has_failed else stored.outcome,
        error=stored.outcome if has_failed else "",
        replays=stored.replays,
        body=None if contents is None else contents.body,
        headers={} if contents is None else contents.headers,
    )
