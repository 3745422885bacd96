"""Small fleets on disk and in memory, and the real command line on them, in this process."""

import contextlib
import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
import typer.testing
import yaml
from typer.testing import CliRunner

from fleetform import pipeline
from fleetform.cli import application
from fleetform.problems import Problem, errors
from fleetform.resolve import Fleet

# A command is built from the hints of its function, which takes longer than most runs in tests: once is enough.
typer.testing._get_command = cache(typer.testing._get_command)

API = "apiVersion: fleetform.dev/v1alpha1"
AGENT = f"""{API}
kind: Agent
metadata: {{name: helper}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}}
  auth: {{type: none}}
"""
ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
GOOD = {"agents/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT}
"""The smallest fleet that renders without a problem."""


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, which is returned."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, links as where they lead."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@dataclass(frozen=True)
class Outcome:
    """How a command left, what it printed, and the seconds of processor time that it took."""

    code: int
    out: str
    err: str
    seconds: float


@cache
def _command(name: str) -> typer.Typer:
    return application.app(name)


def read_yaml(text: str) -> list[Any]:
    """Return the documents of a YAML text, read by libyaml: PyYAML's own reader takes ten times as long."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def fleetform(*arguments: str, cwd: Path) -> Outcome:
    """Run a command in a folder; what it does not turn into an exit code is raised."""
    gc.disable()  # as `main` does
    start = time.process_time()
    try:
        with contextlib.chdir(cwd):
            done = CliRunner().invoke(_command(arguments[0]), list(arguments))
    finally:
        gc.enable()
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout, done.stderr, time.process_time() - start)


def fleet(folder: Path, environment: str = "prod") -> tuple[Fleet, tuple[Problem, ...]]:
    """Resolve the fleet in a folder's agents/ and environments/; errors fail the test."""
    specs, spaces = pipeline.read([folder / "agents"]), pipeline.read([folder / "environments"])
    found, problems = pipeline.fleet_of(specs, spaces, environment, "environments")
    assert errors(problems) == (), problems
    assert found is not None
    return found, tuple(problems)


def spec(found: Fleet, name: str, kind: str = "Agent", namespace: str = "default") -> Any:
    """Return the typed spec of one document of a fleet."""
    return found.specs[kind][namespace, name].spec
