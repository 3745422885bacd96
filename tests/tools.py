"""Where the pinned tools are; a missing one is a failure that names the command to run."""

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tools_install", ROOT / "tools/install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


installer = _installer()


def tool(name: str) -> Path:
    """Return an installed tool: a file to run, or the folder of schemas."""
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
