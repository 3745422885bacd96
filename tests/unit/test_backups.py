"""Where the pods of backups run: an environment says it, since no spec places them."""

import json

import pytest

from tests.fleet import API, fleetform, read_yaml, write

STORE = f"""{API}
kind: MemoryStore
metadata: {{name: sessions, namespace: team}}
spec:
  type: redis
  redis: {{host: redis.data.svc}}
  policy: {{sessionTTL: 604800}}
  backup:
    schedule: "@daily"
    to: {{s3: {{bucket: acme-backups, region: eu-central-1}}}}
    passwordSecretRef: {{name: restic, key: password}}
"""
TAINT = "{key: dedicated, value: batch, effect: NoSchedule}"


def environment(backups: str) -> str:
    return f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  network: {{services: {{redis.data.svc: 6379}}}}
  backups: {backups}
"""


def run(folder, command: str, backups: str, *more: str):
    files = {"agents/a.yaml": STORE, "environments/prod.yaml": environment(backups)}
    write(folder, files)
    return fleetform(*command.split(), "--env", "prod", *more, cwd=folder)


def test_backups_drills_and_what_restores_run_where_the_environment_says(tmp_path):
    placed = f"{{nodeSelector: {{pool: batch}}, tolerations: [{TAINT}]}}"
    done = run(tmp_path, "render", placed)
    assert done.code == 0, done.err
    found = [
        item
        for file in (tmp_path / "rendered").rglob("sessions-*.yaml")
        for item in read_yaml(file.read_text("utf-8"))
        if item["kind"] == "CronJob"
    ]
    jobs = [item["spec"]["jobTemplate"]["spec"] for item in found]
    restored = run(tmp_path, "restore sessions", placed)
    (job,) = read_yaml(restored.out)
    pods = [one["template"]["spec"] for one in (*jobs, job["spec"])]
    assert len(pods) == 3
    for pod in pods:
        assert pod["nodeSelector"] == {"pool": "batch"}
        assert pod["tolerations"] == [
            {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
        ]


@pytest.mark.parametrize(
    ("backups", "place"),
    {
        "{tolerations: [{key: a, operator: Exists, value: x}]}": "tolerations[0]",
        "{tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 5}]}": "tolerations[0]",
        "{nodeSelector: {pool: batch node}}": "nodeSelector",
        "{nodeSelector: [batch]}": "nodeSelector",
        "{podTemplate: {}}": "podTemplate",
    }.items(),
)
def test_a_placement_that_no_cluster_takes_is_told(tmp_path, backups, place):
    done = run(tmp_path, "validate agents", backups, "--format", "json")
    found = json.loads(done.out or done.err)
    problems = found["problems"] if isinstance(found, dict) else found
    said = [item["path"] for item in problems if item["severity"] == "error"]
    assert len(said) == 1
    assert said[0].startswith(f"spec.backups.{place}")


def test_a_placement_without_backups_is_noted(tmp_path):
    files = {
        "agents/a.yaml": STORE.partition("  backup:")[0],
        "environments/prod.yaml": environment("{nodeSelector: {pool: batch}}"),
    }
    write(tmp_path, files)
    done = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
    assert "`nodeSelector` has no effect: no MemoryStore with a server has a backup" in done.err
