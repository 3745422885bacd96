"""The pod template that Deployment, StatefulSet and Job share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.contract import FOLDER, SECRETS, SETTINGS
from fleetform.plan.containers import SCRATCH_SIZE
from fleetform.platforms.kubernetes import podfields
from fleetform.platforms.kubernetes.containers import security
from fleetform.platforms.kubernetes.lens import UncoveredError, Values, lens, less
from fleetform.platforms.kubernetes.model import Probe, WorkloadPlan
from fleetform.platforms.kubernetes.objects.manifest import data, versioned

IDS = ("runAsUser", "runAsGroup", "fsGroup")
"""Fields of a pod's security context that some clusters assign themselves."""


def template(plan: WorkloadPlan) -> dict[str, Any]:
    """Return the template of a workload's pods: restricted, spread, and drained before they stop."""
    metadata: dict[str, Any] = {
        "labels": dict(sorted({**plan.pod_labels, **versioned(plan), "app": plan.name}.items()))
    }
    if plan.pod_annotations:
        metadata["annotations"] = dict(sorted(plan.pod_annotations.items()))
    return {"metadata": metadata, "spec": _spec(plan)}


def _spec(plan: WorkloadPlan) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": plan.account.name,
        "automountServiceAccountToken": plan.has_token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            **(dict.fromkeys(IDS, plan.run_as_user) if plan.run_as_user else {}),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": plan.grace,
    }
    if plan.kind in ("Job", "CronJob"):
        spec["restartPolicy"] = "Never"  # the logs of each try are kept
    optional = {
        "imagePullSecrets": [{"name": name} for name in plan.pull_secrets],
        **data(plan.pod_fields),
        "topologySpreadConstraints": data(plan.spread),
        "initContainers": data(plan.init_containers),
    }
    spec |= {key: value for key, value in optional.items() if value}
    own = [*_own_volumes(plan)]
    mounts = [mount for _, mount in own] + data(plan.mounts)
    spec["containers"] = [_container(plan, mounts), *data(plan.sidecars)]
    spec["volumes"] = [volume for volume, _ in own] + data(plan.volumes)
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


def _container(plan: WorkloadPlan, mounts: list[dict[str, Any]]) -> dict[str, Any]:
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
        "envFrom": data(plan.env_from),
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
    body["volumeMounts"] = mounts
    return body


def _probe(probe: Probe) -> dict[str, Any]:
    how: dict[str, Any] = {"tcpSocket": {"port": probe.port}}
    if probe.command:
        how = {"exec": {"command": list(probe.command)}}
    elif probe.grpc:
        how = {"grpc": {"port": probe.port, "service": probe.service}}
    elif probe.path:
        how = {"httpGet": {"path": probe.path, "port": probe.port}}
    if probe.initial_delay:
        how["initialDelaySeconds"] = probe.initial_delay
    return {
        **how,
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's values for the contents of a pod."""
    config = plan.config
    directory = config.directory if config else FOLDER
    derived = ["serve", "--config", f"{directory}/{SETTINGS}"] if config and config.settings else []
    return {
        "imagePullSecrets": [{"name": name} for name in plan.pull_secrets],
        "command": list(plan.command),
        "args": [] if [*plan.args] == derived else list(plan.args),
        "workingDir": plan.working_dir,
        "secretFiles": [{"name": name, "keys": list(keys)} for name, keys in plan.secrets],
        "extraEnv": data(plan.env),
        "extraEnvFrom": data(plan.env_from),
        "startupProbe": _probe_value(plan.startup, default["startupProbe"]),
        "readinessProbe": _probe_value(plan.readiness, default["readinessProbe"]),
        "livenessProbe": _probe_value(plan.liveness, default["livenessProbe"]),
        "preStopSleepSeconds": plan.pre_stop,
        "terminationGracePeriodSeconds": plan.grace,
        "resources": data(plan.resources),
        "podSecurityContext": {
            **default["podSecurityContext"],
            **dict.fromkeys(IDS, plan.run_as_user),
        },
        "securityContext": {
            **default["securityContext"],
            "readOnlyRootFilesystem": plan.read_only_root,
        },
        "tmp": default["tmp"],
        "extraVolumes": data(plan.volumes),
        "extraVolumeMounts": data(plan.mounts),
        "sidecars": data(plan.sidecars),
        "initContainers": data(plan.init_containers),
        "podLabels": {
            key: value for key, value in plan.pod_labels.items() if key not in plan.labels
        },
        "podAnnotations": dict(plan.pod_annotations),
        **{name: data(plan.pod_fields.get(name, default[name])) for name in podfields.PLAIN},
        "topologySpreadConstraints": [
            less(item, {"labelSelector": {"matchLabels": plan.selector}})
            for item in data(plan.spread)
        ],
    }


def _probe_value(probe: Probe | None, default: Values) -> Values:
    if probe is None:
        return {**default, "enabled": False}
    return {
        "enabled": True,
        "command": list(probe.command),
        "grpc": probe.grpc,
        "service": probe.service,
        "path": probe.path,
        "port": probe.port or default["port"],
        "initialDelaySeconds": probe.initial_delay,
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }


# -- what a patch changed, as values -----------------------------------------------------------


def _containers(plan: Any, new: Any) -> Any:
    """Return containers; the chart adds a security context to those without one."""
    del plan
    if any("securityContext" not in item for item in new or ()):
        raise UncoveredError
    return new


def _with_ids(plan: Any, new: Any) -> Any:
    """Return a pod's security context; what is left to the cluster is empty in the chart's values."""
    del plan
    return {**dict.fromkeys(IDS, 0), "fsGroupChangePolicy": "", **(new or {})}


def _spread(plan: Any, new: Any) -> Any:
    """Return constraints; the chart adds a selector to those without one."""
    del plan
    if any("labelSelector" not in item for item in new or ()):
        raise UncoveredError
    return new


def _sidecars(plan: Any, new: Any) -> Any:
    return _containers(plan, new[1:])


def _behind_own(plan: WorkloadPlan, new: Any) -> Any:
    return new[_own(plan) :]


def _own(plan: WorkloadPlan) -> int:
    """Return how many volumes and mounts the chart itself adds: scratch space, configuration, secrets."""
    return 1 + (plan.config is not None) + bool(plan.secrets)


def _probe_read(plan: Any, new: Any) -> Any:
    del plan
    if new is None:
        return {"enabled": False}
    needed = {"periodSeconds", "timeoutSeconds", "failureThreshold"}
    numbers = {key: value for key, value in new.items() if key in needed | {"initialDelaySeconds"}}
    actions = {*new} - numbers.keys()
    if len(actions) != 1 or not actions <= _READ.keys() or not needed <= numbers.keys():
        raise UncoveredError
    (action,) = actions
    how, wanted = new[action] or {}, _READ[action]
    if {*how} - {*wanted} or wanted[-1] not in how:
        raise UncoveredError
    place = {"command": [], "grpc": action == "grpc", "service": "", "path": "", **how}
    return {"enabled": True, **place, "initialDelaySeconds": 0, **numbers}


_READ = {
    "httpGet": ("path", "port"),
    "tcpSocket": ("port",),
    "grpc": ("service", "port"),
    "exec": ("command",),
}
"""By the action of a probe: the fields that the chart has values for, the one that must be there last."""


POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
LENSES = (
    lens("spec.template.metadata.annotations", "podAnnotations"),
    *(lens(f"{POD}.{name}", name) for name in ("imagePullSecrets", *podfields.PLAIN)),
    lens(f"{POD}.topologySpreadConstraints", "topologySpreadConstraints", _spread),
    lens(f"{POD}.securityContext", "podSecurityContext", _with_ids),
    lens(f"{POD}.initContainers", "initContainers", _containers),
    lens(f"{POD}.containers", "sidecars", _sidecars, first=lambda _: 1),
    lens(f"{POD}.volumes", "extraVolumes", _behind_own, first=_own),
    lens(f"{POD}.volumes.0.emptyDir.sizeLimit", "tmp.sizeLimit"),
    lens(f"{MAIN}.volumeMounts", "extraVolumeMounts", _behind_own, first=_own),
    *(lens(f"{MAIN}.{name}", name) for name in ("command", "args", "workingDir", "resources")),
    lens(f"{MAIN}.imagePullPolicy", "image.pullPolicy"),
    lens(f"{MAIN}.env", "extraEnv"),
    lens(f"{MAIN}.envFrom", "extraEnvFrom"),
    lens(f"{MAIN}.securityContext", "securityContext"),
    *(
        lens(f"{MAIN}.{name}", name, _probe_read, partial=True)
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    ),
)
"""Places in the template of a pod."""
