"""Names that the specs of a fleet use (images, model providers, hosts), for matching an environment's keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds, view
from fleetform.resolve import backups
from fleetform.resolve.hosts import destination, is_beside, is_deployed, split
from fleetform.resolve.switches import installs_charts
from fleetform.tree import entries

if TYPE_CHECKING:
    from fleetform.models.workload import Image
    from fleetform.resolve import Fleet, Resolved

# PostgreSQL on Debian: initdb needs its user in /etc/passwd, and only there does the image provide
# that for a user id that is not its own.
STORE_IMAGES = {
    "redis": {"repository": "docker.io/library/redis", "tag": "8.2.3-alpine"},
    "postgres": {"repository": "docker.io/library/postgres", "tag": "18.1-bookworm"},
}
"""Stock image of a provisioned store by its type, which has the programs for its backups too."""
RESTIC = {"repository": "docker.io/restic/restic", "tag": "0.18.1"}
"""Image of what keeps backups."""
HOSTS = frozenset({"endpoint", "url", "tokenUrl", "issuer"})
"""Fields that hold a URL; `host` holds the host itself."""


def images(fleet: Fleet) -> set[str]:
    """Return the repositories of images, as specs and the environment name them."""
    test = fleet.environment.helm.test
    own = {name for resolved in _deployed(fleet) for name in _images(fleet, resolved)}
    own |= {name for store in fleet.of(kinds.MEMORY_STORE) for name in _of_backups(fleet, store)}
    collector = fleet.environment.monitoring.collector
    own |= {collector.image.repository} if collector else set()
    has_tests = test.enabled and installs_charts(fleet)
    return own | ({test.image.repository} if has_tests else set())


def image(fleet: Fleet, resolved: Resolved[Any]) -> tuple[Image, str, str] | None:
    """Return the image of a workload's main container, the field that sets it, if any, and why it is this one.

    None if nothing is deployed: a server or a store that is somewhere else.
    """
    if not has_containers(resolved):
        return None
    store = resolved.kind == "MemoryStore"
    spec = resolved.spec.provision if store else resolved.spec
    if spec.container is not None:
        path = "spec.provision.container.image" if store else "spec.container.image"
        return spec.container.image, path, "of the spec's own `container`"
    if store:
        stock, why = STORE_IMAGES[resolved.spec.type], f"stock image of {resolved.spec.type}"
    else:
        stock = {"repository": fleet.environment.images.runtime}
        why = "the generic runtime, since the spec has no `container`"
    return view.make(resolved.kind, "Image", stock), "", why


def has_containers(resolved: Resolved[Any]) -> bool:
    """Whether containers run for a spec, in pods of its own or of the agents that use it."""
    beside = is_beside(resolved) and resolved.spec.container is not None
    return beside or is_deployed(resolved)


def _deployed(fleet: Fleet) -> Iterator[Resolved[Any]]:
    for kind in kinds.WORKLOADS:
        yield from filter(has_containers, fleet.of(kind))


def _images(fleet: Fleet, resolved: Resolved[Any]) -> Iterator[str]:
    spec: Any = resolved.spec.provision if resolved.kind == "MemoryStore" else resolved.spec
    if spec.container is not None:
        yield spec.container.image.repository
    elif resolved.kind == "Agent":
        yield fleet.environment.images.runtime
    else:
        yield STORE_IMAGES[resolved.spec.type]["repository"]
    for extra in (*spec.pod_template.sidecars, *spec.pod_template.init_containers):
        yield extra.image.repository


def _of_backups(fleet: Fleet, store: Resolved[Any]) -> Iterator[str]:
    if not backups.is_planned(fleet, store):
        return
    yield RESTIC["repository"]
    spec = store.spec
    if spec.type == backups.FILES:
        return
    if spec.backup.image is not None:
        yield spec.backup.image.repository
    elif spec.provision is not None and spec.provision.container is not None:
        yield spec.provision.container.image.repository
    else:
        yield STORE_IMAGES[spec.type]["repository"]


def providers(fleet: Fleet) -> set[str]:
    """Return the model providers that specs name."""
    found = {config.spec.provider for config in fleet.of(kinds.MODEL_CONFIG)}
    found |= {agent.spec.model.provider for agent in fleet.of(kinds.AGENT) if agent.spec.model}
    return {name for name in found if name}


def services(fleet: Fleet) -> set[str]:
    """Return the in-cluster hosts that specs name, in every way they may be written."""
    found: set[str] = set()
    for kind in kinds.FLEET:
        for resolved in fleet.of(kind):
            spaces = [resolved.namespace] if resolved.namespace else sorted(fleet.spaces)
            for host in _hosts(resolved.tree):
                found |= {name for space in spaces for name in _written(fleet, space, host)}
    own = [fleet.environment.monitoring.otlp_endpoint]
    own += [item.endpoint for item in fleet.environment.providers.values()]
    for url in filter(None, own):
        found |= {*_written(fleet, "", split(url)[0])}
    collector = fleet.environment.monitoring.collector
    if collector is not None:
        for exporter in collector.exporters:
            found |= {*_written(fleet, collector.namespace, split(exporter.endpoint)[0])}
    return found


def _hosts(tree: Any) -> Iterator[str]:
    for key, value in entries(tree):
        if isinstance(value, str) and value:
            if key == "host":
                yield value
            elif key in HOSTS:
                yield split(value.replace("{", "").replace("}", ""))[0]


def _written(fleet: Fleet, space: str, host: str) -> Iterator[str]:
    found = destination(fleet, space, host, 0)
    if found.namespace:
        yield host
        yield from (
            f"{found.service}.{found.namespace}{suffix}"
            for suffix in ("", ".svc", ".svc.cluster.local")
        )
