"""The catalog as events: what may happen to a name, and what its versions come to."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.catalog.errors import (
    InvalidAlias,
    SpecDiffers,
    UnknownEntry,
    VersionWithdrawn,
)
from openagents_json.catalog.log import decisions
from openagents_json.catalog.log.decisions import Request
from openagents_json.catalog.log.entries import NOTHING, Entry, decoded, encoded, folded
from openagents_json.catalog.log.words import described, words


def spec(version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"name": "pay", "version": version, **more}


def after(*requests: Request, entry: Entry = NOTHING) -> Entry:
    for request in requests:
        for event in request.decide(entry):
            entry = folded(entry, event)
    assert decoded(encoded(entry)) == entry
    return entry


def registered(*versions: str, **more: Any) -> Entry:
    specs = [spec(version, **more) for version in versions]
    return after(*(decisions.register("component", "pay", x) for x in specs))


def test_a_version_never_changes_and_the_same_again_is_nothing() -> None:
    entry = registered("1.0.0", queue="gpu")
    again = decisions.register("component", "pay", spec(queue="gpu"))
    assert again.decide(entry) == []
    other = decisions.register("component", "pay", spec(queue="cpu"))
    with pytest.raises(
        SpecDiffers, match="queue is 'gpu' in the catalog and 'cpu' her"
    ):
        other.decide(entry)


def test_another_build_of_a_version_is_no_other_version() -> None:
    entry = registered("1.0.0", build="a")
    rebuilt = after(
        decisions.register("component", "pay", spec(build="b")), entry=entry
    )
    assert rebuilt.versions["1.0.0"].spec["build"] == "b"


def test_a_process_announces_what_has_no_version_as_it_is_now() -> None:
    entry = registered("0.1.0", "1.0.0", queue="gpu", description="old")
    changed = [spec(version, queue="cpu") for version in ("0.1.0", "1.0.0")]
    unversioned, versioned = (
        decisions.announce("component", "pay", x) for x in changed
    )
    assert after(unversioned, entry=entry).versions["0.1.0"].spec == changed[0]
    with pytest.raises(SpecDiffers):
        versioned.decide(entry)
    described_anew = decisions.announce(
        "component", "pay", spec(queue="gpu", description="new")
    )
    told = after(described_anew, entry=entry).versions["1.0.0"].spec
    assert told["description"] == "new"


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("", "1.3.0"),
        ("^1.1", "1.3.0"),
        ("~1.2", "1.2.5"),
        ("2.x", None),
        ("2.0.0-beta.1", "2.0.0-beta.1"),
        ("^2.0.0-beta", "2.0.0-beta.1"),
        ("stable", "1.2.5"),
    ],
)
def test_references_mean_the_newest_that_is_not_withdrawn(
    reference: str, version: str | None
) -> None:
    entry = registered("1.0.0", "1.2.5", "1.3.0", "1.4.0", "2.0.0-beta.1")
    entry = after(
        decisions.withdraw("component", "pay", "1.4.0", "wrong"),
        decisions.alias("component", "pay", "stable", {"version": "1.2.5"}),
        entry=entry,
    )
    assert entry.resolve(reference) == version


def test_what_is_deprecated_goes_on_and_what_is_withdrawn_does_not() -> None:
    entry = registered("1.0.0", "2.0.0")
    deprecate = decisions.deprecate("component", "pay", "", "slow", "charge")
    entry = after(deprecate, entry=entry)
    assert {x.status for x in entry.versions.values()} == {"deprecated"}
    assert (entry.resolve("^1"), deprecate.decide(entry)) == ("1.0.0", [])
    entry = after(decisions.withdraw("component", "pay", "", "gone"), entry=entry)
    assert (entry.resolve(""), entry.latest) == (None, "2.0.0")
    with pytest.raises(VersionWithdrawn, match="gone"):
        decisions.register("component", "pay", spec()).decide(entry)
    assert decisions.announce("component", "pay", spec()).decide(entry) == []


def test_a_version_that_is_freed_may_be_registered_with_another_content() -> None:
    free = decisions.withdraw("component", "pay", "1.0.0", "never used", free=True)
    entry = after(free, entry=registered("1.0.0", queue="gpu"))
    other = decisions.register("component", "pay", spec(queue="cpu"))
    assert after(other, entry=entry).versions["1.0.0"].spec["queue"] == "cpu"


def test_what_is_not_there_is_told() -> None:
    entry = registered("1.0.0")
    for request in (
        decisions.deprecate("component", "pay", "1.0.1", ""),
        decisions.withdraw("component", "pay", "3.0.0", ""),
        decisions.alias("component", "pay", "stable", {"version": "3.0.0"}),
    ):
        with pytest.raises(UnknownEntry, match="pay@"):
            request.decide(entry)
    with pytest.raises(InvalidAlias):
        decisions.alias("component", "pay", "1x", None).decide(entry)


def test_names_and_specs_have_words() -> None:
    assert words("textTools.summarizeHTML_all-2") == [
        "text",
        "tools",
        "summarize",
        "html",
        "all",
        "2",
    ]
    told = spec(
        description="Größe a Text", tags=["Über"], inputs=[{"name": "maxWords"}]
    )
    assert {"text", "max", "words"} <= set(described(told))
