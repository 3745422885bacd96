"""The collector of an environment: a workload like others, to which all traces go, and what is wrong with one."""

import json

import pytest

from tests.fleet import API, fleetform, read_yaml, write

AGENTS = f"""{API}
kind: Agent
metadata: {{name: shop, namespace: shop}}
spec:
  systemPrompt: hi
  model: {{provider: openai, name: gpt-4o, apiKeySecretRef: {{name: o, key: k}}}}
  auth: {{type: none}}
  observability: {{tracing: {{enabled: true}}}}
---
{API}
kind: Agent
metadata: {{name: quiet, namespace: shop}}
spec:
  systemPrompt: hi
  model: {{provider: openai, name: gpt-4o, apiKeySecretRef: {{name: o, key: k}}}}
  auth: {{type: none}}
"""
EXPORTERS = """
      - {name: tempo, endpoint: "http://tempo.observability.svc:4318", headers: {X-Scope-OrgID: a$b}}
      - {name: saas, endpoint: "https://otlp.acme.example/api", secretHeaders: {Authorization: {name: backend, key: basic}}}
      - {name: inner, protocol: grpc, endpoint: "https://otlp.acme.example:4317", caSecretRef: {name: corp, key: ca.crt}}
"""


def environment(collector: str = f"exporters: {EXPORTERS}", more: str = "", targets="manifests"):
    return f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [prometheus-operator]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  targets: [{targets}]
  namespaces: {{suffix: -x}}
  network: {{services: {{tempo.observability.svc: 14318}}}}
  monitoring:
    {more}
    collector:
      {collector}
"""


def rendered(folder, environment_text: str, agents: str = AGENTS):
    """Return all objects by kind and name."""
    write(folder, {"agents/a.yaml": agents, "environments/prod.yaml": environment_text})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    files = (folder / "rendered").rglob("*.yaml")
    found = [item for file in files for item in read_yaml(file.read_text("utf-8"))]
    return {(item["kind"], item["metadata"]["name"]): item for item in found if "metadata" in item}


def said(folder, environment_text: str, agents: str = AGENTS) -> str:
    write(folder, {"agents/a.yaml": agents, "environments/prod.yaml": environment_text})
    return fleetform("validate", "agents", "--env", "prod", cwd=folder).err


def config(objects, start="otel-collector-config-"):
    ((_, found),) = [
        (key, item)
        for key, item in objects.items()
        if key[0] == "ConfigMap" and key[1].startswith(start)
    ]
    return json.loads(next(text for name, text in found["data"].items() if name.endswith(".json")))


def test_traces_go_to_it_and_policies_are_open_in_both_directions_for_those_who_send_some(tmp_path):
    objects = rendered(tmp_path, environment())
    sent = config(objects, "shop-config-")["observability"]["tracing"]["endpoint"]
    assert sent == "http://otel-collector.telemetry-x.svc.cluster.local:4318"
    text = json.dumps(objects["NetworkPolicy", "shop"]["spec"]["egress"])
    assert '"app.kubernetes.io/name": "otel-collector"' in text
    assert "otel-collector" not in json.dumps(objects["NetworkPolicy", "quiet"]["spec"])
    policy = objects["NetworkPolicy", "otel-collector"]["spec"]
    ports = {
        rule["ports"][0]["port"]: rule["from"][0].get("podSelector", {}).get("matchLabels", {})
        for rule in policy["ingress"]
    }
    assert ports.keys() == {4318, 8888}
    assert ports[4318]["app.kubernetes.io/name"] == "shop"
    assert {rule["ports"][0]["port"] for rule in policy["egress"]} == {53, 443, 4317, 14318}


def test_it_is_configured_to_refuse_before_it_is_killed_and_has_no_secret_in_its_configuration(
    tmp_path,
):
    objects = rendered(tmp_path, environment())
    found = config(objects)
    assert found["service"]["pipelines"]["traces"]["processors"] == ["memory_limiter", "batch"]
    assert found["exporters"] == {
        "otlp_http/tempo": {
            "endpoint": "http://tempo.observability.svc.cluster.local:4318",
            "headers": {"X-Scope-OrgID": "a$$b"},
            "sending_queue": {"queue_size": 2000},
        },
        "otlp_http/saas": {
            "endpoint": "https://otlp.acme.example/api",
            "headers": {"Authorization": "${env:EXPORTER_1_HEADER_0}"},
            "sending_queue": {"queue_size": 2000},
        },
        "otlp_grpc/inner": {
            "endpoint": "https://otlp.acme.example:4317",
            "tls": {"ca_file": "/var/run/secrets/fleetform/corp/ca.crt"},
            "sending_queue": {"queue_size": 2000},
        },
    }
    pod = objects["Deployment", "otel-collector"]["spec"]["template"]["spec"]
    env = {item["name"]: item for item in pod["containers"][0]["env"]}
    assert env["EXPORTER_1_HEADER_0"]["valueFrom"]["secretKeyRef"] == {
        "name": "backend",
        "key": "basic",
    }
    assert env["GOMEMLIMIT"]["value"] == "409MiB"
    assert objects["Deployment", "otel-collector"]["spec"]["replicas"] == 2
    assert ("PodDisruptionBudget", "otel-collector") in objects
    assert ("ServiceMonitor", "otel-collector") in objects


def test_its_secrets_come_from_the_store_into_its_own_namespace(tmp_path):
    store = "{aws: {region: eu-west-1}, identity: {awsRoleArn: 'arn:aws:iam::123456789012:role/{namespace}'}}"
    text = environment().replace(
        "[prometheus-operator]",
        f"[prometheus-operator, external-secrets]\n  secrets: {{provider: aws, store: {store}}}",
    )
    objects = rendered(tmp_path, text)
    for name in ("backend", "corp"):
        assert objects["ExternalSecret", name]["metadata"]["namespace"] == "telemetry-x"


def test_alerts_about_it_are_in_its_namespace_alone_and_only_where_it_is_scraped(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": environment()})
    assert fleetform("render", "--env", "prod", cwd=tmp_path).code == 0
    rules = {
        file.parts[-3]: file.read_text("utf-8")
        for file in tmp_path.rglob("fleetform-alerts.prometheusrule.yaml")
    }
    assert "CollectorSpansLost" in rules["telemetry-x"]
    assert 'namespace="telemetry-x"' in rules["telemetry-x"]
    assert "AgentHighErrorRate" not in rules["telemetry-x"]
    assert "Collector" not in rules["shop-x"]


def test_no_release_waits_for_it(tmp_path):
    more = "  helm: {charts: 'oci://ghcr.io/acme/charts', version: 1.0.0}\n"
    gitops = "  gitops: {way: helm, source: {url: 'https://git.example/f.git', branch: main}}\n"
    text = environment(targets="manifests, helm, flux") + more + gitops
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": text})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    flux = "---\n".join(file.read_text("utf-8") for file in (tmp_path / "flux").rglob("*.yaml"))
    releases = [item for item in read_yaml(flux) if item and item.get("kind") == "HelmRelease"]
    waits = {
        (item["metadata"]["namespace"], item["spec"]["releaseName"]): {
            one["name"] for one in item["spec"].get("dependsOn", ())
        }
        for item in releases
    }
    assert ("telemetry-x", "otel-collector") in waits
    assert not any("otel-collector" in name for name in waits["shop-x", "shop"])


def test_compose_runs_it_with_a_file_of_secrets_and_no_check_that_its_image_cannot_answer(tmp_path):
    collector = """exporters:
      - {name: saas, endpoint: "https://otlp.acme.example/api", secretHeaders: {Authorization: {name: backend, key: basic}}}
"""
    text = environment(collector, targets="compose").replace(
        "  network: {services: {tempo.observability.svc: 14318}}\n", ""
    )
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": text})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    (file,) = tmp_path.rglob("compose.yaml")
    (found,) = read_yaml(file.read_text("utf-8"))
    service = found["services"]["otel-collector.telemetry-x"]
    assert "healthcheck" not in service
    assert service["env_file"]
    assert {*found["services"]["shop.shop-x"]["networks"]} & {*service["networks"]}
    (sent,) = tmp_path.rglob("shop.shop-x-*/agent.json")
    assert '"http://otel-collector.telemetry-x:4318"' in sent.read_text("utf-8")


WRONG = {
    "exporters: []": "spec.monitoring.collector.exporters: ",
    "replicas: 2": "`exporters` is missing",
    "exporters: [{name: a, endpoint: 'http://otel-collector.telemetry-x.svc:4318'}]": "would send traces to itself",
    "exporters: [{name: a, endpoint: 'http://otel-collector:4318'}]": "would send traces to itself",
    "exporters: [{name: a, endpoint: 'https://b.example.org'}, {name: a, endpoint: 'https://c.example.org'}]": "two exporters are called `a`",
    "exporters: [{name: a, protocol: grpc, endpoint: 'https://b.example.org/otlp'}]": "OTLP over gRPC has no path",
    "exporters: [{name: a, endpoint: 'http://localhost:4318'}]": "would send traces to itself",
    "exporters: [{name: a, endpoint: 'http://[::1]:4317', protocol: grpc}]": "would send traces to itself",
    "exporters: [{name: a, endpoint: 'http://127.0.0.1:9'}]": "where nothing listens on port 9",
    "exporters: [{name: a, endpoint: 'https://b.example.org/x?y=z'}]": "behind the query",
    "exporters: [{name: a, endpoint: 'https://b.example.org/v1/traces'}]": "`/v1/traces` is added by the collector",
    "exporters: [{name: a, endpoint: 'https://b.example.org:99999'}]": "no usable host or port",
    "exporters: [{name: a, endpoint: 'http://169.254.169.254'}]": "is a cloud metadata server",
    "exporters: [{name: a, endpoint: 'http://b.example.org', caSecretRef: {name: c, key: k}}]": "there is no TLS over `http`",
    "exporters: [{name: a, endpoint: 'http://b.example.org', secretHeaders: {Authorization: {name: c, key: k}}}]": "an API key would go to `b.example.org`, outside of the cluster, without encryption",
    "exporters: [{name: a, endpoint: 'https://b.example.org', headers: {x-a: b}, secretHeaders: {X-A: {name: c, key: k}}}]": "is there as `x-a` already",
    "exporters: [{name: a, endpoint: 'https://b.example.org', headers: {Authorization: Bearer abcdefghijklmn0123}}]": "in plain text",
    "{exporters: [{name: a, endpoint: 'https://b.example.org'}], namespace: kube-system, replicas: 0}": "replicas",
    "{exporters: [{name: a, endpoint: 'https://b.example.org'}], image: {repository: otel/collector}}": "has neither a tag nor a digest",
}


@pytest.mark.parametrize(("collector", "words"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_told_where_it_stands(tmp_path, collector, words):
    text = said(tmp_path, environment(collector))
    assert words in text
    assert "environments/prod.yaml:" in text


def test_two_ways_for_traces_contradict_each_other_and_null_takes_one_back(tmp_path):
    both = environment(more='otlpEndpoint: "http://c.observability.svc:4318"')
    assert "traces go to `otlpEndpoint`, and pass the `collector`" in said(tmp_path / "both", both)
    base = both.replace("name: prod", "name: base").replace(
        "spec:\n", "spec:\n  abstract: true\n", 1
    )
    child = f"{API}\nkind: Environment\nmetadata: {{name: prod}}\nspec: {{extends: base, monitoring: {{otlpEndpoint: null}}}}\n"
    write(tmp_path, {"environments/base.yaml": base})
    assert "error" not in said(tmp_path, child)
    without = child.replace("otlpEndpoint: null", "collector: null")
    assert "error" not in said(tmp_path, without)


def test_traces_to_langfuse_are_not_sent_to_a_path_that_it_does_not_have(tmp_path):
    agents = AGENTS.replace("{enabled: true}", "{enabled: true, provider: langfuse}")
    text = said(tmp_path, environment(), agents)
    assert "the collector takes plain OTLP" in text


def test_a_spec_of_the_same_name_is_another_workload_only_elsewhere(tmp_path):
    other = AGENTS.replace("name: quiet, namespace: shop", "name: otel-collector, namespace: SPACE")
    there = said(tmp_path / "there", environment(), other.replace("SPACE", "telemetry"))
    assert "the collector and the Agent `otel-collector` (agents/a.yaml) would be the same" in there
    assert "would be the same" not in said(tmp_path, environment(), other.replace("SPACE", "shop"))


def test_a_collector_that_nobody_sends_to_is_noted_and_one_that_a_spec_names_is_not(tmp_path):
    quiet = AGENTS.replace("observability: {tracing: {enabled: true}}", "")
    words = "`collector` has no effect: no workload with tracing sends its traces to it"
    assert words in said(tmp_path / "quiet", environment(), quiet)
    url = "http://otel-collector.telemetry.svc:4317"
    named = AGENTS.replace("{enabled: true}", f"{{enabled: true, endpoint: '{url}'}}")
    assert words not in said(tmp_path, environment(), named)
    objects = rendered(tmp_path, environment(), named)
    ports = {
        rule["ports"][0]["port"]
        for rule in objects["NetworkPolicy", "otel-collector"]["spec"]["ingress"]
    }
    assert ports == {4317, 8888}


def test_a_port_of_this_machine_is_for_one_of_it_and_the_hint_names_its_field(tmp_path):
    exporters = "[{name: a, endpoint: 'https://b.example.org'}]"
    text = environment(f"{{exporters: {exporters}}}", targets="compose")
    text += "  compose: {ports: {telemetry/otel-collector: 4318}}\n"
    assert "set `monitoring.collector.replicas` to 1" in said(tmp_path / "two", text)
    one = text.replace(f"{{exporters: {exporters}}}", f"{{replicas: 1, exporters: {exporters}}}")
    write(tmp_path, {"agents/a.yaml": AGENTS, "environments/prod.yaml": one})
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    (file,) = tmp_path.rglob("compose.yaml")
    (found,) = read_yaml(file.read_text("utf-8"))
    (port,) = found["services"]["otel-collector.telemetry-x"]["ports"]
    assert (port["target"], str(port["published"]), port["host_ip"]) == (4318, "4318", "127.0.0.1")
