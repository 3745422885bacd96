"""Workflows become objects: a Deployment that serves, a Job per run, a CronJob, and the ways between them and the agents."""

import json

import pytest

from tests.fleet import API, fleetform, read_yaml, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [prometheus-operator]
"""
AGENTS = "".join(
    f"""---
{API}
kind: Agent
metadata: {{name: {name}}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example"}}
  auth: {{type: apiKey, apiKey: {{keys: [{{name: flow, secretRef: {{name: keys, key: {name}}}}}]}}}}
  memory: {{store: kept}}
"""
    for name in ("writer", "reader")
)
STORE = f"""---
{API}
kind: MemoryStore
metadata: {{name: kept}}
spec:
  type: postgres
  postgres:
    host: db.example
    database: runs
    username: runs
    passwordSecretRef: {{name: db, key: password}}
    tls: {{enabled: true}}
"""
WORKFLOW = f"""{API}
kind: Workflow
metadata: {{name: report}}
spec:
  input: [{{name: topic, type: string, default: AI}}]
  steps:
    - {{name: read, agent: reader, input: {{topic: "{{{{ .input.topic }}}}"}}, output: [{{name: x, path: .result}}]}}
    - {{name: write, agent: writer, dependsOn: [read], retries: 1, timeout: 2m}}
  output: {{x: "{{{{ .steps.read.output.x }}}}"}}
  errorHandling: {{onStepFailure: retry, maxRetries: 3}}
"""
SERVE = "  serve: {auth: {type: apiKey, apiKey: {keys: [{name: ci, secretRef: {name: keys, key: ci}}]}}, replicas: 2}\n"
SCHEDULE = '  schedule: {cron: "0 6 * * 1", timeZone: Europe/Berlin, input: {topic: weekly}}\n'
RUN = f"""---
{API}
kind: WorkflowRun
metadata: {{name: first}}
spec: {{workflowRef: {{name: report}}, input: {{topic: now}}}}
"""


def rendered(folder, text, environment=ENVIRONMENT, *options):
    files = {"agents/a.yaml": text, "environments/prod.yaml": environment}
    outcome = fleetform("render", *options, cwd=write(folder, files))
    assert outcome.code == 0, outcome.err
    root = folder / "rendered/prod"
    found = [item for file in sorted(root.rglob("*.yaml")) for item in read_yaml(file.read_text())]
    return [item for item in found if "metadata" in item]


def of(objects, kind, name=None):
    found = [item for item in objects if item["kind"] == kind]
    named = [item for item in found if name is None or item["metadata"]["name"].startswith(name)]
    (one,) = named
    return one


def settings(objects, name):
    data = of(objects, "ConfigMap", f"{name}-config")["data"]
    return json.loads(data["workflow.json"]), data


def test_a_workflow_alone_is_nothing_but_a_description(tmp_path):
    objects = rendered(tmp_path, WORKFLOW + AGENTS + STORE)
    assert not [item for item in objects if "report" in item["metadata"]["name"]]


def test_an_api_is_served_by_pods_that_execute_runs(tmp_path):
    objects = rendered(tmp_path, WORKFLOW + SERVE + AGENTS + STORE)
    deployment = of(objects, "Deployment", "report")
    assert deployment["spec"]["replicas"] == 2
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["workflow", "serve", "--config", "/etc/fleetform/workflow.json"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert [port["port"] for port in of(objects, "Service", "report")["spec"]["ports"]] == [
        8080,
        9090,
    ]
    assert of(objects, "ServiceMonitor", "report")
    assert of(objects, "ServiceAccount", "report")["automountServiceAccountToken"] is False
    document, _ = settings(objects, "report")
    assert document["auth"]["type"] == "apiKey"
    assert document["memory"] == {
        "type": "postgres", "host": "db.example", "port": 5432, "database": "runs", "username": "runs", "tls": {},
        "password": {"file": "/var/run/secrets/fleetform/db/password"},
    }  # fmt: skip
    assert [agent["url"] for agent in document["agents"]] == [
        f"http://{name}.default.svc.cluster.local:8080/a2a" for name in ("reader", "writer")
    ]
    keys = [agent["auth"]["token"]["file"].rpartition("/")[2] for agent in document["agents"]]
    assert keys == ["reader", "writer"]
    read, wrote = document["definition"]["steps"]
    assert (read["retries"], wrote["retries"], wrote["timeoutSeconds"]) == (3, 1, 120)


@pytest.mark.parametrize(("more", "server"), [("", {"ui": True}), (", ui: false", {})])
def test_who_serves_a_workflow_has_a_page_unless_it_says_otherwise(tmp_path, more, server):
    """A run of the same workflow as a Job serves nothing, and is not made anew for that."""
    serve = SERVE.replace("replicas: 2", f"replicas: 2{more}")
    assert (serve == SERVE) is (not more)
    objects = rendered(tmp_path, WORKFLOW + serve + AGENTS + STORE + RUN)
    ports = {"port": 8080, "metricsPort": 9090}
    assert settings(objects, "report")[0]["server"] == ports | server
    assert settings(objects, "first")[0]["server"] == ports


def test_a_run_is_a_job_that_may_be_made_again_without_a_call(tmp_path):
    objects = rendered(tmp_path, WORKFLOW + AGENTS + STORE + RUN)
    job = of(objects, "Job", "first-")
    spec = job["spec"]
    assert spec["template"]["metadata"]["labels"]["workflow-run"] == "first"
    args = spec["template"]["spec"]["containers"][0]["args"]
    assert args[:6] == [
        "workflow",
        "run",
        "--config",
        "/etc/fleetform/workflow.json",
        "--name",
        "first",
    ]
    assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [1, 2]
    assert "ttlSecondsAfterFinished" not in spec
    _, data = settings(objects, "first")
    assert json.loads(data["input.json"]) == {"topic": "now"}
    changed = rendered(
        tmp_path, WORKFLOW + AGENTS + STORE + RUN, ENVIRONMENT.replace("1.0.0", "1.0.1")
    )
    assert of(changed, "Job", "first-")["metadata"]["name"] != job["metadata"]["name"]


def test_a_schedule_is_a_cron_job_whose_runs_have_names_of_their_own(tmp_path):
    objects = rendered(tmp_path, WORKFLOW + SCHEDULE + AGENTS + STORE)
    found = of(objects, "CronJob")
    assert found["metadata"]["name"] == "report-schedule"
    spec = found["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 6 * * 1", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Allow"  # the store decides
    assert not [item for item in objects if item["kind"] == "Job"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert "--name" not in container["args"]
    (variable,) = container["env"]
    assert (
        variable["valueFrom"]["fieldRef"]["fieldPath"]
        == "metadata.labels['batch.kubernetes.io/job-name']"
    )


@pytest.mark.parametrize("caller", ["report", "first", "report-schedule"])
def test_policies_open_the_way_to_the_agents_on_both_sides(tmp_path, caller):
    objects = rendered(tmp_path, WORKFLOW + SERVE + SCHEDULE + AGENTS + STORE + RUN)
    (own,) = [
        o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == caller
    ]
    called = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for rule in own["spec"]["egress"]
        for peer in rule["to"]
        if "app.kubernetes.io/name" in peer.get("podSelector", {}).get("matchLabels", {})
    }
    assert called == {"writer", "reader"}
    for agent in called:
        policy = of(objects, "NetworkPolicy", agent)
        admitted = {
            peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
            for rule in policy["spec"]["ingress"]
            for peer in rule["from"]
        }
        assert caller in admitted


def test_who_is_told_of_failures_is_reached_and_its_url_stays_secret(tmp_path):
    channel = "{type: slack, webhook: {secretRef: {name: hook, key: url}}}"
    text = WORKFLOW.replace(
        "maxRetries: 3}",
        f"maxRetries: 3, onWorkflowFailure: notify, notificationChannel: {channel}}}",
    )
    objects = rendered(tmp_path, text + AGENTS + STORE + RUN)
    document, _ = settings(objects, "first")
    assert document["notification"] == {
        "type": "slack",
        "url": {"file": "/var/run/secrets/fleetform/hook/url"},
    }
    assert document["definition"]["notify"] is True
    policy = of(objects, "NetworkPolicy", "first")
    assert any("ipBlock" in peer for rule in policy["spec"]["egress"] for peer in rule["to"])


def test_a_step_may_sign_in_in_its_own_way(tmp_path):
    text = WORKFLOW.replace(
        "retries: 1,",
        "retries: 1, authentication: {type: header, header: X-Key, secretRef: {name: own, key: k}},",
    )
    document, _ = settings(rendered(tmp_path, text + AGENTS + STORE + RUN), "first")
    assert [agent["name"] for agent in document["agents"]] == ["reader", "write"]
    assert document["agents"][1]["auth"]["type"] == "header"
    assert document["definition"]["steps"][1]["agent"] == "write"


def test_who_has_begun_a_run_is_named_to_an_agent_whose_key_is_a_gateways(tmp_path):
    gateway = AGENTS.replace("name: flow,", "name: flow, onBehalf: true,", 1)
    document, _ = settings(rendered(tmp_path, WORKFLOW + gateway + STORE + RUN), "first")
    assert [agent.get("onBehalf", False) for agent in document["agents"]] == [False, True]
    own = "authentication: {type: bearer, secretRef: {name: own, key: k}}"
    text = WORKFLOW.replace("retries: 1,", f"retries: 1, {own},")
    document, _ = settings(rendered(tmp_path / "own", text + gateway + STORE + RUN), "first")
    assert not any("onBehalf" in agent for agent in document["agents"])


def test_what_a_step_signs_in_with_is_sent_by_no_other_step(tmp_path):
    """Not even if it has the name of an agent that other steps ask."""
    signs = "authentication: {type: header, header: X-Key, secretRef: {name: own, key: k}}"
    text = WORKFLOW.replace("retries: 1,", f"retries: 1, {signs},").replace(
        "name: write,", "name: reader,"
    )
    document, _ = settings(rendered(tmp_path, text + AGENTS + STORE + RUN), "first")
    agents = {agent["name"]: agent for agent in document["agents"]}
    first, second = document["definition"]["steps"]
    assert (first["agent"], second["agent"]) == ("reader", "reader-2")
    assert "reader" in agents["reader"]["url"]
    assert agents["reader"]["auth"]["type"] == "bearer"
    assert "writer" in agents["reader-2"]["url"]
    assert agents["reader-2"]["auth"]["type"] == "header"


PLACED = """  env:
    - {name: HTTPS_PROXY, value: "http://proxy.example:3128"}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: extra, key: token}}}
  podTemplate:
    annotations: {sidecar.istio.io/inject: "false"}
    nodeSelector: {pool: batch}
    tolerations: [{key: batch, value: "yes", effect: NoSchedule}]
    priorityClassName: low
  network: {allowTo: [{host: audit.example, ports: [8443]}]}
"""


@pytest.mark.parametrize(
    ("more", "kind", "name"),
    [
        (SERVE, "Deployment", "report"),
        (SCHEDULE, "CronJob", "report-schedule"),
        (RUN, "Job", None),
    ],
)
def test_pods_of_a_workflow_are_placed_and_reach_what_it_says(tmp_path, more, kind, name):
    text = WORKFLOW + PLACED + (more + AGENTS + STORE if more is not RUN else AGENTS + STORE + RUN)
    objects = rendered(tmp_path, text, f"{ENVIRONMENT}  priorityClasses: [low]\n")
    spec = of(objects, kind, name)["spec"]
    template = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    pod = template["spec"]
    assert (pod["nodeSelector"], pod["priorityClassName"]) == ({"pool": "batch"}, "low")
    assert pod["tolerations"] == [{"key": "batch", "value": "yes", "effect": "NoSchedule"}]
    variables = {item["name"]: item for item in pod["containers"][0]["env"]}
    assert variables["HTTPS_PROXY"]["value"] == "http://proxy.example:3128"
    assert variables["TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "extra", "key": "token"}
    assert ("WORKFLOW_RUN" in variables) == (kind == "CronJob")
    egress = of(objects, "NetworkPolicy", name or "first")["spec"]["egress"]
    ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert {3128, 8443} <= ports
    agent = of(objects, "Deployment", "writer")["spec"]["template"]
    assert "nodeSelector" not in agent["spec"]


def test_compose_starts_runs_by_hand(tmp_path):
    text = WORKFLOW + SERVE + SCHEDULE + AGENTS + STORE + RUN
    files = {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT}
    outcome = fleetform("render", "--target", "compose", cwd=write(tmp_path, files))
    assert outcome.code == 0, outcome.err
    (found,) = read_yaml((tmp_path / "compose/prod/compose.yaml").read_text())
    services = found["services"]
    assert services["first.default"]["profiles"] == ["jobs"]
    assert "profiles" not in services["report.default"]
    assert "warning: spec.schedule: Compose has no schedules" in outcome.err
