"""Secrets from a provider: where each key comes from, who reads the store, and what nobody provides."""

import json
import re

import pytest
import yaml

from tests.fleet import API, fleetform, write
from tests.tools import ROOT

KEYS = {
    "type": "apiKey",
    "apiKey": {"keys": [{"name": key, "secretRef": {"name": "keys", "key": key}} for key in "ab"]},
}
AGENT = {
    "systemPrompt": "You help.",
    "model": {"provider": "ollama", "name": "qwen3", "endpoint": "https://models.example"},
    "auth": KEYS,
}
ROLE = "arn:aws:iam::123456789012:role/{environment}-{namespace}"
STORES = {
    "aws": {"aws": {"region": "eu-central-1"}, "identity": {"awsRoleArn": ROLE}},
    "gcp": {"gcp": {"projectId": "acme"}},
    "azure": {
        "azure": {"vaultUrl": "https://acme.vault.azure.net"},
        "identity": {"azureClientId": "12345678-1234-1234-1234-123456789012"},
    },
    "vault": {"vault": {"server": "https://vault.example", "role": "{namespace}-agents"}},
}
RULES = {"aws": "{namespace}/{name}", "vault": "{namespace}/{name}"}


def document(kind, name, spec, **metadata):
    head = {"apiVersion": API.partition(": ")[2], "kind": kind}
    return json.dumps({**head, "metadata": {"name": name, **metadata}, "spec": spec}) + "\n"


def run(folder, secrets, agent=AGENT, spaces=("team",), **environment):
    """Render an agent in each of some namespaces; return the objects and what was said."""
    provider = secrets.get("provider", "aws")
    secrets = {
        "provider": provider,
        "remoteKey": RULES.get(provider, "{namespace}-{name}"),
        "store": STORES.get(provider),
        **secrets,
    }
    settings = {
        "images": {
            "pins": {"fleetform/agent-runtime": {"tag": "1"}},
            **environment.pop("images", {}),
        },
        "capabilities": ["external-secrets", "cert-manager"],
        "secrets": {key: value for key, value in secrets.items() if value is not None},
        **environment,
    }
    agents = [document("Agent", "helper", agent, namespace=space) for space in spaces]
    files = {
        "agents/a.yaml": "---\n".join(agents),
        "environments/prod.yaml": document("Environment", "prod", settings),
    }
    done = fleetform("render", "--format", "json", cwd=write(folder, files))
    found = [
        item
        for file in sorted((folder / "rendered").rglob("*.yaml"))
        for item in yaml.safe_load_all(file.read_text("utf-8"))
        if item
    ]
    text = next(
        (each for each in (done.err, done.out) if each.strip().startswith(("[", "{"))), "[]"
    )
    return found, json.loads(text)


def of(found, kind, name=None):
    return [
        item for item in found if item["kind"] == kind and name in (None, item["metadata"]["name"])
    ]


def remote(found, name="keys", space="team"):
    """Return key, property and version in the store by the key of a Secret."""
    (item,) = [each for each in of(found, "ExternalSecret", name) if each["metadata"]["namespace"] == space]  # fmt: skip
    return {
        entry["secretKey"]: tuple(
            entry["remoteRef"].get(field, "") for field in ("key", "property", "version")
        )
        for entry in item["spec"].get("data", ())
    }


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ({}, {"a": ("team/keys", "a", ""), "b": ("team/keys", "b", "")}),
        (
            {"layout": "plain", "remoteKey": "{namespace}/{name}/{key}"},
            {"a": ("team/keys/a", "", ""), "b": ("team/keys/b", "", "")},
        ),
        (
            {"items": {"keys": {"remoteKey": "shared/{name}", "version": "AWSPREVIOUS"}}},
            {"a": ("shared/keys", "a", "AWSPREVIOUS"), "b": ("shared/keys", "b", "AWSPREVIOUS")},
        ),
        (
            {"items": {"keys": {"remoteKey": "no"}, "team/keys": {"remoteKey": "yes"}}},
            {"a": ("yes", "a", ""), "b": ("yes", "b", "")},
        ),
        (
            {"items": {"keys": {"keys": {"a": {"remoteKey": "praxis/OpenAIKey", "property": ""}}}}},
            {"a": ("praxis/OpenAIKey", "", ""), "b": ("team/keys", "b", "")},
        ),
        (
            {"items": {"keys": {"keys": {"a": {"property": "web.first", "version": "V1"}}}}},
            {"a": ("team/keys", "web.first", "V1"), "b": ("team/keys", "b", "")},
        ),
        (
            {
                "layout": "plain",
                "remoteKey": "{name}-{key}",
                "items": {"team/keys": {"layout": "json", "remoteKey": "{name}"}},
            },
            {"a": ("keys", "a", ""), "b": ("keys", "b", "")},
        ),
    ],
)
def test_each_key_comes_from_where_the_rule_or_its_item_says(secrets, expected, tmp_path):
    found, said = run(tmp_path, secrets)
    assert found, said
    assert remote(found) == expected


@pytest.mark.parametrize("provider", STORES)
def test_what_images_are_pulled_with_is_made_in_every_namespace(provider, tmp_path):
    found, said = run(
        tmp_path, {"provider": provider}, spaces=("a", "b"), images={"pullSecrets": ["regcred"]}
    )
    made = of(found, "ExternalSecret", "regcred")
    assert [item["metadata"]["namespace"] for item in made] == ["a", "b"], said
    for item in made:
        assert item["spec"]["target"]["template"]["type"] == "kubernetes.io/dockerconfigjson"
        (entry,) = item["spec"]["data"]
        assert entry["secretKey"] == ".dockerconfigjson"
        # Docker's configuration is stored as it is; Vault has keys only.
        assert ("property" in entry["remoteRef"]) == (provider == "vault")


def test_a_secret_that_is_pulled_with_by_one_workload_alone_is_made_too(tmp_path):
    agent = {**AGENT, "podTemplate": {"imagePullSecrets": ["own"]}}
    found, _ = run(tmp_path, {"items": {"own": {"remoteKey": "registry"}}}, agent)
    assert remote(found, "own") == {".dockerconfigjson": ("registry", "", "")}


def test_a_secret_that_exists_is_not_made(tmp_path):
    secrets = {"items": {"regcred": {"create": False}, "team/keys": {"create": False}}}
    found, said = run(tmp_path, secrets, images={"pullSecrets": ["regcred"]})
    assert found, said
    assert not of(found, "ExternalSecret")
    assert not of(found, "SecretStore")


@pytest.mark.parametrize(
    ("item", "data", "whole"),
    [
        (None, {}, True),
        ({"remoteKey": "x", "version": "V"}, {}, True),
        (
            {"keys": {"a.ini": {}, "b": {"property": ""}}},
            {"a.ini": ("team/licence", "a.ini", ""), "b": ("team/licence", "", "")},
            False,
        ),
        (
            {"layout": "plain", "remoteKey": "l", "keys": {"a.ini": {}}},
            {"a.ini": ("l", "", "")},
            False,
        ),
    ],
)
def test_a_secret_that_is_mounted_as_a_whole(item, data, whole, tmp_path):
    agent = {
        **AGENT,
        "volumes": [{"name": "licence", "mountPath": "/licence", "secret": "licence"}],
    }
    found, said = run(tmp_path, {"items": {"licence": item} if item else {}}, agent)
    assert found, said
    assert remote(found, "licence") == data
    (made,) = of(found, "ExternalSecret", "licence")
    assert ("dataFrom" in made["spec"]) == whole


def test_what_cert_manager_makes_is_not_made_twice(tmp_path):
    agent = {
        **AGENT,
        "expose": {"host": "a.example.com"},
        "volumes": [{"name": "tls", "mountPath": "/tls", "secret": "helper-tls"}],
    }
    expose = {
        "type": "Ingress",
        "issuer": {"name": "letsencrypt"},
        "hosts": [{"host": "a.example.com"}],
    }
    found, said = run(
        tmp_path, {}, agent, expose=expose, network={"gatewayNamespace": "ingress"}, platform="eks"
    )
    assert of(found, "Certificate"), said
    assert [item["metadata"]["name"] for item in of(found, "ExternalSecret")] == ["keys"]


# -- who reads the store -------------------------------------------------------------------------

NOTES = {
    "aws": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/prod-{space}"},
    "azure": {"azure.workload.identity/client-id": "12345678-1234-1234-1234-123456789012"},
}


@pytest.mark.parametrize("provider", STORES)
def test_each_namespace_reads_with_an_account_of_its_own(provider, tmp_path):
    found, said = run(tmp_path, {"provider": provider}, spaces=("a", "b"))
    for space in ("a", "b"):
        (store,) = [item for item in of(found, "SecretStore") if item["metadata"]["namespace"] == space]  # fmt: skip
        assert '"serviceAccountRef": {"name": "fleetform"}' in json.dumps(store), said
        (account,) = [
            item
            for item in of(found, "ServiceAccount", "fleetform")
            if item["metadata"]["namespace"] == space
        ]
        assert account["automountServiceAccountToken"] is False
        expected = {key: text.format(space=space) for key, text in NOTES.get(provider, {}).items()}
        assert account["metadata"].get("annotations", {}) == expected
        if provider == "vault":
            kubernetes = store["spec"]["provider"]["vault"]["auth"]["kubernetes"]
            assert kubernetes["role"] == f"{space}-agents"


@pytest.mark.parametrize("provider", STORES)
def test_the_operators_own_identity_is_named_and_listed(provider, tmp_path):
    store = {key: value for key, value in STORES[provider].items() if key != "identity"} | {
        "operatorIdentity": True
    }
    found, said = run(tmp_path, {"provider": provider, "store": store})
    (made,) = of(found, "SecretStore")
    assert "serviceAccountRef" not in json.dumps(made), said
    assert not of(found, "ServiceAccount", "fleetform")
    listed = fleetform("policy", cwd=tmp_path).out
    assert "spec.secrets.store.operatorIdentity = True" in listed


@pytest.mark.parametrize(
    "store",
    [
        {"kind": "ClusterSecretStore", "create": False, "name": "shared"},
        {**STORES["aws"], "identity": {"awsRoleArn": "arn:aws:iam::123456789012:role/one"}},
    ],
)
def test_one_identity_for_all_namespaces_is_listed(store, tmp_path):
    found, said = run(tmp_path, {"store": store}, spaces=("a", "b"))
    assert of(found, "ExternalSecret"), said
    listed = fleetform("policy", cwd=tmp_path).out
    assert "every namespace reads the store with one identity" in listed


@pytest.mark.parametrize(
    ("key", "name", "is_listed"),
    [
        ("keys", "shared", True),
        ("keys", "{namespace}/x", False),
        ("a/keys", "shared", False),
    ],
)
def test_a_secret_that_all_namespaces_share_is_listed(key, name, is_listed, tmp_path):
    found, said = run(tmp_path, {"items": {key: {"remoteKey": name}}}, spaces=("a", "b"))
    assert of(found, "ExternalSecret"), said
    listed = fleetform("policy", cwd=tmp_path).out
    assert ("namespaces share the secrets" in listed) == is_listed


@pytest.mark.parametrize("provider", ["aws", "azure"])
@pytest.mark.parametrize("more", [{}, {"identities": {"a": {}}}, {"identity": {}}])
def test_no_store_is_read_with_the_operators_identity_by_silence(provider, more, tmp_path):
    store = {key: value for key, value in STORES[provider].items() if key != "identity"} | more
    found, said = run(tmp_path, {"provider": provider, "store": store}, spaces=("a", "b"))
    assert ("no-store-identity", "warning") in {(item["code"], item["severity"]) for item in said}
    assert "serviceAccountRef" not in json.dumps(of(found, "SecretStore"))
    assert not of(found, "ServiceAccount", "fleetform")
    listed = fleetform("policy", cwd=tmp_path).out
    assert "`a` and 1 more read the store with the operator's own identity" in listed


@pytest.mark.parametrize("provider", STORES)
def test_an_account_that_exists_reads_the_store_with_its_own_identity(provider, tmp_path):
    store = {key: value for key, value in STORES[provider].items() if key != "identity"}
    store |= {"createServiceAccount": False, "serviceAccount": "reader"}
    found, said = run(tmp_path, {"provider": provider, "store": store})
    (made,) = of(found, "SecretStore")
    assert '"serviceAccountRef": {"name": "reader"' in json.dumps(made), said
    assert "no-store-identity" not in {item["code"] for item in said}
    assert "read the store with the operator" not in fleetform("policy", cwd=tmp_path).out


@pytest.mark.parametrize("provider", ["aws", "azure"])
def test_an_account_that_is_named_is_not_rendered_without_its_identity(provider, tmp_path):
    store = {key: value for key, value in STORES[provider].items() if key != "identity"}
    found, said = run(
        tmp_path, {"provider": provider, "store": {**store, "serviceAccount": "reader"}}
    )
    assert not found
    assert ("no-store-identity", "error") in {(item["code"], item["severity"]) for item in said}


@pytest.mark.parametrize("name", ["fleetform", "reader"])
def test_no_workload_takes_the_account_that_reads_the_store(name, tmp_path):
    store = {**STORES["aws"], **({} if name == "fleetform" else {"serviceAccount": name})}
    found, said = run(tmp_path, {"store": store}, {**AGENT, "serviceAccount": name})
    assert not found
    assert "account-shared" in {item["code"] for item in said}


# -- what nobody provides ------------------------------------------------------------------------

PLACES = {
    "a variable": ("Deployment", "/spec/template/spec/containers/0/env", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "a"}}}]),
    "all variables": ("Deployment", "/spec/template/spec/containers/0/envFrom", [{"secretRef": {"name": "extra"}}]),
    "a volume": ("Deployment", "/spec/template/spec/volumes/-", {"name": "x", "secret": {"secretName": "extra"}}),
    "a projected volume": ("Deployment", "/spec/template/spec/volumes/-", {"name": "x", "projected": {"sources": [{"secret": {"name": "extra"}}]}}),
    "a CSI volume": ("Deployment", "/spec/template/spec/volumes/-", {"name": "x", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "extra"}}}),
    "a registry": ("Deployment", "/spec/template/spec/imagePullSecrets", [{"name": "extra"}]),
    "an account": ("ServiceAccount", "/imagePullSecrets", [{"name": "extra"}]),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_that_a_patch_names_is_told_of(place, tmp_path):
    kind, path, value = PLACES[place]
    patch = {
        "target": {"kind": kind, "name": "helper"},
        "json6902": [{"op": "add", "path": path, "value": value}],
    }
    for given, expected in ((False, 1), (True, 0)):
        items = {"extra": {"create": False}} if given else {}
        folder = tmp_path / str(given)
        run(folder, {"items": items}, objectPatches=[patch])
        done = fleetform("validate", "agents", "--env", "prod", "--format", "json", cwd=folder)
        said = [item for item in json.loads(done.out) if item["severity"] != "note"]
        assert [item["code"] for item in said] == ["secret-not-provided"] * expected


# -- the page ------------------------------------------------------------------------------------

PAGE = (ROOT / "docs/secrets.md").read_text("utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_settings_on_the_page_are_taken(text, tmp_path):
    spec = yaml.safe_load(text)["spec"]
    given = spec.pop("secrets", {})
    provider = given.get("provider", "aws")
    known = {**STORES[provider], "identities": given.get("store", {}).get("identities", {})}
    store = {**known, **given["store"]} if "store" in given else STORES[provider]
    if store.get("operatorIdentity"):
        del store["identity"], store["identities"]
    images = spec.pop("images", {})
    spec.pop("capabilities", None)
    found, said = run(tmp_path, {**given, "store": store}, spaces=("ai-agents",), images=images)
    assert of(found, "ExternalSecret"), said


def test_the_policies_on_the_page_cover_what_the_example_reads():
    policies = [json.loads(text) for text in blocks("json")]
    (prefix,) = [
        item["Resource"].rpartition(":secret:")[2].removesuffix("*")
        for policy in policies
        for item in policy["Statement"]
        if item["Action"] == "secretsmanager:GetSecretValue"
    ]
    (subject,) = re.findall(r'"OIDC:sub": "system:serviceaccount:(.*?)"', PAGE)
    space, account = subject.split(":")
    documents = [
        item
        for path in sorted((ROOT / f"rendered/prod/{space}").glob("_namespace/*.*.yaml"))
        for item in yaml.safe_load_all(path.read_text("utf-8"))
    ]
    assert of(documents, "ServiceAccount", account)
    names = {
        entry["remoteRef"]["key"]
        for item in of(documents, "ExternalSecret")
        for entry in item["spec"].get("data", ())
    }
    assert names
    assert all(name.startswith(prefix) for name in names)
    (condition,) = re.findall(r'startsWith\("projects/PROJECT_NUMBER/secrets/(.*?)"\)', PAGE)
    staged = (ROOT / f"rendered/staging/{space}").glob("_namespace/*.externalsecret.yaml")
    assert any(f"key: {condition}" in path.read_text("utf-8") for path in staged)
