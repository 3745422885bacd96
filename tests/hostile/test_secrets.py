"""Credentials in clear text are found wherever people put them, and never repeated; other text passes."""

import json
import time
import timeit

import pytest

from fleetform import leaks
from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write
from tests.hostile import secrets
from tests.hostile.secrets import HEADERS, INNOCENT, KINDS, NAMED

TOOL = """
---
apiVersion: fleetform.dev/v1alpha1
kind: Tool
metadata: {name: t}
spec:
  type: api
  description: Asks.
  api: {endpoint: "https://api.example.com/x", method: GET, headers: %s}
"""


def prompt(text: str) -> str:
    return AGENT.replace("You help.", json.dumps(f"You help.\n{text}"))


def variable(text: str, name: str = "SOME_TEXT") -> str:
    return f"{AGENT}  env: [{{name: {name}, value: {json.dumps(text)}}}]\n"


def header(text: str, name: str = "X-Some-Text") -> str:
    used = AGENT + "  tools: [{name: t}]\n"
    return used + TOOL % json.dumps({name: text})


def said(folder, text: str) -> list[dict[str, str]]:
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT})
    outcome = fleetform("validate", "agents", "--env", "prod", "--format", "json", cwd=folder)
    found = json.loads(outcome.out)
    assert "Traceback" not in outcome.err
    return found


def cases() -> list[tuple[str, str, str]]:
    """Return (name, text of a spec, credential): each kind in two places, names, and headers."""
    found = []
    places = {"prompt": prompt, "variable": variable, "header": header}
    for number, (kind, make) in enumerate(KINDS.items()):
        for place in (("prompt", "variable"), ("prompt", "header"))[number % 2]:
            secret = make()
            if place == "header":
                secret = secret.split("\n")[0]
            found.append((f"{kind} in a {place}", places[place](secret), secret))
    for name in NAMED:
        secret = secrets._some(12)
        found.append((f"variable {name}", variable(secret, name), secret))
    for name in HEADERS:
        secret = secrets._some(20)
        found.append((f"header {name}", header(secret, name), secret))
    return found


CASES = cases()


def test_the_corpus_is_large_enough():
    assert len(CASES) >= 60
    assert len(KINDS) >= 20
    assert len({*INNOCENT}) >= 100


@pytest.mark.parametrize(
    ("spec", "secret"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_credential_is_found_and_not_repeated(spec, secret, tmp_path):
    problems = said(tmp_path, spec)
    assert "plaintext-credential" in {problem["code"] for problem in problems}, problems
    whole = json.dumps(problems)
    assert secret not in whole
    assert secret[-12:].strip() not in whole
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert secret not in outcome.out + outcome.err
    assert not (tmp_path / "rendered").exists()


def test_no_innocent_text_is_taken_for_a_credential(tmp_path):
    wrong = []
    for number, text in enumerate(INNOCENT):
        for make in (prompt, variable):
            found = said(tmp_path / f"{number}-{make.__name__}", make(text))
            wrong += [text for problem in found if problem["code"] == "plaintext-credential"]
    assert wrong == []


def test_a_credential_in_an_object_patch_of_an_environment_is_found(tmp_path):
    secret = KINDS["GitHub"]()
    patch = f'  objectPatches:\n    - target: {{kind: Deployment}}\n      merge: {{metadata: {{annotations: {{x: "{secret}"}}}}}}\n'
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT + patch})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert "environments/prod.yaml:8:" in outcome.err
    assert secret not in outcome.err


PLACES = {
    "an option and its value": '  container: {image: {repository: a/b, tag: "1"}, args: ["--token", "%s"]}\n',
    "an option with its value": '  container: {image: {repository: a/b, tag: "1"}, args: ["--api-key=%s"]}\n',
    "a file": '  container: {image: {repository: a/b, tag: "1"}, configFiles: {a.ini: "[db]\\npassword = %s"}}\n',
    "a patch": "  objectPatches: [{target: {kind: Deployment}, json6902: [{op: add, path: /x, value: {name: PASSWORD, value: %s}}]}]\n",
    "a merge": "  objectPatches: [{target: {kind: Deployment}, merge: {spec: {env: [{name: DB_PASSWORD, value: %s}]}}}]\n",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_credential_by_its_name_is_found_wherever_names_are(place, tmp_path):
    secret = secrets._some(12)
    own = f"{API}\nkind: MCPServer\nmetadata: {{name: own}}\nspec:\n"
    found = said(tmp_path, own + place % secret)
    assert "plaintext-credential" in {problem["code"] for problem in found}, found
    assert secret not in json.dumps(found)
    innocent = own + place % "$(FROM_A_SECRET)"
    assert "plaintext-credential" not in {item["code"] for item in said(tmp_path, innocent)}


def test_a_credential_as_a_key_is_found(tmp_path):
    secret = KINDS["GitHub"]()
    spec = AGENT.replace("{name: helper}", f"{{name: helper, annotations: {{{secret}: x}}}}")
    found = said(tmp_path, spec)
    assert "plaintext-credential" in {problem["code"] for problem in found}
    assert secret not in json.dumps(found)


@pytest.mark.parametrize(
    "text",
    [
        "kind: %s\n",
        "apiVersion: %s\nkind: Agent\nmetadata: {name: a}\n",
        "apiVersion: fleetform.dev/v1alpha1\nkind: Agent\nmetadata: {name: %s}\nspec: {}\n",
        "apiVersion: fleetform.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec: {resources: {limits: {cpu: %s}}}\n",
        "apiVersion: fleetform.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec: {%s: 1}\n",
        "apiVersion: fleetform.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec: {modelConfig: %s}\n",
        "%s: 1\n%s: 2\n",
    ],
)
@pytest.mark.parametrize("kind", ["OpenAI", "GitHub", "AWS key", "Hugging Face", "Langfuse"])
def test_no_message_of_any_kind_shows_a_credential(kind, text, tmp_path):
    secret = KINDS[kind]()
    file = text.replace("%s", secret)
    write(tmp_path, {"agents/a.yaml": file, "environments/prod.yaml": ENVIRONMENT})
    for command in (("validate", "agents", "--env", "prod"), ("render",), ("validate", "agents")):
        outcome = fleetform(*command, cwd=tmp_path)
        assert secret not in outcome.out + outcome.err
        assert secret[4:20] not in outcome.err


FRAGMENTS = (
    "a", "aA1", "-", "a-", "a.", "a.b1", "_", "/", "://", "a://b:", "http://a:", "@", "a@", "eyJ", "eyJaaaaaaaa.", "sk_", "token=",
    "token: ", "password : ", "secret:a1", "api_key='", "a.password", "x-token-", "aaaaaaaaaaaaaa.atlasv1.", "-----BEGIN A ", "bearer a",
    "Basic a", "aws_secret_access_key ", "M" * 24 + ".", "1" * 9 + ":AA", "xoxb-", "SG.", "?sig=", "AccountKey=", "dp.pt.", " ", "\n", "=",
)  # fmt: skip


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_no_text_takes_long_to_search(fragment):
    """What a pattern begins with, over and over: one that looks far ahead from each would never end."""
    text = fragment * (900_000 // len(fragment))
    best = min(
        timeit.repeat(lambda: leaks.kind_of(text), timer=time.process_time, number=1, repeat=3)
    )
    assert best < 0.5


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [
        ("COHERE_KEY", "Zq3" + "x9Kd7TbW" * 5, True),
        ("STORAGE_KEY", "Zq3/" + "x9Kd7+bW" * 10 + "==", True),
        ("PARTITION_KEY", "tenant", False),
        ("PUBLIC_KEY", "Zq3" + "x9Kd7TbW" * 5, False),
        ("SORT_KEY", "created_at", False),
        ("HOT_KEY", "the-longest-name-of-a-key-in-2026-that-is-none", False),
        ("DATABASE_DSN", "postgresql://db.example.com/app", False),
        ("DATABASE_DSN", "host=db password=some-words", True),
        ("SENTRY_DSN", "https://0123456789abcdef@o1.example.com/12", True),
    ],
)
def test_a_name_that_says_little_says_it_with_its_value(name, value, is_one, tmp_path):
    found = [item for item in said(tmp_path, variable(value, name)) if item["severity"] == "error"]
    assert [item["code"] for item in found] == ["plaintext-credential"] * is_one
