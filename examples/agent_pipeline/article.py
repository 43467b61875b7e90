"""Let an agent write an article: see the words as they come, then approve it or not."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from pathlib import Path

import components
from pydantic import BaseModel

from openagents_json.engine import Engine, RunHandle

WORKFLOW = Path(__file__).with_name("workflow.json")


class Article(BaseModel):
    """The output of the workflow."""

    text: str
    page: str | None
    decided_by: str


def main() -> None:
    """Write about the topic that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument(
        "--answer", choices=["yes", "no"], help="approve, or not, without asking"
    )
    arguments = parser.parse_args()
    with Engine.embedded(".openagents", components=[components]) as engine:
        article = asyncio.run(write(engine, arguments.topic, arguments.answer))
    print(f"published as {article.page}" if article.page else "not published")


async def write(engine: Engine, topic: str, answer: str | None) -> Article:
    """Start a run, show what it writes, and decide when it asks."""
    run = await asyncio.to_thread(
        engine.start, WORKFLOW, {"topic": topic}, output=Article
    )
    print(f"run {run}")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(show_words(run))
        tasks.create_task(decide(engine, run, answer))
    return await run


async def show_words(run: RunHandle[Article]) -> None:
    """Print each word when the agent has written it."""
    async for shown in run.aemissions():
        print(shown.value, end=" ", flush=True)
        if shown.value.endswith("."):
            print()


async def decide(engine: Engine, run: RunHandle[Article], answer: str | None) -> None:
    """Answer the run when it waits for an approval."""
    async for event in run.aevents():
        if event.type == "StepScheduled" and event.step == "approval":
            await asyncio.sleep(0.5)  # what the agent showed last comes beside the log
            decision = answer or await asyncio.to_thread(
                input, "publish it? yes or no: "
            )
            payload = {"approved": decision == "yes"}
            await asyncio.to_thread(
                engine.signal, run, "approve", payload, by=getpass.getuser()
            )


if __name__ == "__main__":
    main()
