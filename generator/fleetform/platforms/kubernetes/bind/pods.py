"""The parts of a pod in Kubernetes' keys: variables, volumes, extra containers, topology spread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan import model
from fleetform.plan.model import (
    ConfigFolder,
    ConfigRef,
    EnvFrom,
    ExistingClaim,
    Extra,
    FieldRef,
    FromVariable,
    Mount,
    Scratch,
    SecretFolder,
    SecretRef,
    Shape,
    Variable,
    Volume,
    Workload,
)
from fleetform.platforms.kubernetes import podfields
from fleetform.platforms.kubernetes.bind.config import host
from fleetform.platforms.kubernetes.containers import security
from fleetform.platforms.kubernetes.model import Claim, selector
from fleetform.resolve.hosts import Address

if TYPE_CHECKING:
    from fleetform.models.workload import PodTemplate

SINGLE = ("ReadWriteOnce", "ReadWriteOncePod")
"""Access modes of volumes that pods of one node share at most."""


def escape(text: str) -> str:
    """Return text that the kubelet leaves unchanged: it expands `$(NAME)` and turns `$$` into `$`."""
    return re.sub(r"\$(?=[$(])", "$$", text) if "$" in text else text


def words(given: Iterable[str | FromVariable]) -> tuple[str, ...]:
    """Return a command or arguments; the kubelet may only expand variables of ours."""
    return tuple(
        f"$({word.name})" if isinstance(word, FromVariable) else escape(word) for word in given
    )


def variable(given: Variable) -> dict[str, Any]:
    """Return an environment variable."""
    value = given.value
    if isinstance(value, str):
        return {"name": given.name, "value": escape(value)}
    if isinstance(value, Address):
        return {"name": given.name, "value": host(value)}
    source: dict[str, Any]
    if isinstance(value, SecretRef):
        source = {"secretKeyRef": {"name": value.name, "key": value.key}}
    elif isinstance(value, ConfigRef):
        source = {"configMapKeyRef": {"name": value.name, "key": value.key}}
    elif isinstance(value, FieldRef):
        source = {"fieldRef": {"apiVersion": "v1", "fieldPath": value.path}}
    return {"name": given.name, "valueFrom": source}


def env_from(given: EnvFrom) -> dict[str, Any]:
    """Return a whole Secret or ConfigMap as variables."""
    kind = "secretRef" if isinstance(given.source, SecretFolder) else "configMapRef"
    prefix = {"prefix": given.prefix} if given.prefix else {}
    return {**prefix, kind: {"name": given.source.name}}


def volumes(workload: Workload) -> tuple[dict[str, Any], ...]:
    """Return the volumes that a spec asks for; claims of a StatefulSet become its claim templates."""
    own = [
        item
        for item in workload.volumes
        if not (workload.shape is Shape.STATEFUL and isinstance(item.source, model.Claim))
    ]
    return tuple(_volume(item) for item in (*own, *workload.extra_volumes))


def _volume(given: Volume) -> dict[str, Any]:
    source = given.source
    body: dict[str, Any]
    if isinstance(source, Scratch):
        medium = {"medium": source.medium} if source.medium else {}
        body = {"emptyDir": {**medium, "sizeLimit": source.size}}
    elif isinstance(source, model.Claim):
        body = {"persistentVolumeClaim": {"claimName": given.name}}
    elif isinstance(source, ExistingClaim):
        body = {"persistentVolumeClaim": {"claimName": source.name}}
    elif isinstance(source, ConfigFolder):
        body = {"configMap": {"name": source.name}}
    elif isinstance(source, SecretFolder):
        items = [{"key": key, "path": key} for key in source.keys]
        chosen = {"items": items} if items else {}
        body = {"secret": {"secretName": source.name, **chosen, "defaultMode": 0o440}}
    return {"name": given.name, **body}


def mount(given: Mount) -> dict[str, Any]:
    """Return where a container mounts a volume."""
    body: dict[str, Any] = {"name": given.volume, "mountPath": given.path}
    if given.sub_path:
        body["subPath"] = given.sub_path
    if given.read_only:
        body["readOnly"] = True
    return body


# -- claims --------------------------------------------------------------------------------------


def claims(workload: Workload, shared: set[str]) -> tuple[Claim, ...]:
    """Return the claims behind a workload's volumes; shared ones can be mounted by many."""
    return tuple(
        _claim(item.name, item.source, shared=item.name in shared)
        for item in workload.volumes
        if isinstance(item.source, model.Claim)
    )


def _claim(name: str, given: model.Claim, *, shared: bool) -> Claim:
    mode = given.mode or ("ReadWriteMany" if shared else SINGLE[0])
    return Claim(name, given.size, mode, given.storage_class)


def shared_claims(workloads: Iterable[Workload]) -> set[str]:
    """Return the names of claims that more than one pod of a namespace may mount."""
    pods: Counter[str] = Counter()
    for workload in workloads:
        # A job that writes its agent's claim goes where the agent is: it is no reason for another mode.
        if workload.shape is Shape.SERVICE:
            names = [v.name for v in workload.volumes if isinstance(v.source, model.Claim)]
            pods.update(dict.fromkeys(names, workload.scale.most))
    return {name for name, count in pods.items() if count > 1}


def is_single_writer(workload: Workload, shared: set[str]) -> bool:
    """Whether an old and a new pod cannot mount a volume at the same time."""
    written = _written(workload)
    return existing_of_one_node(workload) or any(
        claim.name in written and claim.access_mode in SINGLE for claim in claims(workload, shared)
    )


def existing_of_one_node(workload: Workload) -> bool:
    """Whether pods of one node alone can write a claim that exists: replicas with names share it too."""
    written = _written(workload)
    return any(
        isinstance(item.source, ExistingClaim) and item.source.mode in SINGLE
        for item in workload.volumes
        if item.name in written
    )


def _is_of_one_node(workload: Workload, shared: set[str]) -> bool:
    """Whether pods of one node alone can mount one of its claims."""
    return any(claim.access_mode in SINGLE for claim in claims(workload, shared)) or any(
        isinstance(item.source, ExistingClaim) and item.source.mode in SINGLE
        for item in workload.volumes
    )


def _written(workload: Workload) -> set[str]:
    return {mount.volume for mount in workload.mounts if not mount.read_only}


# -- the pod itself ------------------------------------------------------------------------------


def extra_container(given: Extra, *, read_only_root: bool) -> dict[str, Any]:
    """Return a sidecar or an init container, restricted like the main one."""
    body: dict[str, Any] = {"name": given.name, "image": given.image}
    optional: dict[str, Any] = {
        "imagePullPolicy": given.pull_policy,
        "command": [*words(given.command)],
        "args": [*words(given.args)],
        "workingDir": given.working_dir,
        "ports": [
            {"name": port.name, "containerPort": port.container_port, "protocol": port.protocol}
            for port in given.ports
        ],
        "env": [variable(item) for item in given.env],
        "envFrom": [env_from(item) for item in given.env_from],
    }
    body |= {key: value for key, value in optional.items() if value}
    if given.stays:
        body["restartPolicy"] = "Always"
    body["resources"] = given.compute._asdict()
    body["securityContext"] = security(read_only_root=read_only_root)
    if given.mounts:
        body["volumeMounts"] = [mount(item) for item in given.mounts]
    return body


def fields(template: PodTemplate) -> dict[str, Any]:
    """Return the plain pod fields that a spec sets, in the pod's order."""
    if not view.given(template):
        return {}
    found = view.dump(template)
    return {name: found[name] for name in podfields.PLAIN if found.get(name)}


def near(workload: Workload, found: dict[str, Any], shared: set[str]) -> dict[str, Any]:
    """Return pod fields by which a job runs on the node of the workload whose volume it mounts, if that is of one node."""
    if not workload.beside_of or not _is_of_one_node(workload, shared):
        return found
    term = {
        "labelSelector": {"matchLabels": selector(workload.beside_of)},
        "topologyKey": "kubernetes.io/hostname",
    }
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = found.get("affinity") or {}
    pods = affinity.get("podAffinity") or {}
    pods = {**pods, required: [*(pods.get(required) or ()), term]}
    return {**found, "affinity": {**affinity, "podAffinity": pods}}


def spread(
    template: PodTemplate, selector: dict[str, str], most: int
) -> tuple[dict[str, Any], ...]:
    """Return how pods spread: as the spec says, else over nodes and zones if there can be two."""
    given = template.topology_spread_constraints
    if given is None:
        if most < 2:
            return ()
        keys = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        rows = [(key, 1, "ScheduleAnyway") for key in keys]
    else:
        rows = [(item.topology_key, item.max_skew, item.when_unsatisfiable) for item in given]
    return tuple(
        {
            "maxSkew": skew,
            "topologyKey": key,
            "whenUnsatisfiable": rule,
            "labelSelector": {"matchLabels": selector},
        }
        for key, skew, rule in rows
    )
