"""Fields of tools that have no effect for their type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.resolve import Fleet
from fleetform.rules.idle.fields import Field, given

if TYPE_CHECKING:
    from fleetform.rules import AgentUses


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields that a tool's type or method does not use."""
    del uses
    for tool in fleet.of(kinds.TOOL):
        spec = tool.spec
        if spec.type != "api":
            for number, _ in enumerate(spec.parameters):
                why = f"a {spec.type} tool sends no request"
                yield from given(tool, ("spec", "parameters", number), ("in",), why, "remove it")
        elif spec.api is not None:
            why = (
                "GET has no side effects and needs no Idempotency-Key"
                if spec.api.method == "GET"
                else ""
            )
            yield from given(tool, ("spec", "api"), ("idempotencyKey",), why, "remove it")
