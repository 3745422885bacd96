"""Tools found on PATH: used if they report the pinned version."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_VERSION = r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)"


@dataclass(frozen=True)
class Asked:
    """How a tool reports its version, and what pins it."""

    arguments: tuple[str, ...]
    module: str = ""
    """The Go module whose version counts; without one it is a Python package named like the tool."""
    said: str = rf"\A{_VERSION}(?:\+\S*)?\s*\Z"
    """Its answer; the first group is the version."""


ASKED = {
    "helm": Asked(("version", "--template", "{{.Version}}"), "helm.sh/helm/v4"),
    "kubeconform": Asked(("-v",), "github.com/yannh/kubeconform"),
    "kubectl": Asked(
        ("version", "--client", "--output=json"),
        "k8s.io/kubernetes",
        rf'"gitVersion": *"{_VERSION}(?:\+[^"]*)?"',
    ),
    "kustomize": Asked(("version",), "sigs.k8s.io/kustomize/kustomize/v5"),
    "promtool": Asked(
        ("--version",),
        "github.com/prometheus/prometheus",
        rf"\Apromtool, version {_VERSION}(?:\+\S*)? ",
    ),
    "uv": Asked(("--version",), said=rf"\Auv {_VERSION}(?: |\s*\Z)"),
}


def pinned(name: str, folder: Path) -> str:
    """Return the version that a tool's folder pins, as the tool itself would report it."""
    module = ASKED[name].module
    if not module:
        text = (folder / "requirements.txt").read_text("utf-8")
        found = re.search(rf"^{re.escape(name)}=={_VERSION}", text, re.MULTILINE)
    else:
        text = (folder / "go.mod").read_text("utf-8")
        found = re.search(rf"^(?:require)?\s+{re.escape(module)} {_VERSION}", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{folder} pins no {module or name}")
    return _as_released(found[1]) if name == "promtool" else found[1]


def _as_released(module: str) -> str:
    """Return the release of a Prometheus module: its v0.313.5 is 3.13.5."""
    _, number, patch = module.split(".", 2)
    return f"{int(number) // 100}.{int(number) % 100}.{patch}"


def version(name: str, executable: Path | str) -> str:
    """Return the version that a tool reports, "" if it reports none."""
    asked = ASKED[name]
    try:
        done = subprocess.run(
            [str(executable), *asked.arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = re.search(asked.said, done.stdout) if done.returncode == 0 else None
    return said[1] if said else ""


def on_path(name: str) -> tuple[str, str]:
    """Return a tool's path on PATH and its version; both "" if it is not found."""
    place = shutil.which(name) if name in ASKED else None
    return (place, version(name, place)) if place else ("", "")
