"""The pod template that Deployment and StatefulSet share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.plan.containers import SCRATCH_SIZE
from fleetform.platforms.kubernetes.containers import SECRETS, security
from fleetform.platforms.kubernetes.model import Probe, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import data, labels


def template(plan: WorkloadPlan) -> dict[str, Any]:
    """Return the template of a workload's pods: restricted, spread, and drained before they stop."""
    metadata: dict[str, Any] = {
        "labels": dict(sorted({**plan.pod_labels, **labels(plan), "app": plan.name}.items()))
    }
    if plan.pod_annotations:
        metadata["annotations"] = dict(sorted(plan.pod_annotations.items()))
    return {"metadata": metadata, "spec": _spec(plan)}


def _spec(plan: WorkloadPlan) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": plan.account.name,
        "automountServiceAccountToken": plan.rbac is not None,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": plan.run_as_user,
            "runAsGroup": plan.run_as_user,
            "fsGroup": plan.run_as_user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": plan.grace,
    }
    optional = {
        "imagePullSecrets": [{"name": name} for name in plan.pull_secrets],
        **data(plan.pod_fields),
        "topologySpreadConstraints": data(plan.spread),
        "initContainers": data(plan.init_containers),
    }
    spec |= {key: value for key, value in optional.items() if value}
    spec["containers"] = [_container(plan), *data(plan.sidecars)]
    spec["volumes"] = [volume for volume, _ in _own_volumes(plan)] + data(plan.volumes)
    return spec


def _own_volumes(plan: WorkloadPlan) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield scratch space, configuration and secrets, each as a volume and its mount."""
    yield _volume("tmp", "/tmp", emptyDir={"sizeLimit": SCRATCH_SIZE})  # noqa: S108 - the pod's own
    if plan.config is not None:
        source = {"name": plan.config.name}
        yield _volume("config", plan.config.directory, read_only=True, configMap=source)
    if plan.secrets:
        sources = [
            {
                "secret": {
                    "name": name,
                    "items": [{"key": key, "path": f"{name}/{key}"} for key in keys],
                }
            }
            for name, keys in plan.secrets
        ]
        projected = {"defaultMode": 0o440, "sources": sources}
        yield _volume("secrets", SECRETS, read_only=True, projected=projected)


def _volume(
    name: str, path: str, *, read_only: bool = False, **source: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    return {"name": name, **source}, {**mount, "readOnly": True} if read_only else mount


def _container(plan: WorkloadPlan) -> dict[str, Any]:
    body: dict[str, Any] = {"name": plan.component, "image": plan.image}
    optional: dict[str, Any] = {
        "imagePullPolicy": plan.pull_policy,
        "command": list(plan.command),
        "args": list(plan.args),
        "workingDir": plan.working_dir,
        "ports": [
            {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
            for port in plan.ports
        ],
        "env": data(plan.env),
    }
    body |= {key: value for key, value in optional.items() if value}
    body["resources"] = data(plan.resources)
    for name, probe in (
        ("startupProbe", plan.startup),
        ("readinessProbe", plan.readiness),
        ("livenessProbe", plan.liveness),
    ):
        if probe is not None:
            body[name] = _probe(probe)
    if plan.pre_stop:
        body["lifecycle"] = {"preStop": {"sleep": {"seconds": plan.pre_stop}}}
    body["securityContext"] = security(read_only_root=plan.read_only_root)
    body["volumeMounts"] = [mount for _, mount in _own_volumes(plan)] + data(plan.mounts)
    return body


def _probe(probe: Probe) -> dict[str, Any]:
    how: dict[str, Any] = {"httpGet": {"path": probe.path, "port": probe.port}}
    if not probe.path:
        how = {"tcpSocket": {"port": probe.port}}
    if probe.initial_delay:
        how["initialDelaySeconds"] = probe.initial_delay
    return {
        **how,
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }
