"""Kubeconfigs of one cluster, and what a command says of them."""

import json
from pathlib import Path

from tests.fleet import fleetform


def config(server: str = "https://127.0.0.1:1", **cluster: str) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "a", "user": {"token": "very-secret-token"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
    return json.dumps(body)


def said(command: str, folder: Path, kubeconfig: Path) -> str:
    outcome = fleetform(command, "--kubeconfig", str(kubeconfig), cwd=folder)
    assert outcome.code == 1
    assert outcome.out == ""
    assert "very-secret-token" not in outcome.err
    return outcome.err
