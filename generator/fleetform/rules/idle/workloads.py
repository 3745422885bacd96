"""Fields of agents and deployed MCP servers that depend on scaling, ports, metrics, traces or the environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform.contract import HTTP_PORT
from fleetform.problems import Severity
from fleetform.resolve import Fleet, Resolved, probes
from fleetform.resolve.collector import endpoint
from fleetform.resolve.hosts import is_deployed, own_hosts
from fleetform.resolve.ports import metrics_port, ports
from fleetform.resolve.switches import is_watched, keda_is_on
from fleetform.rules.idle.fields import Field, given, others, switched
from fleetform.rules.pods import workloads
from fleetform.tree import TreePath, at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

OWN_TRACING = (
    "provider",
    "sampleRate",
    "publicKeySecretRef",
    "secretKeySecretRef",
    "captureContent",
)
"""What an image of one's own gets to know in other ways; `enabled` and `endpoint` open the network to the collector."""

LOGGING = ("level", "loggers", "format")
"""What decides how the generic runtime logs."""


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields of workloads that depend on other settings."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in filter(is_deployed, fleet.of(kind)):
            sections = resolved.tree["spec"]
            for section, part in _SECTIONS:
                if section in sections:
                    yield from part(fleet, resolved)
    for resolved, spec, root in workloads(fleet):
        yield from _container(resolved, spec, root)
        yield from _extra(resolved, spec, root)
        yield from _mounts(resolved, spec, root)


def _scaling(_: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    scaling, base = resolved.spec.scaling, ("spec", "scaling")
    low = 1 if scaling.min_replicas is None else scaling.min_replicas
    on = keda_is_on(scaling)
    moves = on or (scaling.max_replicas or 0) > low
    why = "" if moves else f"the number of replicas is fixed at {max(low, 1)}"
    # Two equal bounds are a decision; a missing upper bound is an oversight.
    severity: Severity = "warning" if scaling.max_replicas is None else "note"
    hint = f"set `scaling.maxReplicas` above {max(low, 1)}, or remove it"
    yield from given(resolved, base, ("metrics", "behavior"), why, hint, severity)
    yield from switched(resolved, (*base, "keda"), on=on, what="KEDA")
    if not why and not is_watched(resolved):
        why = (
            "only the generic runtime tells how many runs it executes, and only where it is scraped"
        )
        hint = "scale on `metrics` or on a trigger of `keda`"
    yield from given(resolved, base, ("inflightRuns",), why, hint)


def _health(_: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    check, base = resolved.spec.health_check, ("spec", "healthCheck")
    actions = [probes.action(check, probe) for probe in probes.PROBES]
    idle = _idle_probes(resolved, actions)
    for names, why, hint in idle:
        yield from given(resolved, base, names, why, hint)
    without = {name for names, _, _ in idle for name in names}
    why = "" if check.enabled else "there are no probes"
    hint = "remove it, or set `healthCheck.enabled` to true"
    rest = [name for name in others(resolved, base, "enabled") if name not in without]
    yield from given(resolved, base, rest, why, hint, "note")
    if "enabled" not in without:
        yield from given(resolved, base, ("enabled",), "", "")


def _idle_probes(
    resolved: Resolved[Any], actions: list[Any]
) -> list[tuple[Iterable[str], str, str]]:
    """Return fields of a `healthCheck` that no probe reads, why, and what to do."""
    check, base = resolved.spec.health_check, ("spec", "healthCheck")
    found: list[tuple[Iterable[str], str, str]] = []
    if resolved.spec.container is None:
        why = f"the generic runtime answers probes on port {HTTP_PORT}"
        found.append((("port",), why, "remove it"))
    elif check.enabled and all(actions):
        found.append((("port",), "no probe asks over HTTP", "remove it"))
    elif check.port is None and not any(port.protocol == "TCP" for port in ports(resolved)):
        paths = [probe.path for probe in probes.PROBES]
        names = paths if any(actions) else ("enabled", *others(resolved, base, "enabled"))
        hint = "name the container's `ports`, or set `healthCheck.port`"
        found.append((names, "the container has no TCP port", hint))
    if check.enabled and probes.form(check) not in (None, *actions):
        why = "each probe has a section or a path of its own"
        found.append(((*probes.FORMS,), why, "remove it, or one of these"))
    return found


def _metrics(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    metrics, base = resolved.spec.observability.metrics, ("spec", "observability", "metrics")
    generic = resolved.spec.container is None
    wanted = generic if metrics.enabled is None else metrics.enabled
    names = ("path", "intervalSeconds") if generic else ("path", "intervalSeconds", "port")
    severity: Severity = "warning"
    why, hint = "", ""
    if not wanted:
        why, hint = "the metrics are not scraped", "set `metrics.enabled` to true, or remove it"
        severity = "note" if metrics.enabled is False else "warning"
    elif "prometheus-operator" not in fleet.environment.capabilities:
        why = "the environment has no `prometheus-operator`, so nothing scrapes the metrics"
        hint, severity = (
            "nothing to do, unless the operator is there: then add the capability",
            "note",
        )
        if metrics_port(resolved) is None:
            hint = "name a port of the container `metrics`, or set `port` to one of them"
    yield from given(resolved, base, names, why, hint, severity)


def _telemetry(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    base: TreePath = ("spec", "observability")
    tracing = resolved.spec.observability.tracing
    if resolved.spec.container is None:
        yield from switched(resolved, (*base, "tracing"), on=tracing.enabled, what="tracing")
        yield from given(resolved, (*base, "logging"), LOGGING, "", "")
        return
    hint = "pass it as `env` or `container.configFiles`"
    why = "your own image sets up tracing itself; the network is open to the endpoint"
    yield from given(resolved, (*base, "tracing"), OWN_TRACING, why, hint)
    why = "" if tracing.enabled else "tracing is off"
    yield from given(
        resolved,
        (*base, "tracing"),
        ("endpoint",),
        why,
        "set `tracing.enabled` to true, or remove it",
    )
    if tracing.enabled and not endpoint(fleet, tracing):
        why = "there is no `endpoint` to open the network to"
        hint = (
            "set `tracing.endpoint`, or the environment's `monitoring.otlpEndpoint` or `collector`"
        )
        yield from given(resolved, (*base, "tracing"), ("enabled",), why, hint)
    hint = "pass it as `env` or `container.configFiles`"
    why = "your own image sets up logging itself"
    yield from given(resolved, (*base, "logging"), LOGGING, why, hint)


def _rights(_: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    rbac = resolved.spec.rbac
    if rbac is not None:
        why = "" if rbac.rules else "there are no `rules`"
        yield from given(
            resolved, ("spec", "rbac"), ("scope",), why, "add `rbac.rules`, or remove it"
        )


def _tls(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    expose, defaults = resolved.spec.expose, fleet.environment.expose
    if expose is None:
        return
    severity: Severity = "warning"
    why, hint = "", "remove it"
    if (expose.type or defaults.type) == "HTTPRoute":
        why, hint = "TLS ends at the gateway", "remove it: the gateway's listener decides"
    elif not own_hosts(expose):
        why, hint = (
            "the shared host has one certificate, the ingress controller's",
            "set `expose.host`, or remove it",
        )
    elif defaults.issuer is None:
        # A user who writes `true` expects a certificate.
        severity = "error" if expose.tls else "warning"
        why = "the environment names no issuer, so there is no certificate"
        hint = "set the environment's `expose.issuer`, or remove it"
    yield from given(resolved, ("spec", "expose"), ("tls",), why, hint, severity)


def _service(_: Fleet, resolved: Resolved[Any]) -> Iterator[Field]:
    base, kind = ("spec", "service"), resolved.spec.service.type
    why = "" if ports(resolved) else "without `ports` there is no Service"
    yield from given(resolved, base, ("annotations",), why, "name the container's `ports`")
    why = "" if kind == "LoadBalancer" else f"the Service is a {kind}"
    hint = "set `service.type: LoadBalancer`, or remove it"
    yield from given(resolved, base, ("loadBalancerSourceRanges",), why, hint)
    why = "" if kind != "ClusterIP" else "a ClusterIP has no traffic from outside"
    yield from given(resolved, base, ("externalTrafficPolicy",), why, "remove it, or set a `type`")


_SECTIONS = (
    ("scaling", _scaling),
    ("healthCheck", _health),
    ("observability", _metrics),
    ("observability", _telemetry),
    ("rbac", _rights),
    ("expose", _tls),
    ("service", _service),
)
"""What to ask of a section that some layer sets: without it, none of its fields is idle."""


def _container(resolved: Resolved[Any], spec: Any, root: TreePath) -> Iterator[Field]:
    if spec.container is not None:
        why = "" if spec.container.config_files else "there are no `configFiles`"
        base = (*root, "container")
        yield from given(resolved, base, ("configDir",), why, "add `configFiles`, or remove it")


def _extra(resolved: Resolved[Any], spec: Any, root: TreePath) -> Iterator[Field]:
    template = spec.pod_template
    for field, containers in (
        ("sidecars", template.sidecars),
        ("initContainers", template.init_containers),
    ):
        for number, container in enumerate(containers):
            for place, _ in enumerate(container.ports):
                base = (*root, "podTemplate", field, number, "ports", place)
                why = "the Service only has the ports of the main container"
                yield from given(resolved, base, ("servicePort", "appProtocol"), why, "remove it")


def _mounts(resolved: Resolved[Any], spec: Any, root: TreePath) -> Iterator[Field]:
    for number, volume in enumerate(spec.volumes):
        path = (*root, "volumes", number, "readOnly")
        if (volume.config_map or volume.secret) and at(resolved.tree, path) is False:
            what = "ConfigMap" if volume.config_map else "Secret"
            yield Field(resolved, path, f"a {what} is always mounted read-only", "remove it")
