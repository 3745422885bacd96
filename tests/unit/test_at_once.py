"""Every problem of a run is said in that run: a wrong type hides neither a broken rule nor a leaked key."""

import json

import pytest

from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write

LEAK = "sk-" + "proj-" + "Ab3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0" * 2
TEMPLATE = (
    f"{API}\nkind: AgentTemplate\nmetadata: {{name: base}}\nspec: {{systemPrompt: You help.}}\n"
)
HEIR = f"""{API}
kind: Agent
metadata: {{name: heir}}
spec:
  extends: base
  model: {{provider: openai, name: gpt-4o}}
  auth: {{type: none}}
"""


def said(folder, *agents, environment=ENVIRONMENT):
    files = {f"agents/{number}.yaml": text for number, text in enumerate(agents)}
    write(folder, {**files, "environments/prod.yaml": environment})
    outcome = fleetform("validate", "agents", "--env", "prod", "--format", "json", cwd=folder)
    found = [item for item in json.loads(outcome.out) if item["severity"] == "error"]
    return sorted((item["file"].rpartition("/")[2], item["code"], item["path"]) for item in found)


def test_a_document_with_a_wrong_type_is_judged_by_the_rules_and_for_leaks(tmp_path):
    wrong = (
        AGENT.replace("{type: none}", "{type: apiKey}")
        + "  limits: {maxSteps: many}\n"
        + f"  description: {LEAK}\n"
        + "  scaling: {minReplicas: 3, maxReplicas: 2}\n"
    )
    assert said(tmp_path, wrong) == [
        ("0.yaml", "memory-not-shared", "spec.scaling"),
        ("0.yaml", "min-above-max", "spec.scaling.minReplicas"),
        ("0.yaml", "missing-field", "spec.auth"),
        ("0.yaml", "plaintext-credential", "spec.description"),
        ("0.yaml", "schema-type", "spec.limits.maxSteps"),
    ]


def test_a_key_leaks_from_a_field_that_nobody_knows_as_well(tmp_path):
    assert said(tmp_path, AGENT + f"  apiKee: {LEAK}\n") == [
        ("0.yaml", "plaintext-credential", "spec.apiKee"),
        ("0.yaml", "unknown-field", "spec.apiKee"),
    ]


def test_another_document_is_judged_beside_a_broken_one(tmp_path):
    other = AGENT.replace("helper", "other") + "  healthCheck: {port: 0}\n"
    rule = AGENT + "  expose: {}\n"
    assert said(tmp_path, rule, other) == [
        ("0.yaml", "missing-capability", "spec.expose"),
        ("0.yaml", "no-host", "spec.expose"),
        ("1.yaml", "schema-minimum", "spec.healthCheck.port"),
    ]


def test_specs_are_judged_in_an_environment_with_a_wrong_type(tmp_path):
    environment = ENVIRONMENT + "  monitoring: {labels: 5}\n"
    leaking = AGENT + f"  scaling: {{minReplicas: 2, maxReplicas: 1}}\n  description: {LEAK}\n"
    assert said(tmp_path, leaking, environment=environment) == [
        ("0.yaml", "memory-not-shared", "spec.scaling"),
        ("0.yaml", "min-above-max", "spec.scaling.minReplicas"),
        ("0.yaml", "plaintext-credential", "spec.description"),
        ("prod.yaml", "schema-type", "spec.monitoring.labels"),
    ]


def test_keys_leak_from_specs_and_environments_that_no_fleet_comes_from(tmp_path):
    environment = "- no map\n"
    assert ("0.yaml", "plaintext-credential", "spec.description") in said(
        tmp_path, AGENT + f"  description: {LEAK}\n", environment=environment
    )


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("auth: {type: bogus}", "spec.auth.type"),
        ("auth: yes please", "spec.auth"),
        ("auht: {type: none}", "spec.auht"),
    ],
)
def test_nothing_is_said_of_what_follows_from_a_field_that_is_wrong(wrong, error, tmp_path):
    text = AGENT.replace("auth: {type: none}", wrong)
    assert [path for _, _, path in said(tmp_path, text)] == [error]


@pytest.mark.parametrize("wrong", ["systemPrompt: [a]", "limits: 5"])
def test_agents_of_a_broken_template_are_not_told_what_it_would_have_said(wrong, tmp_path):
    template = TEMPLATE.replace("{systemPrompt: You help.}", f"{{{wrong}, auth: {{type: none}}}}")
    prompt = "" if "Prompt" in wrong else "  systemPrompt: You help.\n"
    assert [file for file, _, _ in said(tmp_path, template, HEIR + prompt)] == ["0.yaml"]


def test_agents_of_a_template_of_which_nothing_is_left_are_not_told_that_it_is_missing(tmp_path):
    assert [
        file
        for file, _, _ in said(tmp_path, TEMPLATE.replace("{systemPrompt: You help.}", "5"), HEIR)
    ] == ["0.yaml"]


def test_what_refers_to_a_broken_document_is_not_told_of_what_it_lacks(tmp_path):
    model = f"{API}\nkind: ModelConfig\nmetadata: {{name: m}}\nspec: {{provider: opnai, name: gpt-4o}}\n"
    tool = f"{API}\nkind: Tool\nmetadata: {{name: t}}\nspec: {{type: api, api: {{endpoint: 5}}}}\n"
    user = AGENT.replace(
        'model: {provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}',
        "modelConfig: m",
    )
    assert said(tmp_path, model, tool, user + "  tools: [{name: t}]\n") == [
        ("0.yaml", "schema-enum", "spec.provider"),
        ("1.yaml", "schema-type", "spec.api.endpoint"),
    ]


def test_a_wrong_capability_does_not_make_others_missing(tmp_path):
    environment = (
        ENVIRONMENT
        + "  capabilities: [gateway-api, kedaa]\n  expose: {hosts: [{host: a.example}]}\n"
    )
    text = AGENT + "  expose: {host: a.example}\n"
    assert said(tmp_path, text, environment=environment) == [
        ("prod.yaml", "schema-enum", "spec.capabilities[1]"),
    ]


def test_a_patch_with_a_wrong_type_is_left_out_of_the_judgement(tmp_path):
    patch = "  patches: [{target: {kind: Agent}, spec: {limits: 5, scaling: {minReplicas: 0}}}]\n"
    assert said(tmp_path, AGENT, environment=ENVIRONMENT + patch) == [
        ("prod.yaml", "cannot-wake", "spec.scaling.minReplicas"),
        ("prod.yaml", "schema-type", "spec.patches[0].spec.limits"),
    ]


def test_nothing_is_rendered_from_a_document_that_was_mended(tmp_path):
    write(
        tmp_path, {"agents/a.yaml": AGENT + "  limits: 5\n", "environments/prod.yaml": ENVIRONMENT}
    )
    outcome = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 1
    assert not (tmp_path / "rendered").exists()
