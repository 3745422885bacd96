"""The pipelines in examples/ci: judged by their linters, and every step of them run.

What a step would do to a cluster or a forge is taken by stand-ins that write down what they are asked.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parity.charts import CHARTS
from tests.tools import ROOT, run

CI = ROOT / "examples/ci"
GITHUB, GITLAB = CI / "github.yaml", CI / "gitlab.yaml"
ENVIRONMENTS = ("dev", "staging", "prod")
FLEET = ("agents", "charts", "environments", "kustomize", "rendered", "flux")
STAND_INS = {
    "pip": "",
    "gh": 'while [ $# -gt 1 ]; do [ "$1" = --body-file ] && cp "$2" "$LOG.comment"; shift; done',
    "curl": 'test -s comment.md && cp comment.md "$LOG.comment"',
    "kubectl": 'test "$1 $2 $3" = "apply --server-side -k" && test -s "$4/kustomization.yaml"',
    # Eight words, the last the values: `lint --strict --quiet CHART -n NAMESPACE -f FILE`, or
    # `upgrade --install NAME CHART …`. That each release lints and renders is tested beside this.
    "helm": 'test -d "$4" && test -s "$8"',
}


def test_linters_find_nothing_in_the_pipelines():
    for name, *arguments in (
        ("actionlint", "-shellcheck=", "-pyflakes=", GITHUB),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", GITHUB),
        (
            *("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
            *("--data-transform", "gitlab-ci", GITLAB),
        ),
    ):
        done = run(name, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def load(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(file.read_text("utf-8"), Loader=yaml.BaseLoader)
    return loaded


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> tuple[Path, str]:
    """A fleet under Git, and the commit before the last, which changed a prompt."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in FLEET:
        shutil.copytree(ROOT / name, folder / name)

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        command = ["git", *who, *words]
        return subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet", "--initial-branch", "main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "before")
    spec = folder / "agents/customer-support/agent.yaml"
    text = spec.read_text("utf-8")
    assert "empathetic" in text
    spec.write_text(text.replace("empathetic", "patient ~~~~~~~ `x`"), "utf-8")
    for environment in ENVIRONMENTS:
        command = [Path(sys.executable).parent / "fleetform", "render", "--env", environment]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    git("add", "--all")
    git("commit", "--quiet", "--message", "after")
    return folder, git("rev-parse", "HEAD~1").strip()


class Runner:
    """Runs the steps of a job in a fleet, with stand-ins on the path."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.log = scratch / "log"
        stand_ins = scratch / "bin"
        stand_ins.mkdir()
        for name, body in STAND_INS.items():
            file = stand_ins / name
            said = f'echo "{name} $*" >> "$LOG"'
            file.write_text(f"#!/bin/sh\nset -eu\n{said}\n{body}\n")
            file.chmod(0o755)
        path = [stand_ins, Path(sys.executable).parent, os.environ["PATH"]]
        self.variables = {
            "PATH": os.pathsep.join(map(str, path)),
            "HOME": str(scratch),
            "LOG": str(self.log),
        }

    def run(self, script: str, variables: dict[str, str], shell: str = "pipefail") -> None:
        done = subprocess.run(
            ["/bin/bash", "-e", *(["-o", "pipefail"] if shell == "pipefail" else []), "-c", script],
            cwd=self.folder,
            env={**self.variables, **variables},
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"

    @property
    def asked(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    @property
    def comment(self) -> str:
        return self.log.with_suffix(".comment").read_text("utf-8")


@pytest.fixture
def runner(repository, tmp_path) -> Runner:
    return Runner(repository[0], tmp_path)


def evaluated(variables: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    """Fill GitHub's expressions in; one that the test does not know fails it."""
    return {
        name: re.sub(r"\$\{\{ (.+?) \}\}", lambda match: known[match[1]], text)
        for name, text in variables.items()
    }


def jobs_of_github(base: str) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Yield the scripts of each job of the workflow, once for each environment of its matrix."""
    workflow = load(GITHUB)
    assert workflow["defaults"] == {"run": {"shell": "bash"}}  # which sets pipefail
    for name, job in workflow["jobs"].items():
        for environment in job.get("strategy", {}).get("matrix", {}).get("environment", [""]):
            known = {
                "matrix.environment": environment,
                "github.event.pull_request.base.sha": base,
                "github.event.pull_request.number": "7",
                "github.token": "t",
                "secrets.KUBECONFIG": "apiVersion: v1\nkind: Config\n",
            }
            common = evaluated({**workflow["env"], **job.get("env", {})}, known)
            yield (
                name,
                [
                    (step["run"], {**common, **evaluated(step.get("env", {}), known)})
                    for step in job["steps"]
                    if "run" in step
                ],
            )


def check_comment(comment: str) -> None:
    assert "rendered/prod/ai-agents/customer-support-agent.yaml" in comment
    assert "+    - Always maintain a polite and patient ~~~~~~~ `x` tone" in comment
    assert len(comment) < 65536


def check_deployment(asked: list[str], runner: Runner) -> None:
    """Everything is installed once, after the Namespaces, in the order of the releases."""
    lines = [line for line in asked if line.startswith(("kubectl apply", "helm upgrade"))]
    assert lines[0] == "kubectl apply --server-side -k rendered/prod/_namespaces"
    said = subprocess.run(
        [Path(sys.executable).parent / "fleetform", "releases", "--env", "prod", "--wait", "10m"],
        cwd=runner.folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert len(said) == len([*(CHARTS / "values/prod").glob("*/*.yaml")])
    waits = [line for line in said if line.endswith(" --rollback-on-failure --timeout 10m")]
    others = [line for line in said if line not in waits]
    assert all(line.startswith("helm upgrade --install fleetform-namespace ") for line in others)
    assert [shlex.split(line) for line in lines[1:]] == [*map(shlex.split, said)]


@pytest.mark.proof
def test_every_step_of_the_github_workflow_does_its_work(repository, runner):
    ran = []
    for name, steps in jobs_of_github(repository[1]):
        for script, variables in steps:
            runner.run(script, variables)
        ran.append(name)
    assert ran == ["check", "check", "check", "diff", "deploy"]
    assert len([line for line in runner.asked if line.startswith("helm lint --strict")]) > 40
    assert any(line.startswith("gh pr comment 7 --edit-last") for line in runner.asked)
    check_comment(runner.comment)
    check_deployment(runner.asked, runner)


@pytest.mark.proof
def test_every_script_of_the_gitlab_pipeline_does_its_work(repository, runner):
    pipeline = load(GITLAB)
    given = {
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": repository[1],
        "CI_API_V4_URL": "https://gitlab.example/api/v4",
        "CI_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_IID": "7",
        "COMMENT_TOKEN": "t",
    }
    for name in ("check", "diff", "deploy"):
        job = pipeline[name]
        (matrix,) = job.get("parallel", {}).get("matrix", [{}])
        for environment in matrix.get("ENVIRONMENT", [job.get("variables", {}).get("ENVIRONMENT")]):
            for script in job["script"]:
                # Nobody promises more than `set -e` there.
                runner.run(script, {**given, "ENVIRONMENT": environment or ""}, shell="plain")
    assert len([line for line in runner.asked if line.startswith("helm lint --strict")]) > 40
    assert any("merge_requests/7/notes" in line for line in runner.asked)
    check_comment(runner.comment)
    check_deployment(runner.asked, runner)


def test_a_stale_rendering_stops_the_pipelines(repository, runner):
    file = runner.folder / "rendered/prod/ai-agents/customer-support-agent.yaml"
    before = file.read_text("utf-8")
    scripts = {
        script
        for _, steps in jobs_of_github(repository[1])
        for script, _ in steps
        if "--check" in script
    }
    (script,) = scripts
    file.write_text(before + "# edited\n", "utf-8")
    try:
        with pytest.raises(AssertionError):
            runner.run(script, {"ENVIRONMENT": "prod"})
    finally:
        file.write_text(before, "utf-8")


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_a_comment_says_what_it_does_not_show(file, tmp_path):
    """A change could hide behind a long prompt."""
    found = re.search(r"^( *)\{\n.*?^\1\} > comment\.md", file.read_text("utf-8"), re.M | re.S)
    assert found
    for lines, size, cut in ((20, 40_000, False), (25, 600_000, True)):
        (tmp_path / "stat.txt").write_text("file | 1 +\n" * lines)
        (tmp_path / "changes.diff").write_text("a friendly prompt\n" * (size // 18) + "+ evil\n")
        script = textwrap.dedent(found[0])
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, check=True)
        comment = (tmp_path / "comment.md").read_text()
        assert ("Cut: 5 more lines" in comment) == cut
        assert ("Cut: the last " in comment) == cut == ("+ evil" not in comment)
