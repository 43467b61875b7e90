"""The composition root of what folds runs, decides and commits; it brings the whole language of documents along."""

from __future__ import annotations

import secrets

from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.redis.coordination.members import Directory
from eventstore.redis.coordination.schedules import ScheduleStore
from eventstore.redis.coordination.semaphores import Gates
from eventstore.redis.coordination.wakeups import Bell
from eventstore.redis.run_keys import KeyStore
from eventstore.redis.runs import RedisRunStore
from eventstore.runs import RunStore
from executor.clock import commit_ids
from executor.coordination.concurrency import Gatekeeper
from executor.coordination.schedules import Timetable
from executor.coordination.starts import Starter
from executor.encryption import KEY_BYTES
from executor.runs.codec import Limits
from executor.runs.handler import Handler
from executor.runs.key_notes import KEPT_MS
from executor.runs.keyring import Keyring
from executor.runs.payloads import Payloads
from executor.runs.repository import Sessions
from executor.runs.snapshots import Seals
from executor.wakeup import NoDoorbell, Ringer
from openagents_json.catalog.definitions import Definitions
from openagents_json.catalog.workflows import Workflows
from openagents_json.engine.wiring.parts import Deciding, Given


def build_deciding(store: RedisRunStore, runs: RunStore, directory: Directory, given: Given) -> Deciding:
    """Put together what folds, decides and commits."""
    definitions = Definitions(runs)
    keyring = Keyring(KeyStore(store), given.masters)
    shared = given.masters.secrets()  # without any, no other process can know ours
    seals = Seals(shared or [secrets.token_bytes(KEY_BYTES)], shared=bool(shared))
    sessions = Sessions(runs, definitions, Payloads(runs, keyring), seals)
    ringer = Ringer(Bell(given.connection, store.keys), given.doorbell or NoDoorbell())
    limits, key_notes = given.limits or Limits(), KeyNoteStore(store, KEPT_MS)
    handler = Handler(runs, sessions, definitions, ringer, commit_ids(), limits, key_notes)
    gatekeeper = Gatekeeper(handler, Gates(store))
    starter = Starter(handler, gatekeeper)
    workflows = Workflows(directory, definitions)
    return Deciding(
        sessions=sessions,
        keyring=keyring,
        definitions=definitions,
        handler=handler,
        ringer=ringer,
        workflows=workflows,
        gatekeeper=gatekeeper,
        starter=starter,
        timetable=Timetable(handler, starter, workflows, ScheduleStore(store)),
    )
