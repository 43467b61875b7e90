"""Components of the composed system: put yours here, or mount another file."""

from openagents_json import tool


@tool("greet")
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


@tool("answer", queue="agent")
def answer(question: str) -> str:
    """Answer a question, on the workers of agents."""
    return f"You asked: {question}"
