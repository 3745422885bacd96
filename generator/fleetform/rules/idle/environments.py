"""Settings of an environment that nothing uses: keys that match nothing, and settings of absent features.

Inherited settings may be meant for another environment that extends the same base: only an
environment's own document is checked fully, and of inherited maps only the keys that are almost
certainly misspelt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform.kinds import AGENT, MEMORY_STORE, TOOL, WORKFLOW, WORKLOADS
from fleetform.problems import Problem, did_you_mean
from fleetform.records import NamedTuple
from fleetform.resolve import Fleet, Resolved, names
from fleetform.resolve.backups import FILES, is_planned
from fleetform.resolve.collector import is_collector
from fleetform.resolve.hosts import destination, own_hosts, published, split
from fleetform.resolve.switches import is_watched, scales_on_runs
from fleetform.rules import extras, pods
from fleetform.rules.idle.delivery import delivery
from fleetform.rules.idle.rows import Row
from fleetform.tree import TreePath, at, problem_at

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.environment import Secrets, SecretStore
    from fleetform.rules import AgentUses


class Keys(NamedTuple):
    """A map of an environment, the keys that are in use, and a phrase for what uses them."""

    path: TreePath
    known: Iterable[str]
    what: str
    noun: str


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield keys that match nothing, and settings that nothing uses."""
    del uses
    yield from _said(fleet, (*_secrets(fleet), *delivery(fleet)))
    if fleet.catalog.complete and not fleet.catalog.broken:
        yield from _defaults(fleet)
        for keys in _maps(fleet):
            yield from _unmatched(fleet, keys)


def facts(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield facts about the cluster that no spec needs."""
    yield from _said(fleet, _facts(fleet, uses))


def _said(fleet: Fleet, rows: Iterable[Row]) -> Iterator[Problem]:
    for row in rows:
        if not row.used and at(fleet.environment_own, row.path) not in (None, {}, []):
            yield problem_at(
                fleet.environment_tree,
                row.path,
                "not-used",
                f"`{row.path[-1]}` has no effect: {row.why}",
                hint=row.hint,
                severity=row.severity,
                key=True,
            )


def _maps(fleet: Fleet) -> Iterator[Keys]:
    environment = fleet.environment
    # The runtime may be pinned for future agents too.
    images = {*names.images(fleet), environment.images.runtime}
    yield Keys(("spec", "images", "pins"), images, "no pod runs the image", "images")
    yield Keys(
        ("spec", "providers"), names.providers(fleet), "no model uses the provider", "providers"
    )
    spaces = fleet.spaces | {space for known in fleet.specs.values() for space, _ in known if space}
    if environment.secrets.store is not None:
        stores = ("spec", "secrets", "store", "identities")
        yield Keys(stores, fleet.spaces, "no workload is in the namespace", "namespaces")
    yield Keys(("spec", "namespaces", "map"), spaces, "no spec is in the namespace", "namespaces")
    if environment.network.services:
        hosts = names.services(fleet)
        yield Keys(("spec", "network", "services"), hosts, "no spec calls the Service", "Services")


def _unmatched(fleet: Fleet, keys: Keys) -> Iterator[Problem]:
    known = {*keys.known}
    for key in at(fleet.environment_tree, keys.path, {}):
        if key in known:
            continue
        path = (*keys.path, key)
        near = _near(fleet, key, known)
        if not near and at(fleet.environment_own, path) is None:
            continue
        yield problem_at(
            fleet.environment_tree,
            path,
            "idle-key",
            f"the key `{key[:80]}` matches nothing: {keys.what}",
            hint=f"did you mean `{near}`?" if near else did_you_mean("", known, noun=keys.noun),
            severity="warning",
            key=True,
        )


def _near(fleet: Fleet, key: str, known: set[str]) -> str:
    """Return the name that a key almost is: without the registry, the tag or a letter."""
    registry = fleet.environment.images.registry
    bare = key.removeprefix(f"{registry}/") if registry else key
    for name in (bare, bare.partition("@")[0], bare.rpartition(":")[0], key.rpartition(":")[0]):
        if name in known:
            return name
    ends = sorted(name for name in known if key.endswith(f"/{name}") or name.endswith(f"/{key}"))
    from difflib import get_close_matches  # noqa: PLC0415 - few environments have a wrong key

    near = get_close_matches(key[:80], sorted(known), n=1, cutoff=0.8)
    return next(iter([*ends, *near]), "")


def _defaults(fleet: Fleet) -> Iterator[Problem]:
    for kind in ("Agent", "MCPServer", "MemoryStore", "ModelConfig"):
        path = ("spec", "defaults", kind)
        if at(fleet.environment_own, path) is not None and not any(fleet.of(kind)):
            yield problem_at(
                fleet.environment_tree,
                path,
                "idle-key",
                f"the fleet has no {kind} for these defaults to apply to",
                hint="add one, or remove them",
                severity="warning",
                key=True,
            )


def _secrets(fleet: Fleet) -> Iterator[Row]:
    secrets = fleet.environment.secrets
    external = secrets.provider != "kubernetes"
    why = "with `provider: kubernetes` the Secrets are expected to exist"
    hint = "set `secrets.provider`, or remove it"
    for name in ("store", "remoteKey", "layout", "items", "refreshInterval"):
        yield Row(("spec", "secrets", name), external, why, hint)
    for key, item in secrets.items.items():
        why = "with `create: false` the Secret is expected to exist"
        for name in ("remoteKey", "layout", "version", "keys"):
            place = ("spec", "secrets", "items", key, name)
            yield Row(place, item.create or not external, why, "remove it, or `create: false`")
    if external and secrets.store is not None:
        yield from _store(secrets, secrets.store, fleet.spaces)


def _store(secrets: Secrets, store: SecretStore, spaces: frozenset[str]) -> Iterator[Row]:
    base: TreePath = ("spec", "secrets", "store")
    made = store.create and store.kind == "SecretStore"
    for name in ("aws", "gcp", "azure", "vault"):
        own = name == secrets.provider
        why = "the store exists already" if own else f"the provider is {secrets.provider}"
        yield Row((*base, name), made and own, why, "remove it")
    yield Row(
        (*base, "create"),
        store.kind == "SecretStore" or not store.create,
        "a ClusterSecretStore must exist already",
        "remove it",
    )
    yield from _accounts(secrets, store, spaces, made=made)


_IDENTITIES = {"awsRoleArn": "aws", "gcpServiceAccount": "gcp", "azureClientId": "azure"}


def _accounts(
    secrets: Secrets, store: SecretStore, spaces: frozenset[str], *, made: bool
) -> Iterator[Row]:
    """Yield what says who reads a store that is read by somebody else."""
    base: TreePath = ("spec", "secrets", "store")
    why = "the store exists already"
    yield Row((*base, "operatorIdentity"), made, why, "remove it")
    used = made and not store.operator_identity
    why = "the operator's own identity reads the store" if made else why
    fields = ("serviceAccount", "createServiceAccount", "identity", "identities")
    for name in fields:
        yield Row((*base, name), used, why, "remove it")
    rendered = store.create_service_account
    for name in ("identity", "identities"):
        why = "the ServiceAccount exists already, with its own identity"
        yield Row((*base, name), rendered or not used, why, "remove it")
    if not used or not rendered:
        return
    why = "`identities` has one for every namespace"
    yield Row((*base, "identity"), not spaces <= store.identities.keys(), why, "remove it")
    places = [("identity",), *(("identities", key) for key in store.identities)]
    for place in places:
        for name, provider in _IDENTITIES.items():
            why = f"the provider is {secrets.provider}"
            yield Row((*base, *place, name), provider == secrets.provider, why, "remove it")
    gcp = store.gcp
    if secrets.provider == "gcp" and gcp is not None:
        whole = bool(gcp.cluster_location and gcp.cluster_name)
        why = "Workload Identity of another cluster needs both `clusterLocation` and `clusterName`"
        for name in ("clusterLocation", "clusterName"):
            yield Row((*base, "gcp", name), whole, why, "set both, or none")


def _is_of_use(platform: str, workloads: list[Resolved[Any]], kinds: set[str]) -> bool:
    """Whether a platform matters: `generic` is true of its endpoint; OpenShift changes every pod, GKE's Gateway every route.

    Claims are judged by the storage classes of EKS and GKE.
    """
    return (
        platform in ("generic", "openshift")
        or (platform == "gke" and "HTTPRoute" in kinds)
        or any(name in PLATFORM_KEYS for item in workloads for name in _identities(item))
        or any(volume.claim for item in workloads for volume in getattr(item.spec, "volumes", ()))
    )


def _facts(fleet: Fleet, uses: AgentUses) -> Iterator[Row]:
    """Yield facts about the cluster that no spec of the fleet needs: notes, since they may be needed later."""
    environment = fleet.environment
    workloads = [item for kind in WORKLOADS for item in fleet.of(kind)]
    exposed = [
        item.spec.expose for item in workloads if getattr(item.spec, "expose", None) is not None
    ]
    exposed += [fleet.page.spec.expose] if fleet.page is not None else []
    kinds = {item.type or environment.expose.type for item in exposed}

    yield from _spaces(fleet)
    yield _fact("HTTPRoute" in kinds, "nothing is exposed by an HTTPRoute", "expose", "gateway")
    gateway = environment.expose.gateway
    accepts = gateway.request_timeouts if gateway else None
    none = accepts is False or (accepts is None and environment.platform == "gke")
    why = "the Gateway takes no route with a timeout" if none else "nothing is exposed"
    timed = "Ingress" in kinds or ("HTTPRoute" in kinds and not none)
    yield _fact(timed, why, "expose", "requestTimeoutSeconds")
    for name in ("ingressClass", "issuer"):
        yield _fact("Ingress" in kinds, "nothing is exposed by an Ingress", "expose", name)
    shared = any(not own_hosts(item) for item in exposed)
    yield _fact(shared, "nothing is exposed on the shared host", "expose", "host")
    callable_ = [item for item in workloads if item.kind != "MemoryStore"]
    own = any(own_hosts(item) for item in exposed) or any(any(published(i)) for i in callable_)
    yield _fact(own, "no spec has a host of its own", "expose", "hosts")
    yield _fact(exposed, "nothing is exposed", "expose", "type")
    services = [item.spec.service for item in callable_ if item.spec.service.type != "ClusterIP"]
    yield _fact(services, "every Service is a ClusterIP", "expose", "services")
    passed = any(item.external_traffic_policy == "Cluster" for item in services)
    yield _fact(passed, "no Service has `externalTrafficPolicy: Cluster`", "network", "nodeRanges")
    yield _fact(exposed, "nothing is exposed", "network", "gatewayNamespace")
    yield _fact(exposed or services, "nothing is exposed", "network", "gatewayRanges")
    yield _fact(_is_ranked(fleet), "no spec names a priority class", "priorityClasses")
    yield from _watching(fleet)
    rights = any(getattr(item.spec, "rbac", None) and item.spec.rbac.rules for item in workloads)
    sandboxed = any(
        item.spec.code is not None and item.spec.code.engine == "sandbox" for item in fleet.of(TOOL)
    )
    for name in ("runtimeClass", "warm"):
        yield _fact(sandboxed, "no Tool has `engine: sandbox`", "sandboxes", name)
    why = "no workload has `rbac.rules`, and no Tool `engine: sandbox`"
    yield _fact(rights or sandboxed, why, "network", "apiServer")
    backed = any(
        is_planned(fleet, store) and store.spec.type != FILES for store in fleet.of(MEMORY_STORE)
    )
    for name in ("nodeSelector", "tolerations"):
        yield _fact(backed, "no MemoryStore with a server has a backup", "backups", name)
    traced = any(
        item.spec.observability.tracing.enabled and not item.spec.observability.tracing.endpoint
        for item in (*workloads, *fleet.of(WORKFLOW))
        if item.kind != "MemoryStore"
    )
    yield _fact(
        traced,
        "every workload with tracing sets its own `endpoint`",
        "monitoring",
        "otlpEndpoint",
    )
    why = "no workload with tracing sends its traces to it"
    received = traced or _named(fleet)
    yield _fact(received, why, "monitoring", "collector")
    needs = any(extras.needed(item, uses[item.key]) for item in fleet.of(AGENT))
    yield _fact(needs, "no model needs an extra of the runtime image", "images", "extras")
    used = _is_of_use(environment.platform, workloads, kinds)
    yield _fact(used, "no workload has an `identity` or a claim", "platform")
    for name in ("name", "key"):
        used = _uses_rule(fleet, uses)
        why = "every model refers to its own key, or needs none"
        yield _fact(used, why, "secrets", "modelKeys", name)


def _spaces(fleet: Fleet) -> Iterator[Row]:
    """Yield what is said of namespaces that are not rendered, or have their names from elsewhere."""
    spaces = fleet.environment.namespaces
    why = "no Namespace is rendered"
    hint = "set `namespaces.create`, or remove it"
    yield Row(("spec", "namespaces", "labels"), spaces.create, why, hint)
    used = not fleet.spaces <= spaces.map.keys()
    yield _fact(used, "`map` names every namespace", "namespaces", "suffix")
    if {*fleet.targets} <= {"helm", "compose"}:
        why = "a chart is installed into a namespace, by `helm upgrade --create-namespace`"
        for name in ("create", "labels"):
            yield _fact(not spaces.create, why, "namespaces", name)


def _named(fleet: Fleet) -> bool:
    """Whether some spec has the collector as its endpoint."""
    return any(
        found.workload is not None and is_collector(found.workload)
        for kind in (*WORKLOADS, WORKFLOW.name)
        for item in fleet.of(kind)
        if item.kind != "MemoryStore" and item.spec.observability.tracing.endpoint
        for found in [
            destination(fleet, item.namespace, *split(item.spec.observability.tracing.endpoint))
        ]
    )


def _fact(used: object, why: str, *path: str) -> Row:
    hint = "remove it, unless you plan to use it later"
    return Row(("spec", *path), bool(used), why, hint, "note")


def _watching(fleet: Fleet) -> Iterator[Row]:
    scraped = "prometheus-operator" in fleet.environment.capabilities
    why = "the environment lacks the capability `prometheus-operator`"
    for name in (
        *("labels", "targetLabels", "runbooks", "severities", "dashboards", "alertThresholds"),
    ):
        yield _fact(scraped, why, "monitoring", name)
    yield _fact(scraped, why, "network", "prometheusNamespace")
    if scraped:
        watched = any(map(is_watched, fleet.of(AGENT)))
        why = "no agent of the generic runtime serves metrics"
        for name in ("dashboards", "alertThresholds"):
            yield _fact(watched, why, "monitoring", name)
    operated = "grafana-operator" in fleet.environment.capabilities
    why = "with the capability `grafana-operator` there is no ConfigMap for a sidecar to find"
    yield _fact(not operated, why, "monitoring", "dashboards", "labels")
    why = "without the capability `grafana-operator` a sidecar finds the dashboard, by `labels`"
    yield _fact(operated, why, "monitoring", "dashboards", "instanceSelector")
    asked = any(
        scales_on_runs(fleet.environment, item) or _is_judged(item) for item in fleet.of(AGENT)
    )
    why = "KEDA scales no agent on runs in flight, and no canary has an analysis"
    yield _fact(asked, why, "monitoring", "prometheusUrl")


def _is_judged(agent: Resolved[AgentSpec]) -> bool:
    canary = agent.spec.delivery.canary
    return canary is not None and canary.analysis is not None


PLATFORM_KEYS = frozenset({"aws_role_arn", "gcp_service_account"})


def _is_ranked(fleet: Fleet) -> bool:
    return any(spec.pod_template.priority_class_name for _, spec, _ in pods.workloads(fleet))


def _identities(item: object) -> Iterator[str]:
    identity = getattr(item.spec, "identity", None)  # type: ignore[attr-defined]
    for name in PLATFORM_KEYS:
        if identity is not None and getattr(identity, name):
            yield name


def _uses_rule(fleet: Fleet, uses: AgentUses) -> bool:
    """Whether some model's key is where `secrets.modelKeys` says."""
    rule = fleet.environment.secrets.model_keys
    for (space, _), found in uses.items():
        for model in found.every_model:
            key = model.api_key_secret_ref
            if key is None:
                continue
            name = rule.name.replace("{provider}", model.provider or "")
            if (key.name, key.key) == (name.replace("{namespace}", space), rule.key):
                return True
    return False
