"""The examples of the language: each document says, under metadata, what to give it and what comes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
FEATURES = ROOT / "examples" / "features"
PATTERNS = ROOT / "examples" / "patterns"
COMPONENTS = FEATURES / "components.py"


@dataclass(frozen=True)
class Trial:
    """A document with what its `try` says."""

    name: str
    document: dict[str, Any]
    inputs: dict[str, Any]
    signals: list[dict[str, Any]]
    workflows: list[dict[str, Any]]
    expected: dict[str, Any]

    def check(self, status: str, output: Any, error: Any) -> None:
        assert status == self.expected["status"], error
        assert output == self.expected.get("output")
        if "error" in self.expected:
            assert error["type"] == self.expected["error"]


def trials() -> list[Trial]:
    documents = {}
    for path in sorted([*FEATURES.glob("*.json"), *PATTERNS.glob("*.json")]):
        documents[path.stem] = json.loads(path.read_text())
    collected = []
    for name, document in documents.items():
        trial = document["metadata"]["custom"]["try"]
        others = [documents[other] for other in trial.get("workflows", ())]
        collected.append(
            Trial(
                name,
                document,
                trial.get("inputs", {}),
                trial.get("signals", []),
                others,
                trial,
            )
        )
    return collected
