"""Servers that an environment provisions for a MemoryStore: Redis and PostgreSQL, for development."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.models.workload import Claim, Container, ContainerPort, Image, Volume, Workload

if TYPE_CHECKING:
    from fleetform.models.base import SecretKey
    from fleetform.resolve import Resolved

IMAGES = {
    "redis": Image(repository="docker.io/library/redis", tag="8.2.3-alpine"),
    "postgres": Image(repository="docker.io/library/postgres", tag="18.1-alpine"),
}
DATA = {"redis": "/data", "postgres": "/var/lib/postgresql"}
PASSWORD = {"redis": "REDIS_PASSWORD", "postgres": "POSTGRES_PASSWORD"}
PORTS = {"redis": 6379, "postgres": 5432}


def container(resolved: Resolved) -> Container:
    """Return the stock image of a store's type."""
    kind = resolved.spec.type
    port = ContainerPort(name=kind, container_port=PORTS[kind])
    return Container(image=IMAGES[kind], ports=[port])


def workload(resolved: Resolved) -> Workload:
    """Return a store's server as a workload: its provision, with a volume for the data."""
    spec = resolved.spec
    provision, kind = spec.provision, spec.type
    name = f"{resolved.name}-data"
    claim = (
        Claim(size=provision.storage, access_mode="ReadWriteOnce") if provision.storage else None
    )
    data = Volume(name=name, mount_path=DATA[kind], claim=claim, empty_dir=None if claim else "1Gi")
    volumes = [data, *provision.volumes]
    if kind == "postgres":
        volumes.insert(1, Volume(name="run", mount_path="/var/run/postgresql", empty_dir="16Mi"))
    fields = {field: getattr(provision, field) for field in Workload.model_fields}
    return Workload(
        **{**fields, "volumes": volumes, "container": provision.container or container(resolved)}
    )


def args(resolved: Resolved) -> Iterator[str]:
    """Yield the server's arguments."""
    given = resolved.spec.provision.container
    if given is not None and given.args:
        yield from given.args
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
    if spec.type == "redis":
        return spec.redis.auth.secret_ref if spec.redis else None
    found: SecretKey | None = spec.postgres.password_secret_ref if spec.postgres else None
    return found
