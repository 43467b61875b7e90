"""Random runs in which decisions are lost: what the log says then must come to the same as if none had been.

A worker's commit that others overtook leaves its facts and no decision. Each case here is played twice: with such
commits, and with everything decided at once, in the same order of outcomes. `scripts/interleavings` plays many.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.decider import decision
from openagents_json.workflow.core.event_types import from_data, to_data, type_name
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.paths import is_item
from openagents_json.workflow.core.plan import Plan
from tests.interleaved_documents import Documents
from tests.simulation import plan_of

MOST_ACTIONS = 2000


@dataclass(frozen=True)
class Claim:
    """A worker takes a step."""

    step: str


@dataclass
class Course:
    """One run in memory, and what was done to it: outcomes in the order of the log, and other commands."""

    plan: Plan
    bad: int
    state: st.RunState = field(default_factory=st.initial)
    done: list[tuple[cmd.Command | Claim, bool]] = field(default_factory=list)
    fence: int = 0

    def give(self, command: cmd.Command, *, facts_only: bool = False) -> None:
        """Decide on a command and apply what happens, or of that only the facts, as a commit that was overtaken."""
        try:
            outcome = decision(self.plan, self.state, command)
        except cmd.Rejected:
            if (
                self.state.unsettled or self.state.pending
            ):  # perhaps for what those lead to, which is stored first
                self.give(cmd.Advance())
            return
        for event in outcome.events[: outcome.facts] if facts_only else outcome.events:
            after = evolve(self.state, from_data(type_name(event), to_data(event)))
            assert after is not self.state, f"{event} does not apply to {self.state}"
            self.state = after
        assert facts_only or self.state == outcome.state

    def claim(self, path: str) -> None:
        self.fence += 1
        self.done.append((Claim(path), False))
        event = ev.StepStarted(
            path, self.state.steps[path].attempt + 1, str(self.fence), "w"
        )
        self.state = evolve(self.state, event)

    def goes_on(self) -> bool:
        return self.state.status in (st.RUNNING, st.FAILING, st.CANCELLING)

    def claimable(self) -> list[str]:
        steps = self.state.steps
        return sorted(
            p
            for p in self.state.open_steps
            if steps[p].status in st.CLAIMABLE and not steps[p].kind and self.goes_on()
        )

    def started(self) -> list[str]:
        return sorted(
            path
            for path in self.state.open_steps
            if self.state.steps[path].status == st.STARTED
        )

    def luck(self, path: str, attempt: int) -> int:
        return zlib.crc32(f"{self.bad}/{path}/{attempt}".encode()) % 8

    def outcome(self, path: str) -> cmd.Outcome:
        """Return the outcome of an attempt, which is the same in every course of the same run."""
        attempt = self.state.steps[path].attempt
        if self.luck(path, attempt) == 0:
            return cmd.Failed(
                path,
                attempt,
                {"type": "Boom", "message": f"{path} failed", "retryable": True},
            )
        return cmd.Completed(path, attempt, self.luck(path, 0) % 3)

    def outside(self) -> Iterator[cmd.Command]:
        """Return what may come from outside: time, other runs, people."""
        for path in sorted(self.state.open_steps):
            step = self.state.steps[path]
            if step.timer:
                yield cmd.FireTimer(path, step.timer)
            if step.status == st.GATED:
                yield cmd.Admit(path, {"k": 1})
            if step.status == st.ACTIVE and step.child:
                failed = self.luck(path, step.children) == 0
                yield cmd.CloseChild(
                    path,
                    step.child,
                    st.FAILED if failed else st.COMPLETED,
                    1,
                    {"type": "Boom"},
                )
            if step.kind == "wait":
                yield cmd.SendSignal("go", 1, None, f"{path}/{len(self.done)}")

    def end(self) -> dict[str, Any]:
        """Return what a user sees of the end, and the results of the steps that came to one."""
        state, error = self.state, dict(self.state.error or {})
        outcomes = {
            path: (step.status, step.output if step.status == st.COMPLETED else None)
            for path, step in state.steps.items()
            if step.status in (st.COMPLETED, st.FAILED)
        }
        return {
            "status": state.status,
            "output": state.output,
            "error": error,
            "step": state.failed_step,
        } | outcomes


def play(course: Course, random: Random, lost: float) -> None:
    """Let a run come to its end; of the commits of workers, this part loses its decision to others."""
    course.give(cmd.StartRun("0-r", {}))
    for _ in range(MOST_ACTIONS):
        if course.state.closed:
            return
        claimable, started, outside = (
            course.claimable(),
            course.started(),
            list(course.outside()),
        )
        choices = (
            ["claim"] * 3 * bool(claimable)
            + ["record"] * 3 * bool(started)
            + ["outside"] * bool(outside)
        )
        match random.choice(
            [*choices, *(["disturb"] if random.randrange(6) == 0 else []), "advance"]
        ):
            case "claim":
                course.claim(random.choice(claimable))
            case "record":
                paths = random.sample(
                    started, min(len(started), 1 + (random.randrange(4) == 0))
                )
                record(course, paths, facts_only=random.random() < lost)
            case "outside":
                tell(course, random.choice(outside))
            case "disturb":
                tell(course, disturbance(course, random))
            case _ if (
                not choices or random.randrange(4) == 0
            ):  # what is due when a decision is missing
                tell(
                    course,
                    cmd.Advance()
                    if course.state.status != st.PAUSED
                    else cmd.ResumeRun(),
                )
            case _:
                pass
    raise AssertionError(f"nothing ends this run: {course.state}")


def disturbance(course: Course, random: Random) -> cmd.Command:
    """Return what happens seldom: a worker goes silent, somebody pauses the run, or cancels it."""
    started = course.started()
    lost = [cmd.LoseLease(path, course.state.steps[path].fence) for path in started]
    people: list[cmd.Command] = [cmd.PauseRun("wait"), cmd.ResumeRun(), cmd.ResumeRun()]
    if random.randrange(20) == 0:
        people.append(cmd.CancelRun("enough"))
    return random.choice([*people, *lost])


def record(course: Course, paths: list[str], *, facts_only: bool) -> None:
    command = cmd.RecordOutcomes(tuple(course.outcome(path) for path in paths))
    course.done.append((command, facts_only))
    course.give(command, facts_only=facts_only)


def tell(course: Course, command: cmd.Command) -> None:
    course.done.append((command, False))
    course.give(command)


def at_once(course: Course) -> Iterator[cmd.Command | Claim]:
    """Return what was done, each outcome decided on by itself."""
    for command, _ in course.done:
        if isinstance(command, cmd.RecordOutcomes):
            yield from (cmd.RecordOutcomes((outcome,)) for outcome in command.outcomes)
        else:
            yield command


def together(course: Course) -> Iterator[cmd.Command | Claim]:
    """Return what was done, outcomes that lost their decision recorded with those that were decided on after them."""
    waiting: list[cmd.Outcome] = []
    for command, facts_only in course.done:
        if isinstance(command, cmd.RecordOutcomes):
            waiting += command.outcomes
        if facts_only:
            continue
        if isinstance(command, Claim):
            yield command
            continue
        if waiting:
            yield cmd.RecordOutcomes(tuple(waiting))
            waiting = []
        if not isinstance(command, cmd.RecordOutcomes):
            yield command
    if waiting:
        yield cmd.RecordOutcomes(tuple(waiting))


def repeat(course: Course, commands: Iterator[cmd.Command | Claim]) -> Course:
    """Do the same to another run, each decided on as it comes; steps that it has withdrawn have no outcome."""
    other = Course(course.plan, course.bad)
    other.give(cmd.StartRun("0-r", {}))
    for command in commands:
        if isinstance(command, Claim):
            if command.step in other.claimable():
                other.claim(command.step)
        elif isinstance(command, cmd.LoseLease):
            step = other.state.steps.get(command.step)
            other.give(
                cmd.LoseLease(command.step, step.fence if step is not None else "")
            )
        else:
            other.give(command)
    for _ in range(MOST_ACTIONS):
        if other.state.closed:
            break
        finish(other)
    return other


def finish(course: Course) -> None:
    """Let everything happen that can happen now."""
    course.give(cmd.ResumeRun() if course.state.status == st.PAUSED else cmd.Advance())
    for path in course.claimable():
        course.claim(path)
    for path in course.started():
        if path in course.started():
            course.give(cmd.RecordOutcomes((course.outcome(path),)))
    for command in list(course.outside()):
        course.give(command)


def check(course: Course) -> None:
    """What holds of the end of every run."""
    state = course.state
    assert not state.open_steps
    assert not state.unsettled
    assert not state.pending
    failed = [
        path
        for path, step in state.steps.items()
        if step.status == st.FAILED
        and step.then == "fail"
        and "." not in path
        and "~" not in path
    ]
    if state.status == st.COMPLETED:
        assert not [path for path in failed if not is_item(path)], (
            "the run completed, and a step of it has failed"
        )


def compare(course: Course, other: Course, *, beside: bool = False) -> None:
    """Compare a run with one that lost no decision.

    Where each outcome was decided on by itself, the run may have results `beside`, of steps that had been withdrawn
    there; and what is undone, is so in the order in which it was decided, so that is left out.
    """
    before, after = other.end(), course.end()
    if beside:
        before, after = _without_unwinding(before), _without_unwinding(after)
        late = {
            x.step
            for command, _ in course.done
            for x in getattr(command, "outcomes", ())
        }
        extra = {path for path in after.keys() - before.keys() if path in late}
        after = {path: value for path, value in after.items() if path not in extra}
    assert after == before, f"{course.plan.definition} {course.done}"


def _without_unwinding(end: dict[str, Any]) -> dict[str, Any]:
    error = {
        name: value for name, value in end["error"].items() if name != "not_compensated"
    }
    return {path: value for path, value in end.items() if "~" not in path} | {
        "error": error
    }


def case(seed: int, *, racy: bool) -> int:
    """Play one case; gives how many decisions were lost in it."""
    random = Random(seed)
    plan = plan_of(Documents(random, racy=racy).document())
    course = Course(plan, random.randrange(1 << 30))
    play(course, random, random.choice([0.3, 0.7, 1.0]))
    check(course)
    compare(course, repeat(course, together(course)))
    if not racy:
        compare(course, repeat(course, at_once(course)), beside=True)
    return sum(facts_only for _, facts_only in course.done)
