"""What stands inside a pod: image, probes, volumes, extra containers, resources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan import images
from fleetform.plan.model import Claim, Probe
from fleetform.problems import Problem
from fleetform.quantity import parse

if TYPE_CHECKING:
    from fleetform.models.workload import (
        EnvVar,
        ExtraContainer,
        HealthCheck,
        Image,
        Mount,
        PodTemplate,
        Resources,
        Volume,
        Workload,
    )
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import Path

REQUESTS = {"cpu": "100m", "memory": "256Mi"}
LIMITS = {"cpu": "1", "memory": "512Mi"}
EXTRA_REQUESTS = {"cpu": "10m", "memory": "32Mi"}
EXTRA_LIMITS = {"cpu": "100m", "memory": "64Mi"}
TMP_SIZE = "64Mi"


def image(
    fleet: Fleet, owner: Resolved, given: Image, path: Path, problems: list[Problem]
) -> tuple[str, str]:
    """Return the full image reference and its version; an image without tag and digest is a Problem."""
    reference, version = images.reference(fleet.environment.images, given)
    if not reference:
        problems.append(
            owner.problem(
                path,
                "image-not-pinned",
                f"the image `{given.repository}` has neither tag nor digest",
                hint=f"set them, or the environment's `images.pins.{given.repository}`",
                key=True,
            )
        )
    elif reference.endswith(":latest"):
        problems.append(
            owner.problem(
                path,
                "image-latest",
                f"the image `{given.repository}` has the tag `latest`: what runs would change by itself",
                hint="name a version or a digest",
                key=True,
            )
        )
    return reference, version


def resources(given: Resources, requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    """Return requests and limits with every gap filled, a limit never below its request."""
    own_requests = view.dump(given.requests)
    own_limits = view.dump(given.limits)
    low = {**requests, **own_requests}
    high = {**limits, **own_limits}
    for name, value in low.items():
        if name in high and parse(high[name]) < parse(value):
            if name in own_limits:
                low[name] = high[name]  # the built-in request, above a limit that somebody set
            else:
                high[name] = value
    return {"requests": _ordered(low), "limits": _ordered(high)}


def _ordered(amounts: dict[str, str]) -> dict[str, str]:
    return {
        name: amounts[name] for name in ("cpu", "memory", "ephemeral-storage") if name in amounts
    }


def env(variables: list[EnvVar]) -> Iterator[dict[str, Any]]:
    """Yield environment variables in Kubernetes' form; `$(` is text here, and kept so for the kubelet."""
    for variable in variables:
        source = variable.value_from
        if source is None:
            yield {"name": variable.name, "value": escape(variable.value or "")}
        elif source.secret_key_ref:
            yield {
                "name": variable.name,
                "valueFrom": {"secretKeyRef": _key(source.secret_key_ref)},
            }
        elif source.config_map_key_ref:
            yield {
                "name": variable.name,
                "valueFrom": {"configMapKeyRef": _key(source.config_map_key_ref)},
            }
        elif source.field_ref:
            yield {
                "name": variable.name,
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": source.field_ref}},
            }


def _key(reference: Any) -> dict[str, str]:
    return {"name": reference.name, "key": reference.key}


def escape(text: str) -> str:
    """Return text that the kubelet gives back unchanged, which expands `$(NAME)` and turns `$$` into `$`."""
    return re.sub(r"\$(?=[$(])", "$$", text)


def probes(
    check: HealthCheck, paths: tuple[str, str, str], port: str | int
) -> tuple[Probe | None, Probe | None, Probe | None]:
    """Return start-up, readiness and liveness; `paths` in that order, empty for a TCP probe."""
    if not check.enabled or not port:
        return None, None, None
    startup, ready, live = paths
    period = 2
    tries = max(check.failure_threshold, -(-check.startup_seconds // period))
    return (
        Probe(
            startup, port, period, check.timeout_seconds, tries, check.initial_delay_seconds or 0
        ),
        Probe(ready, port, check.period_seconds, check.timeout_seconds, check.failure_threshold),
        Probe(live, port, check.period_seconds, check.timeout_seconds, check.failure_threshold),
    )


def volumes(
    given: list[Volume], *, stateful: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return volumes and mounts; claims of a StatefulSet are its own templates, not volumes."""
    found: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    for volume in given:
        if not (stateful and volume.claim is not None):
            found.append({"name": volume.name, **_source(volume)})
        mount: dict[str, Any] = {"name": volume.name, "mountPath": volume.mount_path}
        if volume.sub_path:
            mount["subPath"] = volume.sub_path
        if volume.read_only or volume.config_map or volume.secret:
            mount["readOnly"] = True
        mounts.append(mount)
    return found, mounts


def _source(volume: Any) -> dict[str, Any]:
    if getattr(volume, "claim", None) is not None:
        return {"persistentVolumeClaim": {"claimName": volume.name}}
    if volume.config_map:
        return {"configMap": {"name": volume.config_map}}
    if volume.secret:
        return {"secret": {"secretName": volume.secret, "defaultMode": 0o440}}
    return {"emptyDir": {"sizeLimit": volume.empty_dir or TMP_SIZE}}


def claim(volume: Volume, *, shared: bool) -> Claim:
    """Return the claim behind a volume; shared ones can be mounted by many."""
    given = volume.claim
    if given is None:  # pragma: no cover - callers ask for claims only
        raise ValueError(volume.name)
    mode = given.access_mode or ("ReadWriteMany" if shared else "ReadWriteOnce")
    return Claim(volume.name, given.size, mode, given.storage_class or "")


def extra_containers(
    fleet: Fleet,
    owner: Resolved,
    given: list[ExtraContainer],
    field: str,
    template: PodTemplate,
    problems: list[Problem],
) -> tuple[dict[str, Any], ...]:
    """Return sidecars or init containers, restricted like the main one."""
    found = []
    for number, item in enumerate(given):
        path = ("spec", "podTemplate", field, number, "image")
        reference, _ = image(fleet, owner, item.image, path, problems)
        body: dict[str, Any] = {"name": item.name, "image": reference}
        policy = item.image.pull_policy or fleet.environment.images.pull_policy
        if policy:
            body["imagePullPolicy"] = policy
        if item.command:
            body["command"] = [escape(word) for word in item.command]
        if item.args:
            body["args"] = [escape(word) for word in item.args]
        if item.ports:
            body["ports"] = [
                {"name": p.name, "containerPort": p.container_port, "protocol": p.protocol}
                for p in item.ports
            ]
        if item.env:
            body["env"] = [*env(item.env)]
        body["resources"] = resources(item.resources, EXTRA_REQUESTS, EXTRA_LIMITS)
        body["securityContext"] = security(read_only_root=not template.writable_root_filesystem)
        if item.volume_mounts:
            body["volumeMounts"] = [_mount(mount) for mount in item.volume_mounts]
        found.append(body)
    return tuple(found)


def _mount(mount: Mount) -> dict[str, Any]:
    body: dict[str, Any] = {"name": mount.name, "mountPath": mount.mount_path}
    return {**body, "readOnly": True} if mount.read_only else body


def extra_volumes(template: PodTemplate) -> list[dict[str, Any]]:
    """Return the volumes of extra containers."""
    return [{"name": volume.name, **_source(volume)} for volume in template.volumes]


def security(*, read_only_root: bool) -> dict[str, Any]:
    """Return the container security context that Pod Security `restricted` asks for, and a little more."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only_root,
        "capabilities": {"drop": ["ALL"]},
    }


def tolerations(template: PodTemplate) -> tuple[dict[str, Any], ...]:
    """Return tolerations in Kubernetes' form."""
    return tuple(view.dump(item) for item in template.tolerations)


def spread(
    template: PodTemplate, selector: dict[str, str], most: int
) -> tuple[dict[str, Any], ...]:
    """Return how the pods spread: as the spec says, else over nodes and zones when there can be two."""
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


def is_single_writer(workload: Workload, shared: set[str]) -> bool:
    """Whether an old and a new pod could not hold the volume at one time."""
    return any(
        volume.claim is not None
        and not volume.read_only
        and claim(volume, shared=volume.name in shared).access_mode
        in ("ReadWriteOnce", "ReadWriteOncePod")
        for volume in workload.volumes
    )
