"""What mypy must refuse: a field of a spec or a plan that does not exist (docs/adr/0003).

`make type` reads this file, and `warn_unused_ignores` (part of `strict`) reports each line below that mypy
takes. Nothing calls it.
"""

from fleetform import kinds
from fleetform.plan.model import Plan
from fleetform.resolve import Fleet


def of_every_kind(fleet: Fleet) -> None:
    """Read a field that no spec of that kind has."""
    for agent in fleet.of(kinds.AGENT):
        _ = agent.spec.authh  # type: ignore[attr-defined]
    for store in fleet.of(kinds.MEMORY_STORE):
        assert store.spec.redis
        _ = store.spec.redis.prefx  # type: ignore[attr-defined]
    for server in fleet.of(kinds.MCP_SERVER):
        _ = server.spec.maxReplicas  # type: ignore[attr-defined]


def of_a_plan(plan: Plan) -> None:
    """Read a part that no workload has."""
    for workload in plan.workloads:
        _ = workload.tolerations  # type: ignore[attr-defined]
