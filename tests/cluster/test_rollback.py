"""A rollback on a real control plane: the ReplicaSet and the ConfigMap of before serve again."""

import subprocess
from pathlib import Path

import pytest

from tests.cluster.plane import FIELD_MANAGER, Plane
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

SPACE = "rolled"
SPACES = f"  namespaces: {{create: true, map: {{default: {SPACE}}}}}\n"


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def rolled_out(plane: Plane, folder: Path, *command: str) -> None:
    """Render with a command, commit, apply as CI would, and wait for the pods."""
    done = fleetform(*command, cwd=folder)
    assert done.code == 0, done.err
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "c")
    options = ("--server-side", f"--field-manager={FIELD_MANAGER}")
    for place in ("_namespaces", SPACE):
        plane.do("apply", *options, "-k", folder / "rendered/prod" / place)
    plane.do("-n", SPACE, "rollout", "status", "deployment/helper", "--timeout=120s")


def serving(plane: Plane) -> str:
    """Return the name of the ReplicaSet that has pods."""
    (name,) = [
        item["metadata"]["name"]
        for item in plane.get("replicaset", "-n", SPACE)
        if item["spec"]["replicas"]
    ]
    return name


def count(plane: Plane, kind: str) -> int:
    return len(plane.get(kind, "-n", SPACE))


@pytest.fixture
def repository(plane: Plane, tmp_path: Path):
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT + SPACES})
    git(tmp_path, "init", "--quiet")
    yield tmp_path
    plane.without_namespace(SPACE)


def test_the_replica_set_of_before_serves_again(plane, repository):
    rolled_out(plane, repository, "render")
    first = serving(plane)
    write(repository, {"agents/a.yaml": AGENT.replace("You help.", "You help nobody.")})
    rolled_out(plane, repository, "render")
    second, maps = serving(plane), count(plane, "configmap")
    assert second != first
    rolled_out(plane, repository, "rollback", "Agent/helper", "--env", "prod")
    assert serving(plane) == first
    assert (count(plane, "configmap"), count(plane, "replicaset")) == (maps, 2)
    done = fleetform("plan", "--kubeconfig", str(plane.kubeconfig), cwd=repository)
    assert (done.code, done.out) == (0, ""), done.out
    rolled_out(plane, repository, "rollback", "Agent/helper", "--env", "prod", "--release")
    assert serving(plane) == second
