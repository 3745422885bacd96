"""What an environment costs in a month: what pods ask for, times the prices of the environment."""

import csv
import io
import json

import pytest

from tests.fleet import AGENT, ENVIRONMENT, GOOD, fleetform, write

PRICES = "  cost: {cpuHourUsd: 0.1, memoryGibHourUsd: 0.01, storageGibMonthUsd: 0.5}\n"
OWN = AGENT.partition("spec:\n")[0].replace("helper", "own") + (
    "spec:\n"
    "  container: {image: {repository: a/b, tag: '1'}}\n"
    "  resources: {requests: {cpu: '2', memory: 1Gi}}\n"
)
SCALED = """  scaling: {minReplicas: 2, maxReplicas: 5}
  podTemplate:
    sidecars:
      - {name: log, image: {repository: c/d, tag: '1'}, resources: {requests: {cpu: 500m, memory: 512Mi}}}
"""
DISKS = """  stateful: true
  scaling: {minReplicas: 3, maxReplicas: 3}
  volumes: [{name: data, mountPath: /data, claim: {size: 4Gi}}]
"""
SHARED = "  volumes: [{name: data, mountPath: /data, claim: {size: 4Gi}}]\n"
JOB = """apiVersion: fleetform.dev/v1alpha1
kind: MemoryStore
metadata: {name: memory}
spec:
  type: redis
  redis: {host: r.example}
  backup:
    schedule: "0 3 * * *"
    to: {pvc: {name: backups, size: 8Gi}}
    passwordSecretRef: {name: backup, key: password}
"""


def rows(folder, agent: str, environment: str = ENVIRONMENT + PRICES):
    write(folder, {"agents/own.yaml": agent, "environments/prod.yaml": environment})
    done = fleetform("estimate", "--env", "prod", "--format", "json", cwd=folder)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_pod_costs_what_its_containers_ask_for_times_its_replicas(tmp_path):
    found = rows(tmp_path, OWN + SCALED)
    (row,) = found["rows"]
    assert (row["least"], row["most"], row["cpu"], row["memory"]) == (2, 5, 2.5, 1.5)
    pod = 730 * (2.5 * 0.1 + 1.5 * 0.01)
    assert row["usd"] == {"least": round(2 * pod, 2), "most": round(5 * pod, 2)}
    assert found["total"] == row["usd"]


@pytest.mark.parametrize(("spec", "gib"), [(DISKS, 12), (SHARED, 4)])
def test_each_claim_costs_once_for_each_disk(spec, gib, tmp_path):
    with_disks = rows(tmp_path, OWN + spec)["total"]["least"]
    without = rows(tmp_path, OWN + spec.partition("  volumes")[0])["total"]["least"]
    assert with_disks - without == pytest.approx(gib * 0.5)


def test_without_prices_the_rows_are_there_and_the_message_names_what_is_missing(tmp_path):
    found = rows(tmp_path, OWN, ENVIRONMENT)
    assert (found["total"], found["rows"][0]["usd"]) == (None, None)
    assert found["missing"] == ["cpuHourUsd", "memoryGibHourUsd"]
    text = fleetform("estimate", "--env", "prod", cwd=tmp_path)
    assert text.out.splitlines()[-1] == (
        "total: unknown; set the environment's `cost.cpuHourUsd`, `cost.memoryGibHourUsd`"
    )


def test_a_price_of_nothing_is_a_price(tmp_path):
    free = ENVIRONMENT + "  cost: {cpuHourUsd: 0, memoryGibHourUsd: 0}\n"
    assert rows(tmp_path, OWN, free)["total"] == {"least": 0, "most": 0}


def test_jobs_are_counted_and_cost_nothing_here(tmp_path):
    pins = "docker.io/library/redis: {tag: '8'}, docker.io/restic/restic: {tag: '1'}, "
    environment = ENVIRONMENT.replace("pins: {", f"pins: {{{pins}") + PRICES
    found = rows(tmp_path, JOB, environment)
    assert found["jobs"] > 0
    assert [row["workload"] for row in found["rows"]] in ([], [""])  # the claim of backups


def test_csv_has_numbers_and_the_table_a_total(tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": ENVIRONMENT + PRICES})
    done = fleetform("estimate", "--env", "prod", "--format", "csv", cwd=tmp_path)
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["workload"] == "helper"
    assert float(row["least_usd"]) == float(row["most_usd"]) > 0
    table = fleetform("estimate", "--env", "prod", cwd=tmp_path).out
    assert f"total: {float(row['least_usd']):.2f} USD a month" in table


def test_diff_ends_with_what_changes_in_a_month(tmp_path):
    more = ENVIRONMENT.replace("prod", "more") + PRICES
    more += (
        "  defaults: {Agent: {scaling: {minReplicas: 2, maxReplicas: 4}, memory: {type: none}}}\n"
    )
    files = {**GOOD, "environments/prod.yaml": ENVIRONMENT + PRICES, "environments/more.yaml": more}
    write(tmp_path, files)
    done = fleetform("diff", "prod", "more", cwd=tmp_path)
    assert done.code == 3
    last = done.err.splitlines()[-1]
    assert last.startswith("USD a month: ")
    low, high = (float(part) for part in last.partition("(")[2].rstrip(")").split(" to "))
    one = rows(tmp_path / "one", AGENT)["total"]["least"]
    assert (low, high) == (pytest.approx(one, abs=0.02), pytest.approx(3 * one, abs=0.02))


def test_diff_says_nothing_of_cost_where_an_environment_has_no_prices(tmp_path):
    files = {**GOOD, "environments/more.yaml": ENVIRONMENT.replace("prod", "more") + PRICES}
    write(tmp_path, files)
    assert "USD" not in fleetform("diff", "prod", "more", cwd=tmp_path).err
