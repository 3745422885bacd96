"""What an environment itself needs, and capabilities that specs require."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import chain
from typing import Any

from fleetform import kinds
from fleetform.addresses import closed_around, closed_host, readings
from fleetform.plan.exposure import path_of
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import own_hosts
from fleetform.resolve.ports import metrics_port
from fleetform.resolve.references import is_set
from fleetform.resolve.switches import is_watched, keda_is_on
from fleetform.tree import TreePath, at, problem_at


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what is missing in the environment, for itself or for a spec."""
    yield from _pull_secrets(fleet)
    yield from _namespaces(fleet)
    yield from _ranges(fleet)
    yield from _services(fleet)
    yield from _families(fleet)
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            yield from capabilities(fleet, resolved)
            spec = resolved.spec
            place: TreePath = ("spec", "identity")
            yield from _identity(fleet, resolved, spec.identity, place, spec.service_account)
            yield from _api_server(fleet, resolved)
    if fleet.page is not None:
        yield from exposed(fleet, fleet.page)
    for store in fleet.of(kinds.MEMORY_STORE):
        if store.spec.backup is not None:
            place = ("spec", "backup", "identity")
            yield from _identity(fleet, store, store.spec.backup.identity, place, None)


def _pull_secrets(fleet: Fleet) -> Iterator[Problem]:
    names = fleet.environment.images.pull_secrets
    for number, name in enumerate(names):
        if name in names[:number]:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "images", "pullSecrets", number),
                "duplicate-name",
                f"`{name}` occurs twice in the pull secrets of the environment",
                hint="remove one",
            )


def _namespaces(fleet: Fleet) -> Iterator[Problem]:
    for space in sorted(fleet.spaces):
        target = fleet.target_namespace(space)
        if fleet.environment.namespaces.create and (
            target == "default" or target.startswith("kube-")
        ):
            yield problem_at(
                fleet.environment_tree,
                ("spec", "namespaces"),
                "system-namespace",
                f"the namespace `{target}` belongs to Kubernetes and cannot be created",
                hint="set `metadata.namespace` in the specs, map it to another name, or set `create: false`",
                key=True,
            )
        elif target not in fleet.environment.namespaces.map.values():
            yield from _not_theirs(fleet, space, target)
        if len(target) > 63:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "namespaces"),
                "name-too-long",
                f"the namespace `{target}` has {len(target)} characters",
                hint="at most 63: map it to a shorter one",
                key=True,
            )


def capabilities(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield what a workload requires that the environment does not have."""
    has = fleet.environment.capabilities
    spec = resolved.spec
    if keda_is_on(spec.scaling) and "keda" not in has:
        yield _missing(resolved, ("spec", "scaling", "keda", "enabled"), "KEDA scaling", "keda")
    if spec.scaling.inflight_runs is not None and is_watched(resolved):
        yield from _on_runs(fleet, resolved)
    if resolved.kind == kinds.AGENT.name and spec.delivery.canary and "argo-rollouts" not in has:
        what = "a canary by Argo Rollouts"
        yield _missing(resolved, ("spec", "delivery", "canary"), what, "argo-rollouts")
    if spec.expose is not None:
        yield from exposed(fleet, resolved)
    yield from _unscraped(fleet, resolved)
    path: TreePath = ("spec", "observability", "metrics", "enabled")
    if (
        spec.observability.metrics.enabled
        and is_set(resolved, path)
        and "prometheus-operator" not in has
    ):
        yield _missing(resolved, path, "a ServiceMonitor", "prometheus-operator", "warning")


def _on_runs(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield what KEDA lacks to scale on runs in flight."""
    path: TreePath = ("spec", "scaling", "inflightRuns")
    if "keda" not in fleet.environment.capabilities:
        yield _missing(resolved, path, "scaling on runs in flight", "keda")
    elif fleet.environment.monitoring.prometheus_url is None:
        yield resolved.problem(
            path,
            "no-prometheus",
            "the environment does not say which Prometheus KEDA asks for runs in flight",
            hint="set its `monitoring.prometheusUrl`, such as http://prometheus.monitoring.svc:9090",
            key=True,
        )


def _unscraped(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield metrics of custom images that cannot be scraped, since no port serves them."""
    metrics, container = resolved.spec.observability.metrics, resolved.spec.container
    if not metrics.enabled or container is None:
        return
    wanted = metrics_port(resolved)
    if wanted is None and "prometheus-operator" in fleet.environment.capabilities:
        names = (
            ", ".join(f"{port.container_port} ({port.name})" for port in container.ports) or "none"
        )
        yield resolved.problem(
            ("spec", "observability", "metrics"),
            "no-port",
            "no port of the container serves the metrics",
            hint=f"name one `metrics`, or set `port`; its ports: {names}",
            key=True,
        )


def exposed(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield what the environment lacks for a workload that is reached from outside."""
    defaults, expose = fleet.environment.expose, resolved.spec.expose
    network = fleet.environment.network
    kind = expose.type or defaults.type
    path: TreePath = ("spec", "expose")
    if kind == "HTTPRoute" and "gateway-api" not in fleet.environment.capabilities:
        yield _missing(resolved, path, "an HTTPRoute", "gateway-api")
    elif kind == "HTTPRoute" and defaults.gateway is None:
        yield resolved.problem(
            path,
            "no-gateway",
            "the environment names no gateway for the HTTPRoute",
            hint="set the environment's `expose.gateway`",
            key=True,
        )
    elif kind == "Ingress" and not (network.gateway_namespace or network.gateway_ranges):
        yield resolved.problem(
            path,
            "no-gateway",
            "the environment does not say where its ingress controller runs: no traffic would be allowed",
            hint="set the environment's `network.gatewayNamespace`, or `gatewayRanges` for one outside",
            key=True,
        )
    if not (own_hosts(expose) or defaults.host):
        yield resolved.problem(
            path,
            "no-host",
            "there is no host to expose it on",
            hint="set `expose.host`, or the environment's `expose.host`",
            key=True,
        )
    own_path = path_of(resolved)
    certified = bool(expose.tls and own_hosts(expose)) and defaults.issuer is not None
    if kind == "Ingress" and certified and "cert-manager" not in fleet.environment.capabilities:
        yield _missing(resolved, (*path, "tls"), "a Certificate", "cert-manager")
    if kind == "Ingress" and own_path != "/":
        yield resolved.problem(
            path,
            "ingress-path",
            f"an Ingress cannot strip the prefix `{own_path}`: only {own_path}/chat answers",
            hint="use a separate host, or an HTTPRoute",
            severity="warning",
            key=True,
        )


PLATFORMS = {
    "awsRoleArn": ("aws_role_arn", "eks"),
    "gcpServiceAccount": ("gcp_service_account", "gke"),
}
"""Attribute and platform of each kind of identity."""


def _identity(
    fleet: Fleet, resolved: Resolved[Any], identity: Any, place: TreePath, account: str | None
) -> Iterator[Problem]:
    """Yield identities that have no effect: on another platform, or on an existing account."""
    if identity is None:
        return
    for name, (attribute, platform) in PLATFORMS.items():
        if getattr(identity, attribute) is None:
            continue
        path: TreePath = (*place, name)
        if fleet.environment.platform != platform:
            yield resolved.problem(
                path,
                "not-used",
                f"`{name}` is for {platform}, and the environment's platform is {fleet.environment.platform}",
                hint="set it with a patch in environments on that platform",
                severity="warning",
                key=True,
            )
        elif account is not None and not _is_made(fleet, resolved):
            yield resolved.problem(
                path,
                "not-used",
                f"`{name}` cannot be added to the existing ServiceAccount `{account}`",
                hint="annotate that one, or remove `serviceAccount`",
                severity="warning",
                key=True,
            )


def _is_made(fleet: Fleet, resolved: Resolved[Any]) -> bool:
    """Whether the account that a spec names is one of the fleet, which has the identity too."""
    key = resolved.namespace, resolved.spec.service_account
    return any(fleet.find(kind, *key) is not None for kind in kinds.CALLABLE)


def _api_server(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Problem]:
    """Yield workloads that may reach any address, since the Kubernetes API's address is unknown."""
    rbac = resolved.spec.rbac
    if rbac is None or not rbac.rules:
        return
    if at(fleet.environment_tree, ("spec", "network", "apiServer")) is None:
        yield wide_egress(resolved, ("spec", "rbac"))


def wide_egress(resolved: Resolved[Any], path: TreePath) -> Problem:
    """Return the warning of a workload that asks Kubernetes, where nobody says at which address that is."""
    return resolved.problem(
        path,
        "wide-egress",
        "its pods may reach every address on ports 443 and 6443: the environment does not say "
        "where the Kubernetes API is",
        hint="set the environment's `network.apiServer`, such as to [10.0.0.10/32]; "
        "`kubectl get endpointslice kubernetes` shows the addresses",
        severity="warning",
        key=path == ("spec", "rbac"),
    )


def _services(fleet: Fleet) -> Iterator[Problem]:
    """Yield keys of `network.services` that cannot be Services."""
    for host in fleet.environment.network.services:
        if closed_host(host) or readings(host):
            yield problem_at(
                fleet.environment_tree,
                ("spec", "network", "services", host),
                "closed-address",
                f"`{host}` is an address or a metadata server, and no Service of the cluster",
                hint="write `name.namespace.svc`",
                key=True,
            )


def _not_theirs(fleet: Fleet, space: str, target: str) -> Iterator[Problem]:
    """Yield specs in a namespace of the cluster's own, whose Secrets and accounts their pods could name."""
    owner = _owner(fleet, target)
    documents = (fleet.of(kind) for kind in kinds.WORKLOADS if owner)
    for resolved in chain.from_iterable(documents):
        if resolved.namespace == space:
            yield resolved.problem(
                ("metadata", "namespace"),
                "namespace-not-granted",
                f"the namespace `{target}` is {owner}: who runs in it may name its Secrets and accounts",
                hint=f"choose another one; or the environment grants it by `namespaces.map: {{{space}: {target}}}`",
                key=True,
            )


def _owner(fleet: Fleet, target: str) -> str:
    """Return whose namespace of a cluster it is, empty for one of nobody that is known."""
    environment = fleet.environment
    gateway = environment.expose.gateway
    known = {
        "flux-system": "Flux's",
        "argocd": "Argo CD's",
        environment.network.gateway_namespace: "the gateway's",
        gateway.namespace if gateway else None: "the gateway's",
    }
    if environment.gitops.namespace:
        known[environment.gitops.namespace] = "that of the delivery's own objects"
    if target.startswith("kube-"):
        return "Kubernetes' own"
    if target.startswith("openshift-"):
        return "OpenShift's own"
    return known.get(target, "")


def _ranges(fleet: Fleet) -> Iterator[Problem]:
    network = fleet.environment.network
    for field, ranges in (
        ("privateRanges", network.private_ranges),
        ("apiServer", network.api_server or ()),
        ("gatewayRanges", network.gateway_ranges),
        ("nodeRanges", network.node_ranges),
    ):
        for number, text in enumerate(ranges):
            try:
                known = ip_network(text)
            except ValueError as error:
                said = str(error)
            else:
                around = closed_around(known)
                if field == "privateRanges" and not known.prefixlen:
                    said = "excluding every address leaves nothing"
                elif field == "apiServer" and around is not None:
                    said = f"it lies within {around}, which stays closed"
                else:
                    continue
            yield problem_at(
                fleet.environment_tree,
                ("spec", "network", field, number),
                "bad-cidr",
                f"`{text}` cannot be used: {said}",
                hint="write a range such as 10.0.0.0/8",
            )


def _families(fleet: Fleet) -> Iterator[Problem]:
    """Yield IPv6 ranges of an environment whose pods have IPv4 alone: hosts outside stay closed in IPv6."""
    if "IPv6" in fleet.environment.network.ip_families:
        return
    for field in ("privateRanges", "apiServer"):
        given = at(fleet.environment_tree, ("spec", "network", field)) or ()
        for number, text in enumerate(given):
            if ":" in str(text):
                yield problem_at(
                    fleet.environment_tree,
                    ("spec", "network", field, number),
                    "not-used",
                    f"`{text}` is IPv6, and `ipFamilies` says that pods have IPv4 alone: hosts outside are opened in IPv4",
                    hint="set `network.ipFamilies: [IPv4, IPv6]`, or remove it",
                    severity="warning",
                )
                break


def _missing(
    resolved: Resolved[Any], path: TreePath, what: str, capability: str, severity: str = "error"
) -> Problem:
    return resolved.problem(
        path,
        "missing-capability",
        f"{what} needs the capability `{capability}`, which the environment lacks",
        hint=f"add `{capability}` to the environment's capabilities, or switch this off with a patch",
        severity=severity,
        key=True,
    )
