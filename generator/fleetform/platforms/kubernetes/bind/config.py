"""The configuration of a workload as an immutable ConfigMap, and the Secrets that it refers to as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform import canonical
from fleetform.contract import SECRETS, SETTINGS
from fleetform.names import fit
from fleetform.plan.model import SecretPath, SecretRef, Settings, Workload, bound
from fleetform.platforms.kubernetes.model import Config
from fleetform.resolve.hosts import Address, Url

if TYPE_CHECKING:
    from fleetform.problems import Problem

MAX_BYTES = 1 << 20

Mounted = tuple[tuple[str, tuple[str, ...]], ...]
"""Secrets and their keys, in order."""


def config(workload: Workload, problems: list[Problem]) -> tuple[Config | None, Mounted]:
    """Return a workload's configuration, named after its content, and the secrets that it reads as files."""
    files = workload.files
    if files is None:
        return None, ()
    keys: dict[str, set[str]] = {}
    document = _bound(files.settings, keys) if files.settings is not None else {}
    data = dict(files.texts)
    if document:
        data = {files.name: canonical.dumps(document) + "\n", **data}
    _check_size(workload, data, problems)
    mounted = tuple((name, tuple(sorted(found))) for name, found in sorted(keys.items()))
    own = files.settings if files.name == SETTINGS else None
    return revision(workload.name, data, files.directory, own), mounted


def revision(
    name: str, data: dict[str, str], directory: str, settings: Settings | None = None
) -> Config:
    """Return an immutable revision, named after the hash of its content."""
    digest = canonical.digest(data)
    hashed = fit(name, f"-config-{digest[:8]}", 253)
    return Config(hashed, data, directory, settings or {}, digest)


def document_of(settings: Any) -> dict[str, Any]:
    """Return settings as the runtime reads them in a pod."""
    return _bound(settings, {})


def _bound(tree: Any, keys: dict[str, set[str]]) -> dict[str, Any]:
    """Return settings with the cluster's names; collects the keys of Secrets."""

    def path(secret: SecretRef | SecretPath) -> str:
        keys.setdefault(secret.name, set()).add(secret.key)
        return f"{SECRETS}/{secret.name}/{secret.key}"

    found: dict[str, Any] = bound(
        tree,
        {
            SecretRef: lambda secret: {"file": path(secret)},
            SecretPath: path,
            Address: host,
            Url: url,
        },
    )
    return found


def host(address: Address) -> str:
    """Return a Service's host name that is valid in the whole cluster."""
    return f"{address.name}.{address.namespace}.svc.cluster.local"


def url(given: Url) -> str:
    """Return a URL of a Service."""
    port = f":{given.port}" if given.port is not None else ""
    return f"{given.scheme}://{host(given.host)}{port}{given.rest}"


def _check_size(workload: Workload, data: dict[str, str], problems: list[Problem]) -> None:
    size = sum(len(key.encode()) + len(text.encode()) for key, text in data.items())
    if size > MAX_BYTES:
        problems.append(
            workload.resolved.problem(
                ("spec",),
                "config-too-big",
                f"the configuration has {size} bytes, a ConfigMap holds 1 MiB",
                hint="shorten the prompt, or move reference text into a tool",
                key=True,
            )
        )
