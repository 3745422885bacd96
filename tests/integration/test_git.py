"""Two people change one fleet: what Git makes of their pull requests."""

import subprocess
from pathlib import Path

from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

TARGETS = "  targets: [manifests, helm, kustomize, flux]\n"


def git(folder: Path, *words: str) -> int:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def agents(*names: str, prompt: str = "You help.") -> dict[str, str]:
    return {
        f"agents/{name}.yaml": AGENT.replace("helper", name).replace("You help.", prompt)
        for name in names
    }


def branch(folder: Path, name: str, files: dict[str, str]) -> None:
    """Commit a change and what it renders on a branch of its own."""
    assert git(folder, "checkout", "-q", "-b", name, "main") == 0
    write(folder, files)
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert git(folder, "add", "-A") == 0
    assert git(folder, "commit", "-q", "-m", name) == 0


def repository(folder: Path) -> Path:
    write(folder, {**agents("a", "b"), "environments/prod.yaml": ENVIRONMENT + TARGETS})
    assert git(folder, "init", "-q", "-b", "main") == 0
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert git(folder, "add", "-A") == 0
    assert git(folder, "commit", "-q", "-m", "fleet") == 0
    return folder


def test_changes_of_neighbours_merge_and_the_result_is_what_is_rendered(tmp_path):
    folder = repository(tmp_path)
    branch(folder, "one", agents("a", prompt="You help a."))
    branch(folder, "two", agents("b", prompt="You help b."))
    assert git(folder, "merge", "-q", "one") == 0
    assert fleetform("render", "--all", "--check", cwd=folder).code == 0


def test_new_neighbours_conflict_in_lists_and_rendering_resolves_them(tmp_path):
    folder = repository(tmp_path)
    branch(folder, "one", agents("c"))
    branch(folder, "two", agents("d"))
    assert git(folder, "merge", "-q", "one") == 1
    assert b"<<<<<<<" in (folder / "rendered/prod/.fleetform-files").read_bytes()
    assert fleetform("render", "--all", "--check", cwd=folder).code == 3
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert (
        git(folder, "grep", "-q", "<<<<<<<", "--", "rendered", "charts", "kustomize", "flux") == 1
    )
    assert fleetform("render", "--all", "--check", cwd=folder).code == 0
