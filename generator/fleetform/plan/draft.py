"""One workload being planned: what the steps so far have found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.plan.model import (
    Checks,
    Extra,
    Files,
    Flow,
    FromVariable,
    Mount,
    Party,
    Port,
    Ports,
    Sandbox,
    Shape,
    Traffic,
    Variable,
    Volume,
)
from fleetform.records import NamedTuple
from fleetform.resolve import ports

if TYPE_CHECKING:
    from fleetform.models.workload import Workload
    from fleetform.resolve import Resolved
    from fleetform.tree import TreePath


class Call(NamedTuple):
    """A call between two workloads of the fleet, and where one of them declares it."""

    other: Resolved[Any]
    ports: Ports
    owner: Resolved[Any]
    path: TreePath
    named: bool = False
    """Whether the spec opens the way as such (`peers`, `network`), rather than using the other."""


class Draft:
    """One workload being planned: what the steps so far have found."""

    def __init__(self, resolved: Resolved[Any], workload: Workload, component: str) -> None:
        self.resolved = resolved
        self.workload = workload
        self.component = component
        self.shape = Shape.STATEFUL if workload.stateful else Shape.SERVICE
        self.schedule = ""
        """When a job runs again, as cron writes it."""
        self.time_zone = "Etc/UTC"
        self.overlaps = True
        """Whether one run of a schedule may begin before the last one has ended."""
        self.deadline = 0
        """Seconds after which a job is ended; 0 for never."""
        self.fail_on: tuple[int, ...] = ()
        """Exit codes with which a job has failed for good."""
        self.beside_of = ""
        """Name of the workload whose node it must share if both write a volume of one node."""
        self.flow: Flow | None = None
        """The workflow, if another engine executes it."""
        self.sandbox: Sandbox | None = None
        self.image: tuple[str, str] = ("", "")
        self.command: tuple[str, ...] = ()
        self.args: tuple[str | FromVariable, ...] = ()
        self.working_dir = ""
        self.pull_policy = ""
        self.ports: tuple[Port, ...] = ()
        self.env: tuple[Variable, ...] = ()
        self.volumes: tuple[Volume, ...] = ()
        self.mounts: tuple[Mount, ...] = ()
        self.checks = Checks()
        self.probe: tuple[str, ...] = ()
        self.bare = False
        """Whether the image has no programs but its own."""
        self.program = ""
        self.owner = ""
        self.turn = 0
        self.drain = 30
        self.files: Files | None = None
        self.beside: tuple[Extra, ...] = ()
        """Containers of MCP servers that speak over stdio."""
        self.reaches: list[Traffic] = []
        self.admits: list[Traffic] = []
        self.calls: list[Call] = []
        """Workloads of the fleet that this one calls."""
        self.called_by: list[Call] = []
        """Workloads that this one admits, although they do not declare the call."""
        self.by_name = False
        self.scalable = True

    @property
    def main_port(self) -> Port | None:
        """Return the port that callers use if they name none."""
        return ports.main(self.ports)

    @property
    def exposed_port(self) -> Port | None:
        """Return the port that is exposed, None if there is no such port."""
        expose = self.workload.expose
        return ports.chosen(self.ports, expose.port if expose is not None else None)

    def reach(self, party: Party, numbers: Ports, owner: Resolved[Any], path: TreePath) -> None:
        """Allow a call to something outside the fleet; `path` of the owner declares it."""
        self.reaches.append(Traffic(party, numbers, owner, path))

    def admit(self, party: Party, numbers: Ports, path: TreePath) -> None:
        """Allow calls from something outside the fleet."""
        self.admits.append(Traffic(party, numbers, self.resolved, path))
