"""A store whose every name and text would move the cursor, and the commands that show it."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any, cast

from eventstore.redis.leases.store import LeaseStore
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.hooks.actions import StartsAndSignals
from openagents_json.engine.hooks.incoming import Incoming
from openagents_json.engine.hooks.service import Hooks
from tests.acceptance.processes import openagents
from tests.conftest import Server, wait_for

EVIL = (
    "a\x1b]0;t\x07\x1b[2J\x1b[31mred\x9b2J\x7f\r\x08\u202eb"
    "\u2066c\u200f\u061c\u2028d\ue000\n\topenagents: all is well"
)


WORD = EVIL.replace("\n", "").replace(" ", "").replace("\t", "").replace(":", "")


MODULE = f"""
from openagents_json import Context, tool

EVIL = {EVIL!r}


class Wrong(Exception):
    pass


Wrong.__name__ = EVIL


@tool("show", description=EVIL, tags=[EVIL])
def show(text: str, context: Context) -> dict:
    context.emit(text)
    context.emit({{text: [text]}})
    context.logger.warning(text)
    return {{text: [text]}}


@tool("break")
def broken(text: str) -> None:
    raise Wrong(text)
"""


GOOD: dict[str, Any] = {
    "id": "good",
    "description": EVIL,
    "metadata": {"author": EVIL, EVIL: EVIL},
    "steps": [{"id": "a", "component": "show", "inputs": {"text": "{{input.text}}"}}],
    "output": {EVIL: "{{a.output}}", "b": "{{input.text}}"},
}


WAITS: dict[str, Any] = {
    "id": "waits",
    "steps": [{"id": "a", "wait_for": {"signal": EVIL}}],
    "output": "{{a.output}}",
}


FAILS: dict[str, Any] = {
    "id": "fails",
    "steps": [{"id": "a", "component": "break", "inputs": {"text": "{{input.text}}"}}],
}


WRONG: dict[str, Any] = {
    "id": EVIL,
    EVIL: EVIL,
    "inputs": {EVIL: {"type": EVIL, "default": EVIL}},
    "steps": [
        {
            "id": EVIL,
            "component": EVIL,
            "condition": "{{" + EVIL + "}}",
            "inputs": {EVIL: "{{" + EVIL + ".x}}"},
        }
    ],
    "connections": [{"source": EVIL, "target": EVIL}],
}


WEBHOOK: dict[str, Any] = {
    "url": "https://example.com/x",
    "secret": "HOSTILE",
    "labels": {EVIL: EVIL},
    "workflows": [EVIL],
}


HOOK: dict[str, Any] = {
    "signature": {"preset": "github", "secrets": ["HOSTILE"]},
    "start": {"workflow": "good", "inputs": {"text": EVIL}, "labels": {EVIL: EVIL}},
}


def deliver_hostile_text(engine: Engine) -> None:
    """Register a hook, and send it what looks like something else."""
    engine.hooks.register("pushes", HOOK)
    hooks = Hooks(cast(StartsAndSignals, engine), {"HOSTILE": "s"}.get)
    body = json.dumps({EVIL: EVIL}).encode()
    signature = hmac.new(b"s", body, "sha256").hexdigest()
    signed = ("x-hub-signature-256", f"sha256={signature}")
    sent = [signed, ("x-github-delivery", EVIL), ("x-evil", EVIL)]
    hooks.receive("pushes", Incoming(sent, body))


class World:
    """A store whose every text is made up to look like something else."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.folder = folder
        self.where = ["--url", server.url, "--prefix", server.prefix()]
        self.evil_file = folder / WORD[:40]
        for name, document in (
            ("good", GOOD),
            ("waits", WAITS),
            ("fails", FAILS),
            ("wrong", WRONG),
            ("hook", HOOK),
            ("webhook", WEBHOOK),
        ):
            (folder / f"{name}.json").write_text(json.dumps(document))
        self.evil_file.write_text(json.dumps(WRONG, ensure_ascii=False))
        (folder / "newer.json").write_text(
            json.dumps({**GOOD, "version": "1.1.0", "output": EVIL})
        )
        (folder / "mod.py").write_text(MODULE)
        (folder / "policy.json").write_text(json.dumps({"archive": {EVIL: EVIL}}))
        with self.engine() as engine:
            engine.publish(GOOD)
            engine.publish(FAILS)
            deliver_hostile_text(engine)
            engine.webhooks.register("tells", WEBHOOK)
            many = {EVIL: EVIL, "text": EVIL}
            self.done = engine.run(GOOD, many, labels={EVIL: EVIL}, timeout=60).id
            self.shown = engine.run(GOOD, many, labels={EVIL: EVIL}, timeout=60).id
            self.other = engine.run(GOOD, {"text": "x"}, timeout=60).id
            self.failed = engine.run(FAILS, many, labels={EVIL: EVIL}, timeout=60).id
            self.failed_too = engine.run(FAILS, many, timeout=60).id
            self.waits = engine.start(WAITS, many, labels={EVIL: EVIL})
            self.held = engine.start(WAITS, many)
            engine.signal(
                self.held,
                EVIL,
                {EVIL: EVIL},
                key=EVIL,
                by=EVIL,
                reason=EVIL,
                idempotency_key=EVIL,
            )
            engine.wait(self.held, timeout=60)
            engine.retry(self.failed, reason=EVIL, inputs={"text": EVIL})
            engine.wait(self.failed, timeout=60)
            wait_for(lambda: bool(engine.emitted(self.shown)))
            leases = LeaseStore(engine.core.store)
            for name in ("taken", "kept"):
                leases.take(name, EVIL, name, 86_400_000)
        assert openagents(
            "audit", "keygen", "--output", "k", folder=folder
        ).returncode in (0, 2)

    def engine(self) -> Engine:
        components = load([str(self.folder / "mod.py")])
        url, prefix = self.where[1], self.where[3]
        return Engine.connect(
            url,
            prefix=prefix,
            components=components,
            workers=2,
            partitions=2,
            actor=EVIL,
        )

    def calls(self) -> dict[str, list[list[str]]]:
        """Return calls of every command that print what the store has, or refuse what they are given."""
        return (
            self._of_others()
            | self._of_services()
            | self._of_catalog()
            | self._of_runs()
            | self._of_runs_again()
            | self._of_schedules()
            | self._of_workers()
            | self._of_workflows()
        )

    def _of_others(self) -> dict[str, list[list[str]]]:
        done, waits = self.done, self.waits
        return {
            "audit export": [
                ["--output", str(self.folder / "ledger.zip")],
                ["--output", "-"],
            ],
            "audit keygen": [["--output", str(self.folder / WORD[:30])]],
            "audit receipt": [[done, "1"], [done, "99"]],
            "audit seal": [[], ["--private-key", EVIL]],
            "audit status": [[]],
            "audit verify": [
                [],
                ["--run", done],
                [str(self.evil_file)],
                ["--key", EVIL],
            ],
            "audit witness": [[]],
            "completion": [["bash"]],
            "components import": [[str(self.evil_file)], ["mod.py", "--name", EVIL]],
            "components stats": [[]],
            "config show": [[], ["--json"], ["--profile", EVIL], ["--leases", EVIL]],
            "dev": [["--data", str(self.evil_file)]],
            "doctor": [[], ["--repair"]],
            "init": [[str(self.folder / WORD[:30])], [str(self.evil_file / EVIL)]],
            "lsp": [[], ["--profile", EVIL]],
            "keys adopt": [[done, EVIL]],
            "keys generate": [[]],
            "keys rotate": [[]],
            "keys show": [[done]],
            "locks break": [["taken", "--yes", "--reason", EVIL], ["kept"], [EVIL]],
            "locks list": [[], ["--wide"]],
            "projections list": [[]],
            "projections rebuild": [["runs"]],
            "projections show": [
                ["runs"],
                ["runs", done],
                ["steps", waits],
                ["runs", EVIL],
            ],
            "projections verify": [["runs"]],
            "retention apply": [["policy.json"], [str(self.evil_file)]],
            "run": [
                ["good.json", "-i", f"text={EVIL}"],
                ["fails.json", "-i", f"text={EVIL}"],
                ["wrong.json"],
                ["good.json", "-i", EVIL],
                ["good.json", "--key", EVIL, "-i", f"text={EVIL}"],
                ["good.json", "--key", EVIL, "-i", f"{WORD}=1"],
                [str(self.evil_file)],
            ],
        }

    def _of_services(self) -> dict[str, list[list[str]]]:
        nowhere = ["--data", str(self.evil_file)]
        return {
            "api-keys create": [[EVIL], ["good"]],
            "api-keys limit": [[EVIL, "--rate", "1/s"]],
            "api-keys list": [[]],
            "api-keys revoke": [[EVIL]],
            "api-keys rotate": [[EVIL]],
            "config schema": [[]],
            "hooks delete": [[EVIL, "--yes"], ["pushes"]],
            "hooks deliveries": [[EVIL], ["pushes"]],
            "hooks list": [[]],
            "hooks register": [
                ["pushes", "hook.json"],
                [EVIL, "hook.json"],
                ["other", str(self.evil_file)],
            ],
            "hooks replay": [["pushes", EVIL], [EVIL, EVIL]],
            "hooks show": [["pushes"], ["pushes", EVIL], [EVIL]],
            "mcp": [nowhere],
            "webhooks delete": [[EVIL, "--yes"], ["tells", "--yes"]],
            "webhooks dispatch": [nowhere],
            "webhooks list": [[]],
            "webhooks register": [
                ["tells", "webhook.json"],
                [EVIL, "webhook.json"],
                ["other", str(self.evil_file)],
            ],
            "webhooks show": [["tells"], [EVIL]],
            "openapi": [[], ["--service", EVIL]],
            "serve": [nowhere, ["--open", "--host", EVIL]],
        }

    def _of_catalog(self) -> dict[str, list[list[str]]]:
        why = ["--reason", EVIL]
        return {
            "components register": [["mod.py", *why], [str(self.evil_file)]],
            "components list": [[], ["--wide"], ["--as-of", EVIL]],
            "components search": [[EVIL], ["show"], ["--tag", EVIL]],
            "components show": [["show"], ["show", "--as", "mcp"], [EVIL]],
            "components deprecate": [["show", *why, "--instead", EVIL], [EVIL, *why]],
            "components withdraw": [["break", *why], [EVIL, *why]],
            "components history": [["show"], [EVIL]],
            "components alias": [[f"show@{EVIL}", EVIL], ["show@stable", "--remove"]],
        }

    def _of_runs(self) -> dict[str, list[list[str]]]:
        done, failed, waits, why = (
            self.done,
            self.failed,
            self.waits,
            ["--reason", EVIL],
        )
        return {
            "runs archive": [[done, "--to", EVIL]],
            "runs cancel": [
                [done, *why],
                [EVIL],
                [done, EVIL, "--yes"],
                ["--where", EVIL],
                ["--where", f"workflow={EVIL}", "--yes"],
                ["--where", "workflow=waits", "--dry-run"],
            ],
            "runs delete": [
                [self.other],
                [EVIL, "--yes", *why],
                ["--where", f"label.{EVIL}={EVIL}", "--dry-run"],
            ],
            "runs complete": [[failed, EVIL, "--output", EVIL, *why]],
            "runs diff": [[done, self.other], [done, failed]],
            "runs explain": [[failed], [waits], [done]],
            "runs export": [
                [done, "--output", "run.zip"],
                [done, "--output", "run.zip"],
                [done, "--output", "-"],
            ],
            "runs failures": [[], ["--wide"]],
            "runs fork": [[done, "--at", "1", *why], [done, "--at", "999"]],
            "runs heal": [
                ["--dry-run", "--workflow", "fails", "--set", f"text={EVIL}"],
                ["--resume", EVIL],
            ],
            "runs history": [
                [done],
                [failed],
                [self.held],
                *(
                    [done, "--format", form]
                    for form in ("json", "jsonl", "cloudevents", "otel")
                ),
            ],
            "runs hold": [[self.other, *why]],
            "runs import": [["run.zip"], [str(self.evil_file)]],
            "runs list": [
                [],
                ["--label", f"{WORD}={WORD}"],
                ["--workflow", EVIL],
                ["--status", EVIL],
                ["--json"],
                ["--wide"],
                ["--columns", "run,error,labels,step,parent"],
                ["--columns", EVIL],
            ],
            "runs memory": [[done]],
        }

    def _of_runs_again(self) -> dict[str, list[list[str]]]:
        done, failed, waits, why = (
            self.done,
            self.failed,
            self.waits,
            ["--reason", EVIL],
        )
        return {
            "runs open": [["run.zip"], [str(self.evil_file)]],
            "runs output": [[done], [done, "--json"]],
            "runs pause": [[waits, *why]],
            "runs promote": [[done, "--to", EVIL]],
            "runs redact": [[waits, *why, "--yes"]],
            "runs release": [[self.other, *why]],
            "runs replay": [
                [self.failed_too, *why],
                [self.failed_too, "--set", f"{WORD}=1"],
            ],
            "runs rerun": [[self.failed_too, EVIL, *why]],
            "runs restore": [[done], [EVIL]],
            "runs resume": [[waits, *why]],
            "runs retry": [[done, "--step", EVIL, *why]],
            "runs show": [[done], [failed], [self.held], [waits], [done, "--json"]],
            "runs shred": [[done, *why, "--yes"]],
            "runs signal": [[waits, "unknown" + EVIL, "--payload", EVIL, "--by", EVIL]],
            "runs skip": [[failed, EVIL, *why]],
            "runs state": [[done], [done, "--at", EVIL]],
            "runs timeline": [[done], [failed], [waits], [done, "--all"]],
            "runs waiting": [[], ["--json"]],
            "runs watch": [[done], [failed], [done, "--json"]],
        }

    def _of_schedules(self) -> dict[str, list[list[str]]]:
        return {
            "schedules create": [
                ["nightly", "good", "--cron", "0 3 * * *", "--input", f"text={EVIL}"],
                [EVIL, "good", "--cron", EVIL],
                ["bad", EVIL, "--cron", "0 3 * * *"],
            ],
            "schedules backfill": [["nightly", "--from", EVIL, "--to", EVIL]],
            "schedules list": [[]],
            "schedules next": [["nightly"], [EVIL]],
            "schedules trigger": [["nightly", "--idempotency-key", EVIL], [EVIL]],
            "schedules update": [
                ["nightly", "--input", f"text={EVIL}"],
                ["nightly", "--workflow", EVIL],
                ["nightly", "--cron", EVIL],
                [EVIL],
            ],
            "schedules pause": [["nightly"]],
            "schedules resume": [["nightly"]],
            "schedules show": [["nightly"], [EVIL]],
            "schedules delete": [["nightly", "--yes"], [EVIL, "--yes"]],
        }

    def _of_workers(self) -> dict[str, list[list[str]]]:
        return {
            "steps": [[]],
            "validate": [
                ["wrong.json", str(self.evil_file), "good.json"],
                ["wrong.json", "--json"],
                [EVIL],
            ],
            "worker": [["--url", f"redis://127.0.0.1:1/{WORD}"]],
            "usage": [[], ["--by", "label"]],
            "fairness list": [[]],
            "fairness weight": [
                [EVIL, "3", "--reason", EVIL],
                [EVIL, "--of-steps", "--reason", EVIL],
                [EVIL],
            ],
            "workers list": [[]],
            "workers pause": [[EVIL], ["--type", EVIL, "--reason", EVIL]],
            "workers resume": [["--type", EVIL]],
            "workers concurrency": [["--type", EVIL, "--at-most", "2"], [EVIL]],
            "workers drain": [["--type", EVIL], [EVIL]],
            "workers log": [[]],
        }

    def _of_workflows(self) -> dict[str, list[list[str]]]:
        why = ["--reason", EVIL]
        return {
            "workflows add": [["good.json"], ["wrong.json"], [str(self.evil_file)]],
            "workflows alias": [["good@stable", "1.0.0"], [f"good@{EVIL}", EVIL]],
            "workflows check": [["newer.json"], ["wrong.json"]],
            "workflows draw": [
                ["good.json"],
                ["good", "--format", "mermaid"],
                ["good", "--format", "svg"],
                ["--run", self.failed],
                ["wrong.json"],
                [str(self.evil_file)],
            ],
            "workflows schema": [[], ["--output", str(self.evil_file / EVIL)]],
            "workflows list": [[], ["--as-of", EVIL]],
            "workflows register": [["good.json", *why], [str(self.evil_file)]],
            "workflows search": [[EVIL], ["good", "--parameter", EVIL]],
            "workflows deprecate": [["good", *why, "--instead", EVIL], [EVIL, *why]],
            "workflows withdraw": [[f"good@{EVIL}", *why], [EVIL, *why]],
            "workflows history": [["good"], [EVIL]],
            "workflows diff": [
                ["good", "good.json"],
                ["good.json", "wrong.json"],
                [EVIL, str(self.evil_file)],
            ],
            "workflows show": [["good"], ["good", "--json"], [EVIL]],
            "workflows delete": [["good@1.0.0", "--yes"], [EVIL, "--yes"]],
        }
