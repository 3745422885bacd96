"""Fields of workflows that have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.resolve import Fleet
from fleetform.rules.idle.fields import Field, given, switched
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.rules import AgentUses


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield what only parameters of tools have, and whom nobody tells."""
    del uses
    for workflow in fleet.of(kinds.WORKFLOW):
        spec = workflow.spec
        for number, _ in enumerate(spec.input):
            why = "an input of a workflow is sent to no API, and searches no documents"
            yield from given(workflow, ("spec", "input", number), ("in", "field"), why, "remove it")
        tracing = spec.observability.tracing
        place: TreePath = ("spec", "observability", "tracing")
        yield from switched(workflow, place, on=tracing.enabled, what="tracing")
        if tracing.enabled:
            why = "spans of a workflow have no contents: those of its agents have, if they say so"
            yield from given(workflow, place, ("captureContent",), why, "remove it")
        why = "a workflow has no page on which people sign in"
        yield from given(
            workflow, ("spec", "serve", "auth", "oidc"), ("clientId", "scopes"), why, "remove it"
        )
        tells = spec.error_handling.on_workflow_failure == "notify"
        why = "" if tells else "`onWorkflowFailure` is `none`"
        hint = "set `onWorkflowFailure: notify`, or remove it"
        place = ("spec", "errorHandling")
        yield from given(workflow, place, ("notificationChannel",), why, hint)
