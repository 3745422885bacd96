"""The parts of a workload's containers: images, variables, checks, volumes, resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan import images
from fleetform.plan.model import (
    Check,
    Checks,
    Claim,
    Compute,
    ConfigFolder,
    ConfigRef,
    EnvFrom,
    ExistingClaim,
    Extra,
    FieldRef,
    Mount,
    Port,
    Scratch,
    SecretFolder,
    SecretRef,
    Variable,
    Volume,
)
from fleetform.problems import Problem
from fleetform.quantity import parse
from fleetform.resolve import probes

if TYPE_CHECKING:
    from fractions import Fraction

    from fleetform.models.agent import AgentSpec
    from fleetform.models.environment import Placement
    from fleetform.models.workload import (
        EnvFromSource,
        EnvVar,
        ExtraContainer,
        HealthCheck,
        ImageName,
        PodTemplate,
        Resources,
        Workload,
    )
    from fleetform.models.workload import Mount as MountSpec
    from fleetform.models.workload import Volume as VolumeSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.tree import TreePath

DEFAULT = Compute({"cpu": "100m", "memory": "256Mi"}, {"cpu": "1", "memory": "512Mi"})
DEFAULT_EXTRA = Compute({"cpu": "10m", "memory": "32Mi"}, {"cpu": "100m", "memory": "64Mi"})
SCRATCH_SIZE = "64Mi"
OF_PODS = (
    *("labels", "annotations", "sidecars", "init_containers", "volumes"),
    *("topology_spread_constraints", "termination_grace_period_seconds", "min_ready_seconds"),
)
"""Fields of an agent's `podTemplate` that are for its own pods: labels select them, a sidecar would never end."""
RESOURCES = ("cpu", "memory", "ephemeral-storage")


def image(
    fleet: Fleet, owner: Resolved[Any], given: ImageName, path: TreePath, problems: list[Problem]
) -> tuple[str, str]:
    """Return the full image reference and its version; an image with neither a tag nor a digest is a Problem."""
    reference, version = images.reference(fleet.environment.images, given)
    if not reference:
        problems.append(
            owner.problem(
                path,
                "image-not-pinned",
                f"the image `{given.repository}` has neither a tag nor a digest",
                hint=f"set one, or the environment's `images.pins.{given.repository}`",
                key=True,
            )
        )
    elif images.fault(reference) == "image-latest":
        problems.append(
            owner.problem(
                path,
                "image-latest",
                f"the image `{given.repository}` has {images.FAULTS['image-latest']}",
                hint="use a version or a digest",
                key=True,
            )
        )
    problems += images.problems(fleet, owner, given, path)
    return reference, version


def placed(template: PodTemplate, given: Placement) -> PodTemplate:
    """Return what a pod asks of nodes as an environment says it, of pods that no spec places."""
    found: PodTemplate = view.replace(
        template, node_selector=given.node_selector, tolerations=given.tolerations
    )
    return found


def beside(spec: AgentSpec, resources: Resources) -> Workload:
    """Return a job for an agent as a workload: where and as whom the agent's pods run, with nothing else of them."""
    empty: AgentSpec = view.make("Agent", "AgentSpec", {})
    own = {name: getattr(empty.pod_template, name) for name in OF_PODS}
    template = view.replace(spec.pod_template, **own)
    whole: Workload = view.replace(empty, pod_template=template, resources=resources)
    return whole


def compute(given: Resources, default: Compute) -> Compute:
    """Return requests and limits with every gap filled, a limit never below its request, and of devices equal."""
    if not (view.given(given.requests) or view.given(given.limits)):
        return default
    own_limits = view.dump(given.limits)
    low = {**default.requests, **view.dump(given.requests)}
    high = {**default.limits, **own_limits}
    for name, value in low.items():
        if name in high and parse(high[name]) < parse(value):
            if name in own_limits:
                low[name] = high[name]  # the built-in request, above a limit set by the user
            else:
                high[name] = value
    devices = {name: value for name, value in (low | high).items() if name not in RESOURCES}
    return Compute(_ordered(low | devices), _ordered(high | devices))


def in_memory(owner: Resolved[Any], spec: Any, root: TreePath) -> Iterator[Problem]:
    """Yield containers whose volumes in memory may take all of their memory: the kernel ends who fills them."""
    template = spec.pod_template
    given = [
        *((volume, (*root, "volumes", number)) for number, volume in enumerate(spec.volumes)),
        *(
            (volume, (*root, "podTemplate", "volumes", number))
            for number, volume in enumerate(template.volumes)
        ),
    ]
    sizes = {
        volume.name: (parse(volume.empty_dir), (*path, "emptyDir"))
        for volume, path in given
        if volume.medium == "Memory" and volume.empty_dir
    }
    if not sizes:
        return
    own = [volume.name for volume in spec.volumes if not volume.read_only]
    rows = [("its container", own, compute(spec.resources, DEFAULT))]
    for item in (*template.init_containers, *template.sidecars):
        mounts = [mount.name for mount in item.volume_mounts if not mount.read_only]
        rows.append((f"`{item.name}`", mounts, compute(item.resources, DEFAULT_EXTRA)))
    for name, mounts, amounts in rows:
        found = [sizes[mount] for mount in dict.fromkeys(mounts) if mount in sizes]
        total, limit = sum(size for size, _ in found), parse(amounts.limits["memory"])
        if found and total >= limit:
            yield owner.problem(
                max(found, key=lambda item: item[0])[1],
                "memory-volume",
                f"volumes in memory of {name} may take {_mebibytes(total)}, which count against its memory limit of {_mebibytes(limit)}",
                hint="raise `resources.limits.memory` above what they take together with the program, or lower `emptyDir`",
                severity="warning",
            )


def _mebibytes(amount: Fraction | int) -> str:
    return f"{-(-amount // (1 << 20))}Mi"


def _ordered(amounts: dict[str, str]) -> dict[str, str]:
    others = sorted(amounts.keys() - {*RESOURCES})
    return {name: amounts[name] for name in (*RESOURCES, *others) if name in amounts}


def env(variables: Iterable[EnvVar]) -> Iterator[Variable]:
    """Yield environment variables; their text is literal."""
    for variable in variables:
        source = variable.value_from
        if source is None:
            yield Variable(variable.name, variable.value or "")
        elif source.secret_key_ref:
            secret = source.secret_key_ref
            yield Variable(variable.name, SecretRef(secret.name, secret.key))
        elif source.config_map_key_ref:
            config = source.config_map_key_ref
            yield Variable(variable.name, ConfigRef(config.name, config.key))
        elif source.field_ref:
            yield Variable(variable.name, FieldRef(source.field_ref))


def env_from(given: Iterable[EnvFromSource]) -> Iterator[EnvFrom]:
    """Yield Secrets and ConfigMaps that become variables as a whole."""
    for item in given:
        if item.secret_ref is not None:
            yield EnvFrom(SecretFolder(item.secret_ref.name), item.prefix or "")
        elif item.config_map_ref is not None:
            yield EnvFrom(ConfigFolder(item.config_map_ref.name), item.prefix or "")


def checks(check: HealthCheck, paths: tuple[str, str, str], port: str | int) -> Checks:
    """Return the checks; `paths` over HTTP in their order, empty for one that only connects to the port."""
    if not check.enabled:
        return Checks()
    period = 2
    tries = max(check.failure_threshold, -(-check.startup_seconds // period))
    delay = check.initial_delay_seconds or 0
    usual = (check.period_seconds, check.timeout_seconds, check.failure_threshold, 0)
    times = ((period, check.timeout_seconds, tries, delay), usual, usual)
    rows = zip(probes.PROBES, paths, times, strict=True)
    return Checks(
        *(_check(probes.action(check, own), path, port, time) for own, path, time in rows)
    )


_Times = tuple[int, int, int, int]


def _check(action: Any, path: str, port: str | int, times: _Times) -> Check | None:
    """Return one check, None if there is no port to ask."""
    if action is None:
        return Check(path, port, *times) if port else None
    if hasattr(action, "command"):
        return Check("", "", *times)._replace(command=tuple(action.command))
    if hasattr(action, "service"):
        return Check("", action.port, *times)._replace(grpc=True, service=action.service or "")
    return Check("", action.port, *times)


def volumes(given: Iterable[VolumeSpec]) -> tuple[tuple[Volume, ...], tuple[Mount, ...]]:
    """Return volumes and where the main container mounts them."""
    rows = [*given]
    mounts = (
        Mount(
            volume.name,
            volume.mount_path,
            bool(volume.read_only or volume.config_map or volume.secret),
            volume.sub_path or "",
        )
        for volume in rows
    )
    return tuple(Volume(volume.name, _source(volume)) for volume in rows), tuple(mounts)


def _source(volume: Any) -> Scratch | Claim | ExistingClaim | ConfigFolder | SecretFolder:
    claim = getattr(volume, "claim", None)
    if claim is not None:
        return Claim(claim.size, claim.access_mode or "", claim.storage_class or "")
    existing = getattr(volume, "existing_claim", None)
    if existing is not None:
        return ExistingClaim(existing.name, existing.access_mode)
    if volume.config_map:
        return ConfigFolder(volume.config_map)
    if volume.secret:
        return SecretFolder(volume.secret)
    return Scratch(volume.empty_dir or SCRATCH_SIZE, volume.medium or "")


def extras(
    fleet: Fleet,
    owner: Resolved[Any],
    given: Sequence[ExtraContainer],
    field: str,
    problems: list[Problem],
) -> tuple[Extra, ...]:
    """Return sidecars or init containers; `field` of the spec's `podTemplate` contains them."""
    found = []
    for number, item in enumerate(given):
        path = ("spec", "podTemplate", field, number, "image")
        reference, _ = image(fleet, owner, item.image, path, problems)
        found.append(
            Extra(
                item.name,
                reference,
                item.image.pull_policy or fleet.environment.images.pull_policy or "",
                tuple(item.command or ()),
                tuple(item.args or ()),
                tuple(
                    Port(port.name, port.container_port, port.container_port, port.protocol)
                    for port in item.ports
                ),
                tuple(env(item.env)),
                compute(item.resources, DEFAULT_EXTRA),
                tuple(_mount(mount) for mount in item.volume_mounts),
                tuple(env_from(item.env_from)),
                getattr(item, "restart_policy", None) == "Always",
            )
        )
    return tuple(found)


def _mount(mount: MountSpec) -> Mount:
    return Mount(mount.name, mount.mount_path, bool(mount.read_only))


def extra_volumes(template: PodTemplate) -> tuple[Volume, ...]:
    """Return the volumes of extra containers."""
    return tuple(Volume(volume.name, _source(volume)) for volume in template.volumes)
