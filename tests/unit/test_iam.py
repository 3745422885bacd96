"""What `fleetform policy` prints for a cloud, and for prometheus-adapter: what is rendered needs it, and no more."""

import json

import pytest
import yaml

from tests import manifests
from tests.fleet import API, fleetform, write
from tests.tools import ROOT

PROD = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}, extras: [bedrock, google]}}
"""


def agent(model: str, identity: str, more: str = "") -> str:
    return (
        f"{API}\nkind: Agent\nmetadata: {{name: helper, namespace: desk}}\nspec:\n  systemPrompt: hi\n"
        f"  auth: {{type: none}}\n  model: {model}\n  identity: {identity}\n{more}"
    )


def printed(folder, *arguments: str):
    done = fleetform("policy", "--env", "prod", *arguments, cwd=folder)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_each_role_reads_exactly_the_secrets_that_its_namespace_has():
    found = printed(ROOT, "--iam", "aws")
    remote: dict[str, set[str]] = {}
    tree = manifests.tree("rendered/prod")
    for item in tree.of("ExternalSecret"):
        keys = [entry["remoteRef"]["key"] for entry in item["spec"].get("data", ())]
        keys += [entry["extract"]["key"] for entry in item["spec"].get("dataFrom", ())]
        remote.setdefault(item["metadata"]["namespace"], set()).update(keys)
    roles = {
        item["metadata"]["namespace"]: item["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for item in tree.of("ServiceAccount")
        if item["metadata"]["name"] == "aws-secrets-manager"
    }
    assert len(remote) > 1
    for space, names in remote.items():
        (statement,) = [
            one
            for one in found[roles[space]]["Statement"]
            if one["Action"][0].startswith("secretsmanager:")
        ]
        prefix = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
        assert statement["Resource"] == [f"{prefix}{name}-??????" for name in sorted(names)]


ROLE = '{awsRoleArn: "arn:aws:iam::123456789012:role/agents"}'


@pytest.mark.parametrize(
    ("name", "resources"),
    [
        (
            "amazon.nova-pro-v1:0",
            ["arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-pro-v1:0"],
        ),
        (
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            [
                "arn:aws:bedrock:eu-*::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ],
        ),
        (
            "global.anthropic.claude-x-v1:0",
            [
                "arn:aws:bedrock:*::foundation-model/anthropic.claude-x-v1:0",
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/global.anthropic.claude-x-v1:0",
            ],
        ),
    ],
)
def test_a_model_of_bedrock_may_be_asked_wherever_its_profile_leads(name, resources, tmp_path):
    text = agent(f'{{provider: bedrock, name: "{name}", region: eu-west-1}}', ROLE)
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD + "  platform: eks\n"})
    (statement,) = printed(tmp_path, "--iam", "aws")["arn:aws:iam::123456789012:role/agents"][
        "Statement"
    ]
    assert statement == {
        "Effect": "Allow",
        "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
        "Resource": resources,
    }


def test_a_fleet_without_roles_needs_none(tmp_path):
    text = agent('{provider: ollama, name: q, endpoint: "https://m.example/v1"}', "null")
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
    assert printed(tmp_path, "--iam", "aws") == {}
    assert printed(tmp_path, "--iam", "gcp") == []


def test_secrets_of_google_are_bound_to_the_account_of_their_namespace():
    done = fleetform("policy", "--env", "staging", "--iam", "gcp", cwd=ROOT)
    found = json.loads(done.out)
    tree = manifests.tree("rendered/staging")
    names = {
        entry["remoteRef"]["key"]
        for item in tree.of("ExternalSecret")
        for entry in item["spec"].get("data", ())
    }
    assert {row["resource"].rpartition("/")[2] for row in found} == names
    assert {row["role"] for row in found} == {"roles/secretmanager.secretAccessor"}
    for row in found:
        assert "/subject/ns/" in row["member"]


def test_an_agent_of_vertex_may_ask_its_project(tmp_path):
    model = "{provider: google, name: gemini-2.5-pro, project: acme-prod, region: eu-west4}"
    text = agent(model, "{gcpServiceAccount: helper@acme.iam.gserviceaccount.com}")
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD + "  platform: gke\n"})
    assert printed(tmp_path, "--iam", "gcp") == [
        {
            "resource": "projects/acme-prod",
            "role": "roles/aiplatform.user",
            "member": "serviceAccount:helper@acme.iam.gserviceaccount.com",
        }
    ]


def test_rules_for_an_adapter_are_about_metrics_that_there_are(tmp_path):
    done = fleetform("policy", "--prometheus-adapter", cwd=tmp_path)
    known = {m["name"] for m in json.loads((ROOT / "schemas/metrics.json").read_text())["metrics"]}
    rules = yaml.load(done.out, Loader=yaml.CSafeLoader)["rules"]
    assert {rule["name"]["as"] for rule in rules} >= {"agent_requests_per_second"}
    for rule in rules:
        assert rule["seriesQuery"].partition("{")[0] in known


def store(name: str, to: str, identity: str) -> str:
    return (
        f"{API}\nkind: MemoryStore\nmetadata: {{name: {name}, namespace: desk}}\nspec:\n  type: redis\n"
        f"  redis: {{host: cache.data.svc}}\n  policy: {{sessionTTL: 864000}}\n  backup:\n    schedule: '@daily'\n"
        f"    to: {to}\n    passwordSecretRef: {{name: b, key: k}}\n    identity: {identity}\n"
    )


def test_a_backup_may_reach_its_own_folder_of_a_bucket_and_no_other_one(tmp_path):
    stores = [
        store("kept", "{s3: {bucket: acme, region: eu-central-1}}", ROLE),
        store("named", "{s3: {bucket: acme, region: eu-central-1, prefix: a/b}}", ROLE),
        store("elsewhere", '{s3: {bucket: acme, endpoint: "https://minio.data.svc:9000"}}', ROLE),
    ]
    write(tmp_path, {"agents/a.yaml": "---\n".join(stores), "environments/prod.yaml": PROD})
    (policy,) = printed(tmp_path, "--iam", "aws").values()
    assert [(one["Action"][-1], one["Resource"]) for one in policy["Statement"]] == [
        ("s3:ListBucket", ["arn:aws:s3:::acme"]),
        ("s3:DeleteObject", ["arn:aws:s3:::acme/prod/desk/kept/*"]),
        ("s3:ListBucket", ["arn:aws:s3:::acme"]),
        ("s3:DeleteObject", ["arn:aws:s3:::acme/a/b/named/*"]),
    ]


def test_a_backup_in_google_may_use_its_bucket(tmp_path):
    google = "{gcpServiceAccount: backup@acme.iam.gserviceaccount.com}"
    text = store("kept", "{gcs: {bucket: acme}}", google)
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": PROD})
    assert printed(tmp_path, "--iam", "gcp") == [
        {
            "resource": "projects/_/buckets/acme",
            "role": "roles/storage.objectUser",
            "member": "serviceAccount:backup@acme.iam.gserviceaccount.com",
        }
    ]
