"""`json.transform`: a value made of another one by JMESPath."""

from __future__ import annotations

from typing import Any

from openagents_json.components.decorators import tool


@tool("json.transform", effect="pure", version="1.0.0", tags=("json",))
def transform(data: Any, expression: str) -> Any:
    """Select and reshape JSON by a JMESPath expression; what it does not find is null."""
    from openagents_json.components.library.jmespath_search import search

    return search(expression, data)
