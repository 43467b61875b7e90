"""The model of the document: each option with its kind, its default and its meaning, said here and nowhere else.

The JSON Schema, the known keys, the pydantic models and the tables of the reference are made of it (`scripts/schema`),
and the compiler reads documents through it. What is said of steps stands in `steps`
and `waits`.
"""

from __future__ import annotations

from typing import Any, Final

from openagents_json.workflow.core.parameters import TYPES
from openagents_json.workflow.core.usage import (
    ASK,
    FAIL,
    MOST_BUDGET_TOKENS,
    MOST_COST,
    PAUSE,
)
from openagents_json.workflow.language.options import (
    ANY,
    FLAG,
    OBJECT,
    SECONDS,
    TEXT,
    WORDS,
    Kind,
    Object,
    array,
    by_name,
    either,
    number,
    of,
    one_of,
    option,
    plain,
    same,
    short,
    text,
    whole,
)
from openagents_json.workflow.language.steps import NAME, STEP, Block, Fairness

SEMVER: Final = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
ARRAY: Final = plain("array")


class Parameter(Object):
    """An input or output of a workflow."""

    type = option(one_of(*TYPES), "its type", default="any")
    description = option(TEXT, "for people")
    default = option(ANY, "what an input is that is not given")
    required = option(FLAG, "whether it has to be given", default=False)
    enum = option(ARRAY, "the values that it may have")
    pattern = option(
        text(form="regex"), "a regular expression (RE2) that is found in it"
    )
    minimum = option(number(), "the least that a number may be")
    maximum = option(number(), "the most that a number may be")
    format = option(
        TEXT, "`date`, `date-time`, `email`, `uri` or `uuid`; others are for people"
    )
    source = option(TEXT, "of an output: the template that gives it")


class StateDependencies(Object):
    """What 0.1.4 said about state."""

    isolation = option(one_of("none", "step", "agent", "workflow"), "for people")
    persistence = option(
        one_of("none", "memory", "disk", "database"),
        "what 0.1.4 called the persistence of a run",
    )
    sharing = option(ARRAY, "for people")


MODES: Final = one_of("step", "checkpoint", "outcome")


class Persistence(Object):
    """When transitions go to the log."""

    mode = option(MODES, "how much of a run goes to the log, and when", required=True)
    every_steps = option(whole(1), "of `checkpoint`: after so many steps", default=50)
    every_seconds = option(SECONDS, "of `checkpoint`: after so much time", default=1)


class Concurrency(Object):
    """Runs of a key at a time."""

    key = option(WORDS, "a template for the key; without it, the workflow's id")
    limit = option(
        whole(1), "how many runs of a key there may be at a time", required=True
    )
    on_limit = option(
        one_of("queue", "reject", "cancel_oldest"),
        "what happens to one more, or to the oldest",
        default="queue",
    )


class Debounce(Object):
    """A run begins when no other of its key was started for some time."""

    key = option(WORDS, "a template for the key; without it, the workflow's id")
    seconds = option(SECONDS, "how long, in seconds", required=True)


MONEY: Final = either(
    number(0, MOST_COST), text(pattern=r"^[0-9]+(\.[0-9]+)?$"), read=same
)
TOKENS: Final = whole(0, MOST_BUDGET_TOKENS)


class Budget(Object):
    """How much a run may use, and what happens when it has used more."""

    cost = option(MONEY, "money, in the currency that components report")
    tokens = option(TOKENS, "tokens, in and out together")
    input_tokens = option(TOKENS, "tokens that go in")
    output_tokens = option(TOKENS, "tokens that come out")
    on_exceeded = option(
        one_of(FAIL, PAUSE, ASK),
        "what happens before anything more begins: the run fails, pauses, or pauses and waits for the signal `budget`",
        default=FAIL,
    )


class FailureBlock(Object):
    """Steps that run when the workflow has failed."""

    steps = option(array(STEP, least=1), "its steps, at least one", required=True)
    connections = Block.connections
    execution = Block.execution
    output = Block.output


def work(name: str) -> Kind[Any]:
    """Return the kind of what is a step but for its id."""
    return Kind({"$ref": "#/$defs/work", "required": [name]}, same)


class Document(Object, others=("$schema", "schema_version", "engine")):
    """A workflow document."""

    id = option(
        NAME, "name of the workflow, letters, digits, `-` and `_`", required=True
    )
    version = option(text(pattern=SEMVER), "semantic version", default="1.0.0")
    name = option(TEXT, "for people")
    description = option(TEXT, "for people")
    inputs = option(by_name(Parameter), "name -> parameter; checked at the start")
    outputs = option(
        by_name(Parameter),
        "name -> parameter with an optional `source` template; used when there is no `output`",
    )
    output = option(ANY, "the result: any JSON with templates")
    steps = option(array(STEP, least=1), "the steps, at least one", required=True)
    connections = Block.connections
    state_dependencies = option(
        of(StateDependencies), "what 0.1.4 said about state", see="persistence"
    )
    metadata = option(OBJECT, "for people")
    timeout = option(SECONDS, "seconds for the whole run", default=0)
    persistence = option(
        short(MODES, "mode", Persistence),
        "how much of a run goes to the log, and when; `step` if nothing is said",
        see="persistence",
    )
    concurrency = option(
        of(Concurrency), "runs of a key at a time", see="limits-across-runs"
    )
    debounce = option(
        of(Debounce),
        "the run begins when no other of its key was started for so long; the earlier ones are cancelled. The times of "
        "their starts decide, whoever starts them: a program, a schedule, a parent",
    )
    fairness = option(
        of(Fairness),
        "by which key its steps get their part of the queues that they share with others",
        see="fairness",
    )
    budget = option(of(Budget), "how much a run may use", see="budget")
    on_failure = option(
        either(
            WORDS,
            array(STEP, least=1),
            of(FailureBlock),
            work("component"),
            work("workflow"),
            read=same,
        ),
        "a component's name, a call {`component`, `inputs`}, {`workflow`}, steps, or a block: runs when the run has "
        "failed, after compensations; sees `error` and `failed_step`",
    )
    execution = Block.execution
