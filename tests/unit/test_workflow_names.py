"""What workflows make has no name that somebody else has: everywhere, in the environment, or in the fleet."""

import pytest

from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write

STORE = """  capabilities: [external-secrets]
  secrets:
    provider: aws
    store:
      name: reader
      identity: {awsRoleArn: "arn:aws:iam::123456789012:role/{namespace}"}
      aws: {region: eu-central-1}
"""
SEARCH = f"""---
{API}
kind: Tool
metadata: {{name: docs}}
spec:
  type: retrieval
  description: Searches.
  retrieval: {{vectorStore: {{type: embedded, collection: docs}}}}
"""
KNOWS = """  tools: [{name: docs}]
  volumes: [{name: d, mountPath: /var/lib/fleetform-knowledge, claim: {size: 1Gi}}]
  knowledge: {sources: [{name: rules, configMap: handbook}]}
"""
TAKEN = {
    "default": "the name `default` is reserved",
    "kustomization": "the name `kustomization` is reserved",
    "kubernetes": "the name `kubernetes` is reserved",
    "reader": "the ServiceAccount `reader` is that of the environment's `secrets.store`",
    "helper": "would have the name of Agent `helper`",
    "helper-knowledge": "would have the name of what takes the documents of Agent `helper` in",
}


def said(folder, workflow: str, extra: str = "", run: str = "", more: str = "") -> str:
    steps = "steps: [{name: a, agent: helper, input: {message: hi}}]"
    text = f"{AGENT}{KNOWS}{SEARCH}---\n{API}\nkind: Workflow\nmetadata: {{name: {workflow}}}\nspec: {{{steps}{extra}}}\n"
    if run:
        text += f"---\n{API}\nkind: WorkflowRun\nmetadata: {{name: {run}{more}}}\nspec: {{workflowRef: {{name: {workflow}}}}}\n"
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT + STORE})
    return fleetform("validate", "--env", "prod", cwd=folder).err


@pytest.mark.parametrize(("name", "why"), TAKEN.items(), ids=TAKEN)
def test_a_run_has_no_name_of_another(name, why, tmp_path):
    assert f"error: metadata.name: {'' if 'would' not in why else f'WorkflowRun `{name}` '}{why}" in said(tmp_path, "w", run=name)  # fmt: skip


@pytest.mark.parametrize(("name", "why"), TAKEN.items(), ids=TAKEN)
def test_nor_has_the_api_of_a_workflow(name, why, tmp_path):
    assert why in said(tmp_path, name, ", serve: {auth: {type: none}}")


def test_a_workflow_that_makes_nothing_of_its_own_name_is_free(tmp_path):
    for name in ("default", "reader"):
        assert " error: " not in said(tmp_path, name, run="r")


def test_annotations_of_a_run_are_as_long_as_an_api_server_takes(tmp_path):
    many = f", annotations: {{a.example/b: {'x' * 262_200}}}"
    assert "the annotations have 262211 bytes together" in said(tmp_path, "w", run="r", more=many)
