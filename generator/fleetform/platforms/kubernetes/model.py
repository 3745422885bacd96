"""A plan bound to Kubernetes: workloads and namespaces in its terms; nothing after this reads a spec."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fleetform.plan import model as plan
from fleetform.problems import Mark
from fleetform.records import NamedTuple

PRE_STOP = 5
"""Seconds between the end of traffic and SIGTERM."""

Json = Mapping[str, Any]
"""A piece of an object in Kubernetes' own keys."""


Port = plan.Port
"""A port of the main container and of its Service."""


Probe = plan.Check
"""A probe by a command, over gRPC, HTTP or TCP; times in seconds."""


class Config(NamedTuple):
    """An immutable revision of a workload's configuration."""

    name: str
    data: Mapping[str, str]
    directory: str
    settings: plan.Settings
    """What agent.json says, with the plan's symbols; empty without one."""
    digest: str
    """Hash of the data, in 64 hex digits, of which the name has the first."""


class Account(NamedTuple):
    """The ServiceAccount of a workload."""

    name: str
    create: bool
    annotations: Mapping[str, str]


class Rbac(NamedTuple):
    """Permissions at the Kubernetes API."""

    cluster: bool
    name: str
    rules: tuple[Json, ...]


class Sandbox(NamedTuple):
    """Pods of agent-sandbox for single programs of a workload, and how many of them wait."""

    runtime_class: str
    warm: int
    resources: Json


class Analysis(NamedTuple):
    """What Prometheus must say of new pods: the largest share of failures, and of 95 % of answers the longest time."""

    address: str
    window: str
    requests: int
    errors: float
    seconds: float
    """0 for any time."""


class Canary(NamedTuple):
    """A Rollout that replaces the pods of a Deployment step by step."""

    steps: tuple[tuple[int, str], ...]
    """Percent of new pods, and how long they are watched; empty: until a person promotes them."""
    analysis: Analysis | None
    moving: str
    """`in` or `out` while the Deployment's own pods serve too, else empty."""


class Autoscaler(NamedTuple):
    """A HorizontalPodAutoscaler."""

    minimum: int
    maximum: int
    metrics: tuple[Json, ...]
    behavior: Json


class KedaTrigger(NamedTuple):
    """One trigger and the secrets that it authenticates with: (parameter, secret, key)."""

    type: str
    metadata: Mapping[str, str]
    metric_type: str = ""
    name: str = ""
    secrets: tuple[tuple[str, str, str], ...] = ()
    authentication: str = ""


class Keda(NamedTuple):
    """A ScaledObject."""

    minimum: int
    maximum: int
    triggers: tuple[KedaTrigger, ...]
    behavior: Json
    polling_interval: int
    cooldown_period: int
    fallback_replicas: int | None


class NetworkRule(NamedTuple):
    """Peers in NetworkPolicy's own format, and the pod ports (protocol, port) between them."""

    peers: tuple[Json, ...]
    ports: tuple[tuple[str, int], ...]


class Metrics(NamedTuple):
    """What Prometheus scrapes."""

    port: str
    path: str
    interval: int
    labels: Mapping[str, str]
    targets: tuple[str, ...]
    """Labels of the pods that become labels of the series."""


class Expose(NamedTuple):
    """Access from outside the cluster; times in seconds."""

    kind: str
    hosts: tuple[str, ...]
    path: str
    port: int
    timeout: int
    """Of a request; 0 where the Gateway takes no routes with one."""
    gateway: Json
    ingress_class: str
    tls_secret: str
    issuer: Json
    shares: tuple[tuple[str, int, int], ...] = ()
    """Services that get a part of the requests, each with its port and percent; the rest is the workload's own."""
    redirects: bool = False
    """Whether the path is redirected to the one with a slash at its end: there is a page, with files relative to it."""


class Service(NamedTuple):
    """The Service of the ports; no traffic policy where there is no traffic from outside."""

    type: str = "ClusterIP"
    annotations: Mapping[str, str] = MappingProxyType({})
    source_ranges: tuple[str, ...] = ()
    traffic_policy: str = ""


class ObjectPatch(NamedTuple):
    """A change of built objects; empty strings in the target match anything. One of the two forms is set."""

    owner: str
    """Who says it, such as `Environment prod`."""
    kind: str
    name: str
    namespace: str
    labels: Mapping[str, str]
    merge: Json | None
    operations: tuple[Json, ...]
    mark: Mark
    path: str
    by_environment: bool = False
    """Whether those who own the environments wrote it; a spec's may change few places."""


class Claim(NamedTuple):
    """A PersistentVolumeClaim, shared by all workloads that name it."""

    name: str
    size: str
    access_mode: str
    storage_class: str


class WorkloadPlan(NamedTuple):
    """One workload of the fleet: an agent, a deployed MCP server or a memory store for development."""

    name: str
    namespace: str
    component: str
    version: str
    source: str
    mark: Mark
    """Where the name is in the spec."""
    callees: tuple[tuple[str, str], ...]
    """Workloads of the fleet that this one calls, by namespace and name."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    # pods
    pod_labels: Mapping[str, str]
    pod_annotations: Mapping[str, str]
    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]
    command: tuple[str, ...]
    args: tuple[str, ...]
    working_dir: str
    env: tuple[Json, ...]
    env_from: tuple[Json, ...]
    ports: tuple[Port, ...]
    service: Service
    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None
    pre_stop: int
    grace: int
    resources: Json
    secrets: tuple[tuple[str, tuple[str, ...]], ...]
    """Secrets that are mounted as files, and their keys."""
    volumes: tuple[Json, ...]
    """What the spec asks for, beside scratch space, configuration and secrets."""
    mounts: tuple[Json, ...]
    run_as_user: int
    """User and group of the pods; 0 where the cluster assigns them."""
    read_only_root: bool
    pod_fields: Json
    """Fields of the pod that the spec's `podTemplate` hands on, by their names (podfields.PLAIN)."""
    spread: tuple[Json, ...]
    sidecars: tuple[Json, ...]
    init_containers: tuple[Json, ...]
    # surrounding objects
    config: Config | None
    account: Account
    rbac: Rbac | None
    kind: str
    """Kind of the object that holds the pods' template."""
    claim_templates: tuple[Claim, ...]
    headless: bool
    recreate: bool
    schedule: str
    """When a Job runs again, in cron's words; empty for never."""
    time_zone: str
    """Time zone of the schedule."""
    overlaps: bool
    """Whether one run of the schedule may begin before the last one has ended."""
    deadline: int
    """Seconds after which a Job is ended; 0 for never."""
    fail_on: tuple[int, ...]
    """Exit codes with which a Job has failed for good; with others it is started again."""
    min_ready: int
    """Seconds for which a new pod must be ready before it counts."""
    replicas: int | None
    autoscaler: Autoscaler | None
    keda: Keda | None
    ingress: tuple[NetworkRule, ...]
    egress: tuple[NetworkRule, ...]
    metrics: Metrics | None
    expose: Expose | None
    retained: Mapping[str, str]
    verbatim: Mapping[str, str]
    test_image: str | None = None
    """Image of the pod of `helm test`; None for no test."""
    flow: plan.Flow | None = None
    """The workflow of whose steps Argo Workflows makes pods like this."""
    sandbox: Sandbox | None = None
    canary: Canary | None = None
    patches: tuple[ObjectPatch, ...] = ()

    @property
    def has_token(self) -> bool:
        """Return whether its pods may ask Kubernetes for anything."""
        return self.rbac is not None or self.sandbox is not None

    @property
    def selector(self) -> dict[str, str]:
        """Return the labels that select exactly this workload's pods; they never change."""
        return selector(self.name)

    @property
    def least(self) -> int:
        """Return the minimum number of replicas."""
        scaler = self.keda or self.autoscaler
        return scaler.minimum if scaler else self.replicas or 0

    @property
    def most(self) -> int:
        """Return the maximum number of replicas."""
        scaler = self.keda or self.autoscaler
        return scaler.maximum if scaler else self.replicas or 0


def selector(name: str) -> dict[str, str]:
    """Return the labels that select a workload's pods in its namespace."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name}


SANDBOX_PORT = 8080
"""Port of a sandbox to which a program is sent."""


def sandbox_selector(name: str) -> dict[str, str]:
    """Return the labels that select exactly the sandboxes of a workload in its namespace, and nothing of the workload."""
    return {"fleetform.dev/sandbox-of": name}


class RemoteKey(NamedTuple):
    """One key of a Secret, and where the provider's store holds it; no property: the whole text."""

    key: str
    remote_key: str
    property: str
    version: str = ""


class ExternalSecret(NamedTuple):
    """A Secret that the External Secrets operator creates: single keys, or all of the remote one."""

    name: str
    remote_key: str
    """Of all keys, or of those that are at home there; empty if each has its own."""
    keys: tuple[RemoteKey, ...]
    type: str = ""
    """Type of the Secret, for what images are pulled with."""
    version: str = ""

    @property
    def entries(self) -> tuple[RemoteKey, ...]:
        """Return what is read of the store."""
        return self.keys or (RemoteKey("", self.remote_key, "", self.version),)


class SecretStore(NamedTuple):
    """The store that a namespace's secrets come from; it exists already if there is no `provider`."""

    name: str
    kind: str
    provider: Json
    account: Account | None
    """The ServiceAccount that reads it, None for the operator's own identity."""


class Dashboard(NamedTuple):
    """The dashboard of a namespace: where Grafana finds it, and by what it knows it."""

    uid: str
    title: str
    labels: Mapping[str, str]
    folder: str
    instances: Mapping[str, str] = MappingProxyType({})
    """Labels of the Grafana objects that show it, for the operator; empty where a sidecar reads a ConfigMap."""


class NamespacePlan(NamedTuple):
    """The shared objects of a namespace: claims, secrets, quotas, alerts."""

    name: str
    labels: Mapping[str, str]
    create: bool
    namespace_labels: Mapping[str, str]
    claims: tuple[Claim, ...]
    secrets: tuple[ExternalSecret, ...]
    store: SecretStore | None
    given_secrets: tuple[str, ...]
    """Secrets of which the environment says that they exist, although others come from a store."""
    refresh_interval: str
    people: tuple[tuple[str, tuple[str, ...]], ...]
    """Roles of people, `edit` and `view`, and the groups that have each."""
    quota: Mapping[str, str]
    limits: Json
    alerts: tuple[Json, ...]
    alert_thresholds: Mapping[str, float]
    own_thresholds: Mapping[str, Mapping[str, float]]
    """Those of single workloads that differ, by their names."""
    runtime_alerts: bool
    """Whether some of them need the metrics of the runtime."""
    runbooks: str
    severities: Mapping[str, str]
    """The label `severity` of alerts, by how urgent they are."""
    objectives: Mapping[str, Any]
    """Objectives (objectives.Objective) of agents, by their names."""
    budget: float | None
    """US dollars that the agents should spend on models in 24 hours."""
    collector_alerts: bool
    """Whether the OpenTelemetry Collector is here, and is scraped."""
    alert_labels: Mapping[str, str]
    dashboard: Dashboard | None
    default_deny: bool
    retained: Mapping[str, str]
    verbatim: Mapping[str, str]


class Source(NamedTuple):
    """A Flux source that is rendered; `ref` in Flux's own keys."""

    kind: str
    name: str
    url: str
    ref: Json
    secret: str


class Gitops(NamedTuple):
    """Which tool applies the output, from where, with which intervals and timeouts."""

    namespace: str = "flux-system"
    kind: str = "GitRepository"
    source: str = "flux-system"
    sources: tuple[Source, ...] = ()
    charts: Mapping[str, str] = MappingProxyType({})
    """Names of the sources of charts that are installed from a registry."""
    helm: bool = False
    path: str = ""
    interval: str = "10m"
    retry_interval: str = "1m"
    timeout: str = "10m"
    url: str = ""
    revision: str = "HEAD"
    project: str = ""
    destination: Json = MappingProxyType({})


class FleetPlan(NamedTuple):
    """One environment's plan: workloads and namespaces sorted by name."""

    environment: str
    workloads: tuple[WorkloadPlan, ...]
    namespaces: tuple[NamespacePlan, ...]
    patches: tuple[ObjectPatch, ...]
    targets: tuple[str, ...]
    charts: str
    """Folder or OCI repository of the Helm charts."""
    chart_version: str
    kustomization: bool
    gitops: Gitops = Gitops()
    spaces: tuple[str, ...] = ()
    """Namespaces in the cluster that the environment names or its workloads are in, in order."""
    flows: tuple[WorkloadPlan, ...] = ()
    """What the pods of workflows' steps share, by name; Argo Workflows begins them."""
    digests: bool = False
    """Whether images need a digest, those of patches too."""
    has_argo: bool = False
    """Whether Argo Workflows is in the cluster, and may hold what is no longer rendered."""
