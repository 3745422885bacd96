"""Credentials in clear text are found wherever people put them, and never repeated; other text passes."""

import base64
import json
import re
import time
import timeit
from datetime import date
from pathlib import Path

import pytest

from fleetform import credential_names, leaks
from fleetform.rules import credentials
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
    "an annotation of a merge": "  objectPatches: [{target: {kind: Deployment}, merge: {metadata: {annotations: {acme.com/password: %s}}}}]\n",
    "an annotation of a pod": "  podTemplate: {annotations: {acme.com/api-key: %s}}\n",
    "an annotation by its pointer": "  objectPatches: [{target: {kind: Deployment}, json6902: [{op: add, path: /metadata/annotations/acme.com~1password, value: %s}]}]\n",
    "annotations by their pointer": "  objectPatches: [{target: {kind: Deployment}, json6902: [{op: add, path: /metadata/annotations, value: {acme.com/password: %s}}]}]\n",
    "a setting of a command": '  container: {image: {repository: a/b, tag: "1"}, command: [sh, -c, "DB_PASSWORD=%s run"]}\n',
    "a variable of a sidecar": '  podTemplate: {sidecars: [{name: x, image: {repository: a/b, tag: "1"}, env: [{name: API_KEY_2, value: %s}]}]}\n',
    "a trigger": "  scaling: {keda: {enabled: true, triggers: [{type: postgresql, metadata: {password: %s}}]}}\n",
    "a query": '  container: {image: {repository: a/b, tag: "1"}, args: ["https://x.example/v1?api_key=%s"]}\n',
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


@pytest.mark.parametrize(
    "parameter",
    [
        "{name: api_key, type: string, default: %s}",
        "{name: x, type: object, properties: {api_key: {type: string, default: %s}}}",
    ],
)
def test_a_credential_is_no_default_of_a_parameter(parameter, tmp_path):
    secret = secrets._some(12)
    tool = header("x").replace("  description: Asks.", f"  description: Asks.\n  parameters: [{parameter % secret}]")  # fmt: skip
    assert "plaintext-credential" in {problem["code"] for problem in said(tmp_path, tool)}


def test_a_credential_is_no_input_of_a_workflow(tmp_path):
    secret = secrets._some(12)
    run = f"{API}\nkind: WorkflowRun\nmetadata: {{name: r}}\nspec: {{workflowRef: {{name: w}}, input: {{crm: {{password: {secret}}}}}}}\n"
    found = said(tmp_path, f"{AGENT}---\n{run}")
    assert "plaintext-credential" in {problem["code"] for problem in found}
    assert secret not in json.dumps(found)


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
    "Basic a", "aws_secret_access_key ", "M" * 24 + ".", "1" * 9 + ":AA", "xoxb-", "SG.", "?sig=", "AccountKey=", "dp.pt.", "login ", "mysql -p", "login -p a1", "machine a ", "machine a login b ", "?api_key=", "&code=1a", "A" * 21 + " ", "A" * 21 + "\n", "LS0tLS1C", "api key ", "a=b ", "password=", "--ab ", "<ab>", "?ab=", "A-b_", "x-token: a1 ", " ", "\n", "=",
)  # fmt: skip


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_no_text_takes_long_to_search(fragment):
    """What a pattern begins with, over and over: one that looks far ahead from each would never end."""
    text = fragment * (900_000 // len(fragment))
    best = min(
        timeit.repeat(lambda: leaks.kind_of(text), timer=time.process_time, number=1, repeat=3)
    )
    assert best < 0.5


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_no_file_takes_long_to_search(fragment):
    text = fragment * (300_000 // len(fragment))
    best = min(
        timeit.repeat(
            lambda: credentials._is_assigned(text), timer=time.process_time, number=1, repeat=3
        )
    )
    assert best < 0.5


# -- what is known, as data ----------------------------------------------------------------------

ROWS = leaks.knowledge()["forms"]


def test_what_is_known_has_its_date_and_a_source_for_each_form():
    known = leaks.knowledge()
    assert date.fromisoformat(known["date"]) <= date.today()
    assert {row["source"] for row in ROWS} == {*known["sources"]}
    assert len({row["pattern"] for row in ROWS}) == len(ROWS) >= 90


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["pattern"][:40])
def test_each_form_has_an_example_and_a_counterexample(row):
    pattern = re.compile(row["pattern"])
    for _ in range(20):
        example = secrets.made(row["like"])
        assert pattern.search(example), example
        assert any(need in example.lower() for need in row["needs"])
        assert leaks.kind_of(f"Say {example} to them.")
        assert leaks.kind_of(base64.b64encode(f"{{{example}}}".encode()).decode())
    assert not pattern.search(row["unlike"])
    assert leaks.kind_of(row["unlike"]) == ""


@pytest.mark.parametrize("name", secrets.NUMBERED)
def test_a_number_or_an_attribute_hides_no_name(name, tmp_path):
    found = said(tmp_path, variable(secrets._some(12), name))
    assert "plaintext-credential" in {problem["code"] for problem in found}


@pytest.mark.parametrize("name", secrets.JOINED)
@pytest.mark.parametrize("value", ["hunter", "correct-horse", "12345678"])
def test_no_order_and_no_missing_gap_hides_a_name(name, value, tmp_path):
    assert credential_names.is_credential(name, value)
    found = said(tmp_path, variable(value, name))
    assert "plaintext-credential" in {problem["code"] for problem in found}


@pytest.mark.parametrize("name", secrets.HARMLESS)
@pytest.mark.parametrize(
    "value", ["4096", "strong", "https://id.example/Token2", "prod/Db1", "K8s-Token-1"]
)
def test_a_name_that_only_speaks_of_secrets_is_none(name, value):
    assert not credential_names.is_credential(name, value)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    "kind", ["RSA key", "private key", "GitHub", "database URL", "Docker token"]
)
def test_a_credential_in_base64_is_found(kind, wrap, tmp_path):
    secret = KINDS[kind]()
    for text in (secret, json.dumps({"private_key": secret}), f"# {secret}\n" * 3):
        encoded = base64.b64encode(text.encode()).decode()
        if wrap:
            encoded = "\n    ".join(encoded[n : n + 64] for n in range(0, len(encoded), 64))
        config = (
            f"users:\n- user:\n    client-key-data: {encoded}\n    client-certificate-data: abc\n"
        )
        own = f'  container: {{image: {{repository: a/b, tag: "1"}}, configFiles: {{config: {json.dumps(config)}}}}}\n'
        found = said(tmp_path, f"{API}\nkind: MCPServer\nmetadata: {{name: own}}\nspec:\n{own}")
        assert "plaintext-credential" in {problem["code"] for problem in found}
        assert leaks.kind_of(base64.b64encode(encoded.encode()).decode())
        assert encoded[:40] not in leaks.masked(config)


SETTINGS = (
    "-Xmx1g -Ddb.password=hunter2x", "--db-password=hunter2x --verbose", "--db-password hunter2x", "jdbc:postgresql://db/app?user=app&password=hunter2x",
    "https://x.example/sign-in?password=hunter2x", '{"password": "hunter2x"}', r'{\"password\": \"hunter2x\"}', 'password = "hunter2x"',
    "<password>hunter2x</password>", "mode=fast;api_key=abcd1234efgh", "https://0123456789abcdefghij@git.example.com/team.git",
    "Authorization: Bearer abcdefghijklmnop1234", "host=db&user=app&password=correct-horse",
)  # fmt: skip
OF_NO_USE = (
    "--password-file /run/secrets/db", "--password $(PASSWORD)", "https://x.example/?password=$(PASSWORD)&user=app", "jdbc:postgresql://db/app?user=app&password=${PASSWORD}",
    "https://x.example/?page_token=2&max_tokens=4096", '{"password": null}', "<password>${PASSWORD}</password>", "<passwordPolicy>strong</passwordPolicy>",
    "https://the-name-of-a-user-of-git@git.example.com", "Authorization: Bearer $(TOKEN)", "mode=fast;level=2", "-Dpassword.encoder=bcrypt", "--password <PASSWORD>",
)  # fmt: skip


@pytest.mark.parametrize("place", ["a variable", "an annotation", "a file"])
@pytest.mark.parametrize("text", SETTINGS)
def test_a_setting_inside_a_value_is_found(text, place, tmp_path):
    assert "plaintext-credential" in {problem["code"] for problem in placed(text, place, tmp_path)}


@pytest.mark.parametrize("place", ["a variable", "an annotation", "a file"])
@pytest.mark.parametrize("text", OF_NO_USE)
def test_a_setting_that_refers_to_a_secret_is_innocent(text, place, tmp_path):
    found = {problem["code"] for problem in placed(text, place, tmp_path)}
    assert "plaintext-credential" not in found


def placed(text: str, place: str, folder: Path) -> list[dict]:
    """Return what is said of an own image that has a text somewhere."""
    own = '{image: {repository: a/b, tag: "1"}%s}'
    files = f", configFiles: {{config: {json.dumps(text)}}}" if place == "a file" else ""
    spec = f"  container: {own % files}\n"
    if place == "a variable":
        spec += f"  env: [{{name: SETTINGS, value: {json.dumps(text)}}}]\n"
    name = "name: own"
    if place == "an annotation":
        name += f", annotations: {{acme.com/settings: {json.dumps(text)}}}"
    return said(folder, f"{API}\nkind: MCPServer\nmetadata: {{{name}}}\nspec:\n{spec}")


@pytest.mark.parametrize(
    "operation",
    [
        "{op: add, path: /metadata/annotations, value: {acme.com/password: hunter2x}}",
        "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: DB_PASSWORD, value: hunter2x}}",
        "{op: add, path: /metadata/annotations/acme.com~1password, value: hunter2x}",
        "{op: add, path: /spec/template/spec/containers/0/env/-, value: {name: OPTIONS, value: --db-password=hunter2x}}",
    ],
)
def test_an_environments_patch_hides_none(operation, tmp_path):
    patch = f"  objectPatches: [{{target: {{kind: Deployment}}, json6902: [{operation}]}}]\n"
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT + patch})
    done = fleetform("render", "--format", "json", cwd=tmp_path)
    assert "plaintext-credential" in {problem["code"] for problem in json.loads(done.out)}
    assert "hunter2x" not in done.out


INNOCENT_FILES = (
    "password: ${PASSWORD}", "password: {{ .password }}", "token: <token>", "secret: my-secret", "password_file: /run/secrets/p",
    "# password: required", "password: !secret db", "api_key = os.environ['KEY']", 'api_key = getenv("KEY")', "max_tokens: 4096",
    "tokenBudget = 200000", "password = ", "token: null", "auth:\n  type: none", "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUM=",
    "password: \n  min: 8", "secretName: tls", "private_key: |", "DB_PASSWORD=$(cat /run/p)", "key: value", "session: true",
)  # fmt: skip


@pytest.mark.parametrize("text", INNOCENT_FILES)
def test_a_file_that_refers_to_a_secret_is_innocent(text, tmp_path):
    own = f'  container: {{image: {{repository: a/b, tag: "1"}}, configFiles: {{config: {json.dumps(text)}}}}}\n'
    found = said(tmp_path, f"{API}\nkind: MCPServer\nmetadata: {{name: own}}\nspec:\n{own}")
    assert "plaintext-credential" not in {problem["code"] for problem in found}


REFERRING = (
    "nginx.ingress.kubernetes.io/auth-secret: basic-auth", "example.com/token: team-token", "example.com/secret: prod/db",
    "example.com/key: api-key", "example.com/password-policy: strong", "example.com/token-budget: \"4096\"",
)  # fmt: skip


@pytest.mark.parametrize("text", REFERRING)
def test_an_annotation_that_names_a_secret_is_innocent(text):
    name, _, value = text.partition(": ")
    assert not credential_names.is_credential(name, value.strip('"'), among_names=True)


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
