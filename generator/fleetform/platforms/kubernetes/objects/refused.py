"""What an API server refuses in an object that its schema takes: names that occur twice, or mean nothing, and contradictions.

Objects as they are built obey this, since specs are held to it; what patches make of them is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.objects.manifest import Manifest
from fleetform.platforms.kubernetes.scheduling import is_key, is_value
from fleetform.quantity import parse
from fleetform.records import NamedTuple
from fleetform.tree import TreePath, at

Json = Mapping[str, Any]
_TEMPLATE: TreePath = ("spec", "template")
_CONTAINERS = ("initContainers", "containers")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


class Fault(NamedTuple):
    """Something that is refused: its place in the object, what is wrong, and what to do."""

    path: TreePath
    says: str
    hint: str


def faults(manifest: Manifest) -> Iterator[Fault]:
    """Yield what is refused in an object that is valid for its schema."""
    yield from _metadata(("metadata",), manifest["metadata"])
    if manifest["kind"] in WITH_PODS:
        template = at(manifest, _TEMPLATE)
        yield from _metadata((*_TEMPLATE, "metadata"), template.get("metadata") or {})
        yield from _selected(manifest, template)
        claims = at(manifest, ("spec", "volumeClaimTemplates")) or ()
        yield from _pod((*_TEMPLATE, "spec"), template["spec"], claims)
    judge = _KINDS.get(manifest["kind"])
    if judge is not None:
        yield from judge(manifest["spec"])


def _metadata(path: TreePath, given: Json) -> Iterator[Fault]:
    for field in ("labels", "annotations"):
        for key, value in (given.get(field) or {}).items():
            if not is_key(key if field == "labels" else key.lower()):
                yield Fault(
                    (*path, field, key),
                    f"`{key}` is no key",
                    "write a key such as `team` or `example.com/team`",
                )
            elif field == "labels" and not is_value(value or ""):
                hint = "use at most 63 letters, digits, dashes, dots and underscores"
                yield Fault((*path, field, key), f"`{value}` is no value of a label", hint)


def _selected(manifest: Manifest, template: Json) -> Iterator[Fault]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    for key, value in (at(manifest, ("spec", "selector", "matchLabels")) or {}).items():
        if labels.get(key) != value:
            says = f"the selector asks for `{key}: {value}`, which its own pods do not have"
            yield Fault(
                (*_TEMPLATE, "metadata", "labels", key),
                says,
                "leave the labels of the selector as they are",
            )


# -- pods ----------------------------------------------------------------------------------------


def _pod(path: TreePath, pod: Json, claims: Sequence[Json]) -> Iterator[Fault]:
    volumes = pod.get("volumes") or ()
    yield from _twice((*path, "volumes"), volumes, "name", "volume")
    for number, volume in enumerate(volumes):
        sources = [name for name in volume if name != "name"]
        if len(sources) > 1:
            says = (
                f"the volume `{volume['name']}` has {len(sources)} sources ({', '.join(sources)})"
            )
            hint = "give it one; a merge patch removes another with null"
            yield Fault((*path, "volumes", number), says, hint)
    known = {volume["name"] for volume in volumes} | {item["metadata"]["name"] for item in claims}
    rows = [
        ((*path, field, number), item)
        for field in _CONTAINERS
        for number, item in enumerate(pod.get(field) or ())
    ]
    seen: set[str] = set()
    for place, container in rows:
        if container["name"] in seen:
            yield Fault(
                (*place, "name"), f"two containers are called `{container['name']}`", "rename one"
            )
        seen.add(container["name"])
        yield from _container(place, container, known)


def _container(path: TreePath, given: Json, volumes: set[str]) -> Iterator[Fault]:
    yield from _twice((*path, "env"), given.get("env") or (), "name", "variable")
    for number, variable in enumerate(given.get("env") or ()):
        if variable.get("value") and variable.get("valueFrom"):
            says = f"the variable `{variable['name']}` has a value and a source"
            yield Fault((*path, "env", number), says, "remove one; a merge patch does so with null")
    mounts = given.get("volumeMounts") or ()
    yield from _twice((*path, "volumeMounts"), mounts, "mountPath", "mount")
    for number, mount in enumerate(mounts):
        if mount["name"] not in volumes:
            says = f"the pod has no volume `{mount['name']}`"
            yield Fault(
                (*path, "volumeMounts", number, "name"), says, "add the volume, or mount another"
            )
    named = [port for port in given.get("ports") or () if port.get("name")]
    yield from _twice((*path, "ports"), named, "name", "port")
    yield from _amounts((*path, "resources"), given.get("resources") or {})
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if given.get(probe) is not None:
            yield from _probe((*path, probe), given[probe], always=probe != "readinessProbe")


def _amounts(path: TreePath, given: Json) -> Iterator[Fault]:
    low, high = given.get("requests") or {}, given.get("limits") or {}
    for name in sorted(low.keys() & high.keys()):
        try:
            above = parse(str(low[name])) > parse(str(high[name]))
        except ValueError:
            yield Fault(
                (*path, "requests", name),
                f"{low[name]} or {high[name]} is no quantity",
                "write one such as 500m or 1Gi",
            )
            continue
        if above:
            says = f"the request {low[name]} is greater than the limit {high[name]}"
            yield Fault((*path, "requests", name), says, "lower one or raise the other")


def _probe(path: TreePath, given: Json, *, always: bool) -> Iterator[Fault]:
    handlers = [name for name in _HANDLERS if given.get(name) is not None]
    if len(handlers) != 1:
        says = f"it asks by {' and '.join(handlers) or 'nothing'}"
        yield Fault(
            path,
            says,
            f"set one of {', '.join(_HANDLERS)}; a merge patch removes another with null",
        )
    if always and given.get("successThreshold") not in (None, 1):
        yield Fault(
            (*path, "successThreshold"),
            "only readiness may want more than one success",
            "write 1, or remove it",
        )


# -- other kinds ---------------------------------------------------------------------------------


def _service(spec: Json) -> Iterator[Fault]:
    ports = spec.get("ports") or ()
    path: TreePath = ("spec", "ports")
    if not (ports or spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"):
        yield Fault(path, "a Service needs a port", "leave one")
    yield from _twice(path, [port for port in ports if port.get("name")], "name", "port")
    if len(ports) > 1 and not all(port.get("name") for port in ports):
        yield Fault(path, "of several ports each needs a name", "add `name`")
    numbers = [{"of": f"{port['port']}/{port.get('protocol', 'TCP')}"} for port in ports]
    yield from _twice(path, numbers, "of", "port")


def _autoscaler(spec: Json) -> Iterator[Fault]:
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if least > most:
        yield Fault(
            ("spec", "minReplicas"),
            f"the least of {least} replicas is above the most of {most}",
            "lower one or raise the other",
        )


def _budget(spec: Json) -> Iterator[Fault]:
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        says = "`minAvailable` and `maxUnavailable` exclude each other"
        yield Fault(("spec", "minAvailable"), says, "remove one; a merge patch does so with null")


def _policy(spec: Json) -> Iterator[Fault]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(direction) or ()):
            for place, peer in enumerate(rule.get(side) or ()):
                yield from _peer(("spec", direction, number, side, place), peer)


def _peer(path: TreePath, peer: Json) -> Iterator[Fault]:
    block = peer.get("ipBlock")
    if not peer:
        yield Fault(path, "the peer is empty", "set a selector or an `ipBlock`")
    if block is None:
        return
    if len(peer) > 1:
        yield Fault(path, "an `ipBlock` excludes selectors", "make two peers of it")
    try:
        whole = ip_network(block["cidr"])
        parts = [ip_network(text) for text in block.get("except") or ()]
    except ValueError as error:
        yield Fault(
            (*path, "ipBlock"),
            f"it has no range of addresses: {error}",
            "write ranges such as 10.20.0.0/16",
        )
        return
    for text, part in zip(block.get("except") or (), parts, strict=True):
        if part.version != whole.version or part == whole or not part.subnet_of(whole):  # type: ignore[arg-type]
            yield Fault(
                (*path, "ipBlock", "except"), f"{text} is no part of {block['cidr']}", "remove it"
            )


_KINDS: Mapping[str, Callable[[Json], Iterable[Fault]]] = {
    "Service": _service,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "NetworkPolicy": _policy,
}


def _twice(path: TreePath, items: Iterable[Json], field: str, what: str) -> Iterator[Fault]:
    seen: set[Any] = set()
    for item in items:
        if item[field] in seen:
            yield Fault(
                path,
                f"two {what}s are called `{item[field]}`",
                "rename or remove one: json6902 adds beside, a merge patch replaces the whole list",
            )
        seen.add(item[field])
