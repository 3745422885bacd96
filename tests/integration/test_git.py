"""Two people change one fleet: what Git makes of their pull requests."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from fleetform import scaffold
from fleetform.write import RECORD
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write

TARGETS = "  targets: [manifests, helm, kustomize, flux]\n"
ROOT = Path(__file__).parents[2]
ATTRIBUTES = scaffold.texts("fleet", "0.0.0")[".gitattributes"]
UNION = [line for line in ATTRIBUTES.splitlines() if line.endswith(" merge=union")]


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


def repository(folder: Path, attributes: str = "") -> Path:
    """Return a repository with a fleet in two namespaces and its output."""
    files = {
        **agents("a", "b", "far"),
        "environments/base.yaml": BASE,
        "environments/prod.yaml": PROD,
    }
    files["agents/far.yaml"] = files["agents/far.yaml"].replace(
        "name: far", "name: far, namespace: x"
    )
    write(folder, files | ({".gitattributes": attributes} if attributes else {}))
    assert git(folder, "init", "-q", "-b", "main") == 0
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert git(folder, "add", "-A") == 0
    assert git(folder, "commit", "-q", "-m", "fleet") == 0
    return folder


BASE = ENVIRONMENT.replace("name: prod", "name: base") + "  abstract: true\n"
PROD = f"{ENVIRONMENT.partition('spec:')[0]}spec:\n  extends: base\n{TARGETS}"


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


@pytest.mark.parametrize("added", [("c", "d"), ("d", "c"), ("a0", "a1"), ("aa", "ab"), ("c", "zz")])
def test_new_neighbours_merge_where_the_attributes_of_a_new_repository_are(added, tmp_path):
    folder = repository(tmp_path, ATTRIBUTES)
    ours, theirs = added
    branch(folder, "one", agents(theirs))
    branch(folder, "two", agents(ours))
    assert git(folder, "merge", "-q", "one") == 0
    done = fleetform("render", "--all", "--check", cwd=folder)
    assert done.code == 0, done.err
    assert fleetform("render", "--all", cwd=folder).code == 0
    for record in folder.rglob(RECORD):
        names = [line for line in record.read_text("utf-8").splitlines() if line[0] != "#"]
        assert {f"{record.parent / name}" for name in names} == {
            str(path) for path in record.parent.rglob("*") if path.is_file() and path != record
        }
    merged = {path: path.read_bytes() for path in folder.rglob("kustomization.yaml")}
    for path in merged:
        path.unlink()
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert merged == {path: path.read_bytes() for path in merged}


STORE = """  capabilities: [external-secrets]
  secrets:
    provider: aws
    store:
      identity: {awsRoleArn: "arn:aws:iam::123456789012:role/{namespace}"}
      aws: {region: eu-central-1}
"""
NEEDS = """  env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: NAME, key: token}}}]
  volumes: [{name: NAME, mountPath: /data, claim: {size: 1Gi}}]
"""
OWN = AGENT.partition("spec:\n")[0] + "spec:\n  container: {image: {repository: a/b, tag: '1'}}\n"


def needy(name: str) -> dict[str, str]:
    """Return an agent with a secret and a claim of its own."""
    return {f"agents/{name}.yaml": OWN.replace("helper", name) + NEEDS.replace("NAME", name)}


@pytest.mark.parametrize("added", [("c", "d"), ("d", "c"), ("a0", "a1"), ("aa", "ab"), ("c", "zz")])
def test_neighbours_that_bring_secrets_and_claims_merge_in_plain_manifests(added, tmp_path):
    environment = PROD.replace("helm, kustomize, ", "") + STORE
    start = {"environments/prod.yaml": environment, **needy("b")}
    folder = repository(tmp_path, ATTRIBUTES)
    branch(folder, "start", start)
    assert git(folder, "checkout", "-q", "-B", "main") == 0
    ours, theirs = added
    branch(folder, "one", needy(theirs))
    branch(folder, "two", needy(ours))
    assert git(folder, "merge", "-q", "one") == 0
    done = fleetform("render", "--all", "--check", cwd=folder)
    assert done.code == 0, done.err
    assert (folder / f"rendered/prod/default/_namespace/{ours}.externalsecret.yaml").is_file()
    assert (
        folder / f"rendered/prod/default/_namespace/{theirs}.persistentvolumeclaim.yaml"
    ).is_file()


def test_three_that_add_one_after_the_other_merge_too(tmp_path):
    folder = repository(tmp_path, ATTRIBUTES)
    for name in ("c", "d", "e"):
        branch(folder, name, agents(name))
    for one, other in pairwise("edc"):
        assert git(folder, "checkout", "-q", "e") == 0
        assert git(folder, "merge", "-q", other) == 0, (one, other)
    assert fleetform("render", "--all", "--check", cwd=folder).code == 0


def test_a_list_that_names_what_the_other_side_removed_is_told_of(tmp_path):
    """Git keeps the name; the list is stale then, and not silently wrong."""
    folder = repository(tmp_path, ATTRIBUTES)
    branch(folder, "one", agents("c"))
    assert git(folder, "checkout", "-q", "main") == 0
    (folder / "agents/b.yaml").unlink()
    branch(folder, "two", {})
    assert git(folder, "merge", "-q", "one") == 0
    assert fleetform("render", "--all", "--check", cwd=folder).code == 3
    assert fleetform("render", "--all", cwd=folder).code == 0
    assert "b.yaml" not in (folder / "rendered/prod/default/kustomization.yaml").read_text("utf-8")
    assert fleetform("render", "--all", "--check", cwd=folder).code == 0


def test_only_lists_are_merged_as_a_union(tmp_path):
    folder = repository(tmp_path, ATTRIBUTES)
    told = subprocess.run(
        ["git", "ls-files", ":(attr:merge=union)"], cwd=folder, capture_output=True, check=True
    )
    found = told.stdout.decode().split()
    lists = {RECORD: "", "kustomization.yaml": "resources:", "prod.lock.yaml": "workloads:"}
    assert {Path(path).name for path in found} == {*lists}
    for path in found:
        lines = (folder / path).read_text("utf-8").splitlines()
        start = lines.index(head) + 1 if (head := lists[Path(path).name]) else 0
        assert start == 0 or all(line.startswith(("- ", "# ")) for line in lines[start:]), path


def test_this_repository_and_the_documentation_say_the_same():
    assert len(UNION) > 3
    assert {*UNION} <= {*(ROOT / ".gitattributes").read_text("utf-8").splitlines()}
    assert "\n".join(UNION) in (ROOT / "docs/troubleshooting.md").read_text("utf-8")
