"""What the generic runtime is given: by its contract, in canonical form, prompts to the byte."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from fleetform import canonical, prices
from fleetform.pipeline import render
from fleetform.problems import Problem
from fleetform_runtime.settings import Settings, load
from tests.fleet import API, ENVIRONMENT, GOOD, fleetform, read_yaml, write
from tests.manifests import COMMITTED, tree
from tests.tools import ROOT

CONTRACT = json.loads((ROOT / "schemas/agent-runtime.json").read_text("utf-8"))


CONFIG_MAPS = [
    pytest.param(item, id=f"{name}/{item['metadata']['name']}")
    for name in COMMITTED
    for item in tree(name).revisions()
]
each = pytest.mark.parametrize("config_map", CONFIG_MAPS)
each_agent = pytest.mark.parametrize(
    "config_map", [item for item in CONFIG_MAPS if "agent.json" in item.values[0]["data"]]
)


@each_agent
def test_agent_json_is_what_the_contract_says_and_the_runtime_loads(config_map, tmp_path):
    document = json.loads(config_map["data"]["agent.json"])
    jsonschema.Draft202012Validator(CONTRACT).validate(document)
    write(tmp_path, config_map["data"])
    settings = load(tmp_path / "agent.json")
    assert settings.agent.name == document["agent"]["name"]


@each_agent
def test_agent_json_is_in_canonical_form(config_map):
    text = config_map["data"]["agent.json"]
    assert canonical.dumps(json.loads(text)) + "\n" == text
    assert "null" not in text


@each_agent
def test_every_prompt_file_is_a_key_beside_it(config_map):
    document = json.loads(config_map["data"]["agent.json"])
    assert document["prompt"]["system"]["file"] in config_map["data"]


@each
def test_a_config_map_is_named_by_the_digest_of_its_content(config_map):
    agent = config_map["metadata"]["labels"]["app.kubernetes.io/name"]
    digest = canonical.digest(config_map["data"])
    assert config_map["metadata"]["name"] == f"{agent}-config-{digest[:8]}"
    assert config_map["immutable"] is True


# -- prompts -------------------------------------------------------------------------------------


def agent(name: str = "a", **spec: object) -> str:
    whole = {
        "systemPrompt": "You help.",
        "auth": {"type": "none"},
        "model": {"provider": "ollama", "name": "m", "endpoint": "https://models.example"},
        **spec,
    }
    return document("Agent", name, whole)


def document(kind: str, name: str, spec: dict) -> str:
    body = {"apiVersion": API.split()[1], "kind": kind, "metadata": {"name": name}, "spec": spec}
    text = json.dumps(body, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u200b\u2028-\u202e\u2066\ufeff]", _escaped, text) + "\n---\n"


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def made(
    folder: Path, text: str, environment: str = ""
) -> tuple[dict[str, str], dict, tuple[Problem, ...]]:
    """Return the data of agent a's ConfigMap, its agent.json, and what was said; more may be in the environment's spec."""
    whole = {**GOOD, "agents/a.yaml": text}
    whole["environments/prod.yaml"] += environment
    write(folder, whole)
    rendering = render([folder / "agents"], folder / "environments", "prod")
    (data,) = [
        item["data"]
        for item in read_yaml(rendering.folders["rendered/prod"]["default/a.yaml"])
        if item["kind"] == "ConfigMap"
    ]
    return data, json.loads(data["agent.json"]), rendering.problems


PROMPTS = {
    "Helm": '{{ .Values.x }} {{- include "y" . }} {{`z`}} {{/* c */}}',
    "Flux": "${NAME} $${NAME} ${NAME:-x}",
    "kubelet": "$(NAME) $$(NAME)",
    "Jinja": "{% for x in y %}{{ x }}{# z #}",
    "shell": '`rm -rf /` && $HOME; echo "\'" \\',
    "PromQL": "{{ $labels.agent }} {{ .steps.x.output }}",
    "trailing spaces": "a  \nb\t\n c \n",
    "trailing lines": "a\n\n\n",
    "no last line break": "a\nb",
    "leading lines": "\n\n\na\n",
    "leading spaces": "   a\n b\n",
    "leading tab": "\ta\n\tb\n",
    "white space around": " \n\t\na\n \n",
    "YAML": "- a: b\n? c\n# d\n--- e\n...\n%F\n!g &h *i\n",
    "a word": "yes",
    "a number": "1e3",
    "null": "~",
    "unicode": "Größe 日本語 🦜 e\u0301 \u00a0 \u200b",
    "line separators": "a b\u2028c\u2029d",
    "bidirectional": "a\u202eb\u2066c",
    "a byte order mark": "\ufeffa\ufeff",
    "HTML": "<script>&amp;</script>",
    "quotes": "\"'`“”",
    "backslashes": "\\n \\u0041 \\\\",
    "a long line": "word " * 700,
    "many lines": "line\n" * 700,
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_arrives_to_the_byte(prompt, tmp_path):
    data, _, _ = made(tmp_path, agent(systemPrompt=prompt))
    assert data["system-prompt.md"] == prompt


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_a_description_arrives_to_the_byte(prompt, tmp_path):
    _, settings, _ = made(tmp_path, agent(description=prompt))
    assert settings["agent"]["description"] == prompt


def test_a_prompt_in_a_block_arrives_as_yaml_reads_it(tmp_path):
    lines = "    first\n\n      second  \n    {{ x }}\n\n"
    for style, expected in (
        ("|", "first\n\n  second  \n{{ x }}\n"),
        ("|-", "first\n\n  second  \n{{ x }}"),
        ("|+", "first\n\n  second  \n{{ x }}\n\n"),
    ):
        text = f"{API}\nkind: Agent\nmetadata: {{name: a}}\nspec:\n  systemPrompt: {style}\n{lines}"
        rest = "  auth: {type: none}\n  model: {provider: ollama, name: m, endpoint: 'https://m.example'}\n"
        data, _, _ = made(tmp_path, text + rest)
        assert data["system-prompt.md"] == expected


def test_a_changed_prompt_makes_a_new_config_map_and_rolls_the_pods(tmp_path):
    def names() -> tuple[str, str]:
        file = tmp_path / "rendered/prod/default/a.yaml"
        kinds = {item["kind"]: item for item in read_yaml(file.read_text("utf-8"))}
        pod = kinds["Deployment"]["spec"]["template"]["spec"]
        mounted = next(v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v)
        return kinds["ConfigMap"]["metadata"]["name"], mounted

    write(tmp_path, {"environments/prod.yaml": ENVIRONMENT})
    seen = set()
    for prompt in ("One.", "Two.", "One."):
        write(tmp_path, {"agents/a.yaml": agent(systemPrompt=prompt)})
        assert fleetform("render", cwd=tmp_path).code == 0
        name, mounted = names()
        assert name == mounted
        seen.add(name)
    assert len(seen) == 2


# -- fields that the runtime takes as they are ----------------------------------------------------

TAKEN = [
    (
        {"observability": {"logging": {"format": "text"}}},
        ("observability", "logging", "format"),
        "text",
    ),
]


HOOK = {"url": "https://hooks.example/x", "secretRef": {"name": "hook", "key": "key"}}
ASKED = {"tools": [{"name": "x", "endpoint": "https://x.example", "requiresApproval": True}]}
OPENAI = {"provider": "openai", "name": "m"}


def test_an_agent_of_others_is_called_by_its_card_and_within_reach(tmp_path):
    secret = {"name": "peer", "key": "token"}
    spec = {
        "type": "agent",
        "description": "Asks.",
        "agent": {
            "card": "https://peer.example.org:8443/card.json",
            "timeout": "10s",
            "authentication": {"type": "bearer", "secretRef": secret},
            "onBehalf": True,
        },
    }
    text = agent(tools=[{"name": "peer"}]) + document("Tool", "peer", spec)
    data, settings, problems = made(tmp_path, text)
    rendering = render([tmp_path / "agents"], tmp_path / "environments", "prod")
    objects = read_yaml(rendering.folders["rendered/prod"]["default/a.yaml"])
    (policy,) = [item for item in objects if item["kind"] == "NetworkPolicy"]
    opened = [port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", ())]
    assert 8443 in opened
    file = "/var/run/secrets/fleetform/peer/token"
    assert settings["tools"] == [
        {
            "name": "peer",
            "type": "agent",
            "description": "Asks.",
            "card": "https://peer.example.org:8443/card.json",
            "auth": {"type": "bearer", "token": {"file": file}},
            "onBehalf": True,
            "timeoutSeconds": 10,
        }
    ]
    assert [item.code for item in problems if item.severity == "error"] == []
    write(tmp_path, data)
    load(tmp_path / "agent.json")


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({}, "http://a.default.svc.cluster.local:8080"),
        ({"expose": {}}, "https://agents.example.org/agents/a"),
        ({"expose": {"path": "/ask/"}}, "https://agents.example.org/ask"),
        ({"expose": {"host": "agents.example.org"}}, "https://agents.example.org"),
    ],
)
def test_the_card_says_where_others_reach_the_agent(tmp_path, spec, url):
    gateway = "gateway: {name: public, namespace: gateways}"
    exposes = f"  expose: {{host: agents.example.org, {gateway}}}\n  capabilities: [gateway-api]\n"
    _, settings, _ = made(tmp_path, agent(**spec), exposes)
    assert settings["a2a"] == {"url": url}


def test_an_agent_of_the_fleet_is_told_the_user_where_its_key_is_a_gateways(tmp_path):
    key = {"name": "front", "secretRef": {"name": "keys", "key": "front"}}
    for on_behalf in (True, False):
        keys = {"type": "apiKey", "apiKey": {"keys": [key | {"onBehalf": on_behalf}]}}
        other = agent("other", auth=keys)
        _, settings, _ = made(tmp_path, agent(tools=[{"name": "other"}]) + other)
        (tool,) = settings["tools"]
        assert tool.get("onBehalf", False) is on_behalf


BEDROCK = {"provider": "bedrock", "name": "m"}
TAKEN += [
    ({"model": {**BEDROCK, "region": "eu-central-1"}}, ("model", "region"), "eu-central-1"),
    ({"model": {**BEDROCK, "retries": 0}}, ("model", "retries"), 0),
    ({"model": {**BEDROCK, "promptCaching": True}}, ("model", "promptCaching"), True),
    ({"model": {**BEDROCK, "reasoningEffort": "low"}}, ("model", "reasoningEffort"), "low"),
    ({"model": {**OPENAI, "parallelToolCalls": False}}, ("model", "parallelToolCalls"), False),
    ({"model": {**OPENAI, "strictTools": True}}, ("model", "strictTools"), True),
    (
        {"model": {**OPENAI, "extraBody": {"k": {"a": [1]}}}},
        ("model", "extraBody"),
        {"k": {"a": [1]}},
    ),
    ({"memory": {"type": "none"}, "scaling": {"maxReplicas": 9}}, ("memory",), {"type": "none"}),
    (
        {"corsOrigins": ["https://app.example.com"]},
        ("server", "corsOrigins"),
        ["https://app.example.com"],
    ),
    ({"outputSchema": {"type": "array"}}, ("output",), {"schema": {"type": "array"}}),
    ({"limits": {"maxAttachmentBytes": 0}}, ("limits", "attachmentBytes"), 0),
    ({"limits": {"maxAgentHops": 2}}, ("limits", "agentHops"), 2),
    ({"limits": {"queueTimeoutSeconds": 60}}, ("limits", "queueSeconds"), 60),
    (
        {"approvals": {"webhook": {**HOOK, "format": "slack", "includeArguments": True}}, **ASKED},
        ("approvals",),
        {
            "webhook": {
                "url": "https://hooks.example/x",
                "secret": {"file": "/var/run/secrets/fleetform/hook/key"},
                "format": "slack",
                "includeArguments": True,
            }
        },
    ),
    ({"limits": {"approvalTimeoutSeconds": 60}, **ASKED}, ("limits", "approvalSeconds"), 60),
]


@pytest.mark.parametrize(("spec", "path", "value"), TAKEN, ids=lambda item: str(item)[:60])
def test_a_field_arrives_and_is_left_out_when_nobody_set_it(spec, path, value, tmp_path):
    _, settings, problems = made(tmp_path, agent(**spec))
    _, plain, _ = made(tmp_path, agent())
    for step in path:
        settings, plain = settings[step], plain.get(step, {})
    assert (settings, plain) == (value, {})
    assert {item.code for item in problems} <= {"image-extras-unknown"}


def test_an_agent_has_a_page_unless_its_spec_says_no(tmp_path):
    assert made(tmp_path, agent())[1]["server"]["ui"] is True
    assert "ui" not in made(tmp_path, agent(ui=False))[1]["server"]


@pytest.mark.parametrize("client", [None, "page"])
def test_scopes_are_those_of_a_client_of_the_page(client, tmp_path):
    oidc = {"issuer": "https://login.example", "audience": "agents", "scopes": ["openid", "agents"]}
    given = {**oidc, "clientId": client} if client else oidc
    _, settings, _ = made(tmp_path, agent(auth={"type": "oidc", "oidc": given}))
    assert settings["auth"].get("scopes") == (["openid", "agents"] if client else None)


def test_a_model_of_a_project_is_asked_without_a_key(tmp_path):
    model = {"provider": "google", "name": "m", "project": "acme-prod", "region": "europe-west4"}
    identity = {"gcpServiceAccount": "a@acme-prod.iam.gserviceaccount.com"}
    _, settings, problems = made(tmp_path, agent(model=model, identity=identity))
    assert settings["model"] == model
    assert "no-identity" not in {item.code for item in problems}


def test_a_region_that_a_provider_does_not_have_is_left_out(tmp_path):
    model = {"provider": "google", "name": "m", "region": "europe-west4"}
    _, settings, problems = made(tmp_path, agent(model=model))
    assert "region" not in settings["model"]
    assert [item.path for item in problems if item.code == "not-used"] == ["spec.model.region"]


def test_shutdown_waits_for_the_queue_too(tmp_path):
    limits = {"queueTimeoutSeconds": 60, "turnTimeoutSeconds": 100}
    _, settings, _ = made(tmp_path, agent(limits=limits))
    assert settings["server"]["shutdownGraceSeconds"] == 160
    rendering = render([tmp_path / "agents"], tmp_path / "environments", "prod")
    text = rendering.folders["rendered/prod"]["default/a.yaml"]
    assert "terminationGracePeriodSeconds: 170\n" in text


# -- programs that tools run ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "parameters", "written"),
    [
        (
            {"source": "print(inputs['a'])", "timeout": "5s", "memory": "64Mi", "output": "1Ki"},
            [{"name": "a"}],
            {
                "code": "print(inputs['a'])",
                "parameters": [{"name": "a", "type": "string"}],
                "timeoutSeconds": 5,
                "memoryBytes": 64 << 20,
                "outputBytes": 1024,
            },
        ),
        (
            {"allowModelCode": True},
            [],
            {
                "allowModelCode": True,
                "timeoutSeconds": 30,
                "memoryBytes": 128 << 20,
                "outputBytes": 65_536,
            },
        ),
    ],
)
def test_programs_are_written_with_their_limits(tmp_path, code, parameters, written):
    spec = {"type": "code", "description": "Computes.", "code": code, "parameters": parameters}
    text = agent(tools=[{"name": "run"}]) + document("Tool", "run", spec)
    data, settings, problems = made(tmp_path, text)
    described = {"name": "run", "type": "code", "description": "Computes."}
    assert settings["tools"] == [{**described, **written}]
    assert [item.code for item in problems if item.severity == "error"] == []
    write(tmp_path, data)
    load(tmp_path / "agent.json")


BEDROCK = {"provider": "bedrock", "name": "anthropic.claude", "region": "eu-central-1"}
VERTEX = {"provider": "google", "name": "g", "project": "acme-prod", "region": "europe-west4"}
GEMINI = {"provider": "google", "name": "g", "apiKeySecretRef": {"name": "g", "key": "k"}}
KEY = {"file": "/var/run/secrets/fleetform/g/k"}


@pytest.mark.parametrize(
    ("model", "embedding", "made_of"),
    [
        (BEDROCK, {"provider": "bedrock"}, {"region": "eu-central-1"}),
        (BEDROCK, {"provider": "bedrock", "region": "us-east-1"}, {"region": "us-east-1"}),
        (VERTEX, {"provider": "google"}, {"project": "acme-prod", "region": "europe-west4"}),
        (VERTEX, {"provider": "google", "secretRef": {"name": "g", "key": "k"}}, {"apiKey": KEY}),
        (GEMINI, {"provider": "google"}, {"apiKey": KEY}),
        (
            GEMINI,
            {"provider": "google", "project": "acme-test"},
            {"project": "acme-test"},
        ),
    ],
)
def test_embeddings_of_clouds_are_asked_as_the_agents_model_is(tmp_path, model, embedding, made_of):
    store = {"type": "qdrant", "host": "qdrant.data.svc", "collection": "docs"}
    retrieval = {"vectorStore": store, "embedding": {"model": "e", **embedding}}
    identity = {"gcpServiceAccount": "a@acme-prod.iam.gserviceaccount.com"}
    text = agent(model=model, tools=[{"name": "docs"}], identity=identity)
    tool = document("Tool", "docs", {"type": "retrieval", "retrieval": retrieval})
    data, settings, problems = made(tmp_path, text + tool)
    found = settings["tools"][0]["knowledge"]["embedding"]
    assert found == {"provider": embedding["provider"], "name": "e", **made_of}
    told = {item.path for item in problems if item.code == "not-used"}
    # Of what is set here, a plain cluster has no use for the identity alone.
    assert told <= {"spec.identity.gcpServiceAccount"}
    assert "no-identity" not in {item.code for item in problems}
    write(tmp_path, data)
    load(tmp_path / "agent.json")


def test_a_search_in_milvus_is_served_as_somebody_else_wrote_it(tmp_path):
    theirs = (ROOT / "tests/fixtures/seeds/004/tools.yaml").read_text("utf-8").split("\n---\n")[0]
    assert "collection: support-knowledge\n" in theirs
    model = {"provider": "openai", "name": "gpt-4o", "apiKeySecretRef": {"name": "m", "key": "k"}}
    ours = agent(model=model, tools=[{"name": "search-knowledge-base"}])
    both = (ours + theirs).replace("namespace: ai-agents\n", "namespace: default\n")
    data, settings, problems = made(tmp_path, both)
    # Nothing is left out. Milvus has no hyphens in names, 0.7 hides what most models find, and an
    # environment says which port the pods of a Service have.
    told = {item.code for item in problems}
    assert told == {"collection-name", "high-threshold", "guessed-port"}
    (tool,) = settings["tools"]
    assert tool["knowledge"]["store"] == {
        "type": "milvus",
        "host": "milvus.ai-data.svc.cluster.local",
        "port": 19530,
        "collection": "support_knowledge",
    }
    assert tool["knowledge"]["search"] == {"mode": "hybrid", "topK": 5, "scoreThreshold": 0.7}
    assert [item["name"] for item in tool["parameters"]] == ["query", "category"]
    write(tmp_path, data)
    assert load(tmp_path / "agent.json").tools[0].type == "retrieval"
    rendering = render([tmp_path / "agents"], tmp_path / "environments", "prod")
    assert "port: 19530" in rendering.folders["rendered/prod"]["default/a.yaml"]


MODEL = {"provider": "openai", "name": "gpt-4o", "temperature": 0.2, "pricing": {"inputPerMillion": 1, "outputPerMillion": 2}}  # fmt: skip
SMALL = {"provider": "ollama", "name": "llama3.2:3b", "endpoint": "http://ollama.example:11434/v1"}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (None, None),
        ("gpt-4o", {"name": "gpt-4o", "temperature": 0.2}),
        ("gpt-4o-mini", {"name": "gpt-4o-mini", "provider": "openai", "temperature": None, "pricing": prices.of("openai", "gpt-4o-mini")}),
        ("small", {"name": "llama3.2:3b", "id": "small", "provider": "ollama", "apiKey": None}),
        ("apps/small", {"name": "llama3.2:3b", "id": "apps/small"}),
        ("meta/llama", {"name": "meta/llama", "provider": "openai"}),
    ],
)  # fmt: skip
def test_summaries_are_written_by_the_model_that_is_named(name, settings, tmp_path):
    policy = {"compression": {"enabled": True, **({"model": name} if name else {})}}
    text = agent(model=MODEL, memory={"type": "in-memory", "policy": policy})
    text += document("ModelConfig", "small", SMALL)
    _, found, problems = made(tmp_path, text)
    compression = found["memory"]["policy"]["compression"]
    assert compression["threshold"] == 50
    model = compression.get("model")
    assert (model is None) == (settings is None)
    assert {key: model.get(key) for key in settings or {}} == (settings or {})
    unused = [problem.path for problem in problems if problem.code == "not-rendered"]
    assert bool(unused) == (name not in ("small", "apps/small"))


def test_the_network_and_the_image_are_for_the_model_that_writes_summaries_too(tmp_path):
    bedrock = {"provider": "bedrock", "name": "claude", "region": "eu-central-1"}
    for name, config in (("small", SMALL), ("cloud", bedrock)):
        policy = {"compression": {"enabled": True, "model": name}}
        text = agent(model=MODEL, memory={"type": "in-memory", "policy": policy})
        _, _, problems = made(tmp_path / name, text + document("ModelConfig", name, config))
        folder = tmp_path / name
        rendering = render([folder / "agents"], folder / "environments", "prod")
        text = rendering.folders["rendered/prod"]["default/a.yaml"]
        assert ("port: 11434" in text) == (name == "small")
        assert any("bedrock" in item.message for item in problems) == (name == "cloud")


def test_thresholds_of_summaries_reach_the_runtime(tmp_path):
    wanted = {"threshold": 20, "contextThreshold": 0.5, "maxContextTokens": 9_000}
    memory = {"type": "in-memory", "policy": {"compression": {"enabled": True, **wanted}}}
    _, settings, problems = made(tmp_path, agent(model=MODEL, memory=memory))
    assert settings["memory"]["policy"] == {"compression": wanted}
    assert problems == ()


OLLAMA = {"provider": "ollama", "model": "nomic-embed-text", "endpoint": "http://vectors:11434"}


def remembering(tmp_path, more="", **fields):
    policy = {"longTermMemory": {"enabled": True, "user": "default"} | fields}
    text = agent(memory={"type": "in-memory", "policy": policy}, auth={"type": "none"})
    _, settings, problems = made(tmp_path, text + more)
    return settings["longTermMemory"], problems


def test_what_is_remembered_of_users_is_in_the_document(tmp_path):
    given = {"maxMemories": 3, "maxPerUser": 50, "ttl": 60, "requiresApproval": True}
    found, problems = remembering(tmp_path, **given)
    assert found == {
        "maxMemories": 3,
        "maxPerUser": 50,
        "ttlSeconds": 60,
        "requiresApproval": True,
        "user": "default",
    }
    assert problems == ()
    found, _ = remembering(tmp_path, embedding=OLLAMA)
    assert found["embedding"] == {
        "provider": "ollama",
        "name": "nomic-embed-text",
        "endpoint": "http://vectors.default.svc.cluster.local:11434",
    }


def test_what_is_served_is_not_warned_about(tmp_path):
    policy = {"compression": {"enabled": False}, "longTermMemory": {"enabled": False}}
    _, _, problems = made(tmp_path, agent(memory={"type": "in-memory", "policy": policy}))
    assert problems == ()


# -- secrets -------------------------------------------------------------------------------------


@each_agent
def test_agent_json_names_secrets_and_never_holds_one(config_map):
    def secrets(node: object):
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("apiKey", "password", "token", "secret", "value", "clientSecret"):
                    yield value
                yield from secrets(value)
        elif isinstance(node, list):
            for item in node:
                yield from secrets(item)

    for value in secrets(json.loads(config_map["data"]["agent.json"])):
        assert value.keys() == {"file"}
        assert value["file"].startswith("/var/run/secrets/fleetform/")


@pytest.mark.parametrize(
    ("memory", "limits"),
    [
        ("{type: in-memory}", {}),
        ("{type: in-memory, inMemory: {maxBytes: 2000000}}", {"maxBytes": 2000000}),
        ("{store: here}", {"maxBytes": 3000000, "maxSessions": 5}),
        ("{store: here, inMemory: {maxSessions: 7}}", {"maxBytes": 3000000, "maxSessions": 7}),
    ],
)
def test_memory_of_the_process_is_bounded_as_the_spec_says(memory, limits, tmp_path):
    store = """apiVersion: fleetform.dev/v1alpha1
kind: MemoryStore
metadata: {name: here}
spec: {type: in-memory, inMemory: {maxBytes: 3000000, maxSessions: 5}}
"""
    agent = GOOD["agents/a.yaml"] + f"  memory: {memory}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": agent, "agents/s.yaml": store})
    texts = render([tmp_path / "agents"], tmp_path / "environments", "prod").folders[
        "rendered/prod"
    ]
    (config_map,) = [
        item for item in read_yaml(texts["default/helper.yaml"]) if item["kind"] == "ConfigMap"
    ]
    found = json.loads(config_map["data"]["agent.json"]).get("memory")
    assert found == {"type": "in-memory", **limits}


@pytest.mark.parametrize(
    ("said", "files"),
    [
        ("", {"caFile": "ca.crt", "certFile": "tls.crt", "keyFile": "tls.key"}),
        (", clientCertificate: false", {"caFile": "ca.crt"}),
    ],
)
def test_a_store_is_shown_a_client_certificate_unless_the_spec_says_not_to(said, files, tmp_path):
    tls = f"{{enabled: true, secretRef: {{name: redis-tls}}{said}}}"
    memory = f"  memory: {{type: redis, redis: {{host: redis.example.com, tls: {tls}}}}}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": GOOD["agents/a.yaml"] + memory})
    texts = render([tmp_path / "agents"], tmp_path / "environments", "prod").folders[
        "rendered/prod"
    ]
    (config_map,) = [
        item for item in read_yaml(texts["default/helper.yaml"]) if item["kind"] == "ConfigMap"
    ]
    mounted = "/var/run/secrets/fleetform/redis-tls"
    assert json.loads(config_map["data"]["agent.json"])["memory"]["tls"] == {
        key: f"{mounted}/{name}" for key, name in files.items()
    }
    for name in ("ca.crt", "tls.crt", "tls.key"):
        assert (f"redis-tls/{name}" in texts["default/helper.yaml"]) == (name in files.values())


# -- variants --------------------------------------------------------------------------------------


def test_variants_have_what_differs_and_nothing_else(tmp_path):
    small = {"provider": "ollama", "name": "small", "endpoint": "https://models.example"}
    text = document("ModelConfig", "small", small) + agent(
        variants=[
            {"name": "brief", "weight": 12.5, "systemPrompt": "Be brief."},
            {"name": "cheap", "weight": 0, "modelConfig": "small"},
        ],
        tools=[
            {"name": "old", "endpoint": "https://old.example", "variants": ["base"]},
            {"name": "new", "endpoint": "https://new.example", "variants": ["brief", "cheap"]},
        ],
    )
    data, found, problems = made(tmp_path, text)
    assert not problems, problems
    assert found["variants"] == [
        {"name": "brief", "weight": 12.5, "prompt": {"system": {"file": "system-prompt.brief.md"}}},
        {"name": "cheap", "weight": 0, "model": {**small, "id": "small"}},
    ]
    assert data["system-prompt.brief.md"] == "Be brief."
    assert [server["variants"] for server in found["mcpServers"]] == [["base"], ["brief", "cheap"]]
    assert Settings.model_validate_json(data["agent.json"]).variants[1].model.key == "small"
