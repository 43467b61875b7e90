"""What people do about errors with commands: errors themselves speak to programs, which have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openagents_json.errors import OpenAgentsError

ADVICE: Final[Mapping[str, str]] = {
    "archived": "`openagents runs restore` brings it back",
    "audit_key_unusable": "`openagents audit keygen` makes a pair of keys",
    "broken_history": "`openagents doctor` tells more",
    "cannot_leave:held": "`openagents runs release {run}` ends that",
    "cannot_leave:tampered": "`openagents doctor` says more",
    "cannot_leave:unread": "bring it up to date, or leave it out with --without",
    "cannot_leave:unsealed": "`openagents audit seal` does it, or leave it out with --without",
    "event_unreadable": "restore it from a backup of the store; `openagents doctor` tells more",
    "heal_not_found": "`openagents runs heal --dry-run` prints its id",
    "invalid_definition:others": "`openagents validate` shows them",
    "invalid_key:malformed": "`openagents keys generate` makes one",
    "invalid_setting:encryption_keys": "`openagents keys generate` makes one",
    "no_ledger": "make a key with `openagents audit keygen`, then `openagents audit seal`, or start workers with "
    "OPENAGENTS_AUDIT_KEY",
    "no_store": "`openagents run` or a worker makes one, or name another",
    "not_archived": "`openagents runs list --archived` shows what is",
    "not_encrypted": "`openagents runs redact` erases payloads in place",
    "not_sealed": "`openagents audit seal` closes it",
    "open": "`openagents runs watch` follows it, `openagents runs cancel` ends it",
    "run_exists": "leave the id out, or use another idempotency key; `openagents runs restore` brings an archived one "
    "back",
    "run_in_part": "`openagents doctor --repair` removes what is there, then it can come in again",
    "run_key_missing": "restore it from a backup of the store, or, for a run from elsewhere, take it along: "
    "`openagents keys show {run} > FILE` there, `openagents keys adopt {run} < FILE` here",
    "run_not_found": "`openagents runs list` shows those that there are, one that is archived comes back with "
    "`openagents runs restore`",
    "sandbox_too_weak": "`openagents runs heal --resume {heal}` goes on without --sandbox strict, or with it where the "
    "kernel has more",
    "schedule_not_found": "`openagents schedules list` shows them",
    "unauthenticated": "set OPENAGENTS_API_KEY to a key of the store; `openagents api-keys create` makes one there",
    "unknown_workflow:new": "add it with `openagents workflows add FILE`",
    "wave_unfinished": "are there workers? `openagents runs heal --resume {heal}` goes on",
}
"""Advice by the code of an error, and of some errors behind a colon by what they say is the matter."""


def advice(error: OpenAgentsError) -> str:
    """Return what to do about an error: with a command where one helps, else as the error says."""
    because = getattr(error, "because", "")
    kind = f"{error.code}:{because}" if because else error.code
    words = ADVICE.get(kind)
    if words is None:
        return error.remedy
    attributes = {name: str(value) for name, value in vars(error).items()}
    try:
        return words.format_map(attributes)
    except KeyError:  # what a service answered says it in its text alone
        return error.remedy
