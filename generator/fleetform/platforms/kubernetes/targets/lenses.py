"""Which place of an object is which value of its chart: how object patches reach Helm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from fleetform.platforms.kubernetes import podfields
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import namespace_objects, workload_objects
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.platforms.kubernetes.objects.patches import Change, Path, differences
from fleetform.platforms.kubernetes.targets import values
from fleetform.platforms.kubernetes.targets.values import Values

Read = Callable[[Any, Any], Any]
"""The plan and what stands in the object now → the value; raises UncoveredError when none can say it."""


class UncoveredError(Exception):
    """A patch does what no value of the chart can."""


class Lens(NamedTuple):
    """A place in an object, the value that decides it, and how the one is read from the other."""

    path: Path
    value: tuple[str, ...]
    read: Read
    first: Callable[[WorkloadPlan], int] | None = None
    """Where a list begins to be the value's own; the items before it are the chart's."""
    partial: bool = False
    """Whether the value is laid over what the plan says, in place of replacing it."""


def _same(plan: Any, new: Any) -> Any:
    del plan
    return new


def _containers(plan: Any, new: Any) -> Any:
    """Return containers; the chart gives rights to those that name none."""
    del plan
    if any("securityContext" not in item for item in new or ()):
        raise UncoveredError
    return new


def _spread(plan: Any, new: Any) -> Any:
    """Return constraints; the chart gives a selector to those that name none."""
    del plan
    if any("labelSelector" not in item for item in new or ()):
        raise UncoveredError
    return new


def _sidecars(plan: Any, new: Any) -> Any:
    return _containers(plan, new[1:])


def _behind_own(plan: WorkloadPlan, new: Any) -> Any:
    return new[_own(plan) :]


def _own(plan: WorkloadPlan) -> int:
    """Return how many volumes and mounts are the chart's: scratch space, configuration, secrets."""
    return 1 + (plan.config is not None) + bool(plan.secrets)


def _most(plan: WorkloadPlan, new: Any) -> Any:
    """Return the most replicas; the chart makes a budget where there can be two, the plan said so."""
    if ((new or 0) > 1) != (plan.most > 1):
        raise UncoveredError
    return new


def _replicas(plan: WorkloadPlan, new: Any) -> Any:
    if plan.autoscaler or plan.keda:
        raise UncoveredError
    return _most(plan, new)


def _annotations(plan: WorkloadPlan, new: Any) -> Any:
    found = new or {}
    if not plan.verbatim.items() <= found.items():
        raise UncoveredError
    return {key: text for key, text in found.items() if key not in plan.verbatim}


def _probe(plan: Any, new: Any) -> Any:
    del plan
    if new is None:
        return {"enabled": False}
    how = new.get("httpGet") or new.get("tcpSocket") or {}
    needed = {"periodSeconds", "timeoutSeconds", "failureThreshold"}
    numbers = {key: value for key, value in new.items() if key in needed | {"initialDelaySeconds"}}
    strange = {*new} - numbers.keys() - {"httpGet", "tcpSocket"} or {*how} - {"path", "port"}
    if strange or "port" not in how or not needed <= numbers.keys():
        raise UncoveredError
    place = {"path": how.get("path", ""), "port": how["port"]}
    return {"enabled": True, **place, "initialDelaySeconds": 0, **numbers}


def _egress(plan: Any, new: Any) -> Any:
    del plan
    rules = list(new or ())
    named = bool(rules) and rules[0] == values.DNS_RULE
    return {"dns": named, "egress": rules[1:] if named else rules}


def _lens(path: str, value: str, read: Read = _same, **more: Any) -> Lens:
    return Lens(steps(path), tuple(value.split(".")), read, **more)


def steps(path: str) -> Path:
    """Return the steps of a dotted path; digits count items."""
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
_WORKLOAD = (
    _lens("metadata.annotations", "workloadAnnotations", _annotations),
    _lens("spec.replicas", "replicaCount", _replicas),
    _lens("spec.revisionHistoryLimit", "revisionHistoryLimit"),
    _lens("spec.template.metadata.annotations", "podAnnotations"),
    *(
        _lens(f"{POD}.{name}", name)
        for name in ("imagePullSecrets", *(field.name for field in podfields.PLAIN))
    ),
    _lens(f"{POD}.topologySpreadConstraints", "topologySpreadConstraints", _spread),
    _lens(f"{POD}.securityContext", "podSecurityContext"),
    _lens(f"{POD}.initContainers", "initContainers", _containers),
    _lens(f"{POD}.containers", "sidecars", _sidecars, first=lambda _: 1),
    _lens(f"{POD}.volumes", "extraVolumes", _behind_own, first=_own),
    _lens(f"{POD}.volumes.0.emptyDir.sizeLimit", "tmp.sizeLimit"),
    _lens(f"{MAIN}.volumeMounts", "extraVolumeMounts", _behind_own, first=_own),
    *(_lens(f"{MAIN}.{name}", name) for name in ("command", "args", "workingDir", "resources")),
    _lens(f"{MAIN}.imagePullPolicy", "image.pullPolicy"),
    _lens(f"{MAIN}.env", "extraEnv"),
    _lens(f"{MAIN}.securityContext", "securityContext"),
    *(
        _lens(f"{MAIN}.{name}", name, _probe, partial=True)
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    ),
)
AGENT: dict[str, tuple[Lens, ...]] = {
    "Deployment": (*_WORKLOAD, _lens("spec.strategy", "strategy")),
    "StatefulSet": _WORKLOAD,
    "Service": (
        _lens("metadata.annotations", "service.annotations"),
        _lens("spec.type", "service.type"),
    ),
    "ServiceAccount": (_lens("metadata.annotations", "serviceAccount.annotations"),),
    "Role": (_lens("rules", "rbac.rules"),),
    "ClusterRole": (_lens("rules", "rbac.rules"),),
    "HorizontalPodAutoscaler": (
        _lens("spec.minReplicas", "autoscaling.minReplicas"),
        _lens("spec.maxReplicas", "autoscaling.maxReplicas", _most),
        _lens("spec.metrics", "autoscaling.metrics"),
        _lens("spec.behavior", "autoscaling.behavior"),
    ),
    "ScaledObject": (
        _lens("spec.minReplicaCount", "keda.minReplicas"),
        _lens("spec.maxReplicaCount", "keda.maxReplicas", _most),
        _lens("spec.pollingInterval", "keda.pollingInterval"),
        _lens("spec.cooldownPeriod", "keda.cooldownPeriod"),
        _lens("spec.advanced.horizontalPodAutoscalerConfig.behavior", "keda.behavior"),
    ),
    "PodDisruptionBudget": (_lens("spec.maxUnavailable", "podDisruptionBudget.maxUnavailable"),),
    "NetworkPolicy": (
        _lens("spec.ingress", "networkPolicy.ingress"),
        _lens("spec.egress", "networkPolicy", _egress, partial=True),
    ),
    "ServiceMonitor": (
        _lens("spec.endpoints.0.interval", "serviceMonitor.interval"),
        _lens("spec.endpoints.0.path", "serviceMonitor.path"),
    ),
    "HTTPRoute": (
        _lens("metadata.annotations", "httpRoute.annotations"),
        _lens("spec.parentRefs", "httpRoute.parentRefs"),
        _lens("spec.hostnames", "httpRoute.hostnames"),
        _lens("spec.rules.0.timeouts.request", "httpRoute.requestTimeout"),
    ),
    "Ingress": (
        _lens("metadata.annotations", "ingress.annotations"),
        _lens("spec.ingressClassName", "ingress.className"),
        _lens("spec.tls", "ingress.tls"),
    ),
    "Certificate": (
        _lens("spec.dnsNames", "certificate.dnsNames"),
        _lens("spec.issuerRef", "certificate.issuerRef"),
    ),
}
NAMESPACE: dict[str, tuple[Lens, ...]] = {
    "ResourceQuota": (_lens("spec.hard", "quota.hard"),),
    "LimitRange": tuple(
        _lens(f"spec.limits.0.{name}", f"limits.{name}")
        for name in ("default", "defaultRequest", "max")
    ),
    "SecretStore": (_lens("spec.provider", "secretStore.provider"),),
    "PrometheusRule": (_lens("spec.groups", "alerts.groups"),),
}
# What other values follow from as well: changed in the plan, and read from there.
PLAN = {
    steps(f"{MAIN}.image"): "image",
    steps(f"{POD}.terminationGracePeriodSeconds"): "grace",
    steps(f"{MAIN}.lifecycle.preStop.sleep.seconds"): "pre_stop",
}


class Uncoverable(NamedTuple):
    """A change of an object that no value of its chart can make."""

    kind: str
    name: str
    change: Change


def of_workload(
    plan: WorkloadPlan, objects: Iterable[Manifest]
) -> tuple[Values, list[Uncoverable]]:
    """Return the values that make a workload's patched objects, and what none can make."""
    pairs = [*zip(workload_objects(plan), objects, strict=True)]
    turned: dict[str, Any] = {}
    for before, after in pairs:
        for change in differences(before, after):
            if change.path in PLAN and before["kind"] in WITH_PODS:
                turned[PLAN[change.path]] = change.new or 0
    wanted = values.whole_workload(plan._replace(**turned))
    missing = [*_cover(plan, pairs, AGENT, wanted, values.defaults("agent"))]
    return values.difference(wanted, values.defaults("agent")), missing


def of_namespace(
    plan: NamespacePlan, objects: Iterable[Manifest]
) -> tuple[Values, list[Uncoverable]]:
    """Return the values that make a namespace's patched objects, and what none can make."""
    pairs = [*zip(namespace_objects(plan), objects, strict=True)]
    wanted = values.whole_namespace(plan)
    missing = [*_cover(plan, pairs, NAMESPACE, wanted, values.defaults("namespace"))]
    return values.difference(wanted, values.defaults("namespace")), missing


def _cover(
    plan: Any,
    pairs: Iterable[tuple[Manifest, Manifest]],
    lenses: dict[str, tuple[Lens, ...]],
    wanted: Values,
    default: Values,
) -> Iterator[Uncoverable]:
    """Write what patches changed into the values; yield what has no place in them."""
    for before, after in pairs:
        kind, name = before["kind"], before["metadata"]["name"]
        found: dict[Lens, list[Change]] = {}
        for change in differences(before, after):
            lens = _lens_for(plan, lenses.get(kind, ()), change.path)
            if lens is not None:
                found.setdefault(lens, []).append(change)
            elif change.path not in PLAN or lenses is NAMESPACE:
                yield Uncoverable(kind, name, change)
        for lens, changes in found.items():
            try:
                _put(wanted, default, lens, lens.read(plan, _at(after, lens.path)))
            except UncoveredError:
                yield from (Uncoverable(kind, name, change) for change in changes)


def _lens_for(plan: Any, lenses: Iterable[Lens], path: Path) -> Lens | None:
    """Return the lens that stands nearest around a place, None when there is none."""
    nearest: Lens | None = None
    for lens in lenses:
        depth = len(lens.path)
        if path[:depth] != lens.path or (nearest and depth < len(nearest.path)):
            continue
        if lens.first is not None:
            step = path[depth] if len(path) > depth else -1
            if not isinstance(step, int) or step < lens.first(plan):
                continue
        nearest = lens
    return nearest


def _at(node: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def _put(wanted: Values, default: Values, lens: Lens, value: Any) -> None:
    """Set a value. Raises UncoveredError when it lacks what the chart would lay under it."""
    *above, last = lens.value
    for step in above:
        wanted[step] = dict(wanted[step])  # it may be the chart's own
        wanted, default = wanted[step], default[step]
    own = default[last]
    if value is None:
        value = type(own)()
    if lens.partial:
        value = {**wanted[last], **value}
    if not _holds(value, own):
        raise UncoveredError
    wanted[last] = value


def _holds(value: Any, own: Any) -> bool:
    """Tell whether a map has all that the chart's has: Helm would lay it under."""
    if not isinstance(own, dict) or not own:
        return True
    return isinstance(value, dict) and all(
        key in value and _holds(value[key], below) for key, below in own.items()
    )
