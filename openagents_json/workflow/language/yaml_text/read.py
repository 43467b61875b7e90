"""A document in YAML as a source: its value, where its parts are, and what is wrong with the text."""

from __future__ import annotations

from functools import partial
from typing import Any

import yaml

from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.language.parse import Source, decoded_text
from openagents_json.workflow.language.yaml_text.builder import Builder
from openagents_json.workflow.language.yaml_text.nodes import locate, value_of


def read_yaml(text: str | bytes) -> Source:
    """Parse a document in YAML; a text that cannot be read is told by the source."""
    try:
        builder = _built(decoded_text(text, "invalid_yaml"))
    except NotADocument as error:
        return Source(None, wrong=error)
    root = builder.root
    if root is None:
        return Source(None, wrong=NotADocument("it is empty", problem="invalid_yaml"))
    return Source(
        value_of(root),
        positions=partial(locate, root),
        doubled=tuple(sorted(builder.doubled)),
        flaws=tuple(builder.flaws),
    )


def _built(text: str) -> Builder:
    """Build the nodes of a text.

    Raises NotADocument.
    """
    builder = Builder()
    try:
        for event in yaml.parse(text, Loader=_loader()):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        # A character that YAML has not, or half a pair of surrogates.
        reason = str(error).splitlines()[0]
        raise NotADocument(reason, problem="invalid_yaml") from error
    return builder


def _loader() -> Any:
    """Return the parser of libyaml, which is quick; where it is not built in, the one in Python, which refuses tabs."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _unreadable(error: yaml.MarkedYAMLError) -> NotADocument:
    mark = error.problem_mark or error.context_mark
    reason = ", ".join(text for text in (error.problem, error.context) if text)
    if mark is None:
        return NotADocument(reason, problem="invalid_yaml")
    return NotADocument(reason, mark.line + 1, mark.column + 1, problem="invalid_yaml")
