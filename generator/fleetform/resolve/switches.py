"""Sections with a switch `enabled`; if it is unset, other fields turn the section on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import view

if TYPE_CHECKING:
    from fleetform.models.environment import EnvironmentSpec as Environment
    from fleetform.models.memory_store import StoreTls
    from fleetform.models.scaling import Scaling
    from fleetform.resolve import Fleet, Resolved


OF_ALL = "readyRatio"
"""The threshold of the alert about every workload; the others are about agents with the runtime's metrics."""


def keda_is_on(scaling: Scaling) -> bool:
    """Whether KEDA scales a workload: having triggers turns it on, unless `enabled` is false."""
    keda = scaling.keda
    if keda is None:
        return False
    return bool(keda.triggers) if keda.enabled is None else keda.enabled


def scales_on_runs(environment: Environment, resolved: Resolved[Any]) -> bool:
    """Whether KEDA scales a workload on runs in flight: an agent whose metrics it can ask for, unless the spec decides."""
    spec, monitoring = resolved.spec, environment.monitoring
    if resolved.kind == "Agent" and spec.canary_of:  # its runs are counted under the other's name
        return False
    if not is_watched(resolved) or "keda" not in environment.capabilities:
        return False
    scaling: Scaling = spec.scaling
    least = 1 if scaling.min_replicas is None else scaling.min_replicas
    if monitoring.prometheus_url is None or (scaling.max_replicas or 0) <= max(least, 1):
        return False
    if scaling.inflight_runs is not None:
        return True
    decides = scaling.keda is not None or scaling.metrics is not None
    return least > 0 and not decides and "prometheus-operator" in environment.capabilities


def is_watched(resolved: Resolved[Any]) -> bool:
    """Whether alerts can compare metrics of the generic runtime for a workload: it runs there, and is scraped."""
    spec = resolved.spec
    own = resolved.kind != "Agent" or spec.container is not None
    return not own and spec.observability.metrics.enabled is not False


def can_promise(agent: Resolved[Any]) -> bool:
    """Whether an agent's requests are counted under its own name: those to a canary are the other's."""
    return is_watched(agent) and not agent.spec.canary_of


def installs_charts(fleet: Fleet) -> bool:
    """Whether a target of the environment makes releases of charts, which a test may follow; a run may render fewer."""
    targets = {*fleet.targets, *fleet.environment.targets}
    return "helm" in targets or ("flux" in targets and fleet.environment.gitops.way == "helm")


def tls_is_on(tls: StoreTls) -> bool:
    """Whether a store is reached by TLS: any TLS setting turns it on, unless `enabled` is false."""
    return bool(view.given(tls)) if tls.enabled is None else tls.enabled
