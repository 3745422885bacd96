"""The platform-neutral plan: what runs, in which shape, and who calls whom.

A platform binds a plan: it fills in what only it knows (addresses, paths of secrets, how long a
process may take to stop) and reports as Problems what it cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from fleetform import contract
from fleetform.records import NamedTuple
from fleetform.resolve import ports
from fleetform.resolve.hosts import Address

if TYPE_CHECKING:
    from fleetform.models.workload import Workload as WorkloadSpec
    from fleetform.resolve import Resolved
    from fleetform.resolve.catalog import Key
    from fleetform.tree import TreePath

Port = ports.Port
"""A port of the main container, and the Service port for it."""
Ports = tuple[tuple[str, int], ...]
"""Protocols and container ports; empty means all of them."""


# -- what only a platform can fill in ------------------------------------------------------------


class SecretRef(NamedTuple):
    """A key of a Secret: in a variable its value, in settings the way the runtime is told about it."""

    name: str
    key: str


class SecretPath(NamedTuple):
    """The path at which a key of a Secret is mounted, as text."""

    name: str
    key: str


Settings = Mapping[str, Any]
"""`agent.json` as data, with unbound secrets, paths and addresses."""


# -- a workload ----------------------------------------------------------------------------------


class Shape(Enum):
    """How long its instances live, and whether they are interchangeable."""

    SERVICE = "service"
    """Runs for ever; instances are interchangeable."""
    STATEFUL = "stateful"
    """Runs for ever; each instance has its own name and volumes."""
    JOB = "job"
    """Runs once to its end, and again when anything of it changes."""
    SCHEDULED = "scheduled"
    """Runs to its end whenever its schedule says so."""
    STEPS = "steps"
    """Runs to its end whenever another engine comes to a step of a workflow."""

    @property
    def ends(self) -> bool:
        """Whether its instances come to an end."""
        return self in (Shape.JOB, Shape.SCHEDULED, Shape.STEPS)


class ConfigRef(NamedTuple):
    """A key of existing configuration."""

    name: str
    key: str


JOB_NAME = "metadata.labels['batch.kubernetes.io/job-name']"
"""Where an instance of a job finds the name of it, which for one of a schedule is another one at each time."""


class FieldRef(NamedTuple):
    """A field of the running instance, such as `metadata.name`."""

    path: str


class FromVariable(NamedTuple):
    """An argument that is the value of one of the container's variables."""

    name: str


class Variable(NamedTuple):
    """An environment variable; text is literal, even if it contains `$`."""

    name: str
    value: str | SecretRef | ConfigRef | FieldRef | Address


class EnvFrom(NamedTuple):
    """All keys of a Secret, or of existing configuration, as variables."""

    source: SecretFolder | ConfigFolder
    prefix: str = ""


class Check(NamedTuple):
    """A probe by a command, over gRPC or HTTP, or by connecting if it has none of them; times in seconds."""

    path: str
    port: str | int
    period: int
    timeout: int
    failures: int
    initial_delay: int = 0
    command: tuple[str, ...] = ()
    grpc: bool = False
    service: str = ""
    """What gRPC is asked about; empty for the server as a whole."""


class Checks(NamedTuple):
    """When an instance has started, is ready for requests, and must be restarted."""

    startup: Check | None = None
    ready: Check | None = None
    alive: Check | None = None


class Compute(NamedTuple):
    """What a container requests and its limits: quantities by resource."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


class Files(NamedTuple):
    """Configuration as files in one folder: texts by name, and settings as JSON."""

    directory: str
    texts: Mapping[str, str]
    settings: Settings | None = None
    name: str = contract.SETTINGS
    """File of the settings."""


class Scratch(NamedTuple):
    """Space that is discarded with the instance."""

    size: str
    medium: str = ""
    """Memory, or empty for a disk."""


class Claim(NamedTuple):
    """Space that persists; without a mode the platform decides by who mounts it."""

    size: str
    mode: str = ""
    storage_class: str = ""


class ExistingClaim(NamedTuple):
    """Space that persists, and that somebody else made."""

    name: str
    mode: str


class ConfigFolder(NamedTuple):
    """Existing configuration, each key a file."""

    name: str


class SecretFolder(NamedTuple):
    """A Secret, each key a file."""

    name: str
    keys: tuple[str, ...] = ()
    """Those that are needed; none for all of them."""


class Volume(NamedTuple):
    """A volume of a workload and its source."""

    name: str
    source: Scratch | Claim | ExistingClaim | ConfigFolder | SecretFolder


class Mount(NamedTuple):
    """Where a container mounts a volume."""

    volume: str
    path: str
    read_only: bool = False
    sub_path: str = ""


class Extra(NamedTuple):
    """A container next to the main one, or one that completes before it."""

    name: str
    image: str
    pull_policy: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    ports: tuple[Port, ...]
    env: tuple[Variable, ...]
    compute: Compute
    mounts: tuple[Mount, ...]
    env_from: tuple[EnvFrom, ...] = ()
    stays: bool = False
    """Whether it starts before the main one and runs beside it, in place of completing."""
    working_dir: str = ""


class Trigger(NamedTuple):
    """Something that asks for more or fewer instances, and the secrets it needs for that."""

    type: str
    parameters: Mapping[str, str]
    metric_type: str = ""
    name: str = ""
    secrets: tuple[tuple[str, SecretRef], ...] = ()


class Scale(NamedTuple):
    """The range of the number of instances, and what decides within it."""

    least: int
    most: int
    triggers: tuple[Trigger, ...] = ()
    events: bool = False
    """Whether external triggers (KEDA's) decide rather than the load of the instances."""


class Share(NamedTuple):
    """A part of the traffic that another workload gets; `weight` in percent."""

    name: str
    port: Port
    weight: int


class Exposure(NamedTuple):
    """Access from outside; `timeout` in seconds."""

    port: Port
    hosts: tuple[str, ...]
    path: str
    timeout: int
    shares: tuple[Share, ...] = ()
    """What its canaries get; the rest is its own."""
    has_page: bool = False
    """Whether there is a page at its path, whose files and API are relative to it."""


class Scrape(NamedTuple):
    """Where metrics are served, and how often they are scraped, in seconds."""

    port: Port
    path: str
    interval: int


# -- who calls whom -----------------------------------------------------------------------------


class Space(NamedTuple):
    """Everything in a namespace, by its name in the cluster."""

    namespace: str


class Range(NamedTuple):
    """Addresses, such as 10.20.0.0/16."""

    cidr: str


class Outside(NamedTuple):
    """A host outside."""

    host: str


Party = Address | Space | Range | Outside
"""Anything outside the fleet; an address is a service in the cluster."""


class Traffic(NamedTuple):
    """Ports between a workload and something outside the fleet, and where the spec declares it."""

    party: Party
    ports: Ports
    owner: Resolved[Any]
    path: TreePath


class Link(NamedTuple):
    """One workload of the fleet calls another."""

    caller: Key
    callee: Key
    ports: Ports


class Begun(NamedTuple):
    """A run that a spec asks for, and its inputs."""

    name: str
    input: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Sandbox(NamedTuple):
    """Where programs of an agent run, each in an instance that is new for it and that nobody else reaches."""

    memory: int
    """Bytes that the largest of them may take."""
    path: TreePath
    """Where the agent asks for it first."""


class Flow(NamedTuple):
    """A workflow that another engine executes, whose steps are calls of the generic runtime."""

    definition: Settings
    """What workflow.json has as `definition`."""
    most: int
    """Runs at the same time."""
    policy: str
    """What becomes of further ones: queue, reject, replace."""
    runs: tuple[Begun, ...] = ()
    schedule: Begun | None = None


class Workload(NamedTuple):
    """One workload of the fleet: an agent, a deployed MCP server or a memory store for development."""

    key: Key
    """Namespace as in the specs, and name."""
    namespace: str
    """The namespace's name in the environment."""
    component: str
    shape: Shape
    version: str
    spec: WorkloadSpec
    """The workload's part of its spec, for settings that only a platform can interpret."""
    resolved: Resolved[Any]
    image: str
    pull_policy: str
    command: tuple[str, ...]
    args: tuple[str | FromVariable, ...]
    working_dir: str
    env: tuple[Variable, ...]
    env_from: tuple[EnvFrom, ...]
    files: Files | None
    ports: tuple[Port, ...]
    checks: Checks
    probe: tuple[str, ...]
    """A health check command in the container; empty if the image is unknown."""
    program: str
    """The image's entry point, for platforms that must name it."""
    owner: str
    """User that owns the image's data, if the image is known; else empty."""
    turn: int
    """Longest turn of the generic runtime in seconds, 0 for other images."""
    drain: int
    """Grace period of an instance in seconds."""
    compute: Compute
    volumes: tuple[Volume, ...]
    mounts: tuple[Mount, ...]
    sidecars: tuple[Extra, ...]
    init: tuple[Extra, ...]
    extra_volumes: tuple[Volume, ...]
    """Volumes that only extra containers mount."""
    scale: Scale
    by_name: bool
    """Whether its instances are addressed individually."""
    exposure: Exposure | None
    scrape: Scrape | None
    reaches: tuple[Traffic, ...]
    admits: tuple[Traffic, ...]
    labels: Mapping[str, str]
    schedule: str = ""
    """When a job runs again, as cron writes it; empty for never."""
    time_zone: str = "Etc/UTC"
    """Time zone of the schedule."""
    overlaps: bool = True
    """Whether one run of a schedule may begin before the last one has ended."""
    deadline: int = 0
    """Seconds after which a job is ended; 0 for never."""
    fail_on: tuple[int, ...] = ()
    """Exit codes with which a job has failed for good; with others it is started again."""
    beside_of: str = ""
    """Name of the workload whose node it must share if both write a volume of one node."""
    flow: Flow | None = None
    """What another engine does with it."""
    sandbox: Sandbox | None = None
    bare: bool = False
    """Whether the image has no programs but its own, by which a check in the container could ask."""

    @property
    def name(self) -> str:
        """Return the name, which is unique in its namespace."""
        return self.key[1]

    @property
    def main_port(self) -> Port | None:
        """Return the port that callers use if they name none."""
        return ports.main(self.ports)


class Plan(NamedTuple):
    """One environment's plan: workloads sorted by kind and name, and their links."""

    environment: str
    workloads: tuple[Workload, ...]
    links: tuple[Link, ...]

    def callees(self) -> dict[Key, tuple[Workload, ...]]:
        """Return the callees of each workload, sorted by key."""
        known = {item.key: item for item in self.workloads}
        found: dict[Key, set[Key]] = {}
        for link in self.links:
            if link.caller in known and link.callee in known and link.caller != link.callee:
                found.setdefault(link.caller, set()).add(link.callee)
        return {key: tuple(known[name] for name in sorted(names)) for key, names in found.items()}


SCALARS = frozenset({str, int, bool, float, type(None)})
"""Types of which nothing is to be bound or copied: most values are of one."""


def bound(value: Any, binding: Mapping[type, Any]) -> Any:
    """Return settings as plain data, each symbol replaced with the result of the function for its type."""
    kind = type(value)
    if kind is dict:
        return {
            key: item if type(item) in SCALARS else bound(item, binding)
            for key, item in value.items()
        }
    if kind is list:
        return [bound(item, binding) for item in value]
    bind = binding.get(kind)
    return value if bind is None else bind(value)
