"""Calls that one side declares alone: nobody opens another workload's door without a word from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform.plan.knowledge import COMPONENT as KNOWLEDGE
from fleetform.plan.model import Link, Space
from fleetform.problems import Problem
from fleetform.resolve.collector import OPEN, is_collector
from fleetform.resolve.sharing import is_shared
from fleetform.tree import locate

if TYPE_CHECKING:
    from fleetform.plan.draft import Call, Draft
    from fleetform.plan.model import Ports
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.catalog import Key


class Declared:
    """What workloads say of each other, each by namespace and name."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self.drafts = {draft.resolved.key: draft for draft in drafts}
        self.calls = {
            (key, call.other.key) for key, draft in self.drafts.items() for call in draft.calls
        }
        self.admitted: dict[tuple[Key, Key | Space], set[tuple[str, int]]] = {}
        """Ports by callee, and by the caller or its namespace in the cluster."""
        for key, draft in self.drafts.items():
            for call in draft.called_by:
                self._admit(key, call.other.key, call.ports)
            for traffic in draft.admits:
                if isinstance(traffic.party, Space):
                    self._admit(key, traffic.party, traffic.ports)

    def _admit(self, callee: Key, caller: Key | Space, ports: Ports) -> None:
        self.admitted.setdefault((callee, caller), set()).update(ports)

    def admits(self, fleet: Fleet, draft: Draft, call: Call) -> bool:
        """Tell whether the callee admits a caller, by name or by its namespace, at all ports of a call."""
        if is_shared(call.other, draft.resolved.namespace):
            return True
        if is_collector(call.other) and {*call.ports} <= OPEN:
            return True
        space = Space(fleet.target_namespace(draft.resolved.namespace))
        callee = call.other.key
        found = self.admitted.get((callee, draft.resolved.key), set())
        return {*call.ports} <= found | self.admitted.get((callee, space), set())

    def is_unasked(self, draft: Draft, call: Call) -> bool:
        """Tell whether a workload of another namespace is admitted that does not call this one."""
        caller = call.other.key
        return (
            caller in self.drafts
            and _across(draft, call)
            and (caller, draft.resolved.key) not in self.calls
        )


def links(declared: Declared) -> dict[Link, None]:
    """Return every call between two workloads once, no matter which of the two declares it.

    A caller of another namespace that is admitted, and says nothing of a call, is left as it is.
    """
    drafts = declared.drafts.values()
    rows = [(draft.resolved, call.other, call.ports) for draft in drafts for call in draft.calls]
    rows += [
        (call.other, draft.resolved, call.ports)
        for draft in drafts
        for call in draft.called_by
        if not declared.is_unasked(draft, call)
    ]
    return {Link(caller.key, callee.key, ports): None for caller, callee, ports in rows}


def problems(fleet: Fleet, declared: Declared) -> Iterator[Problem]:
    """Yield calls of which the other side knows nothing.

    A call across namespaces is an error, and an admission that nobody asks for a warning. Within a
    namespace `peers` and `network.allowTo` of one side are a warning; what a spec uses (its tools,
    sub-agents, stores, URLs) is the usual case there, and nothing is said.
    """
    for draft in declared.drafts.values():
        if draft.component == KNOWLEDGE:  # it calls what its agent calls, on whose consent it is
            continue
        said: set[tuple[Key, object]] = set()
        for call in draft.calls:
            mark = (call.other.key, call.path)
            if (
                call.other.key not in declared.drafts
                or call.other is draft.resolved
                or mark in said
            ):
                continue
            across = _across(draft, call)
            if (across or call.named) and not declared.admits(fleet, draft, call):
                said.add(mark)
                yield _uninvited(draft, call, across=across)
        for call in draft.called_by:  # of peers the call itself is reported
            if call.path != ("spec", "peers") and declared.is_unasked(draft, call):
                yield _unasked(draft, call)


def _across(draft: Draft, call: Call) -> bool:
    return bool(draft.resolved.namespace != call.other.namespace)


def _uninvited(draft: Draft, call: Call, *, across: bool) -> Problem:
    own, other = draft.resolved, call.other
    numbers = ", ".join(str(number) for _, number in call.ports)
    place = "spec.provision.network" if other.kind == "MemoryStore" else "spec.network"
    return call.owner.problem(
        call.path,
        "no-consent",
        f"{_name(other)} does not admit `{own.namespace}/{own.name}` at {numbers}",
        hint=f"there, add `{place}.allowFrom: [{{agent: {own.namespace}/{own.name}, ports: [{numbers}]}}]`",
        severity="error" if across else "warning",
        key=True,
    )


def _unasked(draft: Draft, call: Call) -> Problem:
    own = draft.resolved
    return call.owner.problem(
        call.path,
        "no-consent",
        f"{_name(call.other)} does not call `{own.namespace}/{own.name}`: nothing is opened yet",
        hint="nothing to do here: it takes effect once its spec uses this one, or names it in `network.allowTo`",
        severity="warning",
        key=True,
    )


def _name(resolved: Resolved[Any]) -> str:
    file = locate(resolved.tree, ("metadata", "name"))[0].file
    return f"{resolved.kind} `{resolved.namespace}/{resolved.name}` ({file})"
