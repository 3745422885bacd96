"""What an environment asks of the page of a fleet: a namespace to run in, callers, and something to lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem, did_you_mean
from fleetform.resolve.pages import listed
from fleetform.rules.agents import callers, open_to_all

if TYPE_CHECKING:
    from fleetform.resolve import Fleet
    from fleetform.rules import AgentUses


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what the page lacks."""
    del uses
    page = fleet.page
    if page is None:
        return
    yield from callers(page, ("spec", "auth"), page.spec.auth)
    yield from open_to_all(page, ("spec", "auth", "type"), "the page of the fleet")
    if page.namespace not in fleet.spaces:
        yield page.problem(
            ("spec", "namespace"),
            "unknown-namespace",
            f"no spec is in the namespace `{page.namespace}`",
            hint=did_you_mean(page.namespace, sorted(fleet.spaces), noun="namespaces"),
        )
    if not any(listed(fleet)):
        yield page.problem(
            ("spec",),
            "not-used",
            "the page leads nowhere: no agent with a page of its own is exposed",
            hint="set `expose` and `ui` of agents, or remove it",
            severity="warning",
            key=True,
        )
