"""The composition root of what folds runs, decides and commits; it brings the whole language of documents along."""

from __future__ import annotations

import secrets

from eventstore.redis.coordination.catalog import CatalogStore
from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.redis.coordination.members import Directory
from eventstore.redis.coordination.schedules import ScheduleStore
from eventstore.redis.coordination.semaphores import Semaphores
from eventstore.redis.coordination.wakeups import WakeUps
from eventstore.redis.run_keys import KeyStore
from eventstore.redis.runs import RedisRunStore
from eventstore.runs import RunStore
from executor.clock import commit_ids
from executor.coordination.business_keys import KeyedStarts
from executor.coordination.concurrency import ConcurrencyLimiter
from executor.coordination.schedules import ScheduleService
from executor.coordination.starts import RunStarter
from executor.encryption import KEY_BYTES
from executor.runs.codec import Limits
from executor.runs.handler import Handler
from executor.runs.key_notes import KEPT_MS
from executor.runs.keyring import Keyring
from executor.runs.payloads import Payloads
from executor.runs.repository import SessionCache
from executor.runs.snapshots import SnapshotSeals
from executor.wakeup import NoDoorbell, Waker
from openagents_json.catalog.definitions import Definitions
from openagents_json.catalog.names import Names
from openagents_json.catalog.registered import RegisteredComponents
from openagents_json.catalog.workflows import Workflows
from openagents_json.engine.wiring.parts import DecisionParts, DecisionSettings


def build_deciding(
    store: RedisRunStore, runs: RunStore, directory: Directory, given: DecisionSettings
) -> DecisionParts:
    """Put together what folds, decides and commits."""
    definitions = Definitions(runs)
    keyring = Keyring(KeyStore(store), given.masters)
    shared = given.masters.secrets()  # without any, no other process can know ours
    seals = SnapshotSeals(
        shared or [secrets.token_bytes(KEY_BYTES)], shared=bool(shared)
    )
    sessions = SessionCache(runs, definitions, Payloads(runs, keyring), seals)
    ringer = Waker(
        WakeUps(given.connection, store.keys), given.doorbell or NoDoorbell()
    )
    limits = given.limits or Limits()
    key_notes = KeyNoteStore(store, KEPT_MS)
    handler = Handler(
        store=runs,
        sessions=sessions,
        definitions=definitions,
        ringer=ringer,
        commit_id=commit_ids(),
        limits=limits,
        key_notes=key_notes,
    )
    gatekeeper = ConcurrencyLimiter(handler, Semaphores(store))
    starter = RunStarter(handler, gatekeeper)
    names = Names(CatalogStore(store), given.clock.steady_ms, commit_ids())
    workflows = Workflows(names, definitions, directory)
    return DecisionParts(
        sessions=sessions,
        keyring=keyring,
        definitions=definitions,
        handler=handler,
        ringer=ringer,
        workflows=workflows,
        registered=RegisteredComponents(names, given.clock.steady_ms),
        gatekeeper=gatekeeper,
        starter=starter,
        keyed_starts=KeyedStarts(handler, starter),
        timetable=ScheduleService(handler, starter, workflows, ScheduleStore(store)),
    )
