"""How names get their values: run inputs, steps, the workflow, and the names of a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from openagents_json.workflow.errors import NotAvailable
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.functions.members import missing
from openagents_json.workflow.expressions.null import NULL, Null
from openagents_json.workflow.expressions.scope import Scope, StepView
from openagents_json.workflow.types import Json

_FACTS: Final = frozenset(
    {"output", "outputs", "success", "status", "error", "attempts"}
)


ERRORS: Final = "errors"
"""Under this name, a foreach has the errors of its items, unless its result has a member of that name.

It is not among the facts: a step as a whole is what it was before there was this name.
"""


class StepNames(Mapping[str, Any]):
    """A step as templates see it: its facts, its named outputs, and else the members of its output."""

    __slots__ = ("_budget", "_view")

    def __init__(self, view: StepView, budget: Budget) -> None:
        self._view = view
        self._budget = budget

    def __getitem__(self, key: str) -> Any:
        view = self._view
        if key == "success":
            return view.status == "completed"
        if key in ("status", "attempts", "error"):
            return getattr(view, key)
        if key == ERRORS and view.item_errors is not None and not self._says(key):
            # Each item is looked at, however often an expression asks.
            self._budget.spend(view.items)
            return view.item_errors()
        return self._result(view, key)

    def _says(self, key: str) -> bool:
        """Tell whether the result has a member, or an output, of that name."""
        results = (self._view.outputs, self._view.output)
        return any(isinstance(x, Mapping) and key in x for x in results)

    def _result(self, view: StepView, key: str) -> Any:
        # One rule for all forms: a step without a result is null, and so is whatever is looked up in it; what a handler
        # gave in the place of a result is one.
        if view.has_no_result:
            return NULL
        if key == "output":
            return view.output
        members = _members_of(view)
        if key == "outputs":
            return members
        if key in members:
            return members[key]
        if isinstance(view.output, Mapping):
            return view.output[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        names = [*sorted(_members_of(self._view)), *sorted(_FACTS)]
        return iter(dict.fromkeys(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _members_of(view: StepView) -> Mapping[str, Json]:
    """Return the named outputs of a step, or else the members of its output."""
    if view.outputs is not None:
        return view.outputs
    if isinstance(view.output, Mapping):
        return view.output
    return {}


_NO_VALUE: Final = "all steps together are no value: name one, as in steps['id']"


class StepsView(Mapping[str, Any]):
    """All steps, by id: one can be asked for, and not which there are, as that hangs on when it is asked."""

    __slots__ = ("_budget", "_scope")

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self._scope = scope
        self._budget = budget

    def __getitem__(self, key: str) -> Any:
        view = self._scope.step(key)
        if view is None:
            return NULL
        return StepNames(view, self._budget)

    def __iter__(self) -> Iterator[str]:
        raise NotAvailable(_NO_VALUE)

    def __len__(self) -> int:
        raise NotAvailable(_NO_VALUE)


class _Secrets(Mapping[str, str]):
    """Secrets, which nobody knows here: each stands for itself as a template, for the worker to put in."""

    def __getitem__(self, key: str) -> str:
        return secret_marker(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


_SECRETS: Final = _Secrets()


def secret_marker(name: str) -> str:
    """Return the text that stands for a secret in a step's recorded inputs."""
    return f"{{{{secrets.{name}}}}}"


class Lookup:
    """Gives the values of root names; `local` are the names of the place, such as `value` in a transform.

    All that is evaluated with it, such as the inputs of a step, has one budget, which is part of the decision's.
    """

    __slots__ = ("_local", "_scope", "budget")

    def __init__(self, scope: Scope, local: Mapping[str, Json] | None = None) -> None:
        around = scope.local
        self._scope = scope
        self._local = {**around, **(local or {})} if around else local
        self.budget = scope.together.next()

    def root(self, name: str) -> Any:
        """Return the value of a root name."""
        if self._local is not None and name in self._local:
            return self._local[name]
        match name:
            case "input" | "inputs":
                return self._scope.inputs
            case "workflow":
                return self._scope.workflow
            case "steps":
                return StepsView(self._scope, self.budget)
            case "secrets":
                return _SECRETS
        view = self._scope.step(name)
        if view is None:
            return NULL
        return StepNames(view, self.budget)


def find_path(lookup: Lookup, path: tuple[str | int, ...]) -> Json:
    """Follow a path of keys and indexes.

    Raises LookupError with the reason.
    """
    value = lookup.root(str(path[0]))
    for key in path[1:]:
        if isinstance(value, Null):
            return None
        if isinstance(value, Mapping):
            key = str(key)  # names are texts, also those of digits
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise LookupError(missing(value, key)) from None
    if isinstance(value, StepsView):
        raise LookupError(_NO_VALUE)
    return _plain(value)


def _plain(value: Any) -> Json:
    if isinstance(value, Null):
        return None
    if isinstance(value, StepNames):
        return {key: _plain(value[key]) for key in sorted(set(value))}
    return value
