"""Sections with a switch `enabled`; if it is unset, other fields turn the section on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import view

if TYPE_CHECKING:
    from fleetform.models.memory_store import StoreTls
    from fleetform.models.scaling import Scaling
    from fleetform.resolve import Resolved


OF_ALL = "readyRatio"
"""The threshold of the alert about every workload; the others are about agents with the runtime's metrics."""


def keda_is_on(scaling: Scaling) -> bool:
    """Whether KEDA scales a workload: having triggers turns it on, unless `enabled` is false."""
    keda = scaling.keda
    if keda is None:
        return False
    return bool(keda.triggers) if keda.enabled is None else keda.enabled


def is_watched(resolved: Resolved[Any]) -> bool:
    """Whether alerts can compare metrics of the generic runtime for a workload: it runs there, and is scraped."""
    spec = resolved.spec
    own = resolved.kind != "Agent" or spec.container is not None
    return not own and spec.observability.metrics.enabled is not False


def tls_is_on(tls: StoreTls) -> bool:
    """Whether a store is reached by TLS: any TLS setting turns it on, unless `enabled` is false."""
    return bool(view.given(tls)) if tls.enabled is None else tls.enabled
