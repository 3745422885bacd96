"""The guides' commands run as written; those that need a cluster stand in blocks of another kind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.tools import ROOT, tool

pytestmark = pytest.mark.proof

GUIDES = (
    *(
        "argo-workflows",
        "argocd",
        "backup",
        "chart",
        "cost",
        "eks",
        "flux",
        "gke",
        "helm",
        "image",
        "kustomize",
        "operations",
    ),
    "upgrade",
)
IN_ONE_GO = (
    *("tutorial", "knowledge", "code", "conversations", "memories", "workflows", "variants"),
    "rollback",
)
TOOLS = ("helm", "kubeconform", "kubectl", "kustomize")
INPUT = (
    *("agents", "charts", "compose", "environments", "flux", "kustomize", "releases", "rendered"),
)
SPEC = re.compile(r"^```yaml\n(apiVersion: .*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
STEP = re.compile(BLOCK.pattern + r"(?:\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what a guide's commands work on."""
    for name in INPUT:
        shutil.copytree(ROOT / name, tmp_path / "repository" / name)
    return tmp_path / "repository"


def blocks(page: str) -> list[str]:
    """Return the blocks of commands of a page."""
    found = BLOCK.findall((ROOT / page).read_text("utf-8"))
    assert found
    return found


def run(block: str, folder: Path) -> str:
    """Run a block of commands in a folder; each must succeed. Return what they print."""
    places = [Path(sys.executable).parent, *(tool(name).parent for name in TOOLS)]
    variables = {
        "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
        "HOME": str(folder),
        "SCHEMAS": str(tool("schemas")),
        **{
            f"GIT_{role}_{fact}": f"{fact}@example.com".lower()
            for role in ("AUTHOR", "COMMITTER")
            for fact in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=variables,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_run_as_written(guide, repository):
    for block in blocks(f"docs/{guide}.md"):
        assert run(block, repository)


SHELL = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(ROOT.glob("docs/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_shell_can_read_every_command_of_a_page(page, tmp_path):
    """Those for a cluster or a cloud, too, which no test runs: a quote or a line that is not closed is told."""
    for number, block in enumerate(SHELL.findall(page.read_text("utf-8"))):
        file = tmp_path / f"{number}.sh"
        typed = re.findall(r"^\$ (.*)$", block, re.MULTILINE)  # what is behind them was printed
        file.write_text("\n".join(typed) or block, "utf-8")
        done = subprocess.run(
            ["/bin/bash", "-n", file], capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, block + done.stderr


def pattern(line: str) -> str:
    """Return what finds a line in which `…` stands for anything."""
    return ".*".join(map(re.escape, line.split("…")))


@pytest.mark.parametrize("guide", IN_ONE_GO)
def test_a_guide_runs_from_its_first_command_to_its_last(guide, tmp_path):
    """In one shell, on a port of the test's own; a block prints the lines behind it, `…` is anything."""
    steps = STEP.findall((ROOT / f"docs/{guide}.md").read_text("utf-8"))
    assert len(steps) > 1
    script = "".join(f"echo\necho '== {n}'\n{commands}\n" for n, (commands, _) in enumerate(steps))
    printed = run("exec 2>&1\n" + script.replace("8080", str(free_port())), tmp_path)
    parts = re.split(r"^== \d+\n", printed, flags=re.MULTILINE)[1:]
    for (commands, expected), part in zip(steps, parts, strict=True):
        missing = [line for line in expected.splitlines() if not re.search(pattern(line), part)]
        assert missing == [], f"{commands}\nprinted\n{part}"


def test_the_readmes_commands_for_a_fleet_of_ones_own_run_as_written(repository):
    """The first block is what CI runs: `make render`, `make test` and a talk to an agent."""
    _, own = blocks("README.md")
    (repository / ".venv/bin").mkdir(parents=True)
    (repository / ".venv/bin/fleetform").symlink_to(Path(sys.executable).with_name("fleetform"))
    run(own, repository)
    assert (repository.parent / "my-fleet/rendered/dev").is_dir()


def test_the_readmes_agent_is_one(repository):
    (spec,) = SPEC.findall((ROOT / "README.md").read_text("utf-8"))
    path = repository / "agents/research-report/agents.yaml"
    documents = path.read_text("utf-8").split("---\n")
    (number,) = (n for n, text in enumerate(documents) if "\n  name: research-agent\n" in text)
    documents[number] = spec
    path.write_text("---\n".join(documents), "utf-8")
    assert run("fleetform validate agents --env prod && fleetform list", repository)
