"""Servers that an environment provisions for a MemoryStore: Redis and PostgreSQL, for development."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.resolve.names import STORE_IMAGES
from fleetform.resolve.ports import STORE_PORTS

if TYPE_CHECKING:
    from fleetform.models.base import SecretKey
    from fleetform.models.workload import Container, Workload
    from fleetform.resolve import Resolved

DATA = {"redis": "/data", "postgres": "/var/lib/postgresql"}
PASSWORD = {"redis": "REDIS_PASSWORD", "postgres": "POSTGRES_PASSWORD"}


def container(resolved: Resolved) -> Container:
    """Return the container of a store's server: the spec's own, else the stock image of its type."""
    spec = resolved.spec
    own: Container | None = spec.provision.container
    if own is not None:
        return own
    kind = spec.type
    ports = [{"name": kind, "containerPort": STORE_PORTS[kind]}]
    stock: Container = view.make(
        "MemoryStore", "Container", {"image": STORE_IMAGES[kind], "ports": ports}
    )
    return stock


def workload(resolved: Resolved) -> Workload:
    """Return a store's server as a workload: its provision, with a volume for the data."""
    spec = resolved.spec
    provision, kind = spec.provision, spec.type
    source = (
        {"claim": {"size": provision.storage, "accessMode": "ReadWriteOnce"}}
        if provision.storage
        else {"emptyDir": "1Gi"}
    )
    added = [{"name": f"{resolved.name}-data", "mountPath": DATA[kind], **source}]
    if kind == "postgres":
        added.append({"name": "run", "mountPath": "/var/run/postgresql", "emptyDir": "16Mi"})
    volumes = [view.make("MemoryStore", "Volume", volume) for volume in added]
    own = {
        name: getattr(provision, name) for name in ("resources", "env", "network", "pod_template")
    }
    whole: Workload = view.replace(
        view.make("MCPServer", "McpServerSpec", {}),
        **own,
        volumes=[*volumes, *provision.volumes],
        container=container(resolved),
    )
    return whole


def args(resolved: Resolved) -> Iterator[str]:
    """Yield the server's arguments."""
    given = resolved.spec.provision.container
    if given is not None:
        yield from given.args or ()
    elif resolved.spec.type == "redis":
        yield from (
            "--dir",
            "/data",
            "--appendonly",
            "yes" if resolved.spec.provision.storage else "no",
        )
        if _password(resolved) is not None:
            yield from ("--requirepass", f"$({PASSWORD['redis']})")


def env(resolved: Resolved) -> Iterator[dict[str, Any]]:
    """Yield the server's environment: its password from the Secret that clients use."""
    spec = resolved.spec
    secret = _password(resolved)
    if secret is not None:
        source = {"secretKeyRef": {"name": secret.name, "key": secret.key}}
        yield {"name": PASSWORD[spec.type], "valueFrom": source}
    if spec.type == "postgres" and spec.postgres is not None:
        yield {"name": "POSTGRES_DB", "value": spec.postgres.database}
        yield {"name": "POSTGRES_USER", "value": spec.postgres.username}
        yield {"name": "PGDATA", "value": f"{DATA['postgres']}/data"}


def _password(resolved: Resolved) -> SecretKey | None:
    spec = resolved.spec
    found: SecretKey | None = None
    if spec.type == "redis" and spec.redis is not None:
        found = spec.redis.auth.secret_ref
    elif spec.postgres is not None:
        found = spec.postgres.password_secret_ref
    return found
