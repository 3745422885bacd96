"""`explain` names the layer, file and line of each final value, and everything below it."""

import json

import pytest

from tests.fleet import API, fleetform, write

TEMPLATES = f"""{API}
kind: AgentTemplate
metadata: {{name: base}}
spec:
  limits: {{maxSteps: 5, maxToolCalls: 6}}
  env: [{{name: SHARED, value: base}}, {{name: KEPT, value: base}}]
---
{API}
kind: AgentTemplate
metadata: {{name: child}}
spec:
  extends: base
  limits: {{maxToolCalls: 7}}
"""
AGENT = f"""{API}
kind: Agent
metadata: {{name: helper}}
spec:
  extends: child
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}}
  auth: {{type: none}}
  limits: {{concurrentRuns: 9}}
  env: [{{name: SHARED, value: own}}]
  expose: {{host: own.example}}
"""
ENVIRONMENTS = f"""{API}
kind: Environment
metadata: {{name: root}}
spec:
  abstract: true
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  defaults: {{Agent: {{limits: {{maxSteps: 4, concurrentRuns: 8}}}}}}
---
{API}
kind: Environment
metadata: {{name: prod}}
spec:
  extends: root
  images: {{pins: {{fleetform/agent-runtime: {{tag: 2.0.0}}}}}}
  patches:
    - target: {{kind: Agent, name: helper}}
      spec: {{limits: {{maxToolCalls: 10}}, expose: null}}
"""


@pytest.fixture
def folder(tmp_path):
    files = {
        "agents/agent.yaml": AGENT,
        "agents/templates.yaml": TEMPLATES,
        "environments/all.yaml": ENVIRONMENTS,
    }
    return write(tmp_path, files)


def explained(folder, *arguments: str) -> str:
    outcome = fleetform("explain", *arguments, cwd=folder)
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_a_built_in_default_is_called_so(folder):
    said = explained(folder, "Agent/helper", "limits.turnTimeoutSeconds")
    assert said == "spec.limits.turnTimeoutSeconds: 120\n  built-in default\n"


def test_a_template_wins_over_the_environments_defaults(folder):
    assert explained(folder, "Agent/helper", "limits.maxSteps") == (
        "spec.limits.maxSteps: 5\n"
        "  agents/templates.yaml:5 (AgentTemplate base)\n"
        "  over 4, environments/all.yaml:7 (defaults of environment prod)\n"
    )


def test_a_patch_wins_over_every_template_in_order(folder):
    assert explained(folder, "Agent/helper", "spec.limits.maxToolCalls") == (
        "spec.limits.maxToolCalls: 10\n"
        "  environments/all.yaml:17 (patch 0 of environment prod)\n"
        "  over 7, agents/templates.yaml:13 (AgentTemplate child)\n"
        "  over 6, agents/templates.yaml:5 (AgentTemplate base)\n"
    )


def test_the_spec_wins_over_the_environments_defaults(folder):
    assert explained(folder, "Agent/helper", "limits.concurrentRuns") == (
        "spec.limits.concurrentRuns: 9\n"
        "  agents/agent.yaml:9 (Agent helper)\n"
        "  over 8, environments/all.yaml:7 (defaults of environment prod)\n"
    )


def test_items_of_a_keyed_list_are_told_apart_by_their_names(folder):
    assert explained(folder, "Agent/helper", "env[SHARED].value") == (
        'spec.env[SHARED].value: "own"\n'
        "  agents/agent.yaml:10 (Agent helper)\n"
        '  over "base", agents/templates.yaml:6 (AgentTemplate base)\n'
    )
    assert "AgentTemplate base" in explained(folder, "Agent/helper", "env[KEPT].value")


def test_items_can_be_counted_as_problems_count_them(folder):
    named = explained(folder, "Agent/helper", "env[SHARED].value")
    assert explained(folder, "Agent/helper", "spec.env[0].value") == named


def test_what_a_null_took_away_is_shown(folder):
    assert explained(folder, "Agent/helper", "expose") == (
        "spec.expose: null\n"
        "  not set\n"
        "  over null, environments/all.yaml:17 (patch 0 of environment prod)\n"
        '  over {"host": "own.example"}, agents/agent.yaml:11 (Agent helper)\n'
    )


def test_an_environment_is_explained_along_its_chain(folder):
    said = explained(folder, "Environment/prod", "images.pins")
    assert said == (
        'spec.images.pins.fleetform/agent-runtime.tag: "2.0.0"\n'
        "  environments/all.yaml:14 (Environment prod)\n"
        '  over "1.0.0", environments/all.yaml:6 (Environment root)\n'
    )


def test_a_template_is_explained_as_well(folder):
    assert "AgentTemplate base" in explained(folder, "AgentTemplate/child", "limits.maxSteps")


def test_json_says_the_same(folder):
    (entry,) = json.loads(explained(folder, "Agent/helper", "limits.maxSteps", "--json"))
    assert entry["path"] == "spec.limits.maxSteps"
    assert entry["final"] == {
        "value": 5,
        "layer": "AgentTemplate base",
        "file": "agents/templates.yaml",
        "line": 5,
    }
    assert [setting["value"] for setting in entry["overridden"]] == [4]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["Agent/helper", "limit"], 1, "did you mean `spec.limits`?"),
        (["Agent/halper"], 1, "did you mean `helper`?"),
        (["Agnt/helper"], 2, "did you mean `Agent`?"),
        (["Agent"], 2, "write kind and name, such as Agent/support"),
        (["Environment/prd"], 1, "did you mean `prod`?"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(folder, arguments, code, said):
    outcome = fleetform("explain", *arguments, cwd=folder)
    assert outcome.code == code
    assert said in outcome.err


IMAGES = f"""{API}
kind: Environment
metadata: {{name: root}}
spec:
  abstract: true
  images:
    registry: ghcr.io/acme
    extras: []
    pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}
---
{API}
kind: Environment
metadata: {{name: prod}}
spec:
  extends: root
  images:
    pins: {{team/own: {{tag: 2.0.0}}}}
  patches:
    - target: {{kind: MemoryStore, name: here}}
      spec: {{provision: {{}}, redis: null}}
"""
OWN = f"""{API}
kind: Agent
metadata: {{name: own}}
spec:
  container: {{image: {{repository: team/own, tag: 1.0.0}}}}
---
{API}
kind: MemoryStore
metadata: {{name: here}}
spec: {{type: redis, redis: {{host: redis.data.svc}}}}
---
{API}
kind: MemoryStore
metadata: {{name: there}}
spec: {{type: redis, redis: {{host: redis.data.svc}}}}
"""


@pytest.mark.parametrize(
    ("what", "image", "made_of"),
    [
        (
            "Agent/helper",
            "ghcr.io/acme/fleetform/agent-runtime:1.0.0",
            ["images.extras", "images.pins.fleetform/agent-runtime.tag", "images.registry", "images.runtime"],
        ),
        (
            "Agent/own",
            "ghcr.io/acme/team/own:2.0.0",
            ["container.image.repository", "container.image.tag", "images.pins.team/own.tag", "images.registry"],
        ),
        ("MemoryStore/here", "docker.io/library/redis:8.2.3-alpine", []),
    ],
)  # fmt: skip
def test_the_image_of_a_workload_is_explained_by_all_that_makes_it_up(
    what, image, made_of, tmp_path
):
    files = {"agents/a.yaml": f"{TEMPLATES}---\n{AGENT}---\n{OWN}", "environments/e.yaml": IMAGES}
    folder = write(tmp_path, files)
    found = json.loads(fleetform("explain", what, "image", "--json", cwd=folder).out)
    assert found[0]["path"] == "image"
    assert found[0]["final"]["value"] == image
    names = [
        entry["path"].removeprefix("Environment/prod.").removeprefix("spec.") for entry in found[1:]
    ]
    assert sorted(names) == made_of


def test_what_is_not_deployed_runs_no_image(tmp_path):
    files = {"agents/a.yaml": f"{TEMPLATES}---\n{AGENT}---\n{OWN}", "environments/e.yaml": IMAGES}
    outcome = fleetform("explain", "MemoryStore/there", "image", cwd=write(tmp_path, files))
    assert outcome.code == 1
    assert "runs no image in prod" in outcome.err
