"""Compare the emitter with YAML dumpers from PyPI: `python bench/emit.py`.

The document is a Deployment as rendered for an agent. Rounds are interleaved, so that a busy
machine slows all candidates equally; the figures are medians.
"""

import copy
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ruamel.yaml
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "generator"))

from fleetform import emit

ROUNDS = 7


def probe(path: str, period: int) -> dict[str, Any]:
    """Return one HTTP probe."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }


def deployment(number: int) -> dict[str, Any]:
    """Return a Deployment without shared objects, for which some dumpers would write anchors."""
    name = f"agent-{number}"
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": f"{name}-ai-agents",
        "app.kubernetes.io/component": "agent",
        "app.kubernetes.io/part-of": "fleet",
        "app.kubernetes.io/managed-by": "fleetform",
    }
    container = {
        "name": "agent",
        "image": "ghcr.io/fleetform/agent-runtime:0.1.0@sha256:" + "9f" * 32,
        "args": ["serve", "--config", "/etc/fleetform/agent.json"],
        "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": "250m", "memory": "512Mi"},
            "limits": {"cpu": "500m", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": probe("/health/startup", 2),
        "readinessProbe": probe("/health/ready", 5),
        "livenessProbe": probe("/health", 10),
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/fleetform", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 330,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{name}-config-0a1b2c3d"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "ai-agents", "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return copy.deepcopy(document)


def service_account(number: int) -> dict[str, Any]:
    """Return the smallest object of an agent."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": f"agent-{number}", "namespace": "ai-agents"},
        "automountServiceAccountToken": False,
    }


def ruamel_text(documents: list[Any]) -> str:
    """Write a stream with ruamel's safe C dumper."""
    stream = io.StringIO()
    ruamel.yaml.YAML(typ="safe").dump_all(documents, stream)
    return stream.getvalue()


def ruamel_round_trip_text(documents: list[Any]) -> str:
    """Write a stream with ruamel's default dumper."""
    stream = io.StringIO()
    ruamel.yaml.YAML().dump_all(documents, stream)
    return stream.getvalue()


CANDIDATES: dict[str, tuple[Callable[[list[Any]], str], int]] = {
    "fleetform.emit": (emit.emit_all, 2_000),
    "PyYAML CSafeDumper": (
        lambda documents: yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False),
        200,
    ),
    "PyYAML SafeDumper": (
        lambda documents: yaml.dump_all(documents, Dumper=yaml.SafeDumper, sort_keys=False),
        50,
    ),
    "ruamel safe": (ruamel_text, 50),
    "ruamel round trip": (ruamel_round_trip_text, 50),
}


def rate(write: Callable[[list[Any]], str], documents: list[Any]) -> float:
    """Measure documents per second of one call."""
    start = time.perf_counter()
    write(documents)
    return len(documents) / (time.perf_counter() - start)


def main() -> None:
    """Print documents per second of each candidate and how many times slower it is than ours."""
    for kind in (deployment, service_account):
        rates: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        for _ in range(ROUNDS):
            for name, (write, count) in CANDIDATES.items():
                rates[name].append(rate(write, [kind(number) for number in range(count)]))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print(f"{kind.__name__}, {emit.emit(kind(0)).count(chr(10))} lines")
        for name, median in medians.items():
            print(f"  {name:20} {median:9.0f}/s  {medians['fleetform.emit'] / median:6.1f}x")


if __name__ == "__main__":
    main()
