"""Accounts, claims and Secrets: a spec gets none of another's, by whatever name or template it asks."""

import json

import pytest

from tests.fleet import API, GOOD, fleetform, write

PODS = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
MAPS = {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}
WIDE = {**PODS, "scope": "cluster", "allowDangerous": ["pods"]}
ROLE = {"awsRoleArn": "arn:aws:iam::123456789012:role/victim"}
OTHER_ROLE = {"awsRoleArn": "arn:aws:iam::123456789012:role/evil"}
CONTAINER = {"container": {"image": {"repository": "example/own", "tag": "1"}}}
EKS = "  platform: eks\n  network: {apiServer: [10.0.0.10/32]}\n"


def document(name, spec, kind="Agent", **metadata):
    head = {"apiVersion": API.partition(": ")[2], "kind": kind}
    return json.dumps(
        {**head, "metadata": {"name": name, **metadata}, "spec": {**CONTAINER, **spec}}
    )


def said(tmp_path, *documents, environment=EKS):
    """Return the codes of the errors of a fleet, and the text of all problems."""
    text = "---\n".join(f"{item}\n" for item in documents)
    files = {
        "agents/a.yaml": text,
        "environments/prod.yaml": GOOD["environments/prod.yaml"] + environment,
    }
    done = fleetform("render", "--format", "json", cwd=write(tmp_path, files))
    problems = json.loads(done.err or done.out or "[]") if done.code else []
    return sorted({item["code"] for item in problems if item["severity"] == "error"}), done


SHARED = {"serviceAccount": "victim"}


@pytest.mark.parametrize(
    ("victim", "evil"),
    [
        ({"rbac": WIDE}, {}),
        ({"rbac": WIDE}, {"rbac": MAPS}),
        ({"rbac": WIDE}, {"rbac": PODS}),
        ({"rbac": PODS}, {"rbac": WIDE}),
        ({"identity": ROLE}, {}),
        ({"identity": ROLE}, {"identity": OTHER_ROLE}),
        ({"identity": ROLE, "rbac": PODS}, {"identity": ROLE}),
        ({"identity": ROLE, "rbac": PODS}, {"rbac": PODS}),
        ({}, {}),
        ({}, {"rbac": PODS}),
    ],
)
def test_an_account_is_shared_only_by_those_who_name_the_same(victim, evil, tmp_path):
    codes, _ = said(tmp_path, document("victim", victim), document("evil", {**evil, **SHARED}))
    assert codes == ["account-shared"]


@pytest.mark.parametrize(
    "same", [{"rbac": PODS}, {"identity": ROLE}, {"identity": ROLE, "rbac": WIDE}]
)
def test_two_that_name_the_same_share_an_account(same, tmp_path):
    codes, done = said(tmp_path, document("victim", same), document("evil", {**same, **SHARED}))
    assert codes == []
    assert done.code == 0, done.err
    text = (tmp_path / "rendered/prod/default/evil.yaml").read_text()
    assert "serviceAccountName: victim" in text
    assert "cannot be added" not in done.err


def test_the_account_of_a_template_is_no_other(tmp_path):
    template = json.dumps(
        {
            "apiVersion": "fleetform.dev/v1alpha1",
            "kind": "AgentTemplate",
            "metadata": {"name": "base"},
            "spec": SHARED,
        }
    )
    evil = document("evil", {"extends": "base"})
    codes, _ = said(tmp_path, template, document("victim", {"rbac": PODS}), evil)
    assert codes == ["account-shared"]


def test_a_servers_account_is_no_agents(tmp_path):
    server = {
        "rbac": PODS,
        "container": {**CONTAINER["container"], "ports": [{"name": "http", "containerPort": 80}]},
    }
    victim = document("victim", server, kind="MCPServer")
    codes, _ = said(tmp_path, victim, document("evil", SHARED))
    assert codes == ["account-shared"]


def test_an_account_of_its_own_name_that_exists_already_is_unknown(tmp_path):
    assert said(tmp_path, document("evil", {"serviceAccount": "evil"}))[0] == ["account-unknown"]


def test_in_another_namespace_the_account_is_another(tmp_path):
    victim = document("victim", {"rbac": PODS}, namespace="one")
    codes, _ = said(tmp_path, victim, document("evil", SHARED, namespace="two"))
    assert codes == ["account-unknown"]


@pytest.mark.parametrize(
    "given",
    [
        "  patches: [{target: {kind: Agent, name: evil}, spec: {serviceAccount: robot}}]\n",
        "  defaults: {Agent: {serviceAccount: robot}}\n",
    ],
)
def test_the_environment_gives_an_account_that_exists(given, tmp_path):
    codes, done = said(tmp_path, document("evil", {}), environment=given)
    assert (codes, done.code) == ([], 0)
    text = (tmp_path / "rendered/prod/default/evil.yaml").read_text()
    assert "serviceAccountName: robot" in text
    assert "kind: ServiceAccount" not in text


CLAIM = {"size": "1Gi"}


def volume(name, **source):
    return {"volumes": [{"name": name, "mountPath": "/x", **source}]}


@pytest.mark.parametrize(
    ("mine", "theirs", "code"),
    [
        (CLAIM, CLAIM, "claim-not-shared"),
        (CLAIM, {**CLAIM, "accessMode": "ReadWriteMany"}, "claim-clash"),
        ({**CLAIM, "accessMode": "ReadWriteMany"}, CLAIM, "claim-clash"),
    ],
)
def test_a_claim_is_shared_only_if_both_say_so(mine, theirs, code, tmp_path):
    documents = (
        document("victim", volume("data", claim=mine)),
        document("evil", volume("data", claim=theirs)),
    )
    assert said(tmp_path, *documents)[0] == [code]


def test_a_claim_that_both_share_is_one(tmp_path):
    both = volume("data", claim={**CLAIM, "accessMode": "ReadWriteMany"})
    assert said(tmp_path, document("a", both), document("b", both))[0] == []


@pytest.mark.parametrize("ordinal", ["0", "7"])
def test_the_claim_of_a_stateful_pod_is_its_own(ordinal, tmp_path):
    victim = document("victim", {**volume("data", claim=CLAIM), "stateful": True})
    evil = document("evil", volume(f"data-victim-{ordinal}", claim=CLAIM))
    assert said(tmp_path, victim, evil)[0] == ["owned-elsewhere"]


def hidden(name):
    key = {"name": name, "key": "k"}
    side = {"name": "s", "image": {"repository": "example/s", "tag": "1"}}
    variable = {"name": "X", "valueFrom": {"secretKeyRef": key}}
    return {
        "volume": volume("v", secret=name),
        "extra volume": {"podTemplate": {"volumes": [{"name": "v", "secret": name}]}},
        "variable": {"env": [variable]},
        "sidecar": {"podTemplate": {"sidecars": [{**side, "env": [variable]}]}},
        "pull": {"podTemplate": {"imagePullSecrets": [name]}},
    }


@pytest.mark.parametrize("place", hidden(""))
def test_no_spec_reads_what_helm_keeps(place, tmp_path):
    evil = document("evil", hidden("sh.helm.release.v1.victim.v3")[place])
    assert said(tmp_path, evil)[0] == ["owned-elsewhere"]


@pytest.mark.parametrize("place", sorted(set(hidden("")) - {"pull"}))
def test_no_spec_reads_the_credentials_that_the_environment_pulls_images_with(place, tmp_path):
    evil = document("evil", hidden("registry")[place])
    environment = "  targets: [manifests]\n"
    env = GOOD["environments/prod.yaml"].replace("{pins:", "{pullSecrets: [registry], pins:")
    done = fleetform(
        "render",
        cwd=write(tmp_path, {"agents/a.yaml": evil, "environments/prod.yaml": env + environment}),
    )
    assert done.code == 1
    assert "`registry` is that of" in done.err


@pytest.mark.parametrize("field", ["volume", "variable"])
def test_no_spec_reads_the_configuration_of_another(field, tmp_path):
    name = "victim-config-0a1b2c3d"
    body = {
        "volume": volume("v", configMap=name),
        "variable": {
            "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": "agent.json"}}}
            ]
        },
    }[field]
    assert said(tmp_path, document("evil", body))[0] == ["owned-elsewhere"]


@pytest.mark.parametrize("name", ["default", "kubernetes"])
def test_no_workload_takes_a_name_that_kubernetes_uses(name, tmp_path):
    assert said(tmp_path, document(name, {}))[0] == ["reserved-name"]
