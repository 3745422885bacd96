"""`fleetform plan` and `fleetform gc` against a real API server."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.plane import FIELD_MANAGER, Plane
from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write
from tests.tools import ROOT

SPACE = "live"


def environment(**spec: Any) -> str:
    given = {"namespaces": {"create": True, "map": {"default": SPACE}}, **spec}
    return ENVIRONMENT + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in given.items())


@pytest.fixture
def repository(plane: Plane, tmp_path: Path):
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": environment()})
    yield tmp_path
    plane.without_namespace(SPACE)


def plan(plane: Plane, folder: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
    options = ("--kubeconfig", str(plane.kubeconfig), "--format", "json", *more)
    outcome = fleetform("plan", *options, cwd=folder)
    assert "Traceback" not in outcome.err
    return outcome.code, json.loads(outcome.out)


def applied(plane: Plane, folder: Path, manager: str = FIELD_MANAGER) -> None:
    """Render and apply as CI would."""
    shutil.rmtree(folder / "rendered", ignore_errors=True)
    assert fleetform("render", "--target", "manifests", cwd=folder).code == 0
    options = ("--server-side", f"--field-manager={manager}")
    for place in ("_namespaces", SPACE):
        plane.do("apply", *options, "-k", folder / "rendered/prod" / place)


def test_before_the_first_apply_everything_is_to_be_made(plane, repository):
    code, rows = plan(plane, repository)
    assert code == 3, rows
    assert {row["action"] for row in rows} == {"create"}
    assert {row["kind"] for row in rows} >= {"Namespace", "Deployment", "NetworkPolicy"}
    assert plane.run("get", "namespace", SPACE).returncode != 0


def test_after_an_apply_there_is_nothing_to_do(plane, repository):
    applied(plane, repository)
    found = plan(plane, repository)
    assert found == (0, []), json.dumps(found)
    outcome = fleetform("plan", "--kubeconfig", str(plane.kubeconfig), cwd=repository)
    assert outcome.code == 0
    assert outcome.err.endswith("nothing to change\n")


def test_a_change_is_shown_field_by_field_and_not_made(plane, repository):
    applied(plane, repository)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    changed = (
        f"{AGENT}  resources: {{limits: {{memory: 1Gi}}}}\n  rbac: {{rules: {json.dumps(rules)}}}\n"
    )
    write(repository, {"agents/a.yaml": changed})
    code, rows = plan(plane, repository)
    assert code == 3, rows
    (row,) = [row for row in rows if row["kind"] == "Deployment"]
    assert row["action"] == "change"
    found = {change["path"]: (change["old"], change["new"]) for change in row["changes"]}
    assert found["spec.template.spec.automountServiceAccountToken"] == (False, True)
    memory = "spec.template.spec.containers[0].resources.limits.memory"
    assert found[memory] == ("512Mi", "1Gi")
    assert {row["kind"] for row in rows if row["action"] == "create"} == {"Role", "RoleBinding"}
    assert all(not path.startswith(("status", "metadata.managedFields")) for path in found)
    (live,) = plane.get("deployment", "helper", "-n", SPACE)
    assert live["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_what_somebody_changed_by_hand_is_shown(plane, repository):
    applied(plane, repository)
    plane.do("scale", "deployment/helper", "--replicas=4", "-n", SPACE)
    code, (row,) = plan(plane, repository)
    assert code == 3, row
    assert row["changes"] == [{"path": "spec.replicas", "old": 4, "new": 1}]


@pytest.mark.parametrize("manager", ["kubectl", "kustomize-controller", FIELD_MANAGER])
def test_what_is_gone_from_a_spec_is_shown_whoever_applied_it(manager, plane, repository):
    more = "  env: [{name: EXTRA, value: x}]\n  resources: {limits: {memory: 1Gi}}\n"
    write(repository, {"agents/a.yaml": AGENT + more})
    applied(plane, repository, manager)
    assert plan(plane, repository) == (0, [])
    write(repository, {"agents/a.yaml": AGENT})
    code, rows = plan(plane, repository)
    assert code == 3, rows
    (row,) = [row for row in rows if row["kind"] == "Deployment"]
    olds = [change["old"] for change in row["changes"]]
    assert "EXTRA" in json.dumps(olds)
    shown = {change["path"]: change["new"] for change in row["changes"]}
    assert shown["spec.template.spec.containers[0].resources.limits.memory"] == "512Mi"
    # Somebody who never applied it takes nothing away.
    _, rows = plan(plane, repository, "--field-manager", "stranger")
    (row,) = [row for row in rows if row["kind"] == "Deployment"]
    assert "EXTRA" not in json.dumps([change["old"] for change in row["changes"]])


def test_a_namespace_is_looked_through_after_its_last_agent_went(plane, repository):
    both = environment(namespaces={"create": True, "map": {"default": SPACE, "side": f"{SPACE}-b"}})
    side = AGENT.replace("{name: helper}", "{name: other, namespace: side}")
    write(repository, {"agents/b.yaml": side, "environments/prod.yaml": both})
    assert fleetform("render", "--target", "manifests", cwd=repository).code == 0
    try:
        for place in ("_namespaces", SPACE, f"{SPACE}-b"):
            plane.apply("-k", repository / "rendered/prod" / place)
        (repository / "agents/b.yaml").unlink()
        code, rows = plan(plane, repository)
        assert code == 3, rows
        assert {(row["action"], row["namespace"]) for row in rows} == {("prune", f"{SPACE}-b")}
        assert {row["kind"] for row in rows} >= {"Deployment", "Service", "ServiceAccount"}
    finally:
        plane.without_namespace(f"{SPACE}-b")


def test_what_is_no_longer_rendered_is_pruned_and_what_is_kept_is_not(plane, repository):
    other = AGENT.replace("helper", "other")
    write(repository, {"agents/b.yaml": other})
    applied(plane, repository)
    (repository / "agents/b.yaml").unlink()
    code, rows = plan(plane, repository)
    assert code == 3, rows
    assert {row["action"] for row in rows} == {"prune"}
    assert {row["name"] for row in rows} == {"other"}
    assert {row["kind"] for row in rows} >= {"Deployment", "Service", "NetworkPolicy"}
    assert "ConfigMap" not in {row["kind"] for row in rows}


def test_a_field_that_cannot_change_is_said(plane, repository):
    applied(plane, repository)
    plane.do("delete", "deployment", "helper", "-n", SPACE)
    strange = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "helper", "namespace": SPACE},
        "spec": {
            "selector": {"matchLabels": {"x": "y"}},
            "template": {
                "metadata": {"labels": {"x": "y"}},
                "spec": {"containers": [{"name": "c", "image": "c"}]},
            },
        },
    }
    plane.run("apply", "-f", "-", text=json.dumps(strange))
    code, rows = plan(plane, repository)
    assert code == 3, rows
    (row,) = [row for row in rows if row["kind"] == "Deployment"]
    assert row["action"] == "recreate"
    assert "immutable" in row["message"]
    changed = {change["path"]: (change["old"], change["new"]) for change in row["changes"]}
    assert changed["spec.selector.matchLabels.app.kubernetes.io/name"] == (None, "helper")
    assert changed["spec.template.spec.containers[0].name"] == ("c", "agent")
    text = fleetform("plan", "--kubeconfig", str(plane.kubeconfig), cwd=repository)
    assert "! Deployment live/helper\n" in text.out
    assert "1 to delete and recreate" in text.err


def test_a_claim_of_another_size_that_no_disk_serves_must_be_deleted_first(plane, repository):
    store = f"{API}\nkind: MemoryStore\nmetadata: {{name: memory}}\nspec:\n  type: redis\n"
    for size, action in (("1Gi", "create"), ("2Gi", "recreate")):
        # No node is the pod's, so no disk is ever made for it.
        nowhere = "podTemplate: {nodeSelector: {fleetform.dev/nowhere: 'true'}}"
        write(
            repository, {"agents/s.yaml": f"{store}  provision: {{storage: {size}, {nowhere}}}\n"}
        )
        code, rows = plan(plane, repository)
        assert code == 3, rows
        found = {row["action"] for row in rows if row["kind"] == "PersistentVolumeClaim"}
        assert found == {action}
        if action == "create":
            applied(plane, repository)


def test_what_admission_refuses_is_said(plane, repository):
    applied(plane, repository)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": SPACE},
        "spec": {"hard": {"count/services": "0"}},
    }
    plane.run("apply", "-f", "-", text=json.dumps(quota))
    write(repository, {"agents/b.yaml": AGENT.replace("helper", "other")})
    plane.until(
        lambda: plane.get("resourcequota", "none", "-n", SPACE)[0].get("status", {}).get("hard"),
        "a quota that counts",
    )
    code, rows = plan(plane, repository)
    assert code == 1
    (row,) = [row for row in rows if row["action"] == "refused"]
    assert (row["kind"], row["name"]) == ("Service", "other")
    assert "exceeded quota" in row["message"]


def gc(plane: Plane, folder: Path, *options: str) -> list[dict[str, Any]]:
    outcome = fleetform(
        "gc", "--kubeconfig", str(plane.kubeconfig), "--format", "json", *options, cwd=folder
    )
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)
    return rows


def test_only_revisions_that_nobody_can_go_back_to_are_removed(plane, repository):
    for number in range(14):
        write(repository, {"agents/a.yaml": AGENT.replace("You help.", f"You help {number}.")})
        applied(plane, repository)
        plane.do("rollout", "status", "deployment/helper", "-n", SPACE, "--timeout=300s")
    foreign = ("create", "configmap", "other-config-0123abcd", "-n", SPACE)
    plane.do(*foreign)
    sets = plane.get("replicasets", "-n", SPACE)
    assert 10 <= len(sets) <= 12
    rows = gc(plane, repository)
    assert len(rows) == 14
    free = [row for row in rows if not row["kept"]]
    assert len(free) == 14 - len(sets)
    assert not any(row["deleted"] for row in rows)
    assert len(gc(plane, repository)) == 14
    assert [row for row in gc(plane, repository, "--keep", "14") if not row["kept"]] == []
    done = gc(plane, repository, "--yes")
    assert sum(row["deleted"] for row in done) == len(free)
    left = {item["metadata"]["name"] for item in plane.get("configmaps", "-n", SPACE)}
    assert left == {row["name"] for row in rows if row["kept"]} | {
        "other-config-0123abcd",
        "kube-root-ca.crt",
    }
    assert gc(plane, repository) == [row for row in rows if row["kept"]]
    # Whoever goes back finds the prompt of that time.
    plane.do("rollout", "undo", "deployment/helper", "-n", SPACE)
    plane.do("rollout", "status", "deployment/helper", "-n", SPACE, "--timeout=300s")


def as_account(plane: Plane, folder: Path, role: str, binding: str) -> Path:
    """Return a kubeconfig of an account that has one role of docs/cluster.md and no more."""
    guide = (ROOT / "docs/cluster.md").read_text("utf-8")
    roles = "---\n".join(re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    plane.apply("-f", "-", text=roles)
    plane.do("create", "serviceaccount", role, "-n", SPACE)
    where = ("-n", SPACE) if binding == "rolebinding" else ()
    name = f"{role}-{SPACE}"
    plane.do(
        *("create", binding, name, f"--clusterrole={role}"),
        *(f"--serviceaccount={SPACE}:{role}", *where),
    )
    token = plane.do("create", "token", role, "-n", SPACE).strip()
    config = json.loads(plane.kubeconfig.read_text("utf-8"))
    config["users"][0]["user"] = {"token": token}
    file = folder / f"{role}.kubeconfig"
    file.write_text(json.dumps(config), "utf-8")
    return file


def test_the_documented_rights_are_enough(plane, repository):
    applied(plane, repository)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    more = (
        AGENT + f"  rbac: {{scope: cluster, rules: {json.dumps(rules)}, allowDangerous: [pods]}}\n"
    )
    write(repository, {"agents/a.yaml": more})
    for role, binding in (
        ("fleetform-plan", "clusterrolebinding"),
        ("fleetform-gc", "rolebinding"),
    ):
        file = as_account(plane, repository, role, binding)
        command = role.removeprefix("fleetform-")
        outcome = fleetform(command, "--kubeconfig", str(file), "--format", "json", cwd=repository)
        assert outcome.code in (0, 3), outcome.err + outcome.out
        assert "refused" not in outcome.out
    plane.do("delete", "clusterrolebinding", f"fleetform-plan-{SPACE}")
    bare = fleetform(
        "plan", "--kubeconfig", str(repository / "fleetform-plan.kubeconfig"), cwd=repository
    )
    assert bare.code == 1
    assert "the account needs the permissions listed in docs/cluster.md" in bare.err + bare.out
