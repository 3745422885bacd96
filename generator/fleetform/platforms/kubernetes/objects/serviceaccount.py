"""ServiceAccount: one per workload, without a token unless it has permissions."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the account, nothing if the spec names an existing one."""
    account = plan.account
    if not account.create:
        return ()
    return (
        workload_object(
            plan,
            "v1",
            "ServiceAccount",
            account.name,
            account.annotations,
            automountServiceAccountToken=False,
        ),
    )


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `serviceAccount`."""
    del default
    return {
        "serviceAccount": {
            "create": plan.account.create,
            "name": "" if plan.account.name == plan.name else plan.account.name,
            "annotations": dict(plan.account.annotations),
        }
    }


LENSES = {"ServiceAccount": (lens("metadata.annotations", "serviceAccount.annotations"),)}
