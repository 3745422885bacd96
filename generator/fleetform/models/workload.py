"""Settings of every workload: resources, scaling, volumes, network, identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from fleetform.models.base import (
    COUNT,
    INT32,
    AbsolutePath,
    Bytes,
    ConfigMapKey,
    Count,
    EnvName,
    Host,
    Json,
    LabelKey,
    LabelValue,
    Name,
    ObjectName,
    ObjectPatch,
    Port,
    PortName,
    Quantity,
    SecretKey,
    Size,
    Spec,
    UrlPath,
    optional,
)
from fleetform.models.observability import Observability
from fleetform.models.scaling import Scaling
from fleetform.models.service import Service
from fleetform.patterns import CIDR, DATA_KEY, FIELD_REF, LABEL_KEY, REPOSITORY, RESOURCE


class ImageName(Spec):
    """An image in a registry."""

    repository: str = Field(
        description="Repository without tag; without a registry host, the environment's registry is prepended.",
        pattern=REPOSITORY,
        max_length=255,
    )
    tag: str | None = optional(
        "Tag. A pin in the environment wins. Default: the environment's.",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
    )
    digest: str | None = optional(
        "Digest `sha256:…`; wins over the tag, which is then set next to it or nowhere. Default: none.",
        pattern=r"^sha256:[a-f0-9]{64}$",
    )


class Image(ImageName):
    """A container image; the environment may add a registry, a tag or a digest."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = optional(
        "Image pull policy. Default: Kubernetes' own rule."
    )


class EnvFrom(Spec):
    """Where an environment variable's value comes from."""

    secret_key_ref: SecretKey | None = optional("A key of a Secret. Default: none.")
    config_map_key_ref: ConfigMapKey | None = optional("A key of a ConfigMap. Default: none.")
    field_ref: str | None = optional(
        "A field of the pod, such as `metadata.name`. Default: none.",
        max_length=280,
        pattern=FIELD_REF,
    )


class EnvVar(Spec):
    """An environment variable: a value, or the source of one."""

    name: EnvName = Field(description="Name of the variable.")
    value: Annotated[str, StringConstraints(max_length=131071)] | None = optional(
        "Literal value; `$(VAR)` is passed on as text. Default: empty, unless `valueFrom` is set."
    )
    value_from: EnvFrom | None = optional("Source of the value. Default: `value`.")


class WholeObject(Spec):
    """A Secret or a ConfigMap in the workload's namespace."""

    name: ObjectName = Field(description="Name of the object.")


class EnvFromSource(Spec):
    """A Secret or a ConfigMap whose keys all become variables."""

    prefix: EnvName | None = optional(
        "What the names of the variables begin with. Default: nothing."
    )
    secret_ref: WholeObject | None = optional("A whole Secret. Default: none.")
    config_map_ref: WholeObject | None = optional("A whole ConfigMap. Default: none.")


class ContainerPort(Spec):
    """A port that the container listens on."""

    name: PortName = Field(description="Port name, at most 15 characters.")
    container_port: Port = Field(description="Port number in the container.")
    service_port: Port | None = optional("Port of the Service. Default: `containerPort`.")
    protocol: Literal["TCP", "UDP"] = Field(default="TCP", description="Transport protocol.")
    app_protocol: str | None = optional(
        "Application protocol for gateways and meshes, such as `http` or `kubernetes.io/ws`. Default: none.",
        max_length=63,
        pattern=LABEL_KEY,
    )


class Container(Spec):
    """Your own container image instead of the generic runtime."""

    image: Image = Field(description="Image to run.")
    command: list[str] | None = optional("Entry point. Default: the image's.")
    args: list[str] | None = optional("Arguments. Default: the image's.")
    working_dir: AbsolutePath | None = optional("Working directory. Default: the image's.")
    ports: list[ContainerPort] = Field(
        default_factory=list,
        description="Ports that it listens on. Default: none, and no Service.",
    )
    config_files: dict[Annotated[str, StringConstraints(pattern=DATA_KEY, max_length=253)], str] = (
        Field(
            default_factory=dict,
            description="Files by name, mounted read-only in `configDir`; a change rolls the pods. Default: none.",
        )
    )
    config_dir: AbsolutePath = Field(
        default="/etc/fleetform", description="Folder in which the configuration files are mounted."
    )


DEVICES = "Number of devices, such as `nvidia.com/gpu`, or bytes of `hugepages-2Mi`; request and limit are one amount. Default: none."
"""Describes resources that have no field of their own."""


class ResourceAmounts(Spec):
    """Amounts of compute resources."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "propertyNames": {"pattern": RESOURCE},
            "additionalProperties": {**COUNT, "description": DEVICES},
        },
    )
    __pydantic_extra__: dict[Annotated[str, StringConstraints(pattern=RESOURCE)], Count] = Field(
        init=False
    )

    cpu: Quantity | None = optional(
        "CPU in cores, such as `250m`. Default: the environment's or the built-in one."
    )
    memory: Bytes | None = optional(
        "Memory in bytes, such as `512Mi`. Default: the environment's or the built-in one."
    )
    ephemeral_storage: Bytes | None = optional(
        "Local disk in bytes, such as `1Gi`. Default: none.", alias="ephemeral-storage"
    )


class Resources(Spec):
    """Requests and limits of the main container; both are always set in the end."""

    requests: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="What the scheduler reserves. Default: 100m CPU, 256Mi memory.",
    )
    limits: ResourceAmounts = Field(
        default_factory=ResourceAmounts,
        description="What the kernel enforces. Default: 1 CPU, 512Mi memory, never below the request.",
    )


class ExecAction(Spec):
    """A command in the container; it succeeds with exit code 0."""

    command: list[str] = Field(
        description="Command and arguments; no shell reads them.", min_length=1
    )


class TcpSocketAction(Spec):
    """A connection, and nothing more."""

    port: Port = Field(description="Port number.")


class GrpcAction(Spec):
    """The gRPC health checking protocol."""

    port: Port = Field(description="Port number.")
    service: str | None = optional(
        "Service that is asked about. Default: the server as a whole.", max_length=253
    )


class ProbeAction(Spec):
    """How a probe asks if not over HTTP; one of the three."""

    exec: ExecAction | None = optional("By a command in the container. Default: over HTTP.")
    tcp_socket: TcpSocketAction | None = optional("By connecting. Default: over HTTP.")
    grpc: GrpcAction | None = optional("Over gRPC. Default: over HTTP.")


class HealthCheck(ProbeAction):
    """Probes of the main container: all alike, or each in its own way. The generic runtime has a path for each."""

    enabled: bool = Field(default=True, description="Whether probes are set.")
    path: UrlPath | None = optional(
        "Liveness path. Default: `/health` on the generic runtime; none on your own image."
    )
    readiness_path: UrlPath | None = optional(
        "Readiness path. Default: `/health/ready` on the generic runtime, else `path`."
    )
    startup_path: UrlPath | None = optional(
        "Start-up path. Default: `/health/startup` on the generic runtime, else `path`."
    )
    startup: ProbeAction | None = optional("How the start-up probe asks. Default: as all do.")
    readiness: ProbeAction | None = optional("How the readiness probe asks. Default: as all do.")
    liveness: ProbeAction | None = optional("How the liveness probe asks. Default: as all do.")
    port: Port | None = optional(
        "Port number of the probes over HTTP. Default: the port named `http`, else the first."
    )
    initial_delay_seconds: int | None = optional(
        "Seconds before the first start-up probe. Default: 0.", ge=0, le=3600
    )
    period_seconds: int = Field(
        default=10, description="Seconds between liveness and readiness probes.", ge=1, le=3600
    )
    timeout_seconds: int = Field(default=3, description="Probe timeout in seconds.", ge=1, le=300)
    failure_threshold: int = Field(
        default=3, description="Consecutive failures until the kubelet acts.", ge=1, le=100
    )
    startup_seconds: int = Field(
        default=60, description="Maximum start-up time in seconds.", ge=1, le=3600
    )


class Claim(Spec):
    """A PersistentVolumeClaim."""

    size: Size = Field(description="Size in bytes, such as `10Gi`.")
    access_mode: (
        Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"] | None
    ) = optional(
        "Access mode. Required when several workloads share the claim. Default: ReadWriteOnce, ReadWriteMany when more than one pod mounts it."
    )
    storage_class: ObjectName | None = optional(
        "Storage class. Default: the cluster's default class."
    )


class ExistingClaim(Spec):
    """A PersistentVolumeClaim that the fleet does not make."""

    name: ObjectName = Field(description="Name of the claim, in the workload's namespace.")
    access_mode: Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"] = (
        Field(
            default="ReadWriteOnce",
            description="Access mode that the claim has; decides whether several pods can mount it.",
        )
    )


class Volume(Spec):
    """A volume with exactly one source, and where it is mounted."""

    name: Name = Field(
        description="Name; workloads of a namespace that name the same claim share it."
    )
    mount_path: AbsolutePath = Field(description="Where it is mounted in the main container.")
    sub_path: str | None = optional(
        "Folder inside the volume. Default: its root.", max_length=1024, pattern=r"^[^/.][^:]*$"
    )
    read_only: bool = Field(default=False, description="Whether it is mounted read-only.")
    claim: Claim | None = optional("A PersistentVolumeClaim. Default: none.")
    existing_claim: ExistingClaim | None = optional(
        "A PersistentVolumeClaim that exists, and that no workload of the fleet makes. Default: none."
    )
    empty_dir: Bytes | None = optional(
        "Size limit in bytes of a scratch volume, such as `1Gi`. Default: none."
    )
    medium: Literal["Memory"] | None = optional(
        "`Memory` keeps an `emptyDir` in memory, such as `/dev/shm`; what is in it counts against the memory limit. Default: on the node's disk."
    )
    config_map: ObjectName | None = optional("Name of a ConfigMap. Default: none.")
    secret: ObjectName | None = optional("Name of a Secret. Default: none.")


class Toleration(Spec):
    """A taint that the pod tolerates."""

    key: str | None = optional(
        "Taint key. Default: all keys, with operator Exists.", max_length=317
    )
    operator: Literal["Exists", "Equal"] | None = optional(
        "How the value is compared. Default: Equal."
    )
    value: str | None = optional("Taint value. Default: empty.", max_length=63)
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = optional(
        "Effect. Default: all."
    )
    toleration_seconds: int | None = optional(
        "Seconds until eviction under NoExecute. Default: never.", ge=0, le=INT32
    )


class SpreadConstraint(Spec):
    """How pods are spread over a topology."""

    topology_key: LabelKey = Field(description="Node label that defines the topology.")
    max_skew: int = Field(
        default=1, description="Maximum difference in the number of pods.", ge=1, le=INT32
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        default="ScheduleAnyway", description="What happens if it cannot be met."
    )


class Mount(Spec):
    """A mount of a volume in an extra container."""

    name: Name = Field(description="Name of the volume.")
    mount_path: AbsolutePath = Field(description="Where it is mounted.")
    read_only: bool = Field(default=False, description="Whether it is mounted read-only.")


class ExtraContainer(Spec):
    """A container beside the main one; it gets the same restricted security context."""

    name: Name = Field(description="Name of the container.")
    image: Image = Field(description="Image to run.")
    command: list[str] | None = optional("Entry point. Default: the image's.")
    args: list[str] | None = optional("Arguments. Default: the image's.")
    env: list[EnvVar] = Field(
        default_factory=list, description="Environment variables. Default: none."
    )
    env_from: list[EnvFromSource] = Field(
        default_factory=list,
        description="Whole Secrets and ConfigMaps, each key a variable; `env` wins. Default: none.",
    )
    ports: list[ContainerPort] = Field(default_factory=list, description="Ports. Default: none.")
    resources: Resources = Field(
        default_factory=Resources,
        description="Requests and limits. Default: requests of 10m CPU and 32Mi, limits of 100m and 64Mi.",
    )
    volume_mounts: list[Mount] = Field(
        default_factory=list, description="Mounts of the pod's volumes. Default: none."
    )


class InitContainer(ExtraContainer):
    """A container that completes before the main one starts, or stays beside it."""

    restart_policy: Literal["Always"] | None = optional(
        "`Always` starts it before the main container and keeps it running, as a native sidecar. Default: it completes first."
    )


class ExtraVolume(Spec):
    """A volume for extra containers."""

    name: Name = Field(description="Name of the volume.")
    empty_dir: Bytes | None = optional("Size limit in bytes of a scratch volume. Default: none.")
    medium: Literal["Memory"] | None = optional(
        "`Memory` keeps an `emptyDir` in memory, such as `/dev/shm`; what is in it counts against the memory limit. Default: on the node's disk."
    )
    config_map: ObjectName | None = optional("Name of a ConfigMap. Default: none.")
    secret: ObjectName | None = optional("Name of a Secret. Default: none.")


class Affinity(Spec):
    """Scheduling preferences, as Kubernetes defines them."""

    node_affinity: dict[str, Json] | None = optional("As core/v1 NodeAffinity. Default: none.")
    pod_affinity: dict[str, Json] | None = optional("As core/v1 PodAffinity. Default: none.")
    pod_anti_affinity: dict[str, Json] | None = optional(
        "As core/v1 PodAntiAffinity. Default: none."
    )


class HostAlias(Spec):
    """An address and the names that the pod knows it by, as a line of /etc/hosts."""

    ip: str = Field(
        description="IPv4 or IPv6 address; `network.allowTo` opens the way to it.",
        min_length=2,
        max_length=45,
    )
    hostnames: list[Host] = Field(description="Names of the address.", min_length=1)


class PodTemplate(Spec):
    """Escape hatches for pod settings."""

    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Extra pod labels. Default: none."
    )
    annotations: dict[LabelKey, str] = Field(
        default_factory=dict, description="Pod annotations. Default: none."
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Node labels to require. Default: none."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, description="Taints to tolerate. Default: none."
    )
    affinity: Affinity | None = optional("Scheduling affinity. Default: none.")
    topology_spread_constraints: list[SpreadConstraint] | None = optional(
        "Topology spread. Default: over nodes and zones, best effort, if more than one replica is possible."
    )
    priority_class_name: Name | None = optional("Priority class. Default: the cluster's.")
    runtime_class_name: Name | None = optional(
        "Runtime class, such as `gvisor`. Default: the cluster's."
    )
    termination_grace_period_seconds: int | None = optional(
        "Grace period in seconds. Default: preStop 5 s + longest turn + 5 s.", ge=1, le=3600
    )
    min_ready_seconds: int | None = optional(
        "Seconds for which a new pod must be ready before a rollout goes on. Default: 0.",
        ge=0,
        le=599,
    )
    host_aliases: list[HostAlias] = Field(
        default_factory=list,
        description="Names that the pod resolves by itself, one item for each address. Default: none.",
    )
    image_pull_secrets: list[ObjectName] = Field(
        default_factory=list, description="Image pull secrets. Default: the environment's."
    )
    sidecars: list[ExtraContainer] = Field(
        default_factory=list, description="Sidecar containers. Default: none."
    )
    init_containers: list[InitContainer] = Field(
        default_factory=list, description="Init containers. Default: none."
    )
    volumes: list[ExtraVolume] = Field(
        default_factory=list, description="Volumes for these containers. Default: none."
    )
    run_as_user: int | None = optional(
        "User ID of all containers; never 0. Default: 10001.", ge=1, le=2147483647
    )
    writable_root_filesystem: bool = Field(
        default=False,
        description="Weakens: makes the root filesystem writable. Only for images that cannot run otherwise.",
    )


class RbacRule(Spec):
    """One rule of a Role."""

    api_groups: list[str] = Field(description='API groups; `""` is the core group.', min_length=1)
    resources: list[str] = Field(
        description="Resources in the plural, such as `pods`.", min_length=1
    )
    verbs: list[str] = Field(description="Verbs, such as `get`.", min_length=1)
    resource_names: list[str] | None = optional(
        "Resource names that the rule is limited to. Default: all.", min_length=1
    )


class Rbac(Spec):
    """What the workload may do at the Kubernetes API."""

    scope: Literal["namespace", "cluster"] = Field(
        default="namespace", description="Role or ClusterRole."
    )
    rules: list[RbacRule] = Field(
        default_factory=list, description="Rules. Default: none, and no token is mounted."
    )
    allow_dangerous: list[str] = Field(
        default_factory=list,
        description="Weakens: confirms dangerous permissions in `rules`, by the name of the resource or verb: `secrets`, `pods/exec`, `escalate`, `bind`, `impersonate`, every write that is not known to be harmless and, with `scope: cluster`, every read of what holds data of others, such as `configmaps`. Never `*`. Default: none.",
    )


class Identity(Spec):
    """The cloud identity of the workload's ServiceAccount."""

    aws_role_arn: str | None = optional(
        "IAM role for EKS. Default: none.",
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$",
        max_length=2048,
    )
    gcp_service_account: str | None = optional(
        "Google service account for GKE Workload Identity. Default: none.",
        pattern=r"^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$",
        max_length=253,
    )


class Peer(Spec):
    """A caller or destination; set exactly one field."""

    agent: str | None = optional(
        "Agent or MCP server of the fleet, `name` or `namespace/name`.", max_length=127
    )
    namespace: Name | None = optional(
        "All pods of a namespace, named as in the specs, or as in the cluster if the fleet has none of that name."
    )
    host: Host | None = optional(
        "A host name, of a Service in the cluster or outside it. Egress only."
    )
    cidr: str | None = optional("An address range, such as `10.20.0.0/16`.", pattern=CIDR)
    ports: list[Port] = Field(
        default_factory=list,
        description="Pod ports. Default: for ingress and for an `agent` the HTTP port; for other destinations 443.",
    )


class Network(Spec):
    """Traffic in addition to what the spec implies."""

    allow_from: list[Peer] = Field(
        default_factory=list, description="Additional callers. Default: none."
    )
    allow_to: list[Peer] = Field(
        default_factory=list, description="Additional destinations. Default: none."
    )


class Expose(Spec):
    """How callers from outside the cluster reach the workload."""

    host: Host | None = optional("Host name. Default: the environment's `expose.host`.")
    hosts: list[Host] = Field(
        default_factory=list,
        description="Further host names, with the same path; without `host`, they take the place of the environment's. Default: none.",
        max_length=15,
    )
    path: UrlPath | None = optional(
        "Path prefix, stripped before it reaches the workload. Default: `/` with hosts of its own, `/agents/<name>` on the environment's."
    )
    type: Literal["HTTPRoute", "Ingress"] | None = optional(
        "Kind of object. Default: the environment's, HTTPRoute if there is a gateway."
    )
    port: PortName | None = optional("Name of the port. Default: `http`, else the first.")
    tls: bool = Field(
        default=True,
        description="Whether cert-manager creates a Certificate for an Ingress with hosts of its own; with gateways and shared hosts, TLS ends there.",
    )


class Workload(Spec):
    """Settings of every workload, whatever runs in it."""

    container: Container | None = optional(
        "Your own image. Default: the generic runtime (agents), the stock image (dev memory stores), none (remote MCP servers)."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Requests and limits of the main container."
    )
    scaling: Scaling = Field(
        default_factory=Scaling, description="Replicas and autoscaling. Default: one replica."
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        description="Environment variables of the main container. Default: none.",
    )
    env_from: list[EnvFromSource] = Field(
        default_factory=list,
        description="Whole Secrets and ConfigMaps, each key a variable; `env` wins. Default: none.",
    )
    health_check: HealthCheck = Field(default_factory=HealthCheck, description="Probes.")
    observability: Observability = Field(
        default_factory=Observability, description="Metrics, traces, logs and alerts."
    )
    volumes: list[Volume] = Field(
        default_factory=list,
        description="Volumes of the main container. Default: only a scratch `/tmp`.",
    )
    stateful: bool = Field(
        default=False, description="Whether pods have their own names and claims (StatefulSet)."
    )
    service_account: ObjectName | None = optional(
        "A ServiceAccount that exists, set by the environment's `patches`; or that of another workload that names equal `rbac` and `identity`. Default: a new one without a token."
    )
    rbac: Rbac | None = optional("Permissions at the Kubernetes API. Default: none.")
    identity: Identity | None = optional("Cloud identity. Default: none.")
    network: Network = Field(default_factory=Network, description="Additional network permissions.")
    expose: Expose | None = optional("Access from outside the cluster. Default: none.")
    service: Service = Field(
        default_factory=Service, description="The Service of the workload's ports."
    )
    pod_template: PodTemplate = Field(
        default_factory=PodTemplate, description="Escape hatches for pod settings."
    )
    object_patches: list[ObjectPatch] = Field(
        default_factory=list,
        description="Changes of this spec's own objects, after everything else, where they mean nothing to anybody else (docs/environments.md). Default: none.",
        max_length=64,
    )
