"""The control plane as the tests see it: kubectl that must succeed, and objects as it holds them."""

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleetform.platforms.kubernetes import kinds
from tests.tools import installer, module, tool

Object = dict[str, Any]
FIELD_MANAGER = "fleetform"
# Every kind that the output has, for asking what is there.
NAMED = {kind: f"{kind.resource}.{kind.group}".rstrip(".") for kind in kinds.KINDS}
KINDS = tuple(name for kind, name in NAMED.items() if not kind.cluster and kind.kind != "Namespace")
CLUSTER_KINDS = tuple(
    name for kind, name in NAMED.items() if kind.cluster or kind.kind == "Namespace"
)
OURS = "app.kubernetes.io/part-of=agent-fleet"


sys.modules["install"] = installer  # as the script finds it beside itself
cluster: Any = module("tools/cluster.py")


class Plane:
    """A running control plane."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.kubeconfig: Path = made.kubeconfig

    def run(self, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller judges."""
        done: subprocess.CompletedProcess[str] = self.made.kubectl(*arguments, text=text)
        return done

    def do(self, *arguments: str | Path, text: str = "") -> str:
        """Run kubectl, which must succeed without a warning; return what it prints."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout

    def apply(self, *arguments: str | Path, text: str = "") -> str:
        """Apply on the server's side, as the fleet's own field manager."""
        options = ("--server-side", f"--field-manager={FIELD_MANAGER}")
        return self.do("apply", *options, *arguments, text=text)

    def get(self, *arguments: str) -> list[Object]:
        """Return objects as the API server holds them."""
        found = json.loads(self.do("get", *arguments, "--show-managed-fields", "-o", "json"))
        items: list[Object] = found["items"] if found["kind"] == "List" else [found]
        return items

    def ours(self, namespaces: Iterable[str]) -> dict[tuple[str, str, str], Object]:
        """Return everything of the fleet in some namespaces, and what it has in the cluster."""
        spaces = {"", *namespaces}
        found = self.get(",".join((*CLUSTER_KINDS, *KINDS)), "--all-namespaces", "-l", OURS)
        return {
            identity(item): item
            for item in found
            if item["metadata"].get("namespace", "") in spaces
        }

    def without_namespace(self, name: str) -> None:
        """Remove a namespace; its pods first, whose grace period it would wait for."""
        self.do("delete", "deployments,jobs", "--all", "-n", name, "--cascade=foreground")
        self.do("delete", "namespace", name, "--ignore-not-found", "--wait=true")

    def helm(self, version: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Helm 3 or 4 against it."""
        command = [tool(version), "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(command, capture_output=True, check=False, text=True)

    def until(self, is_so: Callable[[], bool], what: str, patience: float = 300) -> None:
        """Wait until something is so."""
        end = time.monotonic() + patience
        while not is_so():
            assert time.monotonic() < end, f"not so after {patience:g} s: {what}"
            time.sleep(0.2)


def identity(item: Object) -> tuple[str, str, str]:
    """Return kind, namespace and name."""
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace", ""), metadata["name"]


def listed(items: Iterable[Object]) -> str:
    """Return objects as one document for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*items]})


@contextmanager
def running(folder: Path) -> Iterator[Plane]:
    """Start a control plane, and stop exactly it.

    It is one of tools/cluster.py, `local` unless FLEETFORM_PROVIDER says otherwise.
    """
    start, stop = cluster.PROVIDERS[os.environ.get("FLEETFORM_PROVIDER", "local")]
    made = start(folder, bound=True)
    atexit.register(stop, folder)  # an interrupt while other fixtures end skips this one
    try:
        yield Plane(made)
    finally:
        stop(folder)
