"""Time `fleetform render` against `helm template` of a chart that renders the same objects.

python bench/render.py --helm PATH [--sizes 1,100,1000] [--runs 9]

For each size a fleet is generated and rendered; its first agent is turned into a chart that loops
over values with names, prompts and configurations. The outputs are compared object by object before
anything is timed. Runs are interleaved; medians and ratios are printed. Times include start-up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

NAMESPACE = "fleet"
FLEETFORM = Path(sys.executable).with_name("fleetform")

AGENT = """\
apiVersion: fleetform.dev/v1alpha1
kind: Agent
metadata: {{name: {name}, namespace: fleet}}
spec:
  description: Answers questions of team {number}
  modelConfig: gpt
  systemPrompt: |
    You answer questions of team {number}.

    - Be brief.
    - Say so when you do not know.
  memory: {{store: conversations}}
  scaling: {{minReplicas: 2, maxReplicas: 10}}
  expose: {{}}
"""
SHARED = """\
apiVersion: fleetform.dev/v1alpha1
kind: ModelConfig
metadata: {name: gpt}
spec: {provider: openai, name: gpt-4o, temperature: 0.5}
---
apiVersion: fleetform.dev/v1alpha1
kind: MemoryStore
metadata: {name: conversations, namespace: fleet}
spec:
  type: redis
  redis: {host: redis.data.svc, auth: {secretRef: {name: redis, key: password}}}
"""
ENVIRONMENT = """\
apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: bench}
spec:
  capabilities: [gateway-api, prometheus-operator]
  images: {pins: {fleetform/agent-runtime: {tag: 1.0.0}}}
  providers: {openai: {apiKeySecretRef: {name: openai, key: api-key}}}
  expose: {host: agents.example, gateway: {name: public, namespace: gateways}}
  network: {services: {redis.data.svc: 6379}}
  gitops: {kustomization: false}
  defaults: {Agent: {auth: {type: none}}}
"""


def name_of(number: int) -> str:
    """Return the name of an agent."""
    return f"agent-{number:05}"


def make_fleet(folder: Path, size: int) -> None:
    """Write the specs of a fleet, one file per agent."""
    agents = folder / "agents"
    agents.mkdir(parents=True)
    (folder / "environments").mkdir()
    (folder / "environments" / "bench.yaml").write_text(ENVIRONMENT)
    (agents / "shared.yaml").write_text(SHARED)
    for number in range(size):
        (agents / f"{name_of(number)}.yaml").write_text(
            AGENT.format(name=name_of(number), number=number)
        )


def render(folder: Path, out: str = "out") -> None:
    """Render a fleet as a user would."""
    command = [FLEETFORM, "render", "--env", "bench", "--agents", "agents", "--out", out]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def make_chart(folder: Path, size: int) -> None:
    """Write the loop chart and its values from the rendered output."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: fleet\nversion: 1.0.0\n")
    rendered = folder / "out" / "rendered" / "bench" / NAMESPACE
    (chart / "templates" / "agents.yaml").write_text(
        template((rendered / f"{name_of(0)}.yaml").read_text())
    )
    for shared in sorted(rendered.glob("_namespace/*.*.yaml")):
        text = shared.read_text().replace("{{", '{{ "{{" }}')
        (chart / "templates" / shared.name).write_text(text)
    values = []
    for number in range(size):
        text = (rendered / f"{name_of(number)}.yaml").read_text()
        data = next(
            doc for doc in yaml.load_all(text, yaml.CSafeLoader) if doc["kind"] == "ConfigMap"
        )["data"]
        config, prompt = json.loads(data["agent.json"]), data["system-prompt.md"]
        values.append({"name": name_of(number), "config": config, "prompt": prompt})
    (chart / "values.yaml").write_text(json.dumps({"agents": values}))


def template(manifest: str) -> str:
    """Turn one agent's manifest into the body of a loop over all agents."""
    hashed = re.search(rf"{name_of(0)}-config-([0-9a-f]{{8}})", manifest)
    if hashed is None:
        raise ValueError("the manifest names no configuration")
    data = "data:\n  agent.json: {{ $json | toJson }}\n  system-prompt.md: {{ .prompt | toJson }}\n"
    body = re.sub(r"^data:\n(?:  .*\n|\n)+", lambda _: data, manifest, count=1, flags=re.MULTILINE)
    body = body.replace(hashed[1], "{{ $hash }}").replace(name_of(0), "{{ .name }}")
    return (
        "{{- range .Values.agents }}\n"
        '{{- $json := printf "%s\\n" (toPrettyJson .config) }}\n'
        '{{- $hash := dict "agent.json" $json "system-prompt.md" .prompt | toPrettyJson | sha256sum | trunc 8 }}\n'
        f"---\n{body}{{{{- end }}}}\n"
    )


def objects(text: str) -> dict[tuple[str, str], object]:
    """Return the objects of a stream by kind and name."""
    documents = [doc for doc in yaml.load_all(text, yaml.CSafeLoader) if doc]
    return {(doc["kind"], doc["metadata"]["name"]): doc for doc in documents}


def compare(folder: Path, helm: str) -> int:
    """Make sure that both outputs are the same; return the number of objects."""
    theirs = objects(
        subprocess.run(
            [helm, "template", "chart"], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
    )
    ours = {}
    place = folder / "out" / "rendered" / "bench" / NAMESPACE
    for file in sorted([*place.glob("*.yaml"), *place.glob("_namespace/*.*.yaml")]):
        ours |= objects(file.read_text())
    if ours != theirs:
        raise SystemExit("the chart does not render what Fleetform renders")
    return len(ours)


def timed(action: Callable[[], object]) -> float:
    """Return the wall-clock seconds of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(folder: Path, helm: str, runs: int) -> dict[str, float]:
    """Return medians of interleaved runs, in seconds."""

    def helm_template() -> None:
        subprocess.run(
            [helm, "template", "chart"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )

    def python() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    rows: dict[str, list[float]] = {"helm": [], "fresh": [], "again": [], "python": []}
    # Nothing is removed before the last run: the file system would still be busy with it in the next.
    for number in range(runs):
        out = f"out-{number}"
        rows["helm"].append(timed(helm_template))
        rows["fresh"].append(timed(lambda: render(folder, out)))  # noqa: B023 - called at once
        rows["again"].append(timed(lambda: render(folder, out)))  # noqa: B023
        rows["python"].append(timed(python))
    return {name: statistics.median(times) for name, times in rows.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--helm", required=True, help="helm to compare with")
    parser.add_argument("--sizes", default="1,100,1000", help="agents per fleet")
    parser.add_argument(
        "--runs", type=int, default=9, help="runs of each command; medians are shown"
    )
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, median of {options.runs} interleaved runs, milliseconds"
    )
    print(
        "| agents | objects | helm template | render, new | render, again | bare Python | helm / new | helm / again |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_fleet(folder, size)
            render(folder)
            make_chart(folder, size)
            count = compare(folder, options.helm)
            row = measure(folder, options.helm, options.runs)
        cells = [f"{1000 * row[key]:.0f}" for key in ("helm", "fresh", "again", "python")]
        ratios = [f"{row['helm'] / row[key]:.2f}" for key in ("fresh", "again")]
        print(f"| {size} | {count} | {' | '.join(cells)} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
