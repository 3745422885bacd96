"""ConfigMap: one immutable revision of a workload's configuration, named by its content."""

from __future__ import annotations

from fleetform.platforms.kubernetes.model import WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, workload_object


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
