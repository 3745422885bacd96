"""Stores that are servers: how the runtime connects to each, and the server that an environment provisions.

One row of STORES per type; its section of the spec has the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.contract import STORE_PORTS
from fleetform.names import fit
from fleetform.plan.model import FromVariable, SecretPath, SecretRef, Variable
from fleetform.plan.present import present, secret_of
from fleetform.records import NamedTuple
from fleetform.resolve.names import STORE_IMAGES
from fleetform.resolve.switches import tls_is_on

if TYPE_CHECKING:
    from fleetform.models.base import SecretKey
    from fleetform.models.memory_store import MemoryStoreSpec, Postgres, Redis, StoreTls
    from fleetform.models.workload import Container, Workload
    from fleetform.problems import Problem
    from fleetform.resolve import Resolved


class Store(NamedTuple):
    """A type of store: the settings of its server and its clients; its image is in resolve/names.py."""

    data: str
    """The image's data folder."""
    password: str
    """The variable that contains the server's password."""
    program: str
    """The image's entry point, which arguments that begin with an option are for."""
    owner: str
    """User that owns the image's data."""
    probe: tuple[str, ...]
    """A health check command in the container."""
    secret: Callable[[Any], SecretKey | None]
    """Its section of a spec → the password."""
    settings: Callable[[Any], dict[str, Any]]
    """Its section of a spec → members of agent.json besides type, host, TLS and policy."""
    env: Callable[[Any], tuple[Variable, ...]] = lambda _: ()
    """Its section of a spec → variables of the server besides the password."""
    args: Callable[[bool, SecretKey | None], tuple[str | FromVariable, ...]] = lambda *_: ()
    """Whether data is kept, and the password → arguments of the server."""
    scratch: tuple[dict[str, Any], ...] = ()
    """Volumes that the image needs besides its data volume."""


# -- Redis ---------------------------------------------------------------------------------------


def _redis(redis: Redis) -> dict[str, Any]:
    return present(
        port=redis.port,
        database=redis.database or None,
        username=redis.auth.username,
        password=secret_of(redis.auth.secret_ref) if redis.auth.secret_ref else None,
    )


# With `appendonly yes` Redis reads its append-only files and nothing else: from a dump that was put into an
# empty volume it would start empty, without a word, and write over it. So a server of its own, which nobody
# reaches, turns the dump into such files first, in a folder that becomes the real one in a single step.
_RESTORING = """\
set -e
cd {data}
if [ -e dump.rdb ] && [ -z "$(ls -d appendonly* 2>/dev/null)" ]; then
  echo "loading dump.rdb into append-only files"
  rm -rf restoring
  mkdir restoring
  ln dump.rdb restoring/
  redis-server --dir {data}/restoring --port 0 --unixsocket /tmp/restoring.sock --save "" --appendonly no &
  ask() {{ redis-cli -s /tmp/restoring.sock "$@"; }}
  until ask ping 2>/dev/null | grep -q PONG; do kill -0 $!; sleep 0.2; done
  ask config set appendonly yes
  while ask info persistence | grep -Eq "aof_rewrite_(in_progress|scheduled):1"; do sleep 0.2; done
  ask info persistence | grep -q aof_last_bgrewrite_status:ok
  ask shutdown nosave || true
  wait $!
  mv restoring/appendonly* .
  rm -rf restoring
fi
exec "$0" "$@"
"""


def restoring(data: str) -> str:
    """Return the script that starts Redis with append-only files in a folder, from a dump if it only has that."""
    return _RESTORING.format(data=data)


def _redis_args(kept: bool, secret: SecretKey | None) -> tuple[str | FromVariable, ...]:
    start = ("sh", "-c", restoring("/data"), "redis-server") if kept else ()
    words = (*start, "--dir", "/data", "--appendonly", "yes" if kept else "no")
    return (*words, "--requirepass", FromVariable("REDIS_PASSWORD")) if secret else words


# -- PostgreSQL ----------------------------------------------------------------------------------


def _postgres(postgres: Postgres) -> dict[str, Any]:
    return present(
        port=postgres.port,
        database=postgres.database,
        username=postgres.username,
        password=secret_of(postgres.password_secret_ref) if postgres.password_secret_ref else None,
    )


def _postgres_env(postgres: Postgres) -> tuple[Variable, ...]:
    return (
        Variable("POSTGRES_DB", postgres.database),
        Variable("POSTGRES_USER", postgres.username),
        Variable("PGDATA", "/var/lib/postgresql/data"),
    )


def tls(given: StoreTls) -> dict[str, Any]:
    """Return the `tls` member; for a store its presence means TLS, even if empty."""
    if not tls_is_on(given):
        return {}
    files: dict[str, Any] = {}
    if given.secret_ref:
        name = given.secret_ref.name
        files = {"caFile": SecretPath(name, "ca.crt")}
        if given.client_certificate:
            files["certFile"] = SecretPath(name, "tls.crt")
            files["keyFile"] = SecretPath(name, "tls.key")
    if given.insecure_skip_verify:
        files["insecureSkipVerify"] = True
    return {"tls": files}


STORES = {
    "redis": Store(
        data="/data",
        password="REDIS_PASSWORD",  # noqa: S106 - the name of a variable
        program="redis-server",
        owner="redis",
        probe=("redis-cli", "ping"),
        secret=lambda redis: redis.auth.secret_ref,
        settings=_redis,
        args=_redis_args,
    ),
    "postgres": Store(
        data="/var/lib/postgresql",
        password="POSTGRES_PASSWORD",  # noqa: S106 - the name of a variable
        program="postgres",
        owner="postgres",
        probe=("pg_isready", "--quiet"),
        secret=lambda postgres: postgres.password_secret_ref,
        settings=_postgres,
        env=_postgres_env,
        scratch=({"name": "run", "mountPath": "/var/run/postgresql", "emptyDir": "16Mi"},),
    ),
}


# -- the server of a MemoryStore -----------------------------------------------------------------


def container(resolved: Resolved[MemoryStoreSpec]) -> Container:
    """Return the container of a store's server: the spec's own, else the stock image of its type."""
    provision = resolved.spec.provision
    if provision is not None and provision.container is not None:
        return provision.container
    kind = resolved.spec.type or ""
    stock: Container = view.make(
        "MemoryStore",
        "Container",
        {
            "image": STORE_IMAGES[kind],
            "ports": [{"name": kind, "containerPort": STORE_PORTS[kind]}],
        },
    )
    return stock


def workload(resolved: Resolved[MemoryStoreSpec]) -> Workload:
    """Return a store's server as a workload: its provision, with a volume for the data."""
    store, provision = _store(resolved), resolved.spec.provision
    if provision is None:  # pragma: no cover - callers only ask for provisioned stores
        raise ValueError(resolved.name)
    source = (
        {"claim": {"size": provision.storage, "accessMode": "ReadWriteOnce"}}
        if provision.storage
        else {"emptyDir": "1Gi"}
    )
    added = [
        {"name": fit(resolved.name, "-data"), "mountPath": store.data, **source},
        *store.scratch,
    ]
    volumes = [view.make("MemoryStore", "Volume", volume) for volume in added]
    own = {
        name: getattr(provision, name)
        for name in ("resources", "env", "env_from", "network", "pod_template")
    }
    whole: Workload = view.replace(
        view.make("MCPServer", "McpServerSpec", {}),
        **own,
        volumes=[*volumes, *provision.volumes],
        container=container(resolved),
    )
    return whole


def clashes(resolved: Resolved[MemoryStoreSpec]) -> Iterator[Problem]:
    """Yield volumes, folders and variables of a provision that its server already has."""
    store, provision = _store(resolved), resolved.spec.provision
    if provision is None:  # pragma: no cover - callers only ask for provisioned stores
        return
    volumes = {fit(resolved.name, "-data"), *(item["name"] for item in store.scratch)}
    folders = {store.data, *(item["mountPath"] for item in store.scratch)}
    variables = {variable.name for variable in env(resolved)}
    more = provision.pod_template.volumes
    rows: tuple[tuple[tuple[str, ...], str, Sequence[Any], set[str]], ...] = (
        (("volumes",), "name", provision.volumes, volumes),
        (("podTemplate", "volumes"), "name", more, volumes),
        (("volumes",), "mountPath", provision.volumes, folders),
        (("env",), "name", provision.env, variables),
    )
    for place, field, items, taken in rows:
        for number, item in enumerate(items):
            given = item.name if field == "name" else item.mount_path
            if (given.rstrip("/") if field == "mountPath" else given) in taken:
                yield resolved.problem(
                    ("spec", "provision", *place, number, field),
                    "duplicate-name",
                    f"the server of the store has its own `{given}`",
                    hint="remove it, or choose another one",
                )


def args(resolved: Resolved[MemoryStoreSpec]) -> tuple[str | FromVariable, ...]:
    """Return the server's arguments."""
    provision = resolved.spec.provision
    if provision is not None and provision.container is not None:
        return tuple(provision.container.args or ())
    kept = provision is not None and provision.storage is not None
    return _store(resolved).args(kept, _password(resolved))


def env(resolved: Resolved[MemoryStoreSpec]) -> Iterator[Variable]:
    """Yield the server's environment: its password, from the Secret that clients use."""
    store, section = _store(resolved), _section(resolved)
    secret = _password(resolved)
    if secret is not None:
        yield Variable(store.password, SecretRef(secret.name, secret.key))
    if section is not None:
        yield from store.env(section)


def _store(resolved: Resolved[MemoryStoreSpec]) -> Store:
    return STORES[resolved.spec.type or ""]


def _section(resolved: Resolved[MemoryStoreSpec]) -> Any:
    return getattr(resolved.spec, resolved.spec.type or "")


def _password(resolved: Resolved[MemoryStoreSpec]) -> SecretKey | None:
    section = _section(resolved)
    return None if section is None else _store(resolved).secret(section)
