"""Plans → values of the two charts: a projection in the charts' terms, less what is their default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from fleetform.names import LABEL, fit
from fleetform.plan.settings import CONTRACT, DIRECTORY, PROMPT
from fleetform.plan.workloads import MARGIN
from fleetform.platforms.kubernetes import alerts, podfields
from fleetform.platforms.kubernetes.bind import scaling
from fleetform.platforms.kubernetes.model import (
    Autoscaler,
    Claim,
    Expose,
    Keda,
    KedaTrigger,
    Metrics,
    NamespacePlan,
    NetworkRule,
    Port,
    Probe,
    WorkloadPlan,
)
from fleetform.platforms.kubernetes.objects import networkpolicy
from fleetform.platforms.kubernetes.objects.manifest import data

Values = dict[str, Any]

KEEP = {"helm.sh/resource-policy": "keep"}
"""What the charts themselves put on objects that outlive a release."""
DNS = NetworkRule(
    (
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
    ),
    (("TCP", 53), ("UDP", 53)),
)
"""The rule that `networkPolicy.dns` stands for."""


DNS_RULE = networkpolicy.rule("to", DNS)
"""The same in an object."""


@cache
def defaults(chart: str) -> Values:
    """Return a chart's own values.yaml."""
    text = resources.files("fleetform").joinpath(f"charts/{chart}/values.yaml").read_text("utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: Values = yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are safe
    return found


def of_workload(plan: WorkloadPlan) -> Values:
    """Return what a release of charts/agent says of a workload, in the chart's order."""
    return difference(whole_workload(plan), defaults("agent"))


def of_namespace(plan: NamespacePlan) -> Values:
    """Return what a release of charts/namespace says of a namespace, in the chart's order."""
    return difference(whole_namespace(plan), defaults("namespace"))


def difference(wanted: Values, default: Values) -> Values:
    """Return what is not the chart's own; Helm lays maps over each other, an empty one is open."""
    found: Values = {}
    for key in (*default, *(key for key in wanted if key not in default)):
        own = default.get(key)
        value = wanted[key]
        if isinstance(own, dict) and own:
            value, own = difference(value, own), {}
        if value != own:
            found[key] = value
    return found


# -- charts/agent --------------------------------------------------------------------------------


def whole_workload(plan: WorkloadPlan) -> Values:
    """Return every value of charts/agent for a workload, defaults included."""
    default = defaults("agent")
    repository, tag, digest = _image(plan.image)
    config = plan.config
    settings = dict(config.settings) if config else {}
    directory = config.directory if config else DIRECTORY
    derived = ["serve", "--config", f"{directory}/agent.json"] if settings else []
    version = (tag or digest.removeprefix("sha256:")[:12])[:LABEL].strip("._-")
    return {
        "fullnameOverride": plan.name,
        "component": plan.component,
        "version": "" if plan.version == version else plan.version,
        "commonLabels": dict(plan.labels),
        "kind": plan.kind,
        "workloadAnnotations": dict(plan.annotations),
        "textAnnotations": dict(plan.verbatim),
        "retainedAnnotations": _less(plan.retained, KEEP),
        "image": {
            "repository": repository,
            "tag": tag,
            "digest": digest,
            "pullPolicy": plan.pull_policy,
        },
        "imagePullSecrets": [{"name": name} for name in plan.pull_secrets],
        "command": list(plan.command),
        "args": [] if [*plan.args] == derived else list(plan.args),
        "workingDir": plan.working_dir,
        "config": _config(plan, settings),
        "prompt": config.data[PROMPT] if config and settings else "",
        "configFiles": dict(config.data) if config and not settings else {},
        "configDir": directory,
        "secretFiles": [{"name": name, "keys": list(keys)} for name, keys in plan.secrets],
        "extraEnv": data(plan.env),
        "ports": _ports(plan.ports, default["ports"]),
        "startupProbe": _probe(plan.startup, default["startupProbe"]),
        "readinessProbe": _probe(plan.readiness, default["readinessProbe"]),
        "livenessProbe": _probe(plan.liveness, default["livenessProbe"]),
        "preStopSleepSeconds": plan.pre_stop,
        "terminationGracePeriodSeconds": plan.grace,
        "resources": data(plan.resources),
        "podSecurityContext": {
            **default["podSecurityContext"],
            "runAsUser": plan.run_as_user,
            "runAsGroup": plan.run_as_user,
            "fsGroup": plan.run_as_user,
        },
        "securityContext": {
            **default["securityContext"],
            "readOnlyRootFilesystem": plan.read_only_root,
        },
        "tmp": default["tmp"],
        "extraVolumes": data(plan.volumes),
        "extraVolumeMounts": data(plan.mounts),
        "volumeClaimTemplates": [_claim(claim) for claim in plan.claim_templates],
        "sidecars": data(plan.sidecars),
        "initContainers": data(plan.init_containers),
        "podLabels": {
            key: value for key, value in plan.pod_labels.items() if key not in plan.labels
        },
        "podAnnotations": dict(plan.pod_annotations),
        "topologySpreadConstraints": [_spread(plan, item) for item in data(plan.spread)],
        **{
            field.name: data(plan.pod_fields.get(field.name, default[field.name]))
            for field in podfields.PLAIN
        },
        "replicaCount": default["replicaCount"] if plan.replicas is None else plan.replicas,
        "revisionHistoryLimit": default["revisionHistoryLimit"],
        "strategy": {"type": "Recreate"} if plan.recreate else {},
        "autoscaling": _autoscaling(plan.autoscaler, default["autoscaling"]),
        "keda": _keda(plan.keda, default["keda"]),
        "podDisruptionBudget": default["podDisruptionBudget"],
        "serviceAccount": {
            "create": plan.account.create,
            "name": "" if plan.account.name == plan.name else plan.account.name,
            "annotations": dict(plan.account.annotations),
        },
        "rbac": {
            "clusterWide": plan.rbac is not None and plan.rbac.cluster,
            "rules": data(plan.rbac.rules) if plan.rbac else [],
        },
        "service": {**default["service"], "headless": plan.headless},
        "networkPolicy": _network_policy(plan),
        "serviceMonitor": _service_monitor(plan.metrics, default["serviceMonitor"]),
        "httpRoute": _http_route(plan, default["httpRoute"]),
        "ingress": _ingress(plan, default["ingress"]),
        "certificate": _certificate(plan, default["certificate"]),
        "tests": default["tests"],
    }


def _image(reference: str) -> tuple[str, str, str]:
    """Return repository, tag and digest; a colon before the last slash is a registry's port."""
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    image, _, tag = last.partition(":")
    return f"{folder}{slash}{image}", tag, digest


def _less(given: Mapping[str, Any], known: Mapping[str, Any]) -> Values:
    return {key: value for key, value in given.items() if known.get(key) != value}


def _config(plan: WorkloadPlan, settings: Values) -> Values:
    """Return agent.json without what the chart fills in by itself."""
    ports = {port.name: port.container_port for port in plan.ports}
    server = {
        "port": ports.get("http"),
        "metricsPort": ports.get("metrics"),
        "shutdownGraceSeconds": max(0, plan.grace - plan.pre_stop - MARGIN),
    }
    filled = {
        "contract": CONTRACT,
        "agent": {"name": plan.name, "namespace": plan.namespace},
        "prompt": {"system": {"file": PROMPT}},
        "server": server,
    }
    found: Values = {}
    for key, value in settings.items():
        known = filled.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            rest = _less(value, known)
            if rest:
                found[key] = rest
        elif value != known:
            found[key] = value
    return found


def _ports(ports: Iterable[Port], default: list[Values]) -> list[Values]:
    whole = [
        {
            "name": port.name,
            "containerPort": port.container_port,
            "servicePort": port.service_port,
            "protocol": port.protocol,
            "appProtocol": port.app_protocol,
        }
        for port in ports
    ]
    return default if whole == default else [_short(port) for port in whole]


def _short(port: Values) -> Values:
    """Return a port without what the chart assumes."""
    assumed = {"servicePort": port["containerPort"], "protocol": "TCP", "appProtocol": ""}
    return _less(port, assumed)


def _probe(probe: Probe | None, default: Values) -> Values:
    if probe is None:
        return {**default, "enabled": False}
    return {
        "enabled": True,
        "path": probe.path,
        "port": probe.port,
        "initialDelaySeconds": probe.initial_delay,
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }


def _claim(claim: Claim) -> Values:
    body = {"name": claim.name, "size": claim.size, "accessMode": claim.access_mode}
    return {**body, "storageClassName": claim.storage_class} if claim.storage_class else body


def _spread(plan: WorkloadPlan, constraint: Values) -> Values:
    return _less(constraint, {"labelSelector": {"matchLabels": plan.selector}})


def _autoscaling(scaler: Autoscaler | None, default: Values) -> Values:
    if scaler is None:
        return default
    metrics = data(scaler.metrics)
    return {
        **default,
        "enabled": True,
        "minReplicas": scaler.minimum,
        "maxReplicas": scaler.maximum,
        "metrics": [] if metrics == [scaling.CPU] else metrics,
        "behavior": _behavior(scaler.behavior),
    }


def _behavior(given: Mapping[str, Any]) -> Values:
    own: Values = data(given)
    return {} if own == scaling.BEHAVIOR else own


def _keda(keda: Keda | None, default: Values) -> Values:
    if keda is None:
        return default
    return {
        "enabled": True,
        "minReplicas": keda.minimum,
        "maxReplicas": keda.maximum,
        "triggers": [_trigger(trigger) for trigger in keda.triggers],
        "behavior": _behavior(keda.behavior),
        "pollingInterval": keda.polling_interval,
        "cooldownPeriod": keda.cooldown_period,
        "fallbackReplicas": keda.fallback_replicas or 0,
    }


def _trigger(trigger: KedaTrigger) -> Values:
    body: Values = {"type": trigger.type}
    if trigger.name:
        body["name"] = trigger.name
    if trigger.metric_type:
        body["metricType"] = trigger.metric_type
    body["metadata"] = dict(trigger.metadata)
    if trigger.secrets:
        body["secretTargetRef"] = [
            {"parameter": parameter, "name": name, "key": key}
            for parameter, name, key in trigger.secrets
        ]
    return body


def _network_policy(plan: WorkloadPlan) -> Values:
    named = bool(plan.egress) and plan.egress[0] == DNS
    egress = plan.egress[1:] if named else plan.egress
    return {
        "enabled": True,
        "dns": named,
        "ingress": [networkpolicy.rule("from", rule) for rule in plan.ingress],
        "egress": [networkpolicy.rule("to", rule) for rule in egress],
    }


def _service_monitor(metrics: Metrics | None, default: Values) -> Values:
    if metrics is None:
        return default
    return {
        "enabled": True,
        "port": metrics.port,
        "path": metrics.path,
        "interval": f"{metrics.interval}s",
        "labels": dict(metrics.labels),
    }


def _port(plan: WorkloadPlan, expose: Expose) -> int:
    """Return the Service's port of a route, 0 when it is the one that the chart would take."""
    first = plan.ports[0] if plan.ports else None
    port = next((port for port in plan.ports if port.name == "http"), first)
    return 0 if port and port.service_port == expose.port else expose.port


def _http_route(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or expose.kind != "HTTPRoute":
        return default
    names = ("name", "namespace", "sectionName")
    return {
        **default,
        "enabled": True,
        "parentRefs": [{key: expose.gateway[key] for key in names if key in expose.gateway}],
        "hostnames": [expose.host],
        "path": expose.path,
        "port": _port(plan, expose),
        "requestTimeout": f"{expose.timeout}s",
    }


def _ingress(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or expose.kind != "Ingress":
        return default
    paths = [{"path": expose.path, "pathType": "Prefix"}]
    tls = [{"hosts": [expose.host], "secretName": expose.tls_secret}] if expose.tls_secret else []
    return {
        **default,
        "enabled": True,
        "className": expose.ingress_class,
        "hosts": [{"host": expose.host, "paths": paths}],
        "port": _port(plan, expose),
        "tls": tls,
    }


def _certificate(plan: WorkloadPlan, default: Values) -> Values:
    expose = plan.expose
    if expose is None or not expose.tls_secret:
        return default
    usual = expose.tls_secret == fit(plan.name, "-tls")
    return {
        "enabled": True,
        "secretName": "" if usual else expose.tls_secret,
        "dnsNames": [] if expose.kind == "Ingress" else [expose.host],
        "issuerRef": data(expose.issuer),
    }


# -- charts/namespace ----------------------------------------------------------------------------


def whole_namespace(plan: NamespacePlan) -> Values:
    """Return every value of charts/namespace for a namespace, defaults included."""
    groups = data(plan.alerts)
    default = defaults("namespace")
    return {
        "commonLabels": dict(plan.labels),
        "textAnnotations": dict(plan.verbatim),
        "retainedAnnotations": _less(plan.retained, KEEP),
        "networkPolicy": {"defaultDeny": plan.default_deny},
        "quota": {"hard": dict(plan.quota)},
        "limits": {**default["limits"], **data(plan.limits)},
        "secretStore": _store(plan, default["secretStore"]),
        "refreshInterval": plan.refresh_interval if plan.secrets else default["refreshInterval"],
        "externalSecrets": [
            {"name": item.name, "remoteKey": item.remote_key}
            | ({"keys": list(item.keys)} if item.keys else {})
            for item in plan.secrets
        ],
        "claims": [_claim(claim) for claim in plan.claims],
        "alerts": {
            "enabled": bool(groups),
            "labels": dict(plan.alert_labels),
            "groups": [] if groups == alerts.groups(plan.name) else groups,
        },
    }


def _store(plan: NamespacePlan, default: Values) -> Values:
    if not plan.secrets:
        return default
    return {
        "name": plan.store_name,
        "kind": plan.store_kind,
        "provider": data(plan.store_provider),
    }
