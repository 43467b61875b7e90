"""Random documents whose decisions can be lost on the way."""

from __future__ import annotations

from random import Random
from typing import Any


class Documents:
    """Draws documents of the whole language; `racy` ones may come out differently when outcomes change places."""

    def __init__(self, random: Random, *, racy: bool) -> None:
        self.random, self.racy, self.count = random, racy, 0

    def one_in(self, count: int) -> bool:
        return self.random.randrange(count) == 0

    def document(self) -> dict[str, Any]:
        document = {"id": "w", **self.block(2, 5)}
        if self.one_in(3):
            document["on_failure"] = self.block(0, 3) if self.one_in(2) else "undo"
        return document

    def block(self, depth: int, size: int) -> dict[str, Any]:
        steps = [self.step(depth) for _ in range(self.random.randint(1, size))]
        for i, step in enumerate(steps[1:], 1):
            if self.one_in(2):
                self.join(steps, i, step)
        for i, step in enumerate(steps[:-1]):
            if (
                self.one_in(4)
                and "on_error" not in step
                and "foreach" not in step
                and "loop" not in step
            ):
                step["on_error"] = [
                    {"then": {"goto": self.random.choice(steps[i + 1 :])["id"]}}
                ]
        if self.racy and self.one_in(4):
            self.count += 1
            name = f"t{self.count}"
            steps.append(
                {
                    "id": name,
                    "terminate": {"status": "success"},
                    "depends_on": [steps[0]["id"]],
                }
            )
        return {
            "steps": steps,
            "execution": "sequential" if self.one_in(4) else "graph",
        }

    def join(
        self, steps: list[dict[str, Any]], index: int, step: dict[str, Any]
    ) -> None:
        sources = sorted(
            self.random.sample(range(index), self.random.randint(1, index))
        )
        step["depends_on"] = [steps[j]["id"] for j in sources]
        rest = self.racy and self.one_in(2)
        count = self.random.randint(1, len(sources))
        step["join"] = self.random.choice(
            ["all", "all", "any", {"n": count, "cancel_rest": rest}]
        )
        if step["join"] == "all" and self.one_in(3):
            step["condition"] = f"{{{{ {step['depends_on'][0]}.output != 1 }}}}"

    def step(self, depth: int) -> dict[str, Any]:
        self.count += 1
        kinds = (
            ["component"] * 4
            + ["sleep", "wait", "child"]
            + ["loop", "block"] * (depth > 0)
        )
        kind = self.random.choice(kinds)
        step: dict[str, Any] = {"id": f"s{self.count}", **self.kind(kind, depth)}
        if kind != "loop" and self.one_in(3):
            step |= self.foreach()
        if self.one_in(5):
            step["on_error"] = [{"then": "continue", "output": 1}]
        if self.one_in(4):
            step["compensate"] = {
                "component": "undo",
                "retry": {"max_retries": 1, "delay_seconds": 0},
            }
        if kind in ("loop", "block", "child") and self.one_in(3):
            step["timeout"] = 100
        return step

    def kind(self, kind: str, depth: int) -> dict[str, Any]:
        match kind:
            case "sleep":
                return {"sleep": self.random.choice([0, 5])}
            case "wait":
                return {"wait_for": {"signal": "go", "timeout": 30}}
            case "child":
                return {
                    "workflow": "child",
                    "retry": {
                        "max_retries": self.random.randint(0, 1),
                        "delay_seconds": 0,
                    },
                }
            case "loop":
                loop = {
                    "max_iterations": self.random.randint(1, 3),
                    "while": "{{index < 2}}",
                }
                return {"loop": {**loop, **self.block(depth - 1, 2)}}
            case "block":
                return self.block(depth - 1, 3)
            case _:
                step = {
                    "component": "c",
                    "retry": {
                        "max_retries": self.random.randint(0, 1),
                        "delay_seconds": 0,
                    },
                }
                return {**step, "mutex": "k"} if self.one_in(6) else step

    def foreach(self) -> dict[str, Any]:
        step: dict[str, Any] = {
            "foreach": self.random.choice(
                [[], [1], [1, 2, 3], [1, 2, 3, 4], {"a": 1, "b": 2}]
            )
        }
        if self.one_in(2):
            step["tolerated_failures"] = self.random.randint(1, 2)
        if self.one_in(3):
            step["max_concurrency"] = self.random.randint(1, 2)
        if self.racy and self.one_in(3):
            step["enough"] = self.random.randint(1, 2)
        return step
