"""Documents of other namespaces are used as their owners mean them, with the agent's own Secrets."""

import json

import pytest

from fleetform.pipeline import render
from tests.fleet import ENVIRONMENT, read_yaml, write
from tests.unit.test_agent_json import document as plain


def document(kind: str, space: str, name: str, spec: dict) -> str:
    text = plain(kind, name, spec)
    return text.replace(f'{{"name": "{name}"}}', f'{{"name": "{name}", "namespace": "{space}"}}', 1)


def agent(**spec: object) -> str:
    return document("Agent", "b", "a", {"systemPrompt": "x", "auth": {"type": "none"}, **spec})


def rendered(folder, *texts: str):
    write(folder, {"environments/prod.yaml": ENVIRONMENT, "agents/a.yaml": "".join(texts)})
    made = render([folder / "agents"], folder / "environments", "prod")
    return {
        (item["metadata"].get("namespace"), item["kind"], item["metadata"]["name"]): item
        for text in made.folders["rendered/prod"].values()
        for item in read_yaml(text)
        if item and "metadata" in item
    }


def settings(objects) -> dict:
    (found,) = [item for key, item in objects.items() if key[:2] == ("b", "ConfigMap")]
    return json.loads(found["data"]["agent.json"])


def test_a_short_host_of_a_model_is_one_of_its_own_namespace(tmp_path):
    spec = {"provider": "vllm", "name": "m", "endpoint": "http://vllm:8000/v1", "shareWith": ["b"]}
    objects = rendered(
        tmp_path, agent(modelConfig="m/gpt"), document("ModelConfig", "m", "gpt", spec)
    )
    model = settings(objects)["model"]
    assert model["endpoint"].startswith("http://vllm.m.svc")
    assert model["id"] == "m/gpt"
    policy = objects["b", "NetworkPolicy", "a"]
    names = json.dumps(policy["spec"]["egress"])
    assert '"kubernetes.io/metadata.name": "m"' in names


def test_a_secret_is_read_in_the_namespace_of_the_agent(tmp_path):
    key = {"name": "openai", "key": "key"}
    spec = {"provider": "openai", "name": "m", "apiKeySecretRef": key, "shareWith": ["b"]}
    objects = rendered(
        tmp_path,
        agent(modelConfig="m/gpt", models=["m/two"], fallbacks=["m/two"]),
        document("ModelConfig", "m", "gpt", spec),
        document("ModelConfig", "m", "two", {**spec, "name": "n"}),
    )
    assert {key[0] for key in objects} <= {None, "b"}
    assert settings(objects)["fallbacks"][0]["id"] == "m/two"
    assert '"secretName": "openai"' in json.dumps(objects["b", "Deployment", "a"]) or (
        '"name": "openai"' in json.dumps(objects["b", "Deployment", "a"])
    )


@pytest.mark.parametrize("kind", ["MCPServer", "MemoryStore"])
def test_what_is_deployed_and_shared_admits_who_uses_it(kind, tmp_path):
    if kind == "MCPServer":
        image = {"repository": "example.com/s", "tag": "1"}
        container = {"image": image, "ports": [{"name": "mcp", "containerPort": 3000}]}
        user, spec = {"tools": [{"name": "s", "namespace": "m"}]}, {"container": container}
    else:
        user, spec = {"memory": {"store": "m/s"}}, {"type": "redis", "redis": {}, "provision": {}}
    model = {"provider": "openai", "name": "m"}
    objects = rendered(
        tmp_path,
        agent(model=model, **user),
        document(kind, "m", "s", {**spec, "shareWith": ["b"]}),
    )
    ingress = json.dumps(objects["m", "NetworkPolicy", "s"]["spec"]["ingress"])
    assert '"kubernetes.io/metadata.name": "b"' in ingress
    assert '"kubernetes.io/metadata.name": "m"' in json.dumps(
        objects["b", "NetworkPolicy", "a"]["spec"]["egress"]
    )
