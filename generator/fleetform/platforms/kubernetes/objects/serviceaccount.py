"""ServiceAccount: an own one for each workload, without a token unless it has rights."""

from __future__ import annotations

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the account, nothing when the spec names an existing one."""
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
