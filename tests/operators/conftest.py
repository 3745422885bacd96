"""One control plane with three operators, and each fleet applied to it once."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from redis import Redis

from tests.cluster.plane import Object, Plane, cluster, listed, running
from tests.operators import backends, fleets, operators, stores
from tests.tools import module


@pytest.fixture(scope="session")
def servers() -> Iterator[fleets.Servers]:
    """What the triggers ask."""
    real = module("runtime/tests/servers.py")
    try:
        redis = real.RedisServer("--requirepass", fleets.PASSWORD)
        postgres = real.PostgresServer(fleets.PASSWORD)
    except pytest.skip.Exception as missing:
        pytest.fail(f"{missing}: the operators are not tried without it")
    with redis, postgres, backends.running() as http:
        with Redis(port=redis.port, password=fleets.PASSWORD) as client:
            client.rpush("jobs", "a", "b")
            client.xadd("events", {"a": "b"})
        yield fleets.Servers(http, f"127.0.0.1:{redis.port}", f"127.0.0.1:{postgres.port}")


@pytest.fixture(scope="session")
def measured() -> int:
    """The port at which KEDA tells what it measures."""
    (port,) = cluster.free_ports(1)
    return int(port)


@pytest.fixture(scope="session")
def plane(tmp_path_factory, servers: fleets.Servers, measured: int) -> Iterator[Plane]:
    """A control plane whose operators run, and which ends with the tests, also when they fail."""
    with running(tmp_path_factory.mktemp("operators") / "state") as found:
        cluster.define(found.made)
        found.do("create", "namespace", operators.SPACE)
        operators.start_keda(found, f"http://{servers.http}", measured)
        operators.start_external_secrets(found)
        operators.start_prometheus_operator(found)
        yield found


class Applied(NamedTuple):
    """A fleet in the cluster: its rendered objects, and the values that the stand-ins of its stores hold."""

    name: str
    objects: tuple[Object, ...]
    values: stores.Values

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of some kinds."""
        return [item for item in self.objects if item["kind"] in kinds]

    @property
    def spaces(self) -> list[str]:
        """Return the fleet's namespaces."""
        return [item["metadata"]["name"] for item in self.of("Namespace")]


@pytest.fixture(scope="session", params=fleets.NAMES)
def applied(request, plane: Plane, servers: fleets.Servers, tmp_path_factory) -> Iterator[Applied]:
    """A fleet, applied as rendered but for stand-ins in place of its stores."""
    found = fleets.objects(request.param, tmp_path_factory.mktemp("fleet"), servers)
    values = stores.values(found)
    fleet = Applied(request.param, found, values)
    apply(plane, stores.replaced(found, values))
    yield fleet
    plane.do("delete", "namespace", *fleet.spaces, "--wait=true")


def apply(plane: Plane, items: list[Object]) -> None:
    """Apply objects on the server's side, in their order."""
    plane.apply("-f", "-", text=listed(items))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: it runs when it is asked for."""
    for item in items:
        if "tests/operators/" in item.path.as_posix():
            item.add_marker(pytest.mark.conformance)
