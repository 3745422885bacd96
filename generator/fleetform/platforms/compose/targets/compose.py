"""compose.yaml, and the configuration next to it that services mount."""

from __future__ import annotations

from typing import Any

from fleetform import targets
from fleetform.files import File, Folders, Verbatim, generated
from fleetform.platforms.compose import networks
from fleetform.platforms.compose.model import CONFIG, SECRETS, Build

COMPOSE = "compose.yaml"
IGNORE = ".gitignore"


def folders(build: Build) -> Folders:
    """Return `compose/ENV`."""
    files: dict[str, File | Verbatim] = {
        COMPOSE: File(generated(f"environment {build.environment}"), [_document(build)]),
        IGNORE: Verbatim(
            f"# Written by `fleetform secrets`, for this machine alone.\n/{SECRETS}/\n"
        ),
    }
    for service in build.services:
        files |= {
            f"{CONFIG}/{path}": Verbatim(text) for path, text in sorted(service.files.items())
        }
    return {targets.folder("compose", build.environment): files}


def _document(build: Build) -> dict[str, Any]:
    secrets = {secret for service in build.services for secret in service.secrets}
    volumes = {name: made for item in build.services for name, made in item.volumes.items()}
    used = [network for service in build.services for network in service.networks]
    found: dict[str, Any] = {
        "name": f"fleetform-{build.environment}",
        "services": {service.name: service.body for service in build.services},
    }
    optional = {
        "networks": networks.definitions(used),
        "volumes": dict(sorted(volumes.items())),
        "secrets": {
            secret.source: {"file": f"./{SECRETS}/{secret.path}"} for secret in sorted(secrets)
        },
    }
    found |= {key: value for key, value in optional.items() if value}
    escaped: dict[str, Any] = _escaped(found)
    return escaped


def _escaped(node: Any) -> Any:
    """Return a document whose text Compose leaves unchanged: it expands `$NAME`, and turns `$$` into `$`."""
    if isinstance(node, str):
        return node.replace("$", "$$")
    if isinstance(node, dict):
        return {key: _escaped(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_escaped(item) for item in node]
    return node
