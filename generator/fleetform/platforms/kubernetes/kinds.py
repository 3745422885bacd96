"""The kinds of objects that are built, each described once; every list of kinds is derived from here.

Besides its row a kind needs a builder in `objects/`, its place in the chart, and a decision in
`bind/`. tests/house/test_recipes.py reports each place that was forgotten.
"""

from __future__ import annotations

from fleetform.records import NamedTuple

_READY = "status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')"


class ObjectKind(NamedTuple):
    """What all modules except its builder must know about a kind."""

    kind: str
    api: str
    made_by: str
    """The field of a spec that makes one, in words: for people who put such an object beside specs."""
    when: str
    """When there is one, in words."""
    workload: str = ""
    """Module of `objects/` that builds it for a workload; empty when another kind's makes it too."""
    namespace: str = ""
    """Module of `objects/` that builds it for a namespace."""
    custom: bool = False
    """Whether a custom resource defines it: Kustomize merges, and Flux judges, only what it knows."""
    cluster: bool = False
    """Whether it is cluster-scoped."""
    pruned: bool = True
    """Whether `plan` looks for those that are no longer rendered."""
    pods: bool = False
    """Whether it holds the template of a pod."""
    ready: str = ""
    """When it is ready, as CEL for Flux; empty when Flux knows by itself, or there is nothing to wait for."""

    @property
    def group(self) -> str:
        """Return the API group, empty for the core group."""
        return self.api.rpartition("/")[0]

    @property
    def schema_file(self) -> str:
        """Return the path of its schema among those that tools/schemas generates."""
        group, _, version = self.api.rpartition("/")
        return f"{group or version}/{self.kind.lower()}_{version}.json"

    @property
    def resource(self) -> str:
        """Return its name in paths and roles."""
        name = self.kind.lower()
        if name.endswith("y"):
            return f"{name[:-1]}ies"
        return f"{name}es" if name.endswith("s") else f"{name}s"


KINDS = (
    ObjectKind(
        "Namespace",
        "v1",
        "the Environment's `namespaces.create`",
        "`namespaces.create`; Pod Security `restricted` enforced; never pruned, since claims and old configurations live in it",
        cluster=True,
        pruned=False,
    ),
    ObjectKind(
        "ResourceQuota",
        "v1",
        "the Environment's `tenants`",
        "`tenants`",
        namespace="resourcequota",
    ),
    ObjectKind(
        "LimitRange",
        "v1",
        "the Environment's `tenants`",
        "`tenants` with limits",
        namespace="limitrange",
    ),
    ObjectKind(
        "ServiceAccount",
        "v1",
        "every Agent gets one; see `identity` and `rbac`",
        "always; without a token unless there is `rbac` or a tool with `engine: sandbox`; one per namespace reads the secret store",
        workload="serviceaccount",
    ),
    ObjectKind(
        "Role",
        "rbac.authorization.k8s.io/v1",
        "`rbac.rules`",
        "`rbac.rules`; never with wildcards; dangerous permissions only if confirmed in `allowDangerous`; for people by the Environment's `tenants`",
        workload="role",
        namespace="tenantrole",
    ),
    ObjectKind("RoleBinding", "rbac.authorization.k8s.io/v1", "`rbac.rules`", "with a Role"),
    ObjectKind(
        "ClusterRole",
        "rbac.authorization.k8s.io/v1",
        "`rbac.scope: cluster`",
        "`rbac.scope: cluster`, instead of a Role",
        cluster=True,
    ),
    ObjectKind(
        "ClusterRoleBinding",
        "rbac.authorization.k8s.io/v1",
        "`rbac.scope: cluster`",
        "with a ClusterRole",
        cluster=True,
    ),
    ObjectKind(
        "ConfigMap",
        "v1",
        "an Agent's prompt and settings, or `container.configFiles`",
        "generic runtime, or `container.configFiles`; immutable, its name contains a hash of its content; the dashboard of a namespace, with `monitoring.dashboards` and no Grafana operator",
        workload="configmap",
        namespace="dashboard",
    ),
    ObjectKind(
        "Service",
        "v1",
        "an Agent, or `container.ports`",
        "the container has ports; a headless twin for StatefulSets and `peers`",
        workload="service",
    ),
    ObjectKind(
        "Deployment",
        "apps/v1",
        "an Agent or MCPServer",
        "always, unless `stateful: true`",
        workload="deployment",
        pods=True,
    ),
    ObjectKind(
        "StatefulSet",
        "apps/v1",
        "`stateful: true`",
        "`stateful: true`",
        workload="statefulset",
        pods=True,
    ),
    ObjectKind(
        "AnalysisTemplate",
        "argoproj.io/v1alpha1",
        "an Agent's `delivery.canary.analysis`",
        "with a Rollout that is judged: what Prometheus must say of the new pods",
        custom=True,
    ),
    ObjectKind(
        "Rollout",
        "argoproj.io/v1alpha1",
        "an Agent's `delivery.canary`",
        "`delivery.canary`, with Argo Rollouts: replaces the pods of the Deployment beside it step by step",
        workload="rollout",
        custom=True,
        # A canary that waits, for its time or a person, has been delivered.
        ready="has(status.phase) && status.phase in ['Healthy', 'Paused']",
    ),
    ObjectKind(
        "Job",
        "batch/v1",
        "an Agent's `knowledge`, a WorkflowRun",
        "`knowledge`, a WorkflowRun; its name contains a hash of its pods, so that what has changed runs again",
        workload="job",
        pods=True,
        # Flux waits for its end, which is later than a delivery may last, and fails with it.
        ready="has(status.startTime)",
    ),
    ObjectKind(
        "CronJob",
        "batch/v1",
        "an Agent's `knowledge.schedule`, a Workflow's `schedule`",
        "`knowledge.schedule`: the same pods as the Job's, named by the same hash; a Workflow's `schedule`; a store's `backup`, and its drill",
        workload="cronjob",
    ),
    ObjectKind(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        "`scaling`",
        "`maxReplicas` above `minReplicas`",
        workload="horizontalpodautoscaler",
    ),
    ObjectKind(
        "ScaledObject",
        "keda.sh/v1alpha1",
        "`scaling.keda`",
        "KEDA enabled, instead of the autoscaler; cpu and memory metrics become triggers; a missing metric is an error, not zero",
        workload="scaledobject",
        custom=True,
        ready=_READY,
    ),
    ObjectKind(
        "TriggerAuthentication",
        "keda.sh/v1alpha1",
        "`scaling.keda.triggers[].authentication`",
        "a trigger with `authentication`",
        custom=True,
    ),
    ObjectKind(
        "PodDisruptionBudget",
        "policy/v1",
        "`scaling` with more than one replica",
        "more than one replica is possible",
        workload="poddisruptionbudget",
    ),
    ObjectKind(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "every Agent gets one; see `network`",
        "always; ingress and egress denied except for what the spec uses; one per namespace with `network.defaultDeny`",
        workload="networkpolicy",
        namespace="defaultdeny",
    ),
    ObjectKind(
        "SandboxTemplate",
        "extensions.agents.x-k8s.io/v1beta1",
        "a Tool of type `code` with `engine: sandbox`",
        "a Tool with `engine: sandbox`, with agent-sandbox: the pod in which one program runs; with a NetworkPolicy, and a Role to ask for such pods",
        workload="sandbox",
        custom=True,
    ),
    ObjectKind(
        "SandboxWarmPool",
        "extensions.agents.x-k8s.io/v1beta1",
        "a Tool of type `code` with `engine: sandbox`",
        "with a SandboxTemplate: how many of its pods wait",
        custom=True,
    ),
    ObjectKind(
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        "`expose`",
        "`expose`; its own hosts, or `/agents/<name>` on the environment's, where a second rule leads an agent with a page "
        "from there to `/agents/<name>/`",
        workload="httproute",
        custom=True,
        ready=(
            "status.parents.exists(p, "
            "p.conditions.exists(c, c.type == 'Accepted' && c.status == 'True'))"
        ),
    ),
    ObjectKind(
        "Ingress",
        "networking.k8s.io/v1",
        "`expose`",
        "`expose` with `type: Ingress`, instead of an HTTPRoute",
        workload="ingress",
    ),
    ObjectKind(
        "Certificate",
        "cert-manager.io/v1",
        "`expose` with hosts of its own",
        "an Ingress with its own host, with cert-manager and an issuer",
        workload="certificate",
        custom=True,
        ready=_READY,
    ),
    ObjectKind(
        "ServiceMonitor",
        "monitoring.coreos.com/v1",
        "`observability.metrics`",
        "metrics, with the Prometheus operator",
        workload="servicemonitor",
        custom=True,
    ),
    ObjectKind(
        "SecretStore",
        "external-secrets.io/v1",
        "the Environment's `secrets.store`",
        "secrets from a provider, unless the store exists already; with a ServiceAccount whose identity reads it",
        namespace="secretstore",
        custom=True,
        ready=_READY,
    ),
    ObjectKind(
        "ExternalSecret",
        "external-secrets.io/v1",
        "the Environment's `secrets`",
        "secrets from a provider, also what images are pulled with",
        namespace="externalsecret",
        custom=True,
        ready=_READY,
    ),
    ObjectKind(
        "PersistentVolumeClaim",
        "v1",
        "`volumes[].claim`",
        "`volumes[].claim`; shared by all workloads of the namespace that name it",
        namespace="persistentvolumeclaim",
        # Flux waits for Bound, which most classes bring about with the first pod alone: one of
        # another release, or none as long as an agent is scaled to zero.
        ready="has(status.phase) && status.phase in ['Pending', 'Bound']",
    ),
    ObjectKind(
        "PrometheusRule",
        "monitoring.coreos.com/v1",
        "`observability.metrics`: alerts come with it, and those of `slo`",
        "a workload in the namespace, with the Prometheus operator: one set of alerts for all of them",
        namespace="prometheusrule",
        custom=True,
    ),
    ObjectKind(
        "GrafanaDashboard",
        "grafana.integreatly.org/v1beta1",
        "the Environment's `monitoring.dashboards`",
        "`monitoring.dashboards`, with the Grafana operator; nothing waits for a Grafana that shows it",
        custom=True,
    ),
)
"""In the order in which a namespace, and then each workload, applies them."""

EMITTED_BY = {kind.kind: kind.made_by for kind in KINDS} | {
    "PodMonitor": "`observability.metrics`",
    "Secret": "secret references (`apiKeySecretRef`, …): values are never written here",
}
"""Kubernetes kinds that people put beside specs, and the field that makes Fleetform emit their like."""
BUILT_IN_GROUPS = frozenset(kind.group for kind in KINDS if not kind.custom)
"""Groups of kinds that Kustomize knows how to merge."""
READY = {(kind.api, kind.kind): kind.ready for kind in KINDS if kind.ready}
"""When an object is ready. Left alone, Flux takes a custom resource that no controller has judged yet for ready."""
PRUNED = tuple((kind.api, kind.kind) for kind in KINDS if kind.pruned and not kind.cluster)
"""Kinds that are looked through for what is no longer rendered."""
PRUNED_IN_CLUSTER = tuple((kind.api, kind.kind) for kind in KINDS if kind.pruned and kind.cluster)
WITH_PODS = tuple(kind.kind for kind in KINDS if kind.pods)
"""Kinds that hold the template of a pod."""
