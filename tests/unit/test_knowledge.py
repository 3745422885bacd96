"""Documents that a spec names: what takes them in, with what, and when it does so again."""

import json

import pytest

from fleetform import cron
from fleetform_runtime.cli import _parser, main
from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, read_yaml, write

TOOL = f"""{API}
kind: Tool
metadata: {{name: lookup}}
spec:
  type: retrieval
  description: Searches documents.
  retrieval:
    vectorStore: {{type: pgvector, host: db.example, collection: docs, tls: {{enabled: true}}, secretRef: {{name: db, key: password}}}}
    embedding: {{provider: openai, model: e, dimension: 8, secretRef: {{name: openai, key: key}}}}
---
"""
EMBEDDED = f"""{API}
kind: Tool
metadata: {{name: lookup}}
spec:
  type: retrieval
  description: Searches documents.
  retrieval:
    vectorStore: {{type: embedded, collection: docs}}
---
"""
KNOWLEDGE = """  tools: [{name: lookup}]
  knowledge: {sources: [{name: rules, configMap: handbook}]}
"""
VOLUME = (
    "  volumes: [{name: docs, mountPath: /var/lib/fleetform-knowledge, claim: {size: 1Gi%s}}]\n"
)


def rendered(folder, text, environment=ENVIRONMENT, target="manifests"):
    files = {"agents/a.yaml": text, "environments/prod.yaml": environment}
    outcome = fleetform("render", "--target", target, cwd=write(folder, files))
    assert outcome.code == 0, outcome.err
    root = folder / "rendered/prod"
    return [item for file in sorted(root.rglob("*.yaml")) for item in read_yaml(file.read_text())]


def job(folder, text, environment=ENVIRONMENT):
    (found,) = [item for item in rendered(folder, text, environment) if item["kind"] == "Job"]
    return found, found["spec"]["template"]["spec"]


def test_it_has_the_secrets_of_the_search_and_no_others(tmp_path):
    own = "  env: [{name: A, value: b}, {name: T, valueFrom: {secretKeyRef: {name: t, key: t}}}]\n"
    keyed = AGENT.replace("endpoint:", "apiKeySecretRef: {name: model, key: key}, endpoint:")
    _, pod = job(tmp_path, TOOL + keyed + own + KNOWLEDGE)
    (secrets,) = [item for item in pod["volumes"] if item["name"] == "secrets"]
    named = [source["secret"]["name"] for source in secrets["projected"]["sources"]]
    assert named == ["db", "openai"]
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "b"}]
    assert pod["automountServiceAccountToken"] is False


def test_nobody_reaches_it_and_it_reaches_the_store_and_the_embedding_alone(tmp_path):
    objects = rendered(tmp_path, TOOL + AGENT + KNOWLEDGE)
    (policy,) = [
        item
        for item in objects
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "helper-knowledge"
    ]
    assert "ingress" not in policy["spec"]
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 5432}


def test_it_is_made_anew_when_anything_of_it_changes_and_not_when_the_agent_does(tmp_path):
    text = TOOL + AGENT + KNOWLEDGE
    first = job(tmp_path, text)[0]["metadata"]["name"]
    assert first.startswith("helper-knowledge-")
    assert job(tmp_path, text.replace("You help", "You hinder"))[0]["metadata"]["name"] == first
    assert job(tmp_path, text.replace("qwen3", "qwen4"))[0]["metadata"]["name"] == first
    others = (
        text.replace("handbook", "rules-of-2026"),
        text.replace("sources:", "prune: true, sources:"),
        text.replace("dimension: 8", "dimension: 9"),
        text.replace("db.example", "other.example"),
    )
    names = {job(tmp_path, other)[0]["metadata"]["name"] for other in others}
    newer = ENVIRONMENT.replace("1.0.0", "1.0.1")
    names.add(job(tmp_path, text, newer)[0]["metadata"]["name"])
    assert len(names | {first}) == len(others) + 2


def test_on_a_claim_of_one_node_it_goes_where_the_agent_is(tmp_path):
    _, pod = job(tmp_path, EMBEDDED + AGENT + VOLUME % "" + KNOWLEDGE)
    (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "helper"
    claims = [item for item in rendered(tmp_path, EMBEDDED + AGENT + VOLUME % "" + KNOWLEDGE)
              if item["kind"] == "PersistentVolumeClaim"]  # fmt: skip
    assert [item["spec"]["accessModes"] for item in claims] == [["ReadWriteOnce"]]


def test_on_a_shared_claim_it_runs_anywhere(tmp_path):
    shared = VOLUME % ", accessMode: ReadWriteMany"
    _, pod = job(tmp_path, EMBEDDED + AGENT + shared + KNOWLEDGE)
    assert "affinity" not in pod


def test_it_runs_where_the_agent_may_and_has_nothing_else_of_its_pods(tmp_path):
    template = """  podTemplate:
    labels: {tier: front}
    annotations: {example.com/a: b}
    nodeSelector: {disk: fast}
    sidecars: [{name: side, image: {repository: example/side, tag: "1"}}]
"""
    found, pod = job(tmp_path, TOOL + AGENT + template + KNOWLEDGE)
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert len(pod["containers"]) == 1
    assert "tier" not in found["spec"]["template"]["metadata"]["labels"]
    assert "annotations" not in found["spec"]["template"]["metadata"]


def test_patches_of_the_spec_are_for_the_agent_alone(tmp_path):
    patch = """  objectPatches:
    - target: {kind: NetworkPolicy}
      merge: {metadata: {labels: {example.com/a: b}}}
"""
    patch = patch.replace("NetworkPolicy", "Deployment")
    objects = rendered(tmp_path, TOOL + AGENT + patch + KNOWLEDGE)
    with_label = [item["kind"] for item in objects
                  if "example.com/a" in item.get("metadata", {}).get("labels", {})]  # fmt: skip
    assert with_label == ["Deployment"]


@pytest.mark.parametrize("prune", [True, False])
def test_what_it_runs_is_a_command_of_the_runtime(prune, tmp_path):
    text = TOOL + AGENT + KNOWLEDGE.replace("sources:", f"prune: {json.dumps(prune)}, sources:")
    _, pod = job(tmp_path, text)
    options = _parser().parse_args(pod["containers"][0]["args"])
    assert (options.command, options.tool, options.prune) == ("ingest", "lookup", prune)
    mounts = {item["mountPath"] for item in pod["containers"][0]["volumeMounts"]}
    assert f"{options.paths[0]}/rules" in mounts


def test_what_is_rendered_takes_the_documents_of_a_config_map_in(tmp_path, capsys):
    """With the folders of the pod on this machine, and a ConfigMap as the kubelet mounts one."""
    objects = rendered(tmp_path / "fleet", EMBEDDED + AGENT + VOLUME % "" + KNOWLEDGE)
    (found,) = [item for item in objects if item["kind"] == "Job"]
    pod = found["spec"]["template"]["spec"]
    named = [item["configMap"]["name"] for item in pod["volumes"] if "configMap" in item]
    (config,) = [item for item in objects if item.get("metadata", {}).get("name") == named[0]]
    folders = {"/etc/fleetform": tmp_path / "config", "/var/lib/fleetform-knowledge": tmp_path}
    folders["/var/lib/fleetform-documents"] = tmp_path / "documents"

    def here(text):
        for folder, own in folders.items():
            text = text.replace(folder, str(own))
        return text

    write(tmp_path / "config", {name: here(text) for name, text in config["data"].items()})
    rules = write(tmp_path / "documents/rules", {"..2026/refunds.md": "# Refunds\n\nFive days.\n"})
    (rules / "..data").symlink_to("..2026")
    (rules / "refunds.md").symlink_to("..data/refunds.md")
    args = [here(word) for word in pod["containers"][0]["args"]]
    assert [main(args), main(args)] == [0, 0]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("docs: 1 added")
    assert lines[-1].startswith("docs: 0 added, 0 changed, 1 unchanged")


def test_flux_waits_until_it_has_started_and_not_for_its_end(tmp_path):
    files = {"agents/a.yaml": TOOL + AGENT + KNOWLEDGE, "environments/prod.yaml": ENVIRONMENT}
    outcome = fleetform("render", "--target", "flux", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "flux/prod/kustomizations.yaml").read_text()
    (kustomization,) = [item for item in read_yaml(text) if item["kind"] == "Kustomization"]
    found = {item["kind"]: item["current"] for item in kustomization["spec"]["healthCheckExprs"]}
    assert found == {"Job": "has(status.startTime)"}


def test_a_release_of_flux_waits_for_no_end_either(tmp_path):
    environment = ENVIRONMENT + "  gitops: {tool: flux, way: helm}\n"
    files = {"agents/a.yaml": TOOL + AGENT + KNOWLEDGE, "environments/prod.yaml": environment}
    outcome = fleetform("render", "--target", "flux", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    releases = tmp_path / "flux/prod/releases/default"
    (found,) = read_yaml((releases / "helper-knowledge.yaml").read_text())
    (agent,) = read_yaml((releases / "helper.yaml").read_text())
    for part in ("install", "upgrade", "rollback"):
        assert found["spec"][part]["disableWaitForJobs"] is True
        assert "disableWaitForJobs" not in agent["spec"].get(part, {})


@pytest.mark.parametrize("schedule", ["", "0 3 * * *"])
def test_compose_has_it_as_a_service_that_is_started_by_hand(tmp_path, schedule):
    text = (
        KNOWLEDGE.replace("sources:", f'schedule: "{schedule}", sources:')
        if schedule
        else KNOWLEDGE
    )
    files = {
        "agents/a.yaml": EMBEDDED + AGENT + VOLUME % "" + text,
        "environments/prod.yaml": ENVIRONMENT,
    }
    outcome = fleetform("render", "--target", "compose", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    assert "docker compose run --rm helper-knowledge.default" in outcome.err
    assert ("warning: spec.knowledge: Compose has no schedules" in outcome.err) == bool(schedule)
    (found,) = read_yaml((tmp_path / "compose/prod/compose.yaml").read_text())
    agent, job = (found["services"][f"{name}.default"] for name in ("helper", "helper-knowledge"))
    assert (job["profiles"], job["restart"]) == (["jobs"], "no")
    assert not {"ports", "healthcheck"} & {*job}
    assert "profiles" not in agent
    mounts = {item["target"]: item for item in job["volumes"]}
    documents = mounts["/var/lib/fleetform-documents/rules"]
    assert documents["source"] == "./documents/default/handbook"
    assert documents["read_only"]
    assert documents["bind"] == {"create_host_path": False}
    (kept,) = [item for item in agent["volumes"] if item["type"] == "volume"]
    assert mounts["/var/lib/fleetform-knowledge"]["source"] == kept["source"]


def test_by_a_schedule_it_runs_the_same_again(tmp_path):
    text = TOOL + AGENT + KNOWLEDGE.replace("sources:", 'schedule: "0 3 * * *", sources:')
    objects = {item["kind"]: item for item in rendered(tmp_path, text)}
    found = objects["CronJob"]
    assert found["metadata"]["name"] == objects["Job"]["metadata"]["name"]
    assert found["spec"]["jobTemplate"]["spec"] == objects["Job"]["spec"]
    assert (found["spec"]["schedule"], found["spec"]["timeZone"]) == ("0 3 * * *", "Etc/UTC")
    assert found["spec"]["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize("length", [33, 34, 53])
def test_its_name_leaves_room_for_what_a_cluster_appends(length, tmp_path):
    name = "a" * length
    text = TOOL + AGENT.replace("helper", name)
    text += KNOWLEDGE.replace("sources:", 'schedule: "@daily", sources:')
    objects = {item["kind"]: item for item in rendered(tmp_path, text)}
    assert len(objects["CronJob"]["metadata"]["name"]) <= 52


@pytest.mark.parametrize(
    "text",
    ["0 3 * * *", "*/5 8-18 1,15 jan-MAR mon-fri", "0 0 31 12 0", "5/10 ? * * ?", "@daily"],
)
def test_a_schedule_is_what_kubernetes_takes(text):
    assert cron.fault(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "@every 5m", "@reboot", "0 3 * *", "0 3 * * * *", "0  3 * * *", " 0 3 * * *"),
        *("60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 7", "5-1 * * * *"),
        *("*/0 * * * *", "a * * * *", "0 0 * foo *", "TZ=UTC 0 3 * *", "0 0 L * *", "-1 * * * *"),
    ],
)
def test_what_is_no_schedule_is_refused(text):
    assert cron.fault(text)


def test_a_store_of_the_fleet_admits_it_with_its_agent(tmp_path):
    store = f"""---
{API}
kind: MemoryStore
metadata: {{name: vectors}}
spec:
  type: postgres
  postgres: {{passwordSecretRef: {{name: db, key: password}}}}
  provision: {{}}
"""
    objects = rendered(tmp_path, TOOL.replace("db.example", "vectors") + AGENT + KNOWLEDGE + store)
    (policy,) = [
        item
        for item in objects
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "vectors"
    ]
    callers = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
    }
    assert callers == {"helper", "helper-knowledge"}
