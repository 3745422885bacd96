"""The parts of a service in Compose's keys: sizes, checks, mounts, variables."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from fleetform.plan.model import (
    Claim,
    Compute,
    ConfigFolder,
    ExistingClaim,
    FromVariable,
    Mount,
    Scratch,
    SecretFolder,
    Shape,
)
from fleetform.platforms.compose.model import DOCUMENTS, SECRETS
from fleetform.quantity import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fleetform.plan.model import Check, Workload

UNITS = ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k"))
"""Docker's units of memory, which are powers of two."""
GPU = "nvidia.com/gpu"
"""The device that Compose can reserve."""
RESTRICTED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


def size(amount: str) -> str:
    """Return an amount of bytes in Docker's units, rounded up to a whole byte."""
    number = -(-parse(amount) // 1)
    for unit, sign in UNITS:
        if number % unit == 0:
            return f"{number // unit}{sign}"
    return f"{number}b"


def processors(amount: str) -> str:
    """Return a number of CPUs as Compose reads it: a decimal with at most three places."""
    number = Fraction(parse(amount))
    thousandths = -(-number * 1000 // 1)
    return f"{thousandths / 1000:.3f}".rstrip("0").rstrip(".")


def resources(compute: Compute) -> dict[str, Any]:
    """Return limits, and the reservations of memory and GPUs: Docker cannot reserve CPU."""
    limits = {}
    if "cpu" in compute.limits:
        limits["cpus"] = processors(compute.limits["cpu"])
    if "memory" in compute.limits:
        limits["memory"] = size(compute.limits["memory"])
    found: dict[str, Any] = {"limits": limits}
    reserved: dict[str, Any] = {}
    if "memory" in compute.requests:
        reserved["memory"] = size(compute.requests["memory"])
    if GPU in compute.limits:
        count = int(parse(compute.limits[GPU]))
        reserved["devices"] = [{"driver": "nvidia", "count": count, "capabilities": ["gpu"]}]
    return found | ({"reservations": reserved} if reserved else {})


def healthcheck(workload: Workload) -> dict[str, Any]:
    """Return how Docker checks whether a workload is healthy: it can only run a command in the container."""
    startup, alive = workload.checks.startup, workload.checks.ready or workload.checks.alive
    if alive is None or workload.bare:
        return {}
    test = ["CMD-SHELL", _asking(workload, alive)]
    if alive.command or workload.probe:
        test = ["CMD", *(alive.command or workload.probe)]
    found: dict[str, Any] = {
        "test": test,
        "interval": f"{alive.period}s",
        "timeout": f"{alive.timeout}s",
        "retries": alive.failures,
    }
    if startup is not None:
        found["start_period"] = f"{startup.initial_delay + startup.period * startup.failures}s"
        found["start_interval"] = f"{startup.period}s"
    return found


def _asking(workload: Workload, check: Check) -> str:
    """Return a command that checks over HTTP, or just connects, with tools that most images have."""
    numbers = {port.name: port.container_port for port in workload.ports}
    port = numbers.get(check.port, check.port) if isinstance(check.port, str) else check.port
    if not check.path:
        return f"nc -z 127.0.0.1 {port} || : < /dev/tcp/127.0.0.1/{port}"
    url = f"http://127.0.0.1:{port}{check.path}"
    seconds = check.timeout
    return (
        f"wget -q -T {seconds} -O /dev/null '{url}' || curl -fsS -m {seconds} -o /dev/null '{url}'"
    )


def command(workload: Workload) -> list[str]:
    """Return the arguments of a workload; through a shell if one is a variable's value."""
    if not any(isinstance(word, FromVariable) for word in workload.args):
        return [str(word) for word in workload.args]
    words = " ".join(
        f'"${word.name}"' if isinstance(word, FromVariable) else _quoted(word)
        for word in workload.args
    )
    return ["sh", "-c", " ".join(filter(None, ("exec", workload.program, words)))]


def _quoted(word: str) -> str:
    from shlex import quote  # noqa: PLC0415 - only stores with a password have such arguments

    return quote(word)


# -- volumes -------------------------------------------------------------------------------------


def mounts(workload: Workload, given: Sequence[Mount]) -> Iterator[dict[str, Any]]:
    """Yield the mounts of a container. Existing configuration is there for jobs alone, otherwise it is a Problem."""
    sources = {volume.name: volume.source for volume in all_volumes(workload)}
    shared = {mount.volume for extra in extras(workload) for mount in extra.mounts}
    for mount in given:
        source = sources.get(mount.volume)
        place: dict[str, Any] = {"target": mount.path}
        if mount.read_only:
            place["read_only"] = True
        if isinstance(source, Scratch) and mount.volume not in shared:
            limit = {"size": size(source.size), "mode": 0o1777}
            yield {"type": "tmpfs", **place, "tmpfs": limit}
        elif isinstance(source, Scratch | Claim):
            within = {"volume": {"subpath": mount.sub_path}} if mount.sub_path else {}
            yield {"type": "volume", "source": volume_name(workload, mount), **place, **within}
        elif isinstance(source, SecretFolder):
            yield bind(_part(SECRETS, workload, source.name, mount), mount.path)
        elif isinstance(source, ConfigFolder | ExistingClaim) and workload.shape.ends:
            yield bind(_part(DOCUMENTS, workload, source.name, mount), mount.path)


def _part(folder: str, workload: Workload, name: str, mount: Mount) -> str:
    """Return what is mounted of a folder beside compose.yaml: all of it, or one file or folder in it."""
    whole = f"./{folder}/{workload.namespace}/{name}"
    return f"{whole}/{mount.sub_path}" if mount.sub_path else whole


def documents(workload: Workload) -> Iterator[str]:
    """Yield the folders below `documents/` that a job reads."""
    for volume in workload.volumes:
        if isinstance(volume.source, ConfigFolder | ExistingClaim):
            yield f"{workload.namespace}/{volume.source.name}"


def bind(source: str, target: str) -> dict[str, Any]:
    """Return a mount of a file or folder next to compose.yaml, which must exist."""
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }


def volume_name(workload: Workload, mount: Mount) -> str:
    """Return the name of a volume: claims are shared by a namespace, other volumes belong to one workload."""
    sources = {volume.name: volume.source for volume in all_volumes(workload)}
    claimed = isinstance(sources.get(mount.volume), Claim)
    if claimed and workload.shape is not Shape.STATEFUL:
        return f"{workload.namespace}.{mount.volume}"
    return f"{workload.namespace}.{workload.name}.{mount.volume}"


def named_volumes(workload: Workload) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the volumes of a workload that compose.yaml defines, and how."""
    sources = {volume.name: volume.source for volume in all_volumes(workload)}
    everything = [*workload.mounts, *(m for extra in extras(workload) for m in extra.mounts)]
    for mount in everything:
        for found in mounts(workload, [mount]):
            if found["type"] == "volume":
                yield found["source"], _definition(sources[mount.volume])


def _definition(source: Any) -> dict[str, Any]:
    """Return how Docker makes a volume; one of a disk belongs to root, and scratch space is for any user."""
    if not isinstance(source, Scratch):
        return {}
    options = f"size={size(source.size).removesuffix('b')},mode=1777"
    return {
        "driver": "local",
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options},
    }


def all_volumes(workload: Workload) -> tuple[Any, ...]:
    """Return the volumes of all containers."""
    return (*workload.volumes, *workload.extra_volumes)


def extras(workload: Workload) -> tuple[Any, ...]:
    """Return the containers next to the main one."""
    return (*workload.init, *workload.sidecars)


def missing(workload: Workload) -> Iterable[str]:
    """Yield the existing configuration that volumes refer to."""
    for volume in all_volumes(workload):
        if isinstance(volume.source, ConfigFolder):
            yield volume.source.name
