"""Fleets of thousands: time grows with their size, memory stays small, selectors stay exact."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fleetform import pipeline
from tests.durability.rendering import FLEETFORM, LONG, PATH
from tests.fleet import API, write

SIZES = (1, 100, 1000, 5000) if LONG else (1, 80, 200, 1000)
"""The last is five times the one before it."""
TARGETS = ("manifests", "helm", "kustomize", "flux")
LIMIT = 5.5
MEBIBYTES = 1024
ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [keda, prometheus-operator]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}, acme/files: {{tag: "2"}}}}}}
  providers: {{openai: {{apiKeySecretRef: {{name: openai, key: api-key}}}}}}
  gitops: {{source: {{name: f, url: "https://git.example.com/f", branch: main}}}}
  defaults: {{Agent: {{auth: {{type: none}}}}}}
"""
SHARED = f"""{API}
kind: ModelConfig
metadata: {{name: gpt}}
spec: {{provider: openai, name: gpt-4o}}
---
{API}
kind: AgentTemplate
metadata: {{name: base}}
spec:
  modelConfig: gpt
  systemPrompt: You help.
  memory: {{type: redis, redis: {{host: redis.example.com}}}}
  scaling: {{minReplicas: 2, maxReplicas: 4}}
---
{API}
kind: MCPServer
metadata: {{name: files}}
spec: {{container: {{image: {{repository: acme/files}}, ports: [{{name: http, containerPort: 8080}}]}}}}
"""


def agent(number: int) -> str:
    """Return an agent that calls the one before it and a server that all share."""
    peers = f"  peers: [a-{number - 1}]\n" if number else ""
    name = f"metadata: {{name: a-{number}}}"
    tools = "  tools: [{name: files, kind: MCPServer}]\n"
    return f"{API}\nkind: Agent\n{name}\nspec:\n  extends: base\n{peers}{tools}"


def fleet(folder: Path, size: int) -> Path:
    """Write a fleet: half of it in one file, half of it a file each."""
    numbers = range(size)
    files = {f"agents/{n}.yaml": agent(n) for n in numbers if n % 2}
    files["agents/shared.yaml"] = "---\n".join([SHARED, *(agent(n) for n in numbers[::2])])
    return write(folder, {**files, "environments/prod.yaml": ENVIRONMENT})


class Cost(NamedTuple):
    """What a run took of the machine."""

    seconds: float
    mebibytes: float


def cost(folder: Path, out: Path) -> Cost:
    """Render in a process of its own, by the kernel's account of it."""
    targets = [word for name in TARGETS for word in ("--target", name)]
    command = [FLEETFORM, "render", "--out", out, *targets]
    with subprocess.Popen(
        command, cwd=folder, env=PATH, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0
    unit = 1024 if sys.platform == "linux" else 1024**2
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


@pytest.mark.timed
def test_time_is_linear_and_memory_bounded(tmp_path):
    folders = {size: fleet(tmp_path / f"{size}", size) for size in SIZES}
    costs = {
        size: [cost(folder, tmp_path / f"out-{size}-{turn}") for turn in range(2)]
        for size, folder in folders.items()
    }
    best = {size: min(each.seconds for each in found) for size, found in costs.items()}
    assert best[SIZES[3]] <= LIMIT * best[SIZES[2]], best
    assert best[SIZES[3]] / SIZES[3] <= best[SIZES[1]] / SIZES[1], best
    assert max(each.mebibytes for found in costs.values() for each in found) <= MEBIBYTES


def selectors(item: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield every label selector within an object, wherever it stands."""
    for key, value in item.items():
        if key == "matchLabels" or (key == "selector" and item.get("ports")):
            yield value
        elif isinstance(value, dict):
            yield from selectors(value)
        elif isinstance(value, list):
            for part in value:
                if isinstance(part, dict):
                    yield from selectors(part)


@pytest.mark.parametrize("size", SIZES)
def test_every_selector_is_exact(size, tmp_path):
    """Each selector of the fleet's labels means one workload, and what stands alone its own."""
    folder = fleet(tmp_path, size)
    paths = [folder / "agents"], folder / "environments"
    built, _ = pipeline.build(*paths, "prod", "manifests")
    found = [(unit.workload, item) for unit in built.units for item in unit.objects]
    having: dict[tuple[str, str], set[str]] = {}
    for owner, item in found:
        if item["kind"] == "Deployment":
            for pair in item["spec"]["template"]["metadata"]["labels"].items():
                having.setdefault(pair, set()).add(owner)
    seen = 0
    for owner, item in found:
        for labels in selectors(item.get("spec", {})):
            if not any(key.startswith("app.kubernetes.io/") for key in labels):
                continue  # pods of the platform's
            seen += 1
            meant = set.intersection(*(having.get(pair, set()) for pair in labels.items()))
            assert len(meant) == 1, (item["kind"], owner, labels)
            if item["kind"] != "NetworkPolicy":
                assert meant == {owner}, (item["kind"], owner, labels)
        if item["kind"] == "NetworkPolicy" and owner:
            own = item["spec"]["podSelector"]["matchLabels"]
            assert set.intersection(*(having[pair] for pair in own.items())) == {owner}
    assert seen >= 8 * size
