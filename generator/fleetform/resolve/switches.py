"""Sections with a switch `enabled`; if it is unset, other fields turn the section on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform import view

if TYPE_CHECKING:
    from fleetform.models.memory_store import StoreTls
    from fleetform.models.scaling import Scaling


def keda_is_on(scaling: Scaling) -> bool:
    """Whether KEDA scales a workload: having triggers turns it on, unless `enabled` is false."""
    keda = scaling.keda
    if keda is None:
        return False
    return bool(keda.triggers) if keda.enabled is None else keda.enabled


def tls_is_on(tls: StoreTls) -> bool:
    """Whether a store is reached by TLS: any TLS setting turns it on, unless `enabled` is false."""
    return bool(view.given(tls)) if tls.enabled is None else tls.enabled
