"""A workload → its services: the main container, its sidecars, and those that run before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fleetform import canonical
from fleetform.contract import SECRETS as SECRET_FILES
from fleetform.plan.model import (
    ConfigRef,
    FieldRef,
    Outside,
    SecretFolder,
    SecretPath,
    SecretRef,
    Variable,
    Workload,
    bound,
)
from fleetform.platforms.compose import containers, networks
from fleetform.platforms.compose.model import CONFIG, JOBS, SECRETS, SecretKey, Service
from fleetform.records import NamedTuple
from fleetform.resolve.hosts import Address, Url

if TYPE_CHECKING:
    from fleetform.plan.model import Extra

USER = 10001
SCRATCH = "/tmp:size=64m,mode=1777"  # noqa: S108 - the container's own
THIS_MACHINE = "host.docker.internal"
GATEWAY = f"{THIS_MACHINE}:host-gateway"
"""Docker Desktop knows the name by itself, the engine on Linux does not."""
SOURCES = "x-secret-variables"
"""Compose ignores what begins with `x-`."""
PULL = {"": "", "Always": "always", "IfNotPresent": "missing", "Never": "never"}


class Around(NamedTuple):
    """What a workload must know about the others."""

    ports: Mapping[tuple[str, str, int], int]
    """Container ports by host, namespace and the port that callers use, since Compose does not map them."""
    networks: tuple[str, ...]
    stores: tuple[str, ...]
    """Services that must be ready first."""
    published: int | None
    """Port of this machine, 0 for any free one, None for none."""


def services(workload: Workload, around: Around) -> Iterator[Service]:
    """Yield the services of a workload: init containers, its own, and sidecars."""
    first: dict[str, str] = dict.fromkeys(around.stores, "service_healthy")
    before = [extra for extra in workload.init if not extra.stays]
    beside = [*(extra for extra in workload.init if extra.stays), *workload.sidecars]
    for extra in before:
        yield _before(workload, extra, first, around.networks)
        first = {
            **first,
            f"{networks.name(workload)}.{extra.name}": "service_completed_successfully",
        }
    yield _main(workload, around, first)
    for extra in beside:
        yield _beside(workload, extra)


def _main(workload: Workload, around: Around, first: Mapping[str, str]) -> Service:
    name = networks.name(workload)
    files, mounted, secrets = _configuration(workload, around)
    own, variables = _environment(workload, workload.env)
    body: dict[str, Any] = {
        "image": workload.image,
        **_optional(
            pull_policy=PULL[workload.pull_policy],
            entrypoint=list(workload.command),
            command=containers.command(workload),
            working_dir=workload.working_dir,
        ),
        **_rights(workload),
        **({"profiles": [JOBS]} if workload.shape.ends else {}),
        "restart": "no" if workload.shape.ends else "unless-stopped",
        "stop_grace_period": f"{_grace(workload)}s",
        **_optional(environment=own, env_file=_env_file(name, variables)),
        **_optional(**{SOURCES: _sources(variables)}),
        "tmpfs": [SCRATCH],
        **_optional(
            volumes=[*mounted, *containers.mounts(workload, workload.mounts)],
            secrets=[_secret(secret) for secret in secrets],
            ports=_ports(workload, around.published),
            networks=list(around.networks),
            extra_hosts=_hosts(workload),
            depends_on={service: {"condition": what} for service, what in sorted(first.items())},
            healthcheck=containers.healthcheck(workload),
        ),
        "deploy": _deployed(workload),
        "labels": _labels(workload),
    }
    if not around.networks:
        body["network_mode"] = "none"
    return Service(
        name,
        body,
        files,
        secrets,
        variables,
        tuple(_folders(workload)),
        dict(containers.named_volumes(workload)),
        around.networks,
    )


def _grace(workload: Workload) -> int:
    """Return the seconds that a container has to end: those of the spec, else those that its turns may take."""
    given: int | None = workload.spec.pod_template.termination_grace_period_seconds
    return workload.drain if given is None else given


def _deployed(workload: Workload) -> dict[str, Any]:
    resources = {"resources": containers.resources(workload.compute)}
    if workload.shape.ends:
        return resources
    return {"replicas": max(1, workload.scale.least), **resources}


def _hosts(workload: Workload) -> list[str]:
    """Return lines of /etc/hosts, which sidecars share with the main container."""
    found = [
        f"{name}={alias.ip}"
        for alias in workload.spec.pod_template.host_aliases
        for name in alias.hostnames
    ]
    return [*([GATEWAY] if _calls_this_machine(workload) else ()), *found]


def _calls_this_machine(workload: Workload) -> bool:
    return any(item.party == Outside(THIS_MACHINE) for item in workload.reaches)


def _rights(workload: Workload) -> dict[str, Any]:
    """Return user and privileges: those of a pod, except for stores whose volumes belong to their image's user."""
    template = workload.spec.pod_template
    user = template.run_as_user or USER
    found: dict[str, Any] = {"user": workload.owner or f"{user}:{user}", **containers.RESTRICTED}
    if template.writable_root_filesystem:
        del found["read_only"]
    return found


def _labels(workload: Workload) -> dict[str, str]:
    own = {"fleetform.dev/component": workload.component, "fleetform.dev/version": workload.version}
    return dict(sorted({**workload.labels, **own}.items()))


def _before(
    workload: Workload, extra: Extra, first: Mapping[str, str], reached: tuple[str, ...]
) -> Service:
    """Return a service that completes before the main one starts, and reaches what that one reaches, as in a pod."""
    around = (
        _optional(networks=list(reached), extra_hosts=_hosts(workload))
        if reached
        else {"network_mode": "none"}
    )
    depends = {service: {"condition": what} for service, what in sorted(first.items())}
    body = {**_extra(workload, extra), "restart": "on-failure", **around}
    return _extra_service(workload, extra, {**body, **_optional(depends_on=depends)})


def _beside(workload: Workload, extra: Extra) -> Service:
    """Return a service that shares the network of the main one, like the containers of a pod."""
    body = {**_extra(workload, extra), "restart": "unless-stopped"}
    body["network_mode"] = f"service:{networks.name(workload)}"
    return _extra_service(workload, extra, body)


def _extra(workload: Workload, extra: Extra) -> dict[str, Any]:
    own, variables = _environment(workload, extra.env)
    return {
        "image": extra.image,
        **_optional(
            pull_policy=PULL[extra.pull_policy],
            entrypoint=list(extra.command),
            command=list(extra.args),
            working_dir=extra.working_dir,
        ),
        **_rights(workload),
        **_optional(
            environment=own,
            env_file=_env_file(f"{networks.name(workload)}.{extra.name}", variables),
            **{SOURCES: _sources(variables)},
            volumes=[*containers.mounts(workload, extra.mounts)],
        ),
        "deploy": {"resources": containers.resources(extra.compute)},
    }


def _extra_service(workload: Workload, extra: Extra, body: dict[str, Any]) -> Service:
    _, variables = _environment(workload, extra.env)
    name = f"{networks.name(workload)}.{extra.name}"
    return Service(name, body, {}, variables=variables)


# -- configuration and secrets -------------------------------------------------------------------


def _configuration(
    workload: Workload, around: Around
) -> tuple[dict[str, str], list[dict[str, Any]], tuple[SecretKey, ...]]:
    """Return the files of a workload, their mount, and the secrets that they refer to.

    The folder's name contains the hash of its content: Compose compares paths, not contents, and
    recreates a service when a path changes.
    """
    given = workload.files
    if given is None:
        return {}, [], ()
    secrets: dict[SecretKey, None] = {}
    texts = dict(given.texts)
    if given.settings is not None:
        document = _settings(workload, given.settings, around, secrets)
        texts = {given.name: canonical.dumps(document) + "\n", **texts}
    folder = f"{networks.name(workload)}-{canonical.digest(texts)[:8]}"
    files = {f"{folder}/{file}": text for file, text in texts.items()}
    mount = containers.bind(f"./{CONFIG}/{folder}", given.directory)
    return files, [mount], tuple(sorted(secrets))


def _settings(
    workload: Workload, tree: Any, around: Around, secrets: dict[SecretKey, None]
) -> dict[str, Any]:
    def path(secret: SecretRef | SecretPath) -> str:
        secrets[SecretKey(workload.namespace, secret.name, secret.key)] = None
        return f"{SECRET_FILES}/{secret.name}/{secret.key}"

    def url(given: Url) -> str:
        address, named = given.host, given.port
        asked = named if named is not None else {"http": 80, "https": 443}.get(given.scheme, 0)
        port = around.ports.get((address.name, address.namespace, asked), named)
        return f"{given.scheme}://{networks.host(address)}{f':{port}' if port else ''}{given.rest}"

    found: dict[str, Any] = bound(
        tree,
        {
            SecretRef: lambda secret: {"file": path(secret)},
            SecretPath: path,
            Address: networks.host,
            Url: url,
        },
    )
    return found


def _secret(secret: SecretKey) -> dict[str, str]:
    target = f"{SECRET_FILES}/{secret.name}/{secret.key}"
    return {"source": secret.source, "target": target}


def _folders(workload: Workload) -> Iterable[tuple[str, str]]:
    for volume in containers.all_volumes(workload):
        if isinstance(volume.source, SecretFolder):
            yield workload.namespace, volume.source.name


def _environment(
    workload: Workload, variables: Iterable[Variable]
) -> tuple[dict[str, str], dict[str, SecretKey]]:
    """Return variables that are text, and those that are secrets, of which only the names are written."""
    texts: dict[str, str] = {}
    secrets: dict[str, SecretKey] = {}
    for variable in variables:
        value = variable.value
        if isinstance(value, str):
            texts[variable.name] = value
        elif isinstance(value, SecretRef):
            secrets[variable.name] = SecretKey(workload.namespace, value.name, value.key)
        elif isinstance(value, FieldRef):
            known = fact(workload, value.path)
            texts |= {variable.name: known} if known is not None else {}
        elif isinstance(value, ConfigRef):
            pass  # a Problem: there is no such configuration here
    return texts, secrets


def fact(workload: Workload, path: str) -> str | None:
    """Return what Compose knows about an instance before it runs, None if nothing."""
    known = {"metadata.name": workload.name, "metadata.namespace": workload.namespace}
    return known.get(path)


def _sources(variables: Mapping[str, SecretKey]) -> dict[str, str]:
    """Return which key of which secret each variable holds, as a comment for readers of the file."""
    return {name: f"{secret.name}/{secret.key}" for name, secret in variables.items()}


def _env_file(name: str, variables: Mapping[str, SecretKey]) -> list[dict[str, Any]]:
    """Return where the values of secret variables are; `raw`: nothing in them is expanded."""
    path = f"./{SECRETS}/{name}.env"
    return [{"path": path, "required": True, "format": "raw"}] if variables else []


def _ports(workload: Workload, published: int | None) -> list[dict[str, Any]]:
    port = workload.exposure.port if workload.exposure else workload.main_port
    if published is None or port is None:
        return []
    found: dict[str, Any] = {"target": port.container_port, "host_ip": "127.0.0.1"}
    return [{**found, "published": str(published)} if published else found]


def _optional(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in ("", [], {}, None)}
