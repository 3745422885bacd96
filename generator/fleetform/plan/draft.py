"""One workload being planned: what the steps so far have found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetform.plan.model import (
    Checks,
    Files,
    FromVariable,
    Mount,
    Party,
    Port,
    Ports,
    Traffic,
    Variable,
    Volume,
)
from fleetform.resolve import ports

if TYPE_CHECKING:
    from fleetform.models.workload import Workload
    from fleetform.resolve import Resolved
    from fleetform.tree import TreePath


@dataclass(slots=True)
class Draft:
    """One workload being planned: what the steps so far have found."""

    resolved: Resolved[Any]
    workload: Workload
    component: str
    image: tuple[str, str] = ("", "")
    command: tuple[str, ...] = ()
    args: tuple[str | FromVariable, ...] = ()
    working_dir: str = ""
    pull_policy: str = ""
    ports: tuple[Port, ...] = ()
    env: tuple[Variable, ...] = ()
    volumes: tuple[Volume, ...] = ()
    mounts: tuple[Mount, ...] = ()
    checks: Checks = field(default_factory=Checks)
    probe: tuple[str, ...] = ()
    program: str = ""
    owner: str = ""
    turn: int = 0
    drain: int = 30
    files: Files | None = None
    reaches: list[Traffic] = field(default_factory=list)
    admits: list[Traffic] = field(default_factory=list)
    calls: list[tuple[Resolved[Any], Ports]] = field(default_factory=list)
    """Workloads of the fleet that this one calls."""
    called_by: list[tuple[Resolved[Any], Ports]] = field(default_factory=list)
    """Workloads that this one admits, although they do not declare the call."""
    by_name: bool = False
    scalable: bool = True

    @property
    def main_port(self) -> Port | None:
        """Return the port that callers use if they name none."""
        return ports.main(self.ports)

    @property
    def exposed_port(self) -> Port | None:
        """Return the port that is exposed, None if there is no such port."""
        expose = self.workload.expose
        if expose is not None and expose.port:
            return next((port for port in self.ports if port.name == expose.port), None)
        return self.main_port

    def reach(self, party: Party, numbers: Ports, owner: Resolved[Any], path: TreePath) -> None:
        """Allow a call to something outside the fleet; `path` of the owner declares it."""
        self.reaches.append(Traffic(party, numbers, owner, path))

    def admit(self, party: Party, numbers: Ports, path: TreePath) -> None:
        """Allow calls from something outside the fleet."""
        self.admits.append(Traffic(party, numbers, self.resolved, path))
