"""Capsules that are brought into a store: refused with nothing changed, or there like any other run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.processes import openagents_bytes
from tests.fuzz.arguments import check_words, masked
from tests.fuzz.cli_world import World
from tests.fuzz.evidence import Capsules

LOOKS = (
    ("runs", "show", "RUN"),
    ("runs", "history", "RUN", "--format", "cloudevents"),
    ("runs", "history", "RUN", "--format", "otel"),
    ("runs", "explain", "RUN"),
    ("runs", "state", "RUN"),
    ("runs", "list"),
    ("steps",),
    ("projections", "verify", "runs"),
    ("runs", "export", "RUN", "-o", "again.oac"),
    ("runs", "cancel", "RUN"),
    ("audit", "seal", "--private-key", "key"),
    ("audit", "verify"),
)
"""What is done with a run that came in; each has to end with 0 or 1, and to say why."""


class Imports(Capsules):
    """The target; its inputs are those of capsules."""

    name, folder = "imports", "capsules"

    def __init__(self, world: World) -> None:
        self._world = world

    def check(self, raw: bytes) -> str:
        """Bring it in twice, and look at what is there then in every way there is."""
        with self._world.restored() as folder:
            (folder / "given.oac").write_bytes(raw)
            code, errors, out = self._call(
                folder, "runs", "import", "given.oac", "--json"
            )
            if code == 0:
                run = json.loads(out)["id"]
                assert not json.loads(
                    self._call(folder, "runs", "import", "given.oac", "--json")[2]
                )["changed"]
                codes = [
                    self._call(
                        folder, *(run if word == "RUN" else word for word in look)
                    )[0]
                    for look in LOOKS
                ]
                errors = f"{json.loads(out)['status']} {codes}"
            self._world.check()
        return errors

    def _call(self, folder: Path, *arguments: str) -> tuple[int, str, bytes]:
        done = openagents_bytes(*arguments, *self._world.where, folder=folder)
        path = " ".join(arguments[:2])
        check_words(done.returncode, done.stdout, done.stderr, path)
        assert done.returncode in (0, 1, 4, 5, 6), (
            f"`{path}` ends with {done.returncode}"
        )
        return done.returncode, masked(done.stderr), done.stdout
