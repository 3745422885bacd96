"""Secrets of an environment on this machine: which ones its services need, and their files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fleetform.local_values import lookup, shared, variables
from fleetform.platforms.compose.model import SECRETS, Build, SecretKey
from fleetform.records import NamedTuple

FILE_MODE = 0o444
"""Docker mounts a file as it is, and the container's user must read it; the folder keeps others out."""
FOLDER_MODE = 0o700


class Found(NamedTuple):
    """Files by their paths below `secrets/`, and descriptions of what is missing."""

    files: dict[str, str]
    missing: tuple[str, ...]


def collect(build: Build, values: dict[str, str], folder: Path) -> Found:
    """Return the files that contain the secrets of an environment.

    The keys of a Secret that is mounted as a whole are not in the spec: its folder must exist.
    """
    files: dict[str, str] = {}
    missing: dict[str, None] = {}

    def value(secret: SecretKey) -> str:
        known = lookup(values, secret.name, secret.key)
        if known is None:
            names = " or ".join(reversed(variables(secret.name, secret.key)))
            missing[f"secret {secret.name}, key {secret.key}: set {names}"] = None
        return known or ""

    for service in build.services:
        for secret in service.secrets:
            files[secret.path] = value(secret)
        if service.variables:
            rows = {name: value(secret) for name, secret in service.variables.items()}
            for name, text in rows.items():
                if "\n" in text:
                    missing[
                        f"{name} of {service.name} has several lines, but a variable can hold only one"
                    ] = None
            files[f"{service.name}.env"] = "".join(f"{n}={t}\n" for n, t in rows.items())
        for namespace, name in service.folders:
            if not (folder / SECRETS / namespace / name).is_dir():
                place = (folder / SECRETS / namespace / name).as_posix()
                missing[f"secret {name}: create a file for each of its keys in {place}/"] = None
    asked = [
        (secret.name, secret.key)
        for service in build.services
        for secret in (*service.secrets, *service.variables.values())
    ]
    missing |= dict.fromkeys(shared(values, asked))
    return Found(files, tuple(missing))


def write(folder: Path, files: Mapping[str, str]) -> int:
    """Write the files that differ, each atomically; return how many there were."""
    changed = 0
    for path, text in files.items():
        target = folder / SECRETS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        for parent in (target.parent, folder / SECRETS):
            parent.chmod(FOLDER_MODE)
        if target.is_file() and target.read_bytes() == text.encode():
            continue
        handle, temporary = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(temporary).chmod(FILE_MODE)
        Path(temporary).replace(target)
        changed += 1
    return changed
