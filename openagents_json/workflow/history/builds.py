"""Which builds of components ran the attempts of a run, and where they change: within it, and between two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from openagents_json.workflow.core import events as ev

ComponentOf = Callable[[str], str]
"""Step -> the component that it calls, as the document names it."""


@dataclass(frozen=True, slots=True)
class BuildChange:
    """A component of which an attempt ran another build than the attempt before it in the same run."""

    component: str
    step: str
    attempt: int
    before: str
    after: str

    def sentence(self) -> str:
        """Say it for people."""
        return (
            f"component {self.component} changed: attempt {self.attempt} of step {self.step} ran build {self.after}, "
            f"those before it build {self.before}"
        )


@dataclass(frozen=True, slots=True)
class BuildDifference:
    """A component of which two runs have run other builds, each in the order in which they came."""

    component: str
    one: tuple[str, ...]
    other: tuple[str, ...]


def changes_of_build(
    events: Iterable[ev.Event], component_of: ComponentOf
) -> Iterator[BuildChange]:
    """Return where the build of a component changes; attempts that do not say theirs are passed over."""
    latest: dict[str, str] = {}
    for event in _started(events):
        component = component_of(event.step)
        before = latest.get(component, event.build)
        latest[component] = event.build
        if before != event.build:
            yield BuildChange(component, event.step, event.attempt, before, event.build)


def differences_of_build(
    one: tuple[Sequence[ev.Event], ComponentOf],
    other: tuple[Sequence[ev.Event], ComponentOf],
) -> tuple[BuildDifference, ...]:
    """Return the components of which two runs have run other builds, as far as both say which."""
    here, there = _builds(*one), _builds(*other)
    return tuple(
        BuildDifference(component, here[component], there[component])
        for component in sorted(here.keys() & there.keys())
        if set(here[component]) != set(there[component])
    )


def _builds(
    events: Sequence[ev.Event], component_of: ComponentOf
) -> dict[str, tuple[str, ...]]:
    """Return the builds of each component, by its name alone: two documents may ask for other ranges of it."""
    builds: dict[str, dict[str, None]] = {}
    for event in _started(events):
        name = component_of(event.step).partition("@")[0]
        builds.setdefault(name, {})[event.build] = None
    return {name: tuple(builds) for name, builds in builds.items()}


def _started(events: Iterable[ev.Event]) -> Iterator[ev.StepStarted]:
    for event in events:
        if isinstance(event, ev.StepStarted) and event.build:
            yield event
