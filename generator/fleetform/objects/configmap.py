"""ConfigMap: one immutable revision of a workload's configuration, named by its content."""

from __future__ import annotations

from fleetform.objects.manifest import Manifest, workload_object
from fleetform.plan.model import WorkloadPlan


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the revision; pods of older revisions keep theirs, since nothing prunes it."""
    config = plan.config
    if config is None:
        return ()
    return (
        workload_object(
            plan,
            "v1",
            "ConfigMap",
            config.name,
            {**plan.retained, **plan.verbatim},
            immutable=True,
            data=dict(config.data),
        ),
    )
