"""What an API server refuses in a pod: duplicate names, mounts of missing volumes, variables with two sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from fleetform import kinds, timezones
from fleetform.contract import HTTP_PORT, STORE_PORTS
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.names import has_containers
from fleetform.resolve.references import beside, container_of
from fleetform.rules import urls
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

SCRATCH = "tmp"
"""The volume that every pod has."""

Row = tuple[TreePath, Any]


def workloads(fleet: Fleet) -> Iterator[tuple[Resolved[Any], Any, TreePath]]:
    """Yield every spec that becomes containers: its document, the part that describes them, and that part's place."""
    for kind in kinds.WORKLOADS:
        for resolved in filter(has_containers, fleet.of(kind)):
            if kind == "MemoryStore":
                yield resolved, resolved.spec.provision, ("spec", "provision")
            else:
                yield resolved, resolved.spec, ("spec",)


def placed(fleet: Fleet) -> Iterator[tuple[Resolved[Any], Any, TreePath]]:
    """Yield every spec that says where pods are placed, as `workloads` does."""
    yield from workloads(fleet)
    for workflow in fleet.of(kinds.WORKFLOW):
        yield workflow, workflow.spec, ("spec",)


def variables(
    resolved: Resolved[Any], path: TreePath, items: Iterable[Any], taken: Iterable[str]
) -> Iterator[Problem]:
    """Yield variables of a container that occur twice, or have no source or several; `taken` are there already."""
    rows = _listed(path, items)
    yield from _twice(resolved, "variables", _named(rows), taken)
    for place, item in rows:
        yield from _variable(resolved, place, item)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield duplicate names in a pod, and references to nothing."""
    for resolved, spec, root in workloads(fleet):
        more = [*extras(spec, root)]
        servers = (
            [container_of(name) for name, _ in beside(uses[resolved.key])]
            if resolved.kind == "Agent"
            else []
        )
        for what, rows, taken in _groups(resolved, spec, root, more):
            ours = servers if what in ("containers", "volumes") else []
            yield from _twice(resolved, what, rows, (*taken, *ours, *(f"{n}-tmp" for n in ours)))
        for path, source in _sources(spec, root, more):
            yield from _whole(resolved, path, source)
        for path, variable in _variables(spec, root, more):
            yield from _variable(resolved, path, variable)
        yield from _mounts(resolved, spec, more)
        yield from _aliases(resolved, spec.pod_template, root)


def extras(spec: Any, root: TreePath) -> Iterator[Row]:
    """Yield init containers and sidecars with their places."""
    for field, containers in (
        ("initContainers", spec.pod_template.init_containers),
        ("sidecars", spec.pod_template.sidecars),
    ):
        for number, container in enumerate(containers):
            yield (*root, "podTemplate", field, number), container


def _groups(
    resolved: Resolved[Any], spec: Any, root: TreePath, extra: list[Row]
) -> Iterator[tuple[str, list[Row], Iterable[Any]]]:
    """Yield the groups that need unique names: description, rows, and names that Fleetform itself adds."""
    yield "containers", _named(extra), (kinds.BY_NAME[resolved.kind].component,)
    yield "variables", _named(_listed((*root, "env"), spec.env)), ()
    for path, container in extra:
        yield "variables", _named(_listed((*path, "env"), container.env)), ()
        mounts = _listed((*path, "volumeMounts"), container.volume_mounts)
        yield (
            "mount paths",
            [((*at, "mountPath"), _folder(item.mount_path)) for at, item in mounts],
            (),
        )
    volumes = _listed((*root, "volumes"), spec.volumes)
    more = _listed((*root, "podTemplate", "volumes"), spec.pod_template.volumes)
    yield "volumes", _named([*volumes, *more]), ()
    aliases = _listed((*root, "podTemplate", "hostAliases"), spec.pod_template.host_aliases)
    yield "host aliases", [((*path, "ip"), item.ip) for path, item in aliases], ()
    paths = [((*path, "mountPath"), _folder(item.mount_path)) for path, item in volumes]
    yield "mount paths", [*_config_folder(spec, root), *paths], ()
    pull = (*root, "podTemplate", "imagePullSecrets")
    yield "pull secrets", _listed(pull, spec.pod_template.image_pull_secrets), ()
    yield from _ports(resolved, spec, root, extra)
    if resolved.kind == "Agent":
        yield "tools", _named(_listed((*root, "tools"), spec.tools)), ()


def _config_folder(spec: Any, root: TreePath) -> Iterator[Row]:
    if spec.container is not None and spec.container.config_files:
        yield (*root, "container", "configDir"), _folder(spec.container.config_dir)


def _ports(
    resolved: Resolved[Any], spec: Any, root: TreePath, extra: list[Row]
) -> Iterator[tuple[str, list[Row], Iterable[Any]]]:
    own = spec.container.ports if spec.container is not None else []
    main = _listed((*root, "container", "ports"), own)
    ports = [*main]
    for path, container in extra:
        if "sidecars" in path or container.restart_policy == "Always":
            ports += _listed((*path, "ports"), container.ports)
    names, taken = _own_ports(resolved, spec)
    yield "ports", _named(ports), names
    numbers = [
        ((*path, "containerPort"), _number(port.container_port, port)) for path, port in ports
    ]
    yield "ports", numbers, taken
    # A duplicate port has been reported; its Service port would be the same cause.
    first = {_number(port.container_port, port): (path, port) for path, port in reversed(main)}
    service = [
        ((*path, "servicePort"), _number(port.service_port or port.container_port, port))
        for path, port in reversed(first.values())
    ]
    yield "Service ports", service, ()


def _own_ports(resolved: Resolved[Any], spec: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and numbers of the ports that an image of ours has."""
    if spec.container is not None or resolved.kind == "MCPServer":
        return (), ()
    if resolved.kind == "MemoryStore":
        kind = resolved.spec.type
        return (kind,), (f"{STORE_PORTS.get(kind)}/TCP",)
    return ("http", "metrics"), (f"{HTTP_PORT}/TCP",)


def _number(number: int, port: Any) -> str:
    return f"{number}/{port.protocol}"


def _listed(path: TreePath, items: Iterable[Any]) -> list[Row]:
    return [((*path, number), item) for number, item in enumerate(items)]


def _named(rows: Iterable[Row]) -> list[Row]:
    return [((*path, "name"), item.name) for path, item in rows]


def _folder(path: str) -> str:
    """Return a mount path as the container has it: a slash at its end says nothing."""
    return path.rstrip("/") or "/"


def _twice(
    resolved: Resolved[Any], what: str, rows: Iterable[Row], taken: Iterable[Any]
) -> Iterator[Problem]:
    seen = {*taken}
    for path, name in rows:
        if name in seen:
            yield resolved.problem(
                path,
                "duplicate-name",
                f"`{name}` occurs twice in the {what} of the {resolved.kind}",
                hint="rename or remove one",
            )
        seen.add(name)


def _variables(spec: Any, root: TreePath, extra: list[Row]) -> Iterator[Row]:
    yield from _listed((*root, "env"), spec.env)
    for path, container in extra:
        yield from _listed((*path, "env"), container.env)


def _sources(spec: Any, root: TreePath, extra: list[Row]) -> Iterator[Row]:
    for path, container in ((root, spec), *extra):
        yield from _listed((*path, "envFrom"), container.env_from)


def _whole(resolved: Resolved[Any], path: TreePath, source: Any) -> Iterator[Problem]:
    count = (source.secret_ref is not None) + (source.config_map_ref is not None)
    if count != 1:
        yield resolved.problem(
            path,
            "variable-source",
            f"the variables have {count or 'no'} source{'s' if count > 1 else ''}",
            hint="set exactly one of secretRef, configMapRef",
            key=True,
        )


def _variable(resolved: Resolved[Any], path: TreePath, variable: Any) -> Iterator[Problem]:
    if variable.name == "TZ" and variable.value and timezones.is_lost(variable.value):
        yield resolved.problem(
            (*path, "value"),
            "unknown-zone",
            f"`{variable.value[:40]}` is not the name of a time zone, and programs take it for UTC",
            hint=timezones.hint(variable.value),
            severity="warning",
        )
    source = variable.value_from
    if source is None:
        return
    given = [source.secret_key_ref, source.config_map_key_ref, source.field_ref]
    count = sum(item is not None for item in given) + (variable.value is not None)
    if count != 1:
        yield resolved.problem(
            path,
            "variable-source",
            f"the variable `{variable.name}` has {count or 'no'} source{'s' if count > 1 else ''}",
            hint="set exactly one of value, secretKeyRef, configMapKeyRef, fieldRef",
            key=True,
        )


def _mounts(resolved: Resolved[Any], spec: Any, extra: list[Row]) -> Iterator[Problem]:
    volumes = [*spec.volumes, *spec.pod_template.volumes]
    known = {SCRATCH, *(volume.name for volume in volumes)}
    for path, container in extra:
        for number, mount in enumerate(container.volume_mounts):
            if mount.name not in known:
                yield resolved.problem(
                    (*path, "volumeMounts", number, "name"),
                    "unknown-volume",
                    f"the pod has no volume `{mount.name}`",
                    hint=did_you_mean(mount.name, known, noun="volumes"),
                )


def _aliases(resolved: Resolved[Any], template: Any, root: TreePath) -> Iterator[Problem]:
    """Yield aliases of what is no address, or of one that no workload may reach."""
    for number, alias in enumerate(template.host_aliases):
        path: TreePath = (*root, "podTemplate", "hostAliases", number, "ip")
        if _is_address(alias.ip):
            yield from urls.closed(resolved.tree, path, alias.ip)
        else:
            yield resolved.problem(
                path,
                "bad-address",
                f"`{alias.ip}` is no IP address as Kubernetes reads it",
                hint="write four decimal numbers such as 10.1.2.3, or an IPv6 address such as fd12::1",
            )


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False
