"""Time `fleetform render` against `helm template` of a chart that renders the same objects.

python bench/render.py --helm PATH [--sizes 1,100,1000] [--runs 9]

For each size a fleet is generated and rendered; its first agent is turned into a chart that loops
over values with names, prompts and configurations. The outputs are compared object by object before
anything is timed. Runs are interleaved; medians and ratios are printed. Times include start-up. Processor time and
memory are those of all processes of a command; memory is the largest sum of proportional set sizes (Linux).
Files are written to memory where there is room for them, or to TMPDIR if it is set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""Bytes that the files of all runs need at most."""

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


def command_to_render(out: str) -> list[str | Path]:
    """Return the command by which a user renders a fleet."""
    return [FLEETFORM, "render", "--env", "bench", "--agents", "agents", "--out", out]


def render(folder: Path, out: str = "out") -> None:
    """Render a fleet as a user would."""
    subprocess.run(command_to_render(out), cwd=folder, check=True, capture_output=True)


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


def processor() -> float:
    """Return the processor time in seconds of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, helm: str, runs: int) -> dict[str, tuple[float, float]]:
    """Return medians of interleaved runs: seconds on the wall, and of processors."""

    def helm_template() -> None:
        subprocess.run(
            [helm, "template", "chart"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )

    def python() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    rows: dict[str, list[tuple[float, float]]] = {}

    def note(key: str, action: Callable[[], object]) -> None:
        before = processor()
        seconds = timed(action)
        rows.setdefault(key, []).append((seconds, processor() - before))

    for number in range(runs):
        out = f"out-{number}"
        note("helm", helm_template)
        note("new", lambda o=out: render(folder, o))  # type: ignore[misc]
        note("again", lambda o=out: render(folder, o))  # type: ignore[misc]
        note("python", python)
    return {
        key: (
            statistics.median(wall for wall, _ in found),
            statistics.median(cpu for _, cpu in found),
        )
        for key, found in rows.items()
    }


def peak(command: list[str | Path], folder: Path) -> int:
    """Return the most memory in MiB that a command's processes have together, 0 where the system does not say it."""
    most = 0
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet) as process:
        while process.poll() is None:
            most = max(most, sum(map(memory, (process.pid, *children(process.pid)))))
    return most // 1024


def children(process: int) -> list[int]:
    """Return the children of a process."""
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except OSError:
        return []


def memory(process: int) -> int:
    """Return the proportional set size of a process in KiB: what it shares is divided among those who share it."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(size) for size in re.findall(r"^Pss: +([0-9]+)", text, re.MULTILINE))


def workplace() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder, in memory if it can be: how long a disk takes depends on what was removed from it before."""
    is_asked = "TMPDIR" in os.environ
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    made = tempfile.TemporaryDirectory(dir=MEMORY if has_room and not is_asked else None)
    print(f"Files are written to {Path(made.name).parent}")
    return made


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--helm", required=True, help="helm to compare with")
    parser.add_argument("--sizes", default="1,100,1000", help="agents per fleet")
    parser.add_argument(
        "--runs", type=int, default=9, help="runs of each command; medians are shown"
    )
    options = parser.parse_args()
    # Nothing is removed before the last run: file systems are slower for minutes after it.
    with workplace() as name:
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} CPUs, median of {options.runs} interleaved runs, milliseconds"
        )
        print(
            "| agents | objects | helm template | render, new | render, again | bare Python | helm / new | helm / again"
            " | processors: helm | new | again | memory in MiB: helm | render |"
        )
        print(f"|{'--:|' * 13}")
        for size in map(int, options.sizes.split(",")):
            print(row(Path(name) / str(size), size, options.helm, options.runs), flush=True)


def row(folder: Path, size: int, helm: str, runs: int) -> str:
    """Return a row of the table."""
    make_fleet(folder, size)
    render(folder)
    make_chart(folder, size)
    count = compare(folder, helm)
    found = measure(folder, helm, runs)
    kinds = ("helm", "new", "again")
    walls = [f"{1000 * found[key][0]:.0f}" for key in (*kinds, "python")]
    ratios = [f"{found['helm'][0] / found[key][0]:.2f}" for key in kinds[1:]]
    processors = [f"{1000 * found[key][1]:.0f}" for key in kinds]
    commands = ([helm, "template", "chart"], command_to_render("out"))
    sizes = [
        f"{statistics.median(peak(command, folder) for _ in range(runs)):.0f}"
        for command in commands
    ]
    cells = [str(size), str(count), *walls, *ratios, *processors, *sizes]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
