"""An agent that writes, one that judges, and a site that publishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypedDict

from openagents_json import Context, agent, capability, tool


class Verdict(TypedDict):
    """What the judge says of a draft."""

    score: int
    advice: str


async def model(prompt: str) -> AsyncIterator[str]:
    """Stand in for a language model that streams its answer; call your own here."""
    for word in prompt.split():
        await asyncio.sleep(0.01)
        yield word


@agent("writer")
class Writer:
    """Writes about a topic, and takes advice."""

    @capability("draft", timeout=60, retry={"max_retries": 2, "delay_seconds": 1})
    async def draft(self, topic: str, advice: str, context: Context) -> str:
        """Write a text; whoever follows the run sees each word at once."""
        prompt = f"All about {topic}." if not advice else f"{topic}, {advice}."
        words = []
        async for word in model(prompt):
            context.emit(word)
            words.append(word)
        return " ".join(words)


@agent("critic")
class Critic:
    """Judges what the writer wrote."""

    @capability("judge", effect="pure")
    def judge(self, text: str) -> Verdict:
        """Ask for one thing more until the text has it."""
        if "in short" in text:
            return {"score": 9, "advice": ""}
        return {"score": 5, "advice": "in short and in plain words"}


@tool("site.publish", effect="at_most_once")
def publish(topic: str, text: str) -> str:
    """Publish a text; nobody wants to read it twice."""
    page = Path(f"{topic.replace(' ', '-')}.txt")
    page.write_text(text + "\n")
    return str(page)
