"""What differs between two documents of one version, in sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from openagents_json.workflow.history.diff import Change, changes_of


def sentences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say where a document that is asked for differs from the one that is in the catalog."""
    return list(map(sentence, changes_of(dict(there), dict(here))))


def sentence(change: Change) -> str:
    """Say what a value is in the catalog, and here."""
    there = "not there" if change.missing == "one" else _brief(change.one)
    asked = "not there" if change.missing == "other" else _brief(change.other)
    return f"{change.path} is {there} in the catalog and {asked} here"


def _brief(value: object) -> str:
    return textwrap.shorten(repr(value), 80, placeholder="...")
