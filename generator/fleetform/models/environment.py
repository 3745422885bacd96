"""Environment: what differs between clusters such as dev, staging and prod."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.json_schema import WithJsonSchema

from fleetform.addresses import PRIVATE, PRIVATE_V6
from fleetform.contract import IMAGE_EXTRAS
from fleetform.models.agent import AgentSpec, Auth
from fleetform.models.base import (
    Host,
    LabelKey,
    LabelValue,
    Name,
    ObjectName,
    ObjectPatch,
    ObjectTarget,
    OneOf,
    Port,
    Quantity,
    SecretKey,
    Spec,
    Url,
    optional,
)
from fleetform.models.mcp_server import McpServerSpec
from fleetform.models.memory_store import MemoryStoreSpec
from fleetform.models.model_config import ModelSettings
from fleetform.models.observability import ALERTS, FRACTION
from fleetform.models.service import Cidr, ServiceGrant
from fleetform.models.tool import HeaderName, HeaderValue
from fleetform.models.workload import ImageName, Resources, Toleration
from fleetform.patterns import DATA_KEY, HOST_OR_SUFFIX, PATCHED
from fleetform.targets import DEFAULT as DEFAULT_TARGET
from fleetform.targets import NAMES as TARGET_NAMES
from fleetform.targets import TARGETS

Capability = Literal[
    "keda",
    "prometheus-operator",
    "external-secrets",
    "gateway-api",
    "cert-manager",
    "argo-workflows",
    "agent-sandbox",
    "argo-rollouts",
    "grafana-operator",
]


TargetName = Annotated[str, OneOf(*TARGET_NAMES)]

DIGEST = r"^sha256:[a-f0-9]{64}$"


class Namespaces(Spec):
    """How the specs' namespaces map to those of this environment."""

    create: bool = Field(default=False, description="Whether Namespace objects are rendered.")
    map: dict[Name, Name] = Field(
        default_factory=dict,
        description="Names in the cluster by names in the specs. Default: the same names.",
    )
    suffix: str = Field(
        default="",
        description="Suffix for every name that is not in `map`.",
        pattern=r"^(-[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        max_length=40,
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of created namespaces. Default: only those of Pod Security.",
    )


class ImagePin(Spec):
    """Tag and digest of a repository; a digest belongs to the tag next to it."""

    tag: str | None = optional(
        "Tag. Default: the spec's.", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
    )
    digest: str | None = optional(
        "Digest; wins over the tag, which is then set next to it or nowhere. Default: none.",
        pattern=r"^sha256:[a-f0-9]{64}$",
    )


class Images(Spec):
    """Where images come from."""

    registry: str | None = optional(
        "Registry prepended to repositories without one, such as `ghcr.io/acme`. Default: none.",
        pattern=r"^[a-z0-9]([-a-z0-9._/:]*[a-z0-9])?$",
        max_length=253,
    )
    runtime: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9._/:]*[a-z0-9])?$", max_length=255)
    ] = Field(default="fleetform/agent-runtime", description="Repository of the generic runtime.")
    extras: list[Annotated[str, OneOf(*IMAGE_EXTRAS)]] | None = optional(
        "Extras that the runtime image was built with, for what needs one, such as some model providers; `[]` is the core "
        "image. Default: unknown, with a note if something needs one."
    )
    pins: dict[str, ImagePin] = Field(
        default_factory=dict,
        description="Tags and digests by repository, as named in specs. Default: the specs' own.",
    )
    require_digest: bool = Field(
        default=False,
        description="Refuse images without a digest. `fleetform pin` sets tag and digest together.",
    )
    pull_secrets: list[ObjectName] = Field(
        default_factory=list, description="Image pull secrets. Default: none."
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = optional(
        "Image pull policy. Default: Kubernetes' own rule."
    )


RoleArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/{}-]+$", max_length=2048
    ),
]
"""An IAM role, possibly with placeholders in its name."""


class AwsStore(Spec):
    """AWS Secrets Manager."""

    region: str = Field(description="Region, such as `eu-central-1`.", pattern=r"^[a-z0-9-]+$")
    role: RoleArn | None = optional(
        "IAM role that the store assumes once it has signed in; `{environment}` and `{namespace}` (as in the specs) are filled in. Default: none."
    )


class GcpStore(Spec):
    """GCP Secret Manager."""

    project_id: str = Field(description="Project.", pattern=r"^[a-z][-a-z0-9]*$")
    cluster_location: str | None = optional(
        "Location of the GKE cluster, for Workload Identity. Default: the operator's cluster."
    )
    cluster_name: str | None = optional(
        "Name of the GKE cluster, for Workload Identity. Default: the operator's cluster."
    )


class AzureStore(Spec):
    """Azure Key Vault."""

    vault_url: str = Field(description="URL of the vault.", pattern=r"^https://[^\s/]+$")
    tenant_id: str | None = optional(
        "Tenant. Default: the identity's.", pattern=r"^[0-9a-fA-F-]{36}$"
    )


class VaultStore(Spec):
    """HashiCorp Vault, KV version 2."""

    server: str = Field(description="URL of the server.", pattern=r"^https?://[^\s/]+$")
    path: str = Field(default="secret", description="Mount of the KV engine.")
    role: str = Field(
        description="Role of the Kubernetes auth method; `{environment}` and `{namespace}` (as in the specs) are filled in."
    )
    mount_path: str = Field(
        default="kubernetes", description="Mount of the Kubernetes auth method."
    )


class StoreIdentity(Spec):
    """The cloud identity of a store's ServiceAccount; `{environment}` and `{namespace}` (as in the specs) are filled in."""

    aws_role_arn: RoleArn | None = optional("IAM role for EKS (IRSA). Needed for provider aws.")
    gcp_service_account: str | None = optional(
        "Google service account for GKE Workload Identity. Default: the Kubernetes account itself is the principal.",
        pattern=r"^[a-z0-9{}-]+@[a-z0-9.-]+\.gserviceaccount\.com$",
        max_length=253,
    )
    azure_client_id: str | None = optional(
        "Client of Microsoft Entra for AKS Workload Identity. Needed for provider azure.",
        pattern=r"^[0-9a-fA-F-]{36}$",
    )


class SecretStore(Spec):
    """The store that ExternalSecrets read from."""

    name: Name = Field(default="fleetform", description="Name of the store.")
    kind: Literal["SecretStore", "ClusterSecretStore"] = Field(
        default="SecretStore", description="Whether the store is namespaced or cluster-wide."
    )
    create: bool = Field(
        default=True,
        description="Whether a SecretStore is rendered into each namespace that needs one; a ClusterSecretStore must exist.",
    )
    service_account: ObjectName | None = optional(
        "ServiceAccount that reads the secrets, one in each namespace with a store. Default: named like the store."
    )
    create_service_account: bool = Field(
        default=True,
        description="Whether that ServiceAccount is rendered; otherwise it must exist, with its identity.",
    )
    identity: StoreIdentity = Field(
        default_factory=StoreIdentity,
        description="Cloud identity of the ServiceAccounts, as annotations.",
    )
    identities: dict[Name, StoreIdentity] = Field(
        default_factory=dict,
        description="Identities of single namespaces as in the specs, instead of `identity`. Default: none.",
    )
    operator_identity: bool = Field(
        default=False,
        description="Weakens: every namespace reads the store with the identity of the operator, so whoever may create an ExternalSecret there reads whatever the operator may",
    )
    aws: AwsStore | None = optional("For provider aws.")
    gcp: GcpStore | None = optional("For provider gcp.")
    azure: AzureStore | None = optional("For provider azure.")
    vault: VaultStore | None = optional("For provider vault.")


class ModelKeys(Spec):
    """Which Secret holds the API key of a model without a `secretRef`; Ollama, GPUStack, vLLM and Bedrock need none."""

    name: str = Field(
        default="{provider}-api-key",
        description="Name of the Secret; `{provider}` and `{namespace}` (as in the specs) are filled in.",
        pattern=r"^[a-z0-9{]([-a-z0-9.{}]*[a-z0-9}])?$",
        max_length=253,
    )
    key: str = Field(
        default="api-key",
        description="Key in the Secret.",
        pattern=DATA_KEY,
        max_length=253,
    )


Layout = Literal["json", "plain"]
RemoteName = Annotated[str, StringConstraints(pattern=r"^\S+$", max_length=512)]


class RemoteKey(Spec):
    """Where one key of a Secret comes from."""

    remote_key: RemoteName | None = optional(
        "Name of the secret in the provider's store; the placeholders of `secrets.remoteKey` are filled in. Default: that of the whole Secret."
    )
    property: str | None = optional(
        "Property of its JSON, with dots between levels; empty: its whole text. Default: the key with `layout: json`, otherwise the whole text.",
        max_length=512,
    )
    version: str | None = optional("Version. Default: that of the whole Secret.", max_length=256)


class SecretItem(Spec):
    """Where one Secret comes from, if not from where the rule says."""

    create: bool = Field(
        default=True,
        description="Whether an ExternalSecret creates it; otherwise it must exist.",
    )
    remote_key: RemoteName | None = optional(
        "Name of the secret in the provider's store; the placeholders of `secrets.remoteKey` are filled in. Default: by `secrets.remoteKey`."
    )
    layout: Layout | None = optional(
        "How its keys are stored. Default: `secrets.layout`; what images are pulled with is plain text, but in Vault."
    )
    version: str | None = optional(
        "Version: a stage or `uuid/…` for aws, a number or an alias for gcp, an identifier for azure, a number for vault. Default: the current one.",
        max_length=256,
    )
    keys: dict[Annotated[str, StringConstraints(pattern=DATA_KEY, max_length=253)], RemoteKey] = (
        Field(
            default_factory=dict,
            description="Where single keys come from; a Secret that is mounted as a whole then has these keys only. Default: by rule.",
        )
    )


class Secrets(Spec):
    """Where secrets come from. Specs only refer to a Secret and a key."""

    provider: Literal["kubernetes", "aws", "gcp", "azure", "vault"] = Field(
        default="kubernetes",
        description="`kubernetes`: the Secrets exist already. Otherwise ExternalSecrets create them.",
    )
    model_keys: ModelKeys = Field(
        default_factory=ModelKeys,
        description="Where to find API keys of models that refer to none.",
    )
    store: SecretStore | None = optional("The store. Needed unless the provider is kubernetes.")
    remote_key: str = Field(
        default="{namespace}/{name}",
        description="Name of a secret in the provider's store; `{environment}`, `{namespace}` (as in the specs), `{name}` and, with `layout: plain`, `{key}` are filled in.",
        max_length=512,
    )
    layout: Layout = Field(
        default="json",
        description="How the store holds a Secret: `json`, one secret with a property per key; `plain`, one secret per key, whose whole text is the value.",
    )
    items: dict[
        Annotated[
            str,
            StringConstraints(
                pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
                max_length=317,
            ),
        ],
        SecretItem,
    ] = Field(
        default_factory=dict,
        description="Secrets that differ from the rule, as `namespace/name` (as in the specs), or as `name` in every namespace. Default: none.",
    )
    refresh_interval: str = Field(
        default="1h",
        description="Refresh interval of ExternalSecrets, a duration.",
        pattern=r"^([0-9]+(\.[0-9]+)?(s|m|h))+$",
    )


class ProviderDefaults(Spec):
    """Defaults for ModelConfigs of one provider."""

    api_key_secret_ref: SecretKey | None = optional("API key. Default: none.")
    endpoint: Url | None = optional("Base URL. Default: the provider's own.")


class Gateway(Spec):
    """The Gateway that HTTPRoutes attach to."""

    name: Name = Field(description="Name.")
    namespace: Name = Field(description="Namespace as in the cluster.")
    section_name: ObjectName | None = optional("Listener. Default: all.")
    request_timeouts: bool | None = optional(
        "Whether its controller accepts `timeouts.request` in an HTTPRoute. Default: true, false for the platform gke."
    )


class IssuerRef(Spec):
    """The cert-manager issuer of certificates."""

    name: Name = Field(description="Name.")
    kind: Literal["Issuer", "ClusterIssuer"] = Field(
        default="ClusterIssuer", description="Kind of issuer."
    )


class HostGrant(Spec):
    """A host that specs may expose themselves on."""

    host: Annotated[str, StringConstraints(pattern=HOST_OR_SUFFIX, max_length=253)] = Field(
        description="Host, or `*.` and a domain for every host below it."
    )
    namespaces: list[Name] = Field(
        default_factory=list,
        description="Namespaces as in the specs whose workloads may use it. Default: all.",
        min_length=1,
    )


class Placement(Spec):
    """Nodes for pods that no spec places."""

    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Node labels to require. Default: none."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, description="Taints to tolerate. Default: none."
    )


class FleetPage(Spec):
    """A page at the root of the shared host that leads to the pages of all agents behind it, of every namespace."""

    namespace: Name = Field(description="Namespace as in the specs in which it runs.")
    name: Name = Field(default="fleet-page", description="Name of its objects.")
    title: str | None = optional(
        "Headline. Default: `Agents`, in the language of who reads it.",
        min_length=1,
        max_length=256,
    )
    auth: Auth = Field(
        description="Who may see which agents there are. With `oidc`, who signs in there has signed in at the agents of the same issuer and audience."
    )
    replicas: int = Field(default=1, description="Pods.", ge=1, le=100)
    resources: Resources = Field(default_factory=Resources, description="Compute resources.")
    placement: Placement = Field(default_factory=Placement, description="On which nodes it runs.")


class ExposeDefaults(Spec):
    """How the cluster is reached from outside."""

    host: Host | None = optional("Host that agents share under `/agents/<name>`. Default: none.")
    hosts: list[HostGrant] = Field(
        default_factory=list,
        description="Hosts that specs may name in `expose.host` and `expose.hosts`. Default: none but `host`, and those that this environment sets itself.",
    )
    services: list[ServiceGrant] = Field(
        default_factory=list,
        description="Types of Service other than ClusterIP that specs may have. Default: none but those that this environment sets itself.",
    )
    type: Literal["HTTPRoute", "Ingress"] = Field(
        default="HTTPRoute", description="Kind of object that exposes workloads."
    )
    gateway: Gateway | None = optional("The Gateway. Needed for HTTPRoute.")
    ingress_class: Name | None = optional("Ingress class. Default: the cluster's.")
    issuer: IssuerRef | None = optional(
        "Issuer of certificates. Default: none, since TLS ends at the gateway."
    )
    page: FleetPage | None = optional(
        "A page at the root of `host` that leads to all agents with a page behind it, shows how they are, and what waits there for whoever has signed in. Default: none."
    )
    request_timeout_seconds: int = Field(
        default=3600, description="Timeout of a streamed answer, in seconds.", ge=1, le=86400
    )


IpFamily = Literal["IPv4", "IPv6"]


def _ipv4() -> list[IpFamily]:
    return ["IPv4"]


class NetworkDefaults(Spec):
    """Facts about the network that specs cannot know."""

    default_deny: bool = Field(
        default=False,
        description="Whether every namespace gets a policy that isolates pods which no other policy selects, such as those of other teams.",
    )
    dns_namespace: Name | None = optional(
        "Namespace of the cluster's DNS. Default: the platform's, mostly kube-system."
    )
    dns_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the DNS pods. Default: the platform's, mostly `k8s-app: kube-dns`.",
        min_length=1,
    )
    dns_port: Port | None = optional(
        "Port that the DNS pods listen on, TCP and UDP. Default: the platform's, 53, or 5353 for openshift."
    )
    node_local_dns: bool = Field(
        default=False, description="Whether NodeLocal DNS answers at 169.254.20.10."
    )
    gateway_namespace: Name | None = optional(
        "Namespace of the gateway's or ingress controller's pods. Default: the Gateway's."
    )
    gateway_ranges: list[Cidr] = Field(
        default_factory=list,
        description="Source addresses of a gateway that does not run in the cluster, such as a cloud load balancer. Default: none.",
    )
    node_ranges: list[Cidr] = Field(
        default_factory=list,
        description="Addresses of the nodes, from which calls come to Services with `externalTrafficPolicy: Cluster`. Default: none.",
    )
    prometheus_namespace: Name = Field(
        default="monitoring", description="Namespace of the Prometheus that scrapes the pods."
    )
    services: dict[Host, Port] = Field(
        default_factory=dict,
        description="Pod port by in-cluster host, since policies use pod ports but URLs use Service ports. Default: the URL's port.",
    )
    ip_families: list[IpFamily] = Field(
        default_factory=_ipv4,
        description="IP families of the pods: a host outside is reached in each of them.",
        min_length=1,
        max_length=2,
    )
    api_server: list[Cidr] | None = optional(
        "Addresses of the Kubernetes API, for workloads with `rbac`, on ports 443 and 6443. Default: any, with a warning.",
    )
    private_ranges: list[Cidr] = Field(
        default_factory=lambda: [*PRIVATE, *PRIVATE_V6],
        description="Private ranges, excluded from traffic to the internet and from wider ranges. A family without any keeps its defaults.",
    )
    unencrypted: list[Host] = Field(
        default_factory=list,
        description="Weakens: hosts and addresses outside of the cluster to which credentials go by plain http, or without TLS.",
    )


def _threshold(name: str, default: float) -> Any:
    return Field(default=default, description=ALERTS[name], **FRACTION)


class AlertThresholds(Spec):
    """What alerts compare with, as fractions from 0.001 to 0.999."""

    error_ratio: float = _threshold("error_ratio", 0.05)
    latency_ratio: float = _threshold("latency_ratio", 0.8)
    rate_limited_ratio: float = _threshold("rate_limited_ratio", 0.1)
    fallback_ratio: float = _threshold("fallback_ratio", 0.05)
    retry_ratio: float = _threshold("retry_ratio", 0.2)
    tool_error_ratio: float = _threshold("tool_error_ratio", 0.2)
    ready_ratio: float = _threshold("ready_ratio", 0.5)


class Severities(Spec):
    """The label `severity` of alerts, by which an Alertmanager routes them."""

    page: LabelValue = Field(
        default="critical", description="Of alerts for which somebody is woken.", min_length=1
    )
    ticket: LabelValue = Field(
        default="warning", description="Of alerts that can wait for working hours.", min_length=1
    )


class Dashboards(Spec):
    """A dashboard in each namespace whose agents or workflows are scraped: a GrafanaDashboard where the Grafana operator is, else a ConfigMap that Grafana's sidecar finds."""

    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=lambda: {"grafana_dashboard": "1"},
        description="Labels by which the sidecar finds the ConfigMap.",
        min_length=1,
    )
    instance_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=lambda: {"dashboards": "grafana"},
        description="Labels of the Grafana objects that show the GrafanaDashboard, with the capability `grafana-operator`. They stay for its life.",
        min_length=1,
    )
    folder: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9 ._]*$", max_length=100)]
        | None
    ) = optional(
        "Folder in Grafana; of a ConfigMap the annotation `grafana_folder`, which the sidecar reads as `folderAnnotation`. Default: Grafana's general one, the operator's the namespace."
    )


class TraceExporter(Spec):
    """A backend to which the collector sends every trace, by OTLP."""

    name: Name = Field(description="Name in the collector's logs and metrics.")
    protocol: Literal["http", "grpc"] = Field(default="http", description="OTLP over HTTP or gRPC.")
    endpoint: Url = Field(
        description="Base URL, to which `/v1/traces` is added over HTTP; over gRPC host and port. `https` is TLS."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Fixed headers; never credentials. Default: none."
    )
    secret_headers: dict[HeaderName, SecretKey] = Field(
        default_factory=dict,
        description="Headers whose whole value, such as `Basic …`, is in a Secret of the collector's namespace; the collector expands `$$` and `${…}` in it. Default: none.",
    )
    ca_secret_ref: SecretKey | None = optional("PEM bundle of a private CA. Default: public CAs.")


class Collector(Spec):
    """An OpenTelemetry Collector that takes the traces of the fleet and sends them on."""

    namespace: Name = Field(
        default="telemetry",
        description="Its namespace, mapped like those of specs. A namespace of its own keeps keys of backends from agents.",
    )
    replicas: int = Field(default=2, description="Number of pods.", ge=1, le=50)
    image: ImageName = Field(
        default_factory=lambda: ImageName(
            repository="docker.io/otel/opentelemetry-collector", tag="0.150.0"
        ),
        description="Image of a collector with OTLP, batches, a memory limit and a health check. Default: docker.io/otel/opentelemetry-collector, 0.150.0.",
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="CPU and memory, of which it uses at most four fifths.",
    )
    placement: Placement = Field(default_factory=Placement, description="On which nodes it runs.")
    exporters: list[TraceExporter] = Field(
        description="Where traces go: each backend gets all of them.", min_length=1, max_length=10
    )


TARGET_LABELS = ("team", "cost-center")
"""Labels by which cost is shared out, where pods have them."""


class MonitoringDefaults(Spec):
    """How the Prometheus operator finds our objects, and where traces are sent."""

    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels added to ServiceMonitors and PrometheusRules, such as `release: prometheus`. Default: none.",
    )
    target_labels: list[LabelKey] = Field(
        default_factory=lambda: [*TARGET_LABELS],
        description="Labels of pods that their metrics get, so that use and cost can be summed by them: `cost-center` becomes `cost_center`.",
        max_length=20,
    )
    otlp_endpoint: Url | None = optional(
        "Base URL of an OTLP/HTTP collector that exists. Default: the one of `collector`, else none."
    )
    collector: Collector | None = optional(
        "A collector that is deployed with the fleet, and gets its traces. Default: none."
    )
    prometheus_url: Url | None = optional(
        "URL of the Prometheus that KEDA asks for runs in flight, and Argo Rollouts about canaries, such as `http://prometheus.monitoring.svc:9090`. Default: KEDA scales only what says how."
    )
    alert_thresholds: AlertThresholds = Field(
        default_factory=AlertThresholds,
        description="What alerts compare with, unless a spec's `observability.alertThresholds` says otherwise.",
    )
    runbooks: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^https?://[A-Za-z0-9][-A-Za-z0-9.:]*(/([-A-Za-z0-9._~/%#]|\{alert\})*)?$",
                max_length=512,
            ),
        ]
        | None
    ) = optional(
        "Page that alerts link to as `runbook_url`, with a heading per alert: docs/alerts.md, or one of your own; or a page per alert, such as `https://runbooks.example/{alert}`. Default: no link."
    )
    dashboards: Dashboards | None = optional(
        "Dashboards of agents and workflows; `{}` turns them on. Default: none."
    )
    severities: Severities = Field(
        default_factory=Severities, description="What alerts have as label `severity`."
    )


Group = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[^\s:]+(:[^\s:]+)*$")
]


class TenantGroups(Spec):
    """Who may look at a namespace, and restart what is in it, by groups of the cluster's sign-in."""

    view: list[Group] = Field(
        default_factory=list,
        description="Groups that see all objects but Secrets, and logs. Default: nobody.",
        max_length=50,
    )
    edit: list[Group] = Field(
        default_factory=list,
        description="Groups that also delete pods and scale; nobody gets Secrets, `exec`, or what makes pods. Default: nobody.",
        max_length=50,
    )


class Quota(Spec):
    """Limits of a namespace, defaults for its pods, and the rights of its people."""

    groups: TenantGroups = Field(
        default_factory=TenantGroups, description="Rights of people. Default: none."
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of every object and pod of the namespace, such as `team` and `cost-center`; those of a spec win. Default: none.",
    )
    daily_budget_usd: float | None = optional(
        "US dollars that the namespace's agents should spend on models in 24 hours: an alert tells at four fifths, nothing is refused. Default: none.",
        gt=0,
        le=100_000,
    )

    hard: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][-A-Za-z0-9._/]*$")], Quantity] = (
        Field(
            default_factory=dict,
            description="As ResourceQuota `spec.hard`, such as `requests.cpu`. Default: no quota.",
        )
    )
    default_request: dict[Literal["cpu", "memory"], Quantity] = Field(
        default_factory=dict,
        description="LimitRange: requests of containers that set none. Default: none.",
    )
    default_limit: dict[Literal["cpu", "memory"], Quantity] = Field(
        default_factory=dict,
        description="LimitRange: limits of containers that set none. Default: none.",
    )
    max: dict[Literal["cpu", "memory"], Quantity] = Field(
        default_factory=dict,
        description="LimitRange: maximum for one container. Default: none.",
    )


class GitopsSource(Spec):
    """Where Flux or Argo CD finds the output."""

    kind: Literal["GitRepository", "OCIRepository"] = Field(
        default="GitRepository", description="Kind of Flux's source."
    )
    name: Name = Field(default="flux-system", description="Name of Flux's source.")
    url: str | None = optional(
        "URL, `https://`, `ssh://` or `oci://`. Flux: the source is rendered; without it, it must exist. Required for Argo CD.",
        pattern=r"^(https?|ssh|oci)://[^\s]+$",
        max_length=2048,
    )
    branch: str | None = optional(
        "Branch of a Git repository. Default: main for Flux, HEAD for Argo CD.",
        pattern=r"^[A-Za-z0-9._/-]+$",
        max_length=253,
    )
    tag: str | None = optional(
        "Tag, instead of a branch. Default: none for Git, latest for OCI.",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$",
        max_length=253,
    )
    digest: str | None = optional(
        "Digest of an OCI artifact; wins over the tag. Default: none.",
        pattern=r"^sha256:[a-f0-9]{64}$",
    )
    secret: ObjectName | None = optional(
        "Secret next to a rendered source, for Flux's authentication. Default: none."
    )


class ArgoCD(Spec):
    """Settings for Argo CD."""

    project: Name | None = optional(
        "Existing AppProject. Default: one is rendered, named `fleetform-` plus the environment's name."
    )
    server: str | None = optional(
        "URL of the target cluster's API. Default: the cluster that Argo CD runs in.",
        pattern=r"^https://[^\s]+$",
    )
    cluster: str | None = optional(
        "Name of the cluster in Argo CD, instead of `server`. Default: none.",
        pattern=r"^[A-Za-z0-9._-]+$",
    )


GitopsDuration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(s|m|h))+$")]


class Gitops(Spec):
    """How the output is delivered."""

    tool: Literal["none", "flux", "argocd"] = Field(
        default="flux",
        description="Tool that applies the output; decides which annotations protect objects from its substitution and pruning.",
    )
    kustomization: bool = Field(
        default=True, description="Whether each folder gets a kustomization.yaml."
    )
    way: Literal["manifests", "helm"] = Field(
        default="manifests",
        description="Whether Flux applies the plain manifests or installs the charts of `helm`.",
    )
    namespace: Name | None = optional(
        "Namespace of the rendered objects. Default: `flux-system` for Flux, `argocd` for Argo CD."
    )
    source: GitopsSource = Field(
        default_factory=GitopsSource, description="Where the output is stored."
    )
    path: str = Field(
        default="",
        description="Folder in the repository or artifact that `render --out` writes into. Default: its root.",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?$",
        max_length=512,
    )
    interval: GitopsDuration = Field(default="10m", description="Flux's reconciliation interval.")
    retry_interval: GitopsDuration = Field(
        default="1m", description="Flux's retry interval after a failure."
    )
    timeout: GitopsDuration = Field(
        default="10m", description="How long Flux waits for everything to become ready."
    )
    argocd: ArgoCD = Field(default_factory=ArgoCD, description="Argo CD.")


class HelmTest(Spec):
    """The pod of `helm test`, which asks a workload's Service whether it is ready."""

    enabled: bool = Field(
        default=True, description="Whether releases have a test; Flux runs it after each upgrade."
    )
    image: ImageName = Field(
        default_factory=lambda: ImageName(repository="library/busybox", tag="1.37.0"),
        description="Image with wget and nc. Like every image it comes from `images.registry` unless it names a registry, and obeys `images.pins`. Default: library/busybox, 1.37.0.",
    )


class Helm(Spec):
    """Where the charts `agent` and `namespace` come from."""

    charts: str = Field(
        default="charts",
        description="Folder of the charts, or the OCI repository that contains them, such as `oci://ghcr.io/acme/charts`.",
        pattern=r"^(oci://[a-z0-9][-a-z0-9._:/]*[a-z0-9]|[A-Za-z0-9._][-A-Za-z0-9._/]*)$",
        max_length=512,
    )
    version: str | None = optional(
        "Version of the charts, for an OCI repository. Default: the latest.",
        pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$",
    )
    digests: dict[
        Literal["agent", "namespace"], Annotated[str, StringConstraints(pattern=DIGEST)]
    ] = Field(
        default_factory=dict,
        description="Digests of the charts in an OCI repository, which Flux pins. Default: the version.",
    )
    secret: ObjectName | None = optional(
        "Secret next to Flux's sources, for authentication at the OCI repository. Default: none."
    )
    test: HelmTest = Field(default_factory=HelmTest, description="The test of each release.")


class Sandboxes(Spec):
    """Pods of agent-sandbox, each made for one program of a Tool with `engine: sandbox`."""

    runtime_class: ObjectName | None = optional(
        "RuntimeClass that gives each pod a kernel of its own, such as gvisor or kata; such Tools need it."
    )
    warm: int = Field(
        default=1,
        description="Pods per agent that wait for a program; 0: each is made when it is asked for, which takes seconds.",
        ge=0,
        le=100,
    )


class Compose(Spec):
    """Settings for Docker Compose."""

    ports: dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*/[a-z0-9][-a-z0-9.]*$")],
        Port,
    ] = Field(
        default_factory=dict,
        description="Host port by workload, as `namespace/name` in the specs. Default: agents get any free port, which `docker compose port` shows; others are not published.",
    )


class Cost(Spec):
    """What the cluster's nodes and disks cost, for `fleetform estimate`."""

    cpu_hour_usd: float | None = optional(
        "US dollars for an hour of one core. Default: unknown.", ge=0, le=1000
    )
    memory_gib_hour_usd: float | None = optional(
        "US dollars for an hour of a GiB of memory. Default: unknown.", ge=0, le=1000
    )
    storage_gib_month_usd: float | None = optional(
        "US dollars for a month of a GiB of a claim. Default: unknown.", ge=0, le=1000
    )


class Defaults(Spec):
    """Defaults for every document of a kind."""

    agent: AgentSpec | None = optional("For agents. Default: none.", alias="Agent")
    mcp_server: McpServerSpec | None = optional(
        "For MCP servers. Default: none.", alias="MCPServer"
    )
    memory_store: MemoryStoreSpec | None = optional(
        "For memory stores. Default: none.", alias="MemoryStore"
    )
    model_config_: ModelSettings | None = optional(
        "For model configs. Default: none.", alias="ModelConfig"
    )


_KIND: dict[str, Any] = {"pattern": PATCHED}
PatchedKinds = Annotated[
    list[Annotated[str, StringConstraints(pattern=PATCHED)]],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {"type": ["string", "array"], **_KIND, "minItems": 1, "items": {"type": "string", **_KIND}}
    ),
]
"""One kind or a list of kinds."""


class Target(Spec):
    """Which documents a patch changes; all fields that are set must match."""

    kind: PatchedKinds = Field(
        description="Kind, or a list of kinds: Agent, MCPServer, MemoryStore, ModelConfig."
    )
    name: Name | None = optional("Name. Default: any.")
    namespace: Name | None = optional("Namespace as in the specs. Default: any.")
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels that the target must have. Default: any."
    )


class Patch(Spec):
    """A change of specs, merged over them last."""

    target: Target = Field(description="Which documents; one that matches nothing is a Problem.")
    spec: dict[str, object] = Field(description="What to merge over their `spec`; null deletes.")


class FleetObjectTarget(ObjectTarget):
    """Which objects of the fleet a patch changes; all fields that are set must match."""

    namespace: Name | None = optional("Namespace as in the specs. Default: any.")


class FleetObjectPatch(ObjectPatch):
    """A change of built objects of the fleet; either `merge` or `json6902`."""

    target: FleetObjectTarget = Field(
        description="Which objects; a patch that matches none is a Problem."
    )


class EnvironmentSpec(Spec):
    """What differs between environments."""

    abstract: bool = Field(
        default=False, description="Whether it only exists for others to extend."
    )
    extends: Name | None = optional("Environment to extend. Default: none.")
    platform: Literal["eks", "gke", "openshift", "generic"] = Field(
        default="generic",
        description="Kind of cluster; decides identity annotations, metadata addresses, where its DNS is, who assigns user IDs, and what its Gateway accepts.",
    )
    capabilities: list[Capability] = Field(
        default_factory=list, description="What is installed in the cluster. Default: nothing."
    )
    namespaces: Namespaces = Field(default_factory=Namespaces, description="Namespaces.")
    images: Images = Field(default_factory=Images, description="Images.")
    secrets: Secrets = Field(default_factory=Secrets, description="Secrets.")
    providers: dict[str, ProviderDefaults] = Field(
        default_factory=dict, description="Keys and endpoints by model provider. Default: none."
    )
    expose: ExposeDefaults = Field(
        default_factory=ExposeDefaults, description="Access from outside."
    )
    network: NetworkDefaults = Field(default_factory=NetworkDefaults, description="Network.")
    sandboxes: Sandboxes = Field(
        default_factory=Sandboxes, description="Pods for programs of Tools with `engine: sandbox`."
    )
    backups: Placement = Field(
        default_factory=Placement,
        description="On which nodes backups of MemoryStores, their drills, and Jobs that restore run.",
    )
    monitoring: MonitoringDefaults = Field(
        default_factory=MonitoringDefaults, description="Monitoring."
    )
    tenants: dict[Name, Quota] = Field(
        default_factory=dict, description="Quotas by namespace as in the specs. Default: none."
    )
    priority_classes: list[Name] = Field(
        default_factory=list,
        description="Priority classes that specs may name in `podTemplate.priorityClassName`: their pods push those of lower classes off their nodes. Default: none.",
    )
    targets: list[TargetName] = Field(
        default_factory=lambda: [DEFAULT_TARGET],
        description=f"What `render` writes: {'; '.join(f'`{t.name}`: {t.writes}' for t in TARGETS)}.",
        min_length=1,
    )
    helm: Helm = Field(default_factory=Helm, description="Helm releases.")
    gitops: Gitops = Field(default_factory=Gitops, description="Delivery.")
    compose: Compose = Field(default_factory=Compose, description="Compose.")
    cost: Cost = Field(
        default_factory=Cost,
        description="What nodes and disks cost; it changes no object.",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of every object. Default: none."
    )
    defaults: Defaults = Field(
        default_factory=Defaults, description="Defaults for specs, per kind."
    )
    patches: list[Patch] = Field(
        default_factory=list, description="Changes of specs, in order. Default: none."
    )
    object_patches: list[FleetObjectPatch] = Field(
        default_factory=list,
        description="Changes of built objects, in order, applied last. Default: none.",
        max_length=256,
    )


class EnvironmentMetadata(Spec):
    """Name of an environment."""

    name: Name = Field(description="Name, as given to `render --env`.")


class Environment(Spec):
    """One environment."""

    api_version: Literal["fleetform.dev/v1alpha1"] = Field(description="API version.")
    kind: Literal["Environment"] = Field(description="Kind of the document.")
    metadata: EnvironmentMetadata = Field(description="Name.")
    spec: EnvironmentSpec = Field(default_factory=EnvironmentSpec, description="The environment.")
