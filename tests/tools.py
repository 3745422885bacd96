"""Where the pinned tools are; a missing one is a failure that names the command to run."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def module(path: str) -> ModuleType:
    """Load a file of the repository that belongs to no package."""
    spec = importlib.util.spec_from_file_location(
        path.removesuffix(".py").replace("/", "_"), ROOT / path
    )
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


# As the scripts find each other beside themselves; the standard library's `venv` comes first.
sys.path.append(str(ROOT / "tools"))
installer = module("tools/install.py")


running: list[pytest.Item] = []
"""The test that runs, as conftest.py says."""


def tool(name: str) -> Path:
    """Return an installed tool: a file to run, or the folder of schemas."""
    marks = ("proof", "cluster", "conformance")
    if name in installer.SLOW and running and not any(map(running[0].get_closest_marker, marks)):
        pytest.fail(f"{name} takes minutes to build: mark what asks it `proof` (`make proofs`)")
    path: Path = installer.where(name)
    if not path.exists():
        pytest.fail(f"{name} is not installed, or its pins changed: {installer.command_for(name)}")
    return path


def run(name: str, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; the caller judges what it says."""
    command: Sequence[str | Path] = [tool(name), *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, check=False, text=True, encoding="utf-8"
    )


@cache
def pod_security_fixtures() -> Path:
    """Return the pods by which Kubernetes' own admission module is tested; the control plane's pins say which."""
    folder = ROOT / "tools/kubernetes"
    command = [installer._go(), "mod", "download", "-json", "k8s.io/pod-security-admission"]
    environment = installer._go_environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return Path(json.loads(done.stdout)["Dir"]) / "test/testdata"
