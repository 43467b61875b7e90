"""The model of steps: each option with its kind, its default and its meaning, said here and nowhere else.

The JSON Schema, the known keys, the pydantic models and the tables of the reference are made of it (`scripts/schema`),
and the compiler reads documents through it. What is said of waiting stands in `waits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.component_spec import EFFECTS
from openagents_json.workflow.language.options import (
    ANY,
    CONDITION,
    DAY,
    EXPRESSION,
    FLAG,
    LONGEST,
    OBJECT,
    SECONDS,
    TEXT,
    TEXTS,
    WORDS,
    Kind,
    Object,
    Renamed,
    array,
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
from openagents_json.workflow.language.waits import SLEEP, FirstOf, Signal, wait_of

ID: Final = "^[a-zA-Z0-9-_]+$"

NAME: Final = text(least=1, most=256, pattern=ID)
IDENTIFIER: Final = text(pattern="^[A-Za-z_][A-Za-z0-9_]*$")

STEP: Final[Kind[Step]] = Kind({"$ref": "#/$defs/step"}, lambda value: Step(value))
CONNECTION: Final[Kind[Connection]] = Kind(
    {"$ref": "#/$defs/connection"}, lambda value: Connection(value)
)
RETRY: Final[Kind[Retry]] = Kind({"$ref": "#/$defs/retry"}, lambda value: Retry(value))


class Connection(Object, others=("id", "name", "description", "metadata")):
    """A way from one step to another."""

    source = option(TEXT, 'where it begins: "step" or "step.output"', required=True)
    target = option(TEXT, 'where it ends: "step" or "step.input"', required=True)
    condition = option(CONDITION, "false closes it; sees `value` and `source`")
    transform = option(
        EXPRESSION, "an expression for what arrives; sees `value` and `source`"
    )


class Block(Object):
    """Steps, and how they follow each other."""

    steps = option(array(STEP, least=1), "its steps, at least one", does="block")
    connections = option(array(CONNECTION), "the ways between its steps")
    execution = option(
        one_of("sequential", "graph"),
        "whether steps without edges follow each other",
        default="sequential",
    )
    output = option(ANY, "its result: any JSON with templates")


class Loop(Object):
    """Steps that run again and again."""

    while_ = option(
        CONDITION, "asked before an iteration: false ends the loop", name="while"
    )
    until = option(CONDITION, "asked after an iteration: true ends the loop")
    max_iterations = option(
        whole(1, 1_000_000), "how many iterations there are at most", required=True
    )
    at_limit = option(
        one_of("complete", "fail"),
        "what the loop does after the last of them",
        default="complete",
    )
    steps = Block.steps
    connections = Block.connections
    execution = Block.execution
    output = Block.output


class Retry(Object):
    """How often and when a failed step is tried again."""

    max_retries = option(
        whole(0, 1_000_000),
        "executions after the first",
        default=3,
        old=Renamed(
            "max_attempts",
            "counts retries: there is one execution more",
            "how often a step is tried again",
        ),
    )
    delay_seconds = option(SECONDS, "the wait before the first retry", default=5)
    backoff_multiplier = option(
        number(1), "how many times longer each wait is than the one before", default=1
    )
    max_delay_seconds = option(SECONDS, "the longest wait; without it, there is none")
    max_elapsed_seconds = option(
        SECONDS,
        "no attempt begins when more than so much time has passed since the first one began, the wait before it "
        "included; without it, only `max_retries` counts",
    )
    max_retry_after_seconds = option(
        SECONDS,
        "the longest wait that a component may ask for with `RetryableError`",
        default=DAY,
    )
    jitter = option(
        either(FLAG, number(0, 1), read=same),
        "the part of a wait that is taken off or added by chance; true is 0.1",
        default=0,
    )
    retry_on = option(
        TEXTS, "names of the error types that are tried again; without it, all are"
    )
    no_retry_on = option(TEXTS, "names of error types that are not tried again")


class Timeouts(Object):
    """Time limits of a step, in seconds; 0 is none."""

    schedule_to_start = option(SECONDS, "until an attempt begins", default=0)
    start_to_close = option(
        SECONDS, "for an attempt; the same as `timeout`, and goes before it"
    )
    heartbeat = option(SECONDS, "between two signs of life of the component", default=0)
    total = option(SECONDS, "for all attempts, with the waits between them", default=0)


class Ending(Object):
    """How a step ends the run."""

    status = option(one_of("success", "failure"), "how the run ends", default="success")
    output = option(ANY, "the result of the run")


class Count(Object):
    """So many, and what becomes of the others."""

    n = option(whole(1), "how many", required=True)
    cancel_rest = option(FLAG, "whether the others are cancelled", default=False)


def join_of(value: Any) -> str | Count:
    """Read how many edges a step waits for: all, any, or so many."""
    if isinstance(value, Mapping):
        return Count(value)
    join: str = value
    return join


class Call(Object):
    """A component and what it is given."""

    component = option(WORDS, "the component", required=True)
    inputs = option(OBJECT, "what it is given; sees `result`, `output` and `error` too")
    retry = option(RETRY, "how it is retried; three times if nothing is said")
    timeout = option(SECONDS, "seconds for an attempt")


class Mutex(Object):
    """Steps that hold a key, over all runs."""

    key = option(WORDS, "a template for the key", required=True)
    limit = option(whole(1), "how many may hold it at a time", default=1)


class RateLimit(Object):
    """A token bucket, over all runs."""

    key = option(WORDS, "a template for the key; without it, the component")
    limit = option(whole(1), "how many attempts may begin in a period", required=True)
    per_seconds = option(number(above=0, most=LONGEST), "the period", default=1)


class Fairness(Object):
    """Whose steps these are, where several share workers."""

    key = option(
        WORDS,
        "a template for the key, of which a customer is an example; steps without one share one key of weight 1",
        required=True,
    )
    weight = option(
        whole(1, 1000),
        "how many steps a key gets of its queue each time that its turn comes",
        default=1,
    )


class Goto(Object):
    """Where an error handler goes."""

    goto = option(TEXT, "a step of the same block", required=True)


class ErrorHandler(Object):
    """What happens after a last failure."""

    errors = option(TEXTS, "names of the error types that it is for; without it, all")
    then = option(
        either(
            one_of("continue", "fail", "goto"),
            text(pattern="^goto[- :].+$"),
            of(Goto),
            read=same,
        ),
        "`continue`, `fail` or {`goto`: step}",
        required=True,
    )
    goto = option(TEXT, "the step, where `then` only says `goto`")
    step = option(TEXT, "the same as `goto`")
    output = option(ANY, "the result that the step has then; sees `error`")


class Step(Object):
    """One step."""

    id = option(NAME, "its name, unique in the document", required=True)
    name = option(TEXT, "for people")
    description = option(TEXT, "for people")
    component = option(
        WORDS,
        'runs a component: a tool\'s name or "agent.capability", optionally `@` a range of versions as npm knows them '
        "(`^1.4`, `~1.4.2`, `>=1 <2`, `1.x`; a prerelease only where the range names one of the same version); what is "
        "no range is `invalid_range`",
        does="component",
    )
    workflow = option(
        WORDS,
        "runs another workflow in a log of its own: `id`, `id@range` or `id@alias`",
        does="workflow",
    )
    wait_for = option(
        either(WORDS, of(Signal), of(FirstOf), read=wait_of),
        "waits for a signal: its name, {`signal`, `key`, `schema`, `timeout`}, or {`any`: [signals and one timer], "
        "`timeout`}",
        see="waiting",
        does="wait",
    )
    sleep = option(
        SLEEP,
        "waits, without a worker: seconds, {`seconds`, `minutes`, `hours`, `days`} added up, or {`until`: a time}",
        does="sleep",
    )
    loop = option(of(Loop), "runs its steps again and again", see="loops", does="loop")
    steps = option(
        array(STEP, least=1),
        "a block: steps inside of a step, with `connections`, `execution` and `output` of their own",
        see="blocks",
        does="block",
    )
    connections = Block.connections
    execution = Block.execution
    output = Block.output
    detached = option(FLAG, "of a `workflow`: starts it and goes on", default=False)
    terminate = option(
        short(one_of("success", "failure"), "status", Ending, "oneOf"),
        "`success` or `failure`, or {`status`, `output`}: ends the run",
        does="terminate",
    )
    inputs = option(
        OBJECT,
        "name -> any JSON with templates; of a loop: what `previous` is at first",
    )
    outputs = option(
        OBJECT,
        "name -> template over `result`, a member of the result, or `workflow.<name>` to set a workflow output",
    )
    condition = option(
        CONDITION, "false: the step is skipped; in a foreach it may look at the item"
    )
    retry = option(
        RETRY,
        "for components and workflows; without it, the step fails at the first failure",
    )
    timeout = option(
        SECONDS, "start to close; of a loop, a block or a workflow: all of it"
    )
    timeouts = option(of(Timeouts), "time limits one by one")
    foreach = option(
        plain("string", "array", "object"),
        "an array or object, or a template giving one: once for each item",
        see="foreach",
    )
    item = option(
        IDENTIFIER, "the name of a foreach's item in templates", default="item"
    )
    index = option(
        IDENTIFIER, "the name of a foreach's index in templates", default="index"
    )
    max_concurrency = option(whole(1, 10_000), "how many items may be under way")
    tolerated_failures = option(whole(0), "how many items may fail")
    min_success = option(whole(0), "how many items have to succeed")
    enough = option(
        short(whole(1), "n", Count),
        "the foreach completes when so many items have succeeded; the others are cancelled, or end unheard",
    )
    compensate = option(
        short(WORDS, "component", Call),
        "undoes the step when the run fails or is cancelled later",
        see="compensation",
    )
    mutex = option(
        short(WORDS, "key", Mutex),
        "no more than so many steps of a key hold it, over all runs",
    )
    rate_limit = option(
        of(RateLimit),
        "a token bucket over all runs; each attempt takes a token, first come, first served; what is cancelled leaves "
        "the line",
    )
    fairness = option(
        of(Fairness),
        "by which key it gets its part of its queue; without it, as the workflow says",
        see="fairness",
    )
    depends_on = option(TEXTS, "steps of the same block that come before")
    join = option(
        either(one_of("all", "any"), of(Count), read=join_of, word="oneOf"),
        "how many edges it waits for; n is at most the number of edges into the step",
        default="all",
    )
    on_error = option(
        array(of(ErrorHandler)),
        "what happens after a last failure; the first that fits",
    )
    effect = option(
        one_of(*EFFECTS),
        "what may be done with it; without it, what the component says, else `idempotent`",
        see="effects",
    )
    priority = option(
        whole(-1000, 1000),
        "higher is claimed earlier, and let in earlier by a mutex; one point is worth a minute of waiting",
        default=0,
    )
    state = option(OBJECT, "{`persist`: true} makes a checkpoint after the step")
    metadata = option(OBJECT, "for people")


KIND_OPTIONS: Final = tuple(item for item in Step.options.values() if item.does)
"""The options one of which a step has to have, as it says what the step does."""
