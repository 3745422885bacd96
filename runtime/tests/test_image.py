"""The image's own steps install it into a clean place, small enough, and it starts from there."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from runtime.tests.process import Runtime

RUNTIME = Path(__file__).resolve().parents[1]
DOCKERFILE = (RUNTIME / "Dockerfile").read_text("utf-8")
LARGEST = {"core": 150, "providers": 280}
"""Megabytes, bytecode included, without the interpreter of the base image."""


def steps(requirements: str, target: Path) -> list[str]:
    """Return the commands of the build stage, for another place than /opt/runtime."""
    stage = DOCKERFILE.split("AS build", 1)[1].split("\nFROM ", 1)[0]
    return [
        line.removeprefix("RUN ")
        .replace("/opt/runtime", str(target))
        .replace("${REQUIREMENTS}", requirements)
        for line in stage.splitlines()
        if line.startswith("RUN ")
    ]


def megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


@pytest.mark.proof
@pytest.mark.parametrize("requirements", LARGEST)
def test_the_build_stage_installs_it_small_enough_and_it_serves(requirements, tmp_path):
    source, target, builder = tmp_path / "src", tmp_path / "opt", tmp_path / "builder"
    source.mkdir()
    for name in ("requirements", "fleetform_runtime"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(RUNTIME / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "sbom.py"):
        shutil.copy(RUNTIME / name, source)
    subprocess.run([sys.executable, "-m", "venv", builder], check=True)
    environment = {**os.environ, "PATH": f"{builder}/bin:{os.environ['PATH']}"}
    environment["UV_SYSTEM_CERTS"] = "1"  # as pip: a network may have an authority of its own
    for step in steps(requirements, target):
        done = subprocess.run(
            ["sh", "-ec", step],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    assert megabytes(target) <= LARGEST[requirements]
    sources = sorted((target / "lib").rglob("fleetform_runtime/**/*.py"))
    assert len(sources) > 50
    for file in sources:
        assert list((file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")), file
    packages = json.loads((target / "sbom.json").read_text())["components"]
    assert {"aiohttp", "starlette", "uvicorn"} <= {item["name"] for item in packages}
    assert all(item["hashes"] for item in packages)
    starts(target, tmp_path)


def starts(target: Path, tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "agent", "--model", "scripted")
    runtime.command = [str(target / "bin/fleetform-runtime")]
    probe = [str(target / "bin/python"), "-m", "fleetform_runtime.probe"]
    environment = {
        **os.environ,
        "FLEETFORM_CONFIG": str(runtime.config),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert subprocess.run(probe, env=environment, check=False).returncode == 1
    with runtime:
        assert subprocess.run(probe, env=environment, check=False).returncode == 0
        request = urllib.request.Request(
            runtime.url + "/chat", b'{"message": "x"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["output"] == "You said: x (turn 1)"


def test_the_image_is_run_as_the_manifests_say():
    assert "USER 10001:10001" in DOCKERFILE
    assert 'ENTRYPOINT ["/opt/runtime/bin/fleetform-runtime"]' in DOCKERFILE
    assert "HEALTHCHECK" in DOCKERFILE
    assert "EXPOSE 8080 9090" in DOCKERFILE
    for line in DOCKERFILE.splitlines():
        assert not re.match(r"(CMD|ENTRYPOINT) [^\[]", line), "no shell"


@pytest.mark.parametrize("name", ["build", "core", "providers"])
def test_locks_hold_hashes_and_no_addresses(name):
    lock = (RUNTIME / f"requirements/{name}.txt").read_text("utf-8")
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > lock.count("==")
    assert not re.search(r"^-", lock, re.MULTILINE)


def test_what_is_tested_is_what_ships():
    def pins(text: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))

    tested = pins((RUNTIME.parent / "requirements/dev.txt").read_text("utf-8"))
    for name in ("core", "providers"):
        shipped = pins((RUNTIME / f"requirements/{name}.txt").read_text("utf-8"))
        assert {item: tested.get(item) for item in shipped} == shipped
