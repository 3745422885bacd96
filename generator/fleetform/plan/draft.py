"""One workload on its way to its plan: what the steps found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetform.plan import network
from fleetform.plan.model import Config, Probe
from fleetform.plan.secrets import SecretFiles
from fleetform.resolve.ports import Port, metrics_port

if TYPE_CHECKING:
    from fleetform.models.workload import Workload
    from fleetform.resolve import Fleet, Resolved


@dataclass(slots=True)
class Draft:
    """One workload on its way: what the steps found so far."""

    resolved: Resolved
    workload: Workload
    component: str
    image: tuple[str, str] = ("", "")
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    pull_policy: str = ""
    ports: tuple[Port, ...] = ()
    env: tuple[dict[str, Any], ...] = ()
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    probes: tuple[Probe | None, Probe | None, Probe | None] = (None, None, None)
    grace: int = 30
    config: Config | None = None
    secrets: SecretFiles = field(default_factory=SecretFiles)
    traffic: network.Traffic = field(default_factory=network.Traffic)
    callers: network.Traffic = field(default_factory=network.Traffic)
    headless: bool = False
    scalable: bool = True

    def main_port(self) -> Port | None:
        """Return the port that callers mean: the one named http, else the first."""
        first = self.ports[0] if self.ports else None
        return next((port for port in self.ports if port.name == "http"), first)

    def exposed_port(self) -> Port | None:
        """Return the port that is reached from outside, None when there is no such port."""
        expose = self.workload.expose
        if expose is not None and expose.port:
            return next((port for port in self.ports if port.name == expose.port), None)
        return self.main_port()

    def metrics_port(self, fleet: Fleet) -> Port | None:
        """Return the port that Prometheus scrapes, None when nobody does."""
        metrics = self.workload.observability.metrics
        generic = self.component == "agent" and self.workload.container is None
        wanted = generic if metrics.enabled is None else metrics.enabled
        if not wanted or "prometheus-operator" not in fleet.environment.capabilities:
            return None
        return metrics_port(self.resolved)
