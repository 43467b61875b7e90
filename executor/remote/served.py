"""The components that a worker over HTTP says it has: their names and versions, and never their code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from openagents_json.catalog.registry import Registry
from openagents_json.workflow.component_spec import ComponentSpec


class ServedComponents:
    """What can be run elsewhere, by name and version; as `Runnable`, for claims."""

    def __init__(self, specs: Iterable[ComponentSpec]) -> None:
        self._registry = Registry()
        for spec in specs:
            self._registry.add_spec(spec)
        lines = [f"{x.name}@{x.version}={x.build}" for x in self._registry.specs()]
        # Never that of a process of ours, which may find other versions by the same references.
        text = "\n".join(["over http", *sorted(lines)])
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
        self.fingerprint = digest.hexdigest()[:16]

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the highest version of those served that a reference allows."""
        return self._registry.find(reference)

    def can_run(self, reference: str) -> bool:
        """Tell whether a reference leads to a component that is served."""
        return self.find(reference) is not None

    def build(self, reference: str) -> str:
        """Return the build of the component that is run under a reference, "" where there is none."""
        spec = self.find(reference)
        return "" if spec is None else spec.build

    def runnable(self) -> list[str]:
        """Return what is served, as "name@version"."""
        return sorted(f"{x.name}@{x.version}" for x in self._registry.specs())
