"""Bad input through the real command line: problems with a place, exit 1, nothing written, at once."""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from fleetform.validators import schema
from tests.fleet import AGENT, API, ENVIRONMENT, GOOD, fleetform, snapshot, write

PLACED = re.compile(r"^(?P<place>[^\s:][^:]*(:\d+:\d+)?): error: ", re.MULTILINE)

HEAD = f"{API}\nkind: Agent\nmetadata: {{name: a}}\n"


def refused(folder: Path, *, code: int = 1, agents: str = "agents") -> str:
    """Run `validate` and `render`; return the text of the first after checking both."""
    before = snapshot(folder)
    outcomes = [
        fleetform("validate", agents, cwd=folder),
        fleetform("render", "--env", "prod", "--agents", agents, cwd=folder),
    ]
    for outcome in outcomes:
        assert outcome.code == code, outcome
        assert PLACED.search(outcome.err), outcome
        assert outcome.out == ""
        assert len(outcome.err) < 100_000
    assert snapshot(folder) == before
    assert not (folder / "rendered").exists()
    return outcomes[0].err


def with_spec(folder: Path, text: str | bytes) -> Path:
    return write(folder, {**GOOD, "agents/bad.yaml": text})


TEXTS = {
    "nothing": "",
    "comments only": "# one\n# two\n",
    "document marks only": "---\n---\n...\n",
    "binary": bytes(range(256)) * 16,
    "an executable": Path(sys.executable).read_bytes()[: 1 << 20],
    "more than a mebibyte": "a: " + "x" * (1 << 20),
    "duplicate keys": f"{HEAD}spec: {{}}\nspec: {{}}\n",
    "an alias bomb": "a: &a [x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)},' * 9}]\n" for n in range(9)),
    "an alias in itself": f"{HEAD}spec: &a {{tools: *a}}\n",
    "deep flow lists": "a: " + "[" * 5000 + "]" * 5000,
    "deep flow maps": "{a: " * 5000 + "}" * 5000,
    "deep block lists": "- " * 5000 + "a",
    "deep block maps": "".join(" " * n + "a:\n" for n in range(1400)),
    "a long integer": f"{HEAD}spec: {{limits: {{maxSteps: {'9' * 5000}}}}}\n",
    "not a number": f"{HEAD}spec: {{model: {{temperature: .nan}}}}\n",
    "infinity": f"{HEAD}spec: {{model: {{temperature: .inf}}}}\n",
    "a number too large": f"{HEAD}spec: {{model: {{temperature: 1.0e+999}}}}\n",
    "keys that are numbers": f"{HEAD}spec: {{1: a, 2.5: b}}\n",
    "keys that are booleans": f"{HEAD}spec: {{true: a, null: b}}\n",
    "a list as a key": f"{HEAD}? [a]\n: b\n",
    "a map as a key": f"{HEAD}? {{a: b}}\n: c\n",
    "tags": f"{HEAD}spec: !!python/object/apply:os.system [ls]\n",
    "tabs": f"{HEAD}spec:\n\tsystemPrompt: x\n",
    "a byte order mark": b"\xef\xbb\xbf" + AGENT.encode(),
    "UTF-16": AGENT.encode("utf-16"),
    "CRLF": AGENT.replace("\n", "\r\n"),
    "CR": AGENT.replace("\n", "\r"),
    "an unknown kind": f"{API}\nkind: Agnt\nmetadata: {{name: a}}\n",
    "an unknown apiVersion": "apiVersion: fleetform.dev/v2\nkind: Agent\nmetadata: {name: a}\n",
    "a Kubernetes object": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {}\n",
    "an apiVersion that is a list": "apiVersion: [a]\nkind: Agent\n",
    "a kind that is a map": f"{API}\nkind: {{a: b}}\n",
    "no kind": f"{API}\nmetadata: {{name: a}}\n",
    "Helm values": "replicaCount: 1\nimage: {repository: x}\n",
    "a scalar": "word\n",
    "a list": "- a\n",
    "a NUL escape": f'{HEAD}spec: {{systemPrompt: "a\\0b"}}\n',
    "a NUL byte": f"{HEAD}spec: {{systemPrompt: a\0b}}\n",
    "a terminal escape": f'{HEAD}spec: {{"\\e[31m": 1}}\n',
    "a lone surrogate": f'{HEAD}spec: {{systemPrompt: "\\ud800"}}\n',
    "a merge key": f"{HEAD}spec:\n  <<: {{systemPrompt: x}}\n",
    "an alias as a key": f"{HEAD}spec: {{description: &a x, *a : y}}\n",
    "an unterminated string": f'{HEAD}spec: {{systemPrompt: "x}}\n',
    "a long key": "? " + "k" * 200_000 + "\n: v\n",
    "a long name": f"{API}\nkind: Agent\nmetadata: {{name: {'k' * 200_000}}}\nspec: {{}}\n",
    "a long apiVersion": f"apiVersion: {'k' * 200_000}\nkind: Agent\n",
    "a long kind": f"{API}\nkind: {'k' * 200_000}\n",
    "unknown fields deep down": f"{HEAD}spec: {{scaling: {{keda: {{triggers: [{{a: 1}}]}}}}}}\n",
    "metadata that is null": f"{API}\nkind: Agent\nmetadata: null\nspec: {{}}\n",
    "metadata that is a list": f"{API}\nkind: Agent\nmetadata: [a]\nspec: {{}}\n",
    "metadata that is text": f"{API}\nkind: Agent\nmetadata: a\nspec: {{}}\n",
    "metadata without a name": f"{API}\nkind: Agent\nmetadata: {{}}\nspec: {{}}\n",
    "a name that is a number": f"{API}\nkind: Agent\nmetadata: {{name: 1}}\nspec: {{}}\n",
    "labels that are a list": f"{API}\nkind: Agent\nmetadata: {{name: a, labels: [b]}}\nspec: {{}}\n",
    "a spec that is null": f"{HEAD}spec: null\n",
    "a spec that is a list": f"{HEAD}spec: [a]\n",
    "a spec that is text": f"{HEAD}spec: a\n",
    "no spec": HEAD,
    "an agent that extends itself": f"{HEAD}spec: {{extends: a}}\n",
    "the same agent twice": f"{AGENT}---\n{AGENT}",
}

FLOODS = {
    "a hundred thousand keys": f"{HEAD}spec:\n" + "".join(f"  k{n}: 1\n" for n in range(85_000)),
    "a hundred thousand wrong items": f"{HEAD}spec: {{tools: [{'1,' * 100_000}]}}\n",
    "a hundred thousand bare words": f"{HEAD}spec: {{tools: [{'on,' * 100_000}]}}\n",
    "ten thousand documents of nothing": "---\na: b\n" * 10_000,
    "a long line": f"{HEAD}spec: {{" + ", ".join(f"a{n}: {{b: [c]}}" for n in range(8_000)) + "}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_bad_text_is_refused(text, tmp_path):
    with_spec(tmp_path, text)
    if text in (TEXTS["an agent that extends itself"], TEXTS["the same agent twice"]):
        outcome = fleetform("validate", "agents", "--env", "prod", cwd=tmp_path)
        assert outcome.code == 1
        assert fleetform("render", cwd=tmp_path).code == 1
        assert not (tmp_path / "rendered").exists()
    else:
        refused(tmp_path)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_same_text_as_an_environment_is_refused(text, tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": text})
    outcome = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 1
    assert not (tmp_path / "rendered").exists()


def test_the_smallest_good_fleet_is_rendered(tmp_path):
    write(tmp_path, GOOD)
    assert fleetform("validate", "agents", cwd=tmp_path).code == 0
    assert fleetform("render", cwd=tmp_path).code == 0
    assert (tmp_path / "rendered/prod/default/helper.yaml").is_file()


# -- files that are none -------------------------------------------------------------------------

FILES = {
    "a FIFO": os.mkfifo,
    "a link to an endless device": lambda file: file.symlink_to("/dev/zero"),
    "a file that cannot be read": lambda file: file.symlink_to("/proc/self/mem"),
    "a link to nothing": lambda file: file.symlink_to("/nowhere/at/all"),
    "a link to itself": lambda file: file.symlink_to(file.name),
    "a link to nothing without an ending": lambda file: file.with_suffix("").symlink_to("/nowhere"),
    "an empty folder in place of the file": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_what_is_no_file_is_refused(make, tmp_path):
    write(tmp_path, {"environments/prod.yaml": ENVIRONMENT})
    (tmp_path / "agents").mkdir()
    make(tmp_path / "agents/bad.yaml")
    refused(tmp_path)


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path):
    write(tmp_path, {"environments/prod.yaml": ENVIRONMENT})
    assert "agents: error: the file cannot be read: No such file" in refused(tmp_path)
    (tmp_path / "agents").mkdir()
    assert "agents: error: the folder contains no YAML files" in refused(tmp_path)


def test_a_folder_of_environments_that_is_missing_is_refused(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENT})
    for command in (["render"], ["validate", "agents", "--env", "prod"], ["diff", "dev", "prod"]):
        outcome = fleetform(*command, cwd=tmp_path)
        assert outcome.code == 1
        assert "environments: error: the file cannot be read" in outcome.err


def test_linked_folders_are_read_and_loops_of_links_end(tmp_path):
    write(tmp_path, {"agents/.v1/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT})
    (tmp_path / "agents/team").symlink_to(".v1")  # as the kubelet lays out a ConfigMap
    (tmp_path / "agents/.v1/loop").symlink_to(".")
    assert fleetform("validate", "agents", cwd=tmp_path).err == "1 document valid\n"


# -- names of files ------------------------------------------------------------------------------

NAMES = {
    "a line break": ("a\nb.yaml", r"agents/a\nb.yaml"),
    "a byte that is not UTF-8": (os.fsdecode(b"a\xff.yaml"), r"agents/a\xff.yaml"),
    "a turn of direction": ("a\u202eb.yaml", r"agents/a\u202eb.yaml"),
    "a terminal escape": ("a\x1b[31m.yaml", r"agents/a\x1b[31m.yaml"),
    "an emoji": ("a🦜.yaml", "agents/a🦜.yaml"),
}


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_strange_file_name_is_shown_on_one_line(name, shown, form, tmp_path):
    with_spec(tmp_path, AGENT)
    (tmp_path / "agents/bad.yaml").write_text(f"{API}\nkind: Agnt\nmetadata: {{name: b}}\n")
    (tmp_path / "agents/bad.yaml").rename(tmp_path / "agents" / name)
    outcome = fleetform("validate", "agents", "--format", form, cwd=tmp_path)
    assert outcome.code == 1
    text = outcome.err if form == "text" else outcome.out
    written = {"json": json.dumps(shown, ensure_ascii=False), "sarif": json.dumps(quote(shown))}
    assert written.get(form, shown) in text
    if form == "text":
        assert text.startswith(f"{shown}:2:7: error: ")


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_output_names_a_strange_file_on_one_line(name, shown, tmp_path):
    write(tmp_path, {"environments/prod.yaml": ENVIRONMENT, "agents/a.yaml": AGENT})
    (tmp_path / "agents/a.yaml").rename(tmp_path / "agents" / name)
    assert fleetform("render", cwd=tmp_path).code == 0
    first = (tmp_path / "rendered/prod/default/helper.yaml").read_text().split("\n")[0]
    assert shown in first


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_name_on_the_command_line_may_be_no_text(form, tmp_path):
    write(tmp_path, GOOD)
    name = os.fsdecode(b"\xff")
    for command in (["validate", name], ["render", "--env", name], ["render", "--agents", name]):
        outcome = fleetform(*command, "--format", form, cwd=tmp_path)
        assert outcome.code == 1
        assert r"\xff" in unquote(outcome.out + outcome.err)


# -- several documents ---------------------------------------------------------------------------


def test_a_broken_document_does_not_hide_the_problems_of_the_others(tmp_path):
    text = f"{HEAD}spec: {{tols: []}}\n---\nb: [\n---\n{HEAD}spec: {{moddel: 1}}\n"
    said = refused(with_spec(tmp_path, text))
    places = [match["place"] for match in PLACED.finditer(said)]
    assert places == ["agents/bad.yaml:4:8", "agents/bad.yaml:7:1", "agents/bad.yaml:11:8"]


def test_problems_of_all_files_are_reported_together(tmp_path):
    bad = {f"agents/{n}.yaml": f"{HEAD}spec: {{x{n}: 1}}\n" for n in range(5)}
    said = refused(write(tmp_path, {**GOOD, **bad}))
    assert said.count("unknown field") == 5


def test_what_is_no_yaml_value_is_not_also_a_wrong_type(tmp_path):
    text = f"{HEAD}spec: {{limits: {{maxSteps: 0x10}}, healthCheck: {{enabled: yes}}, 1: a}}\n"
    said = refused(with_spec(tmp_path, text))
    assert said.count(": error: ") == 3


# -- wrong types, one field at a time ------------------------------------------------------------

WRONG = {"text": "zz zz", "number": -1.5, "boolean": True, "list": [[]], "map": {"zz zz": []}}


def _cases(kind: str):
    body = schema(kind)
    spec = body["$defs"][body["properties"]["spec"]["$ref"].rpartition("/")[2]]
    for field, rule in spec["properties"].items():
        target = body["$defs"].get(rule.get("$ref", "").rpartition("/")[2], rule)
        allowed = target.get("type", ())
        for name, value in WRONG.items():
            types = {"text": "string", "list": "array", "map": "object"}
            if types.get(name, name) not in allowed:
                yield pytest.param(kind, field, value, id=f"{kind}.{field} as {name}")


@pytest.mark.parametrize(("kind", "field", "value"), [*_cases("Agent"), *_cases("Environment")])
def test_a_field_of_the_wrong_type_is_refused_where_it_stands(kind, field, value, tmp_path):
    start = f"{API}\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {field}: "
    write(tmp_path, {"a.yaml": f"{start}{json.dumps(value)}\n"})
    outcome = fleetform("validate", "a.yaml", cwd=tmp_path)
    assert outcome.code == 1
    assert f"a.yaml:5:{len(field) + 5}: error: spec.{field}: " in outcome.err
    assert outcome.err.count(": error: ") == 1


# -- environments --------------------------------------------------------------------------------


def environment(name: str, spec: str) -> str:
    return f"{API}\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {spec}\n"


PATCHES = {
    "text": ("patches: word", "spec.patches"),
    "a map": ("patches: {a: b}", "spec.patches"),
    "a list of text": ("patches: [word]", "spec.patches[0]"),
    "a list of null": ("patches: [null]", "spec.patches"),
    "no target": ("patches: [{spec: {}}]", "spec.patches[0]"),
    "no spec": ("patches: [{target: {kind: Agent}}]", "spec.patches[0]"),
    "an unknown kind": (
        "patches: [{target: {kind: Agnt}, spec: {}}]",
        "spec.patches[0].target.kind",
    ),
    "a target that is text": ("patches: [{target: Agent, spec: {}}]", "spec.patches[0].target"),
    "a spec that is a list": (
        "patches: [{target: {kind: Agent}, spec: []}]",
        "spec.patches[0].spec",
    ),
    "an unknown field": (
        "patches: [{target: {kind: Agent}, spec: {modle: {}}}]",
        "spec.patches[0].spec.modle",
    ),
    "a wrong type deep down": (
        "patches: [{target: {kind: Agent}, spec: {scaling: {minReplicas: a}}}]",
        "spec.patches[0].spec.scaling.minReplicas",
    ),
    "a patch that matches nothing": (
        "patches: [{target: {kind: Agent, name: nobody}, spec: {}}]",
        "spec.patches[0].target",
    ),
    "defaults of an unknown kind": ("defaults: {Agnt: {}}", "spec.defaults.Agnt"),
    "a wrong default": (
        "defaults: {Agent: {scaling: {minReplicas: a}}}",
        "spec.defaults.Agent.scaling.minReplicas",
    ),
    "an environment that is not there": ("extends: basse", "spec.extends"),
    "an environment that extends itself": ("extends: prod", "spec.extends"),
}


@pytest.mark.parametrize(("text", "path"), PATCHES.values(), ids=PATCHES)
def test_a_wrong_environment_is_refused_where_it_stands(text, path, tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENT})
    write(tmp_path, {"environments/prod.yaml": f"{ENVIRONMENT}  {text}\n"})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert f": error: {path}: " in outcome.err
    assert outcome.err.count(": error: ") == 1
    assert not (tmp_path / "rendered").exists()


def test_environments_that_extend_each_other_are_refused(tmp_path):
    write(tmp_path, {"agents/a.yaml": AGENT})
    for name, base in (("prod", "mid"), ("mid", "low"), ("low", "prod")):
        write(tmp_path, {f"environments/{name}.yaml": environment(name, f"{{extends: {base}}}")})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert "environments extend each other: prod → mid → low → prod" in outcome.err


def test_an_abstract_environment_is_not_rendered(tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": ENVIRONMENT + "  abstract: true\n"})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert "the environment `prod` is abstract" in outcome.err


def test_an_environment_that_nobody_has_written_is_refused_with_those_that_are_there(tmp_path):
    outcome = fleetform("render", "--env", "prdo", cwd=write(tmp_path, GOOD))
    assert outcome.code == 1
    assert "there is no environment `prdo`" in outcome.err
    assert "did you mean `prod`?" in outcome.err


@pytest.mark.parametrize(
    "chain",
    [{"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}, {"a": "a"}],
    ids=["each other", "in a ring", "itself"],
)
def test_agents_that_extend_each_other_are_refused(chain, tmp_path):
    agents = {
        f"agents/{name}.yaml": f"{API}\nkind: Agent\nmetadata: {{name: {name}}}\n"
        f"spec: {{extends: {base}, systemPrompt: x}}\n"
        for name, base in chain.items()
    }
    write(tmp_path, {**agents, "environments/prod.yaml": ENVIRONMENT})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert "extends itself" in outcome.err


def test_a_template_may_extend_an_agent_but_not_in_a_circle(tmp_path):
    template = f"{API}\nkind: AgentTemplate\nmetadata: {{name: t, namespace: default}}\nspec: {{extends: helper}}\n"
    write(tmp_path, {**GOOD, "agents/t.yaml": template})
    assert fleetform("render", cwd=tmp_path).code == 0
    write(tmp_path, {"agents/a.yaml": f"{AGENT}  extends: t\n"})
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 1
    assert outcome.err.count("extends itself") == 1


# -- the output ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("taken", "Not a directory"),
        ("/dev/full", "Not a directory"),
        ("/proc/fleet", "No such file"),
    ],
)
def test_an_output_that_is_no_folder_is_a_problem(out, reason, tmp_path):
    write(tmp_path, {**GOOD, "taken": "a file"})
    outcome = fleetform("render", "--out", out, cwd=tmp_path)
    assert outcome.code == 1
    assert f": error: cannot be written: {reason}" in outcome.err
    assert outcome.err.startswith(f"{out}/")


def test_specs_that_deploy_nothing_do_not_remove_what_is_there(tmp_path):
    assert fleetform("render", cwd=write(tmp_path, GOOD)).code == 0
    before = snapshot(tmp_path / "rendered")
    template = f"{API}\nkind: AgentTemplate\nmetadata: {{name: t}}\nspec: {{}}\n"
    outcome = fleetform("render", cwd=write(tmp_path, {"agents/a.yaml": template}))
    assert outcome.code == 1
    assert outcome.err.startswith("agents: error: these specs deploy nothing")
    assert snapshot(tmp_path / "rendered") == before


@pytest.mark.parametrize(
    "command", [["validate"], ["validate", "--env", "prod"], ["render"], ["policy"]]
)
@pytest.mark.parametrize("place", ["environments/other.yaml", "environments/prod.yaml"])
def test_an_environment_is_defined_once(place, command, tmp_path):
    """Which of two would count depended on the names of their files."""
    second = ENVIRONMENT.replace("1.0.0", "3.0.0")
    text = second if "other" in place else f"{ENVIRONMENT}---\n{second}"
    outcome = fleetform(*command, cwd=write(tmp_path, {**GOOD, place: text}))
    assert outcome.code == 1
    assert "error: metadata.name: Environment `prod` is defined twice" in outcome.err
    assert not (tmp_path / "rendered").exists()


@pytest.mark.parametrize(
    "field",
    [
        *(
            "namespaces: {map: null}",
            "images: {pins: null}",
            "secrets: {store: {identities: null}}",
        ),
        *(
            "targets: null",
            "objectPatches: null",
            "patches: null",
            "tenants: null",
            "providers: null",
        ),
        *("network: {services: null}", "capabilities: null", "defaults: null", "labels: null"),
    ],
)
def test_null_is_absence_in_an_environment(field, tmp_path):
    text = (
        ENVIRONMENT.replace("  images", "  abstract: false\n  images")
        if "images" not in field
        else ENVIRONMENT
    )
    text = text.partition("  images")[0] if "images" in field else text
    for command in (["validate", "--env", "prod"], ["render"], ["policy"]):
        folder = write(tmp_path, {**GOOD, "environments/prod.yaml": f"{text}  {field}\n"})
        assert fleetform(*command, cwd=folder).code in (0, 1)


def test_an_error_in_an_environment_hides_none_of_its_others(tmp_path):
    more = "  nope: 1\n  tenants: {zzz: {labels: {a: b}}}\n  patches: [{target: {kind: Agent, name: zz}, spec: {description: x}}]\n"
    write(tmp_path, {**GOOD, "environments/prod.yaml": ENVIRONMENT + more})
    for command in (["validate", "--env", "prod"], ["render"]):
        said = fleetform(*command, cwd=tmp_path).err
        assert "unknown field `nope`" in said
        assert "no workload is in the namespace `zzz`" in said
        assert "the patch matches nothing" in said


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        ("apiVersion: fleetform.dev/v1alpha1\nkind: Agnt", "unknown kind"),
        ("apiVersion: fleetform.dev/v9\nkind: Agent", "unknown apiVersion"),
        ("apiVersion: v1\nkind: ConfigMap", "is a Kubernetes object"),
        ("kind: Agent", "has no `apiVersion`"),
    ],
)
def test_a_key_is_told_in_a_document_that_is_refused(head, refusal, tmp_path):
    key = "sk-proj-" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9" * 2
    text = f"{head}\nmetadata: {{name: b}}\nspec: {{note: {key}}}\n"
    outcome = fleetform("validate", cwd=write(tmp_path, {**GOOD, "agents/b.yaml": text}))
    assert outcome.code == 1
    assert refusal in outcome.err
    assert "in plain text (value not shown)" in outcome.err
    assert key not in outcome.err


@pytest.mark.parametrize(
    "retrieval",
    [
        "",
        "retrieval: {vectorStore: {type: qdrant, host: q.example.com}}",
        "retrieval: {}",
        "retrieval: {vectorStore: {}}",
    ],
)
def test_a_broken_tool_breaks_no_documents(retrieval, tmp_path):
    tool = f"{API}\nkind: Tool\nmetadata: {{name: docs, namespace: default}}\nspec:\n  type: retrieval\n  description: d\n  {retrieval}\n"
    more = "  tools: [{name: docs}]\n  knowledge: {sources: [{name: s, configMap: cm}]}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}{more}---\n{tool}"})
    for command in (
        ["render"],
        ["validate", "--env", "prod"],
        ["graph"],
        ["estimate"],
        ["secrets", "--env", "prod"],
    ):
        outcome = fleetform(*command, cwd=tmp_path)
        assert outcome.code == 1, (command, outcome.out)
        assert "agents/a.yaml:" in outcome.err
