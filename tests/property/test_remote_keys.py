"""Names of secrets in the provider's store: no two Secrets get the same one, whatever the separator."""

import json
from typing import NamedTuple

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.pipeline import render
from fleetform.platforms.kubernetes.bind.secrets import shared_remote_keys
from fleetform.platforms.kubernetes.model import ExternalSecret
from fleetform.problems import SpecError, errors
from tests.fleet import AGENT, API, fleet, write

WORDS = st.lists(st.sampled_from(["a", "b", "eu"]), min_size=1, max_size=3)
NAMES = WORDS.map("-".join)
PAIRS = st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=6, unique=True)
RULES = st.sampled_from(["{namespace}-{name}", "{namespace}/{name}", "{environment}-{namespace}-{name}", "{name}-{namespace}", "{namespace}{name}", "x{name}.{namespace}y"])  # fmt: skip


class Space(NamedTuple):
    """As much of a namespace's plan as the check reads."""

    secrets: tuple[ExternalSecret, ...]


@settings(max_examples=60, deadline=None)
@given(PAIRS, RULES)
def test_no_two_secrets_get_the_same_remote_one(tmp_path_factory, pairs, rule):
    environment = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  capabilities: [external-secrets]
  secrets: {{provider: aws, remoteKey: "{rule}", store: {{operatorIdentity: true, aws: {{region: eu-central-1}}}}}}
"""
    files = {"agents/a.yaml": AGENT, "environments/prod.yaml": environment}
    found, _ = fleet(write(tmp_path_factory.mktemp("fleet"), files))

    def remote(space: str, name: str) -> str:
        values = {"environment": "prod", "namespace": space, "name": name}
        return rule.format(**values)

    made = [
        (space, Space((ExternalSecret(name, remote(space, name), ()),))) for space, name in pairs
    ]
    problems = [*shared_remote_keys(found, made)]
    assert len(problems) == len(made) - len({item.secrets[0].remote_key for _, item in made})
    assert all(problem.severity == "error" for problem in problems)


MORE = st.dictionaries(
    st.sampled_from(["a", "b-eu", "team/a", "team/b-eu", "b/a"]),
    st.fixed_dictionaries(
        {},
        optional={
            "remoteKey": st.sampled_from(["shared", "{namespace}/{name}", "x-{name}", "{name}/{key}"]),
            "layout": st.sampled_from(["json", "plain"]),
            "version": st.just("AWSCURRENT"),
        },
    ),
    max_size=3,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(MORE, st.sampled_from(["json", "plain"]), st.sampled_from(["{namespace}/{name}", "{name}", "{namespace}/{name}/{key}"]))  # fmt: skip
def test_each_key_has_a_place_of_its_own_or_a_problem_says_so(
    tmp_path_factory, items, layout, rule
):
    """Two Secrets have the same value only where both are named for it, or a Problem says so."""
    secrets = {
        "provider": "aws",
        "layout": layout,
        "remoteKey": rule,
        "items": items,
        "store": {"operatorIdentity": True, "aws": {"region": "eu-central-1"}},
    }
    spec = {
        "images": {"pins": {"fleetform/agent-runtime": {"tag": "1.0.0"}}},
        "capabilities": ["external-secrets"],
        "secrets": secrets,
    }
    environment = f"{API}\nkind: Environment\nmetadata: {{name: prod}}\nspec: {json.dumps(spec)}\n"
    keyed = [KEYED.format(space=space, secret=name) for space, name in SECRETS]
    root = write(
        tmp_path_factory.mktemp("fleet"),
        {"agents/a.yaml": "---\n".join(keyed), "environments/prod.yaml": environment},
    )
    try:
        rendering = render([root / "agents"], root / "environments", "prod", ["manifests"])
    except SpecError as error:
        codes = {problem.code for problem in errors(error.problems)}
        if codes <= {"remote-key-clash", "bad-template", "bad-remote-key"}:
            return
        raise
    said = {problem.code for problem in rendering.problems}
    places: dict[tuple[str, str], tuple[str, str]] = {}
    for item in objects(rendering):
        where = item["metadata"]["namespace"], item["metadata"]["name"]
        for entry in item["spec"]["data"]:
            reference = entry["remoteRef"]
            place = reference["key"], reference.get("property", "")
            first = places.setdefault(place, where)
            if first != where:
                named = [
                    any(
                        "remoteKey" in items.get(key, {})
                        for key in ("/".join(each), each[1])
                        if key in items
                    )
                    for each in (first, where)
                ]
                assert all(named) or "remote-key-clash" in said


SECRETS = (("team", "a"), ("team", "b-eu"), ("b", "a"))
KEYED = (
    API
    + """
kind: Agent
metadata: {{name: {secret}, namespace: {space}}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "https://models.example"}}
  auth: {{type: apiKey, apiKey: {{keys: [{{name: web, secretRef: {{name: {secret}, key: web}}}}, {{name: app, secretRef: {{name: {secret}, key: app}}}}]}}}}
"""
)


def objects(rendering):
    """Yield the ExternalSecrets of a rendering."""
    for text in rendering.folders["rendered/prod"].values():
        for item in yaml.safe_load_all(text):
            if item and item["kind"] == "ExternalSecret":
                yield item
