"""A fleet for Compose: what is written, what it cannot do, and what changes when something changes."""

import pytest
import yaml

from fleetform.platforms.compose.containers import processors, size
from tests.fleet import AGENT, API, ENVIRONMENT, GOOD, fleetform, write

OWN = f"""{API}
kind: Agent
metadata: {{name: own}}
spec:
  container: {{image: {{repository: example/own, tag: "1"}}, ports: [{{name: http, containerPort: 8000}}]}}
"""
STORE = f"""{API}
kind: MemoryStore
metadata: {{name: cache}}
spec:
  type: redis
  redis: {{auth: {{secretRef: {{name: redis, key: password}}}}}}
  provision: {{}}
"""


def compose(folder, *more: str, environment: str = ENVIRONMENT):
    """Render documents for Compose; return compose.yaml as data, and what was said."""
    files = {**GOOD, "environments/prod.yaml": environment}
    if more:
        files["agents/b.yaml"] = "---\n".join(more)
    outcome = fleetform("render", "--target", "compose", cwd=write(folder, files))
    file = folder / "compose/prod/compose.yaml"
    return (
        yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader) if file.is_file() else {}
    ), outcome


def test_an_agent_is_restricted_as_in_a_pod(tmp_path):
    service = compose(tmp_path)[0]["services"]["helper.default"]
    assert service["user"] == "10001:10001"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [{"target": 8080, "host_ip": "127.0.0.1"}]


def test_only_the_service_whose_prompt_changes_is_made_anew(tmp_path):
    before, _ = compose(tmp_path, AGENT.replace("helper", "other"))
    after, _ = compose(tmp_path, AGENT.replace("helper", "other").replace("You help", "You hinder"))
    changed = {
        name for name in after["services"] if after["services"][name] != before["services"][name]
    }
    assert changed == {"other.default"}
    folders = {path.name for path in (tmp_path / "compose/prod/config").iterdir()}
    mounted = {
        item["volumes"][0]["source"].rpartition("/")[2] for item in after["services"].values()
    }
    assert folders == mounted


def test_an_agent_waits_for_its_store_and_speaks_to_it_by_the_name_of_specs(tmp_path):
    agent = AGENT.replace("helper", "keeper") + "  memory: {store: cache}\n"
    found, outcome = compose(tmp_path, agent, STORE)
    assert outcome.code == 0, outcome.err
    keeper, cache = (found["services"][name] for name in ("keeper.default", "cache.default"))
    assert keeper["depends_on"] == {"cache.default": {"condition": "service_healthy"}}
    assert {*cache["networks"]} == {"to.cache.default"} <= {*keeper["networks"]}
    assert found["networks"]["to.cache.default"] == {"internal": True}
    assert cache["command"][-1].endswith('--requirepass "$$REDIS_PASSWORD"')
    assert cache["user"] == "redis"
    (config,) = (tmp_path / "compose/prod/config").glob("keeper.default-*/agent.json")
    assert '"host": "cache.default"' in config.read_text("utf-8")


def test_callers_are_told_the_port_of_the_container_since_no_service_stands_before_it(tmp_path):
    server = f"""{API}
kind: MCPServer
metadata: {{name: files}}
spec:
  container:
    image: {{repository: example/files, tag: "1"}}
    ports: [{{name: mcp, containerPort: 3000, servicePort: 80}}]
"""
    agent = AGENT.replace("helper", "user") + "  tools: [{name: files}]\n"
    _, outcome = compose(tmp_path, agent, server)
    assert outcome.code == 0, outcome.err
    (config,) = (tmp_path / "compose/prod/config").glob("user.default-*/agent.json")
    assert '"url": "http://files.default:3000/mcp"' in config.read_text("utf-8")
    assert "port 80 of `files` is 3000" in outcome.err


def test_ports_of_this_machine_are_those_that_the_environment_names(tmp_path):
    given = ENVIRONMENT + "  compose: {ports: {default/helper: 8081}}\n"
    found, _ = compose(tmp_path, environment=given)
    assert found["services"]["helper.default"]["ports"] == [
        {"target": 8080, "host_ip": "127.0.0.1", "published": "8081"}
    ]


def test_a_volume_that_a_sidecar_shares_is_one_volume(tmp_path):
    agent = OWN + (
        "  volumes: [{name: work, mountPath: /work, emptyDir: 1Gi}, {name: own, mountPath: /own, emptyDir: 64Mi}]\n"
        "  podTemplate:\n"
        "    sidecars:\n"
        "      - name: side\n"
        "        image: {repository: example/side, tag: '1'}\n"
        "        volumeMounts: [{name: work, mountPath: /w, readOnly: true}]\n"
        "    initContainers: [{name: first, image: {repository: example/first, tag: '1'}}]\n"
    )
    found, outcome = compose(tmp_path, agent)
    assert outcome.code == 0, outcome.err
    main, side, first = (
        found["services"][f"own.default{suffix}"] for suffix in ("", ".side", ".first")
    )
    shared = {"type": "volume", "source": "default.own.work"}
    assert {**shared, "target": "/work"} in main["volumes"]
    assert {**shared, "target": "/w", "read_only": True} in side["volumes"]
    assert {"type": "tmpfs", "target": "/own", "tmpfs": {"size": "64m", "mode": 0o1777}} in main[
        "volumes"
    ]
    made = {"type": "tmpfs", "device": "tmpfs", "o": "size=1g,mode=1777"}
    assert found["volumes"] == {"default.own.work": {"driver": "local", "driver_opts": made}}
    assert side["network_mode"] == "service:own.default"
    assert main["depends_on"]["own.default.first"] == {
        "condition": "service_completed_successfully"
    }
    assert first["restart"] == "on-failure"


STDIO = f"""{API}
kind: MCPServer
metadata: {{name: things, namespace: default}}
spec:
  transport: stdio
  container:
    image: {{repository: example/things, tag: "1"}}
    command: [node, index.js]
    workingDir: /app
"""


def test_a_server_over_stdio_shares_its_pipes_with_the_agent_alone(tmp_path):
    found, outcome = compose(
        tmp_path, AGENT.replace("helper", "user") + "  tools: [{name: things}]\n", STDIO
    )
    assert outcome.code == 0, outcome.err
    main, side = (found["services"][f"user.default{name}"] for name in ("", ".mcp-things"))
    pipes = {
        "type": "volume",
        "source": "default.user.mcp-things",
        "target": "/run/fleetform/mcp/things",
    }
    assert pipes in main["volumes"]
    assert {**pipes, "read_only": True} in side["volumes"]
    assert {mount["target"] for mount in side["volumes"]} - {pipes["target"]} == {"/tmp"}
    assert found["volumes"]["default.user.mcp-things"]["driver_opts"]["o"] == "size=1m,mode=1777"
    assert side["entrypoint"][-1] == pipes["target"]
    assert '"$$@" <"$$0/in"' in side["entrypoint"][2]
    assert (side["command"], side["working_dir"]) == (["node", "index.js"], "/app")
    assert side["network_mode"] == "service:user.default"


def test_an_own_image_is_asked_over_http_with_what_most_images_have(tmp_path):
    service = compose(tmp_path, OWN + "  healthCheck: {path: /live}\n")[0]["services"][
        "own.default"
    ]
    kind, command = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "wget" in command
    assert "curl" in command
    assert "http://127.0.0.1:8000/live" in command


REFUSED = {
    "config-map": ("  env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]\n", "there is no ConfigMap `c` in Compose"),
    "field": ("  env: [{name: A, valueFrom: {fieldRef: status.podIP}}]\n", "refers to `status.podIP`"),
    "volume": ("  volumes: [{name: v, mountPath: /v, configMap: c}]\n", "there is no ConfigMap `c` in Compose"),
    "part of a volume": ("  volumes: [{name: v, mountPath: /v, claim: {size: 1Gi}, subPath: a/b}]\n", "Docker does not make the folder `a/b`"),
    "stateful": ("  stateful: true\n  scaling: {minReplicas: 2, maxReplicas: 2}\n", "all 2 instances of `own` would share one volume"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "message"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_start_is_refused(more, message, tmp_path):
    found, outcome = compose(tmp_path, OWN + more)
    assert outcome.code == 1
    assert message in outcome.err
    assert not found


SAID = {
    "keda": (
        "  scaling: {maxReplicas: 3, keda: {triggers: [{type: cron, metadata: {timezone: UTC, start: '0 8 * * *', end: '0 9 * * *', desiredReplicas: '3'}}]}}\n",
        "warning: spec.scaling: Compose has no KEDA: 1 instance of `own` runs",
    ),
    "range": ("  scaling: {minReplicas: 2, maxReplicas: 5}\n", "note: spec.scaling: Compose does not scale: 2 instances of `own` run"),
    "rights": ("  rbac: {rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}\n", "warning: spec.rbac: `own` has no access to a Kubernetes API"),
    "identity": ("  identity: {awsRoleArn: 'arn:aws:iam::123456789012:role/own'}\n", "warning: spec.identity: `own` has no cloud identity"),
    "scheduling": ("  podTemplate: {nodeSelector: {disk: ssd}}\n", "note: spec.podTemplate.nodeSelector: `nodeSelector` has no effect in Compose: it is for the scheduler and the kubelet"),
    "callers": ("  network: {allowFrom: [{namespace: elsewhere}]}\n", "note: spec.network.allowFrom: `allowFrom` has no effect in Compose: only agents of the fleet"),
    "opened": ("  network: {allowTo: [{host: api.example.com}]}\n", "note: spec.network.allowTo: in Compose `allowTo` opens whole networks"),
    "beside": (
        "  podTemplate: {sidecars: [{name: s, image: {repository: example/s, tag: '1'}, ports: [{name: p, containerPort: 9999}]}]}\n",
        "note: spec.podTemplate.sidecars[0].ports: `ports` have no effect in Compose",
    ),
    "elsewhere": ("  network: {allowTo: [{host: db.data.svc}]}\n", "warning: spec.network.allowTo[0]: `db.data` is in a cluster"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "message"), SAID.values(), ids=SAID)
def test_what_compose_cannot_do_is_said(more, message, tmp_path):
    keda = ENVIRONMENT + "  capabilities: [keda]\n"
    found, outcome = compose(tmp_path, OWN + more, environment=keda)
    assert outcome.code == 0, outcome.err
    assert message in outcome.err
    assert "own.default" in found["services"]


def test_a_file_of_a_secret_is_mounted_as_a_file(tmp_path):
    volume = "  volumes: [{name: s, mountPath: /etc/app.conf, secret: conf, subPath: app.conf}]\n"
    service = compose(tmp_path, OWN + volume)[0]["services"]["own.default"]
    assert [(item["source"], item["target"]) for item in service["volumes"]] == [
        ("./secrets/default/conf/app.conf", "/etc/app.conf")
    ]


def test_what_runs_first_reaches_what_the_container_reaches(tmp_path):
    """As in a pod: it waits for the database, or changes its tables."""
    first = "initContainers: [{name: first, image: {repository: example/first, tag: '1'}}]"
    reaching = f"{AGENT.replace('helper', 'keeper')}  memory: {{store: cache}}\n  podTemplate: {{{first}}}\n"
    alone = f"{OWN}  podTemplate: {{{first}}}\n"
    services = compose(tmp_path, reaching, STORE, alone)[0]["services"]
    for name in ("keeper.default", "own.default"):
        for key in ("networks", "network_mode", "extra_hosts"):
            assert services[f"{name}.first"].get(key) == services[name].get(key), (name, key)
    assert "to.cache.default" in services["keeper.default.first"]["networks"]


def test_the_time_to_end_is_that_of_the_spec(tmp_path):
    given = "  podTemplate: {terminationGracePeriodSeconds: 177}\n"
    found, outcome = compose(tmp_path, OWN + given)
    assert found["services"]["own.default"]["stop_grace_period"] == "177s"
    assert "terminationGracePeriodSeconds" not in outcome.err


def test_of_tenants_only_what_compose_has_not_is_said(tmp_path):
    tenants = "  targets: [compose]\n  tenants: {default: {labels: {team: a}, hard: {pods: '9'}}}\n"
    found, outcome = compose(tmp_path, environment=ENVIRONMENT + tenants)
    assert found["services"]["helper.default"]["labels"]["team"] == "a"
    assert "spec.tenants.default.hard: `hard` has no effect in Compose" in outcome.err
    assert "spec.tenants.default.labels" not in outcome.err
    assert "spec.tenants: " not in outcome.err


def test_two_namespaces_do_not_become_one(tmp_path):
    names = "  namespaces: {map: {default: x, team: x}}\n"
    other = AGENT.replace("{name: helper}", "{name: helper, namespace: team}")
    found, outcome = compose(tmp_path, other, environment=ENVIRONMENT + names)
    assert (found, outcome.code) == ({}, 1)
    assert "`default` and `team` both become the namespace `x`" in outcome.err


def test_nothing_of_compose_is_said_to_whoever_does_not_render_for_it(tmp_path):
    write(tmp_path, {**GOOD, "agents/b.yaml": OWN + SAID["scheduling"][0]})
    outcome = fleetform("render", "--target", "manifests", cwd=tmp_path)
    assert "Compose" not in outcome.err


@pytest.mark.parametrize(
    ("amount", "written"),
    [("512Mi", "512m"), ("1Gi", "1g"), ("1.5Gi", "1536m"), ("100k", "100000b"), ("1500m", "2b")],
)
def test_bytes_are_in_dockers_units(amount, written):
    assert size(amount) == written


@pytest.mark.parametrize(
    ("amount", "written"),
    [("100m", "0.1"), ("1", "1"), ("2.5", "2.5"), ("1n", "0.001"), ("10", "10")],
)
def test_processors_are_decimals(amount, written):
    assert processors(amount) == written


def test_missing_secrets_are_named_all_at_once_and_nothing_is_written(tmp_path, monkeypatch):
    agent = AGENT.replace("helper", "keeper") + "  memory: {store: cache}\n"
    write(tmp_path, {**GOOD, "agents/b.yaml": agent + "---\n" + STORE})
    outcome = fleetform("secrets", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 1
    assert "secret redis, key password: set REDIS or REDIS_PASSWORD" in outcome.err
    assert not (tmp_path / "compose").exists()
    (tmp_path / ".env").write_text("REDIS_PASSWORD='a $b #c'\n", "utf-8")
    outcome = fleetform("secrets", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "compose/prod/secrets"
    assert (folder / "default/redis/password").read_text("utf-8") == "a $b #c"
    assert (folder / "cache.default.env").read_text("utf-8") == "REDIS_PASSWORD=a $b #c\n"
    assert "0 written" in fleetform("secrets", "--env", "prod", cwd=tmp_path).err


def test_no_variable_is_two_secrets_at_once(tmp_path):
    """And none is a secret that nobody has set: the shell has a PATH of its own."""
    keys = {
        "A": ("a-b", "c"),
        "B": ("a", "b-c"),
        "C": ("redis", "user"),
        "D": ("redis", "password"),
        "P": ("path", "k"),
    }
    rows = "".join(
        f"    - {{name: {name}, valueFrom: {{secretKeyRef: {{name: {secret}, key: {key}}}}}}}\n"
        for name, (secret, key) in keys.items()
    )
    write(tmp_path, {**GOOD, "agents/b.yaml": f"{OWN}  env:\n{rows}", ".env": "A_B_C=1\nREDIS=2\n"})
    outcome = fleetform("secrets", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 1
    assert "A_B_C would be secret a-b, key c and secret a, key b-c: rename one" in outcome.err
    assert (
        "REDIS would be secret redis, key user and secret redis, key password: set REDIS_PASSWORD and REDIS_USER"
        in outcome.err
    )
    assert "secret path, key k: set PATH_K\n" in outcome.err
    assert not (tmp_path / "compose").exists()


def test_an_env_file_that_is_no_utf8_is_a_message(tmp_path):
    write(tmp_path, {**GOOD, ".env": b"A=\xff\n"})
    outcome = fleetform("secrets", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 1
    assert "error: .env is not UTF-8: byte 3\n  hint: save it as UTF-8\n" in outcome.err
