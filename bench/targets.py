"""Time all targets against only the plain manifests, and Kustomize's own builds.

python bench/targets.py --kustomize PATH [--sizes 1,100,1000] [--runs 9]

The fleet is that of `render.py`; its environment extends an abstract one, so that the Kustomize
target plans the base as well. The overlays' build is compared with the plain manifests before
anything is timed. Runs are interleaved; medians of whole processes are printed. Argo CD is not
among the targets, since an environment has only one GitOps tool; it has as many objects as Flux.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from render import (
    ENVIRONMENT,
    FLEETFORM,
    NAMESPACE,
    make_fleet,
    name_of,
    objects,
    timed,
    workplace,
)

ALL = ("manifests", "helm", "kustomize", "flux")
BUILDABLE = 100
"""Most overlays in one build of Kustomize that are waited for."""

OVERLAID = """\
apiVersion: fleetform.dev/v1alpha1
kind: Environment
metadata: {name: bench}
spec:
  extends: root
  namespaces: {suffix: -prod}
  labels: {stage: prod}
  images: {pins: {fleetform/agent-runtime: {tag: 9.9.9}}}
"""
SPACE = f"{NAMESPACE}-prod"


def make(folder: Path, size: int) -> None:
    """Write a fleet whose environment extends an abstract one."""
    make_fleet(folder, size)
    root = ENVIRONMENT.replace("name: bench", "name: root")
    root = root.replace("spec:\n", "spec:\n  abstract: true\n", 1)
    (folder / "environments" / "root.yaml").write_text(root)
    (folder / "environments" / "bench.yaml").write_text(OVERLAID)


def render(folder: Path, *targets: str, out: str = "out") -> None:
    """Render a fleet as a user would."""
    chosen = [word for target in targets for word in ("--target", target)]
    command = [FLEETFORM, "render", "--env", "bench", *chosen, "--out", out]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def build(folder: Path, kustomize: str, *below: str) -> str:
    """Build overlays."""
    path = folder.joinpath("out", "kustomize", "overlays", "bench", *below)
    done = subprocess.run([kustomize, "build", path], check=True, capture_output=True, text=True)
    return done.stdout


def compare(folder: Path, kustomize: str, number: int) -> None:
    """Make sure that both outputs are the same."""
    name = name_of(number)
    plain = folder / "out" / "rendered" / "bench" / SPACE / f"{name}.yaml"
    if objects(build(folder, kustomize, SPACE, name)) != objects(plain.read_text()):
        raise SystemExit(f"the overlay of {name} does not make its plain manifests")


def measure(folder: Path, kustomize: str, runs: int, size: int) -> dict[str, float]:
    """Return medians of interleaved runs, in seconds."""
    rows: dict[str, list[float]] = {}

    def note(key: str, seconds: float) -> None:
        rows.setdefault(key, []).append(seconds)

    for number in range(runs):
        for kind, targets in (("plain", ALL[:1]), ("all", ALL)):
            # Separate folders: a file system is slow just after it removed thousands of files.
            out = f"{kind}-{number}"
            for when in ("new", "again"):
                note(f"{kind} {when}", timed(lambda t=targets, o=out: render(folder, *t, out=o)))
        note("one", timed(lambda: build(folder, kustomize, SPACE, name_of(0))))
        if size <= BUILDABLE:
            note("every", timed(lambda: build(folder, kustomize)))
    return {key: statistics.median(times) for key, times in rows.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kustomize", required=True, help="kustomize to compare with")
    parser.add_argument("--sizes", default="1,100,1000", help="agents per fleet")
    parser.add_argument("--runs", type=int, default=9, help="runs of each command")
    options = parser.parse_args()
    # Nothing is removed before the last run: file systems are slower for minutes after it.
    with workplace() as name:
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} CPUs, median of {options.runs} interleaved runs, milliseconds"
        )
        print(
            "| agents | manifests, new | all targets, new | ratio | manifests, again | all targets, again | ratio | kustomize build, one | all |"
        )
        print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for size in map(int, options.sizes.split(",")):
            print(row(Path(name) / str(size), size, options.kustomize, options.runs), flush=True)


def row(folder: Path, size: int, kustomize: str, runs: int) -> str:
    """Return a row of the table."""
    make(folder, size)
    render(folder, *ALL)
    compare(folder, kustomize, size - 1)
    found = measure(folder, kustomize, runs, size)
    cells = [f"{size}"]
    for when in ("new", "again"):
        plain, every = found[f"plain {when}"], found[f"all {when}"]
        cells += [f"{1000 * plain:.0f}", f"{1000 * every:.0f}", f"{every / plain:.2f}"]
    cells += [f"{1000 * found[key]:.0f}" if key in found else "–" for key in ("one", "every")]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
