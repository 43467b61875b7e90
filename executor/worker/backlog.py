"""What the relay has taken and not acted on yet: one after the other, fair among kinds and among runs.

Nothing is lost with it: a member stays in the store until the commit that settles it, and comes again after a while.
"""

from __future__ import annotations

from collections import OrderedDict

from eventstore.run_model import DueMember
from openagents_json.work_index import DueKind


class Backlog:
    """Members by kind and by run; each kind has its turn, and in it each run."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[DueKind, OrderedDict[str, dict[str, DueMember]]] = (
            OrderedDict()
        )

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, member: DueMember) -> None:
        """Take a member in; one that is here already is replaced by what is known now."""
        runs = self._kinds.setdefault(member.kind, OrderedDict())
        runs.setdefault(member.run, {})[member.member] = member

    def take(self) -> DueMember:
        """Return the next member; there has to be one."""
        kind, runs = self._kinds.popitem(last=False)
        run, members = runs.popitem(last=False)
        name = next(iter(members))
        member = members.pop(name)
        if members:
            runs[run] = members
        if runs:
            self._kinds[kind] = runs
        return member
