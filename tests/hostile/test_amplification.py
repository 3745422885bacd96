"""Short specs that would make long output: patches that copy, templates that many extend, texts that are scanned."""

import pytest

from tests.fleet import AGENT, API, GOOD, write

OWN = f"{API}\nkind: Agent\nmetadata: {{name: helper}}\nspec:\n  container: {{image: {{repository: a/b, tag: '1'}}}}\n"
HEAD = "  objectPatches:\n    - target: {kind: %s}\n      json6902:\n"
ADD = "      - {op: add, path: %s, value: %s}\n"
COPY = "      - {op: copy, from: %s, path: %s}\n"
MOVE = "      - {op: move, from: %s, path: %s}\n"
LABEL = "/metadata/labels/a"


def doubling(kind: str, count: int) -> str:
    return HEAD % kind + ADD % (LABEL, "[x]") + COPY % (LABEL, f"{LABEL}/-") * count


def nested() -> str:
    around = "/metadata/labels/c"
    step = ADD % (around, "{}") + MOVE % (LABEL, f"{around}/b") + MOVE % (around, LABEL)
    return HEAD % "Deployment" + ADD % (LABEL, "{}") + step * 80


SPECS = {
    **{f"{kind} copied {count} times": (OWN + doubling(kind, count), "object-patch-too-big")
       for kind in ("Deployment", "NetworkPolicy", "ServiceAccount") for count in (40, 250)},
    "copied nearly to the bound": (OWN + doubling("Deployment", 13), "object-patch-place"),
    "nested by copies": (
        OWN + HEAD % "Deployment" + ADD % (LABEL, "{}") + COPY % (LABEL, f"{LABEL}/b") * 250,
        "object-patch-too-big",
    ),
    "nested by moves": (OWN + nested(), "object-patch-too-big"),
    "a root that is no object": (OWN + HEAD % "Deployment" + ADD % ('""', "1"), "object-patch-identity"),
    "a root of nothing": (OWN + HEAD % "Deployment" + ADD % ('""', "{}"), "object-patch-identity"),
    "a long pointer": (
        OWN + HEAD % "Deployment" + ADD % ("/a" * 300_000, "1"), "object-patch-failed"
    ),
    "a long index": (
        OWN + HEAD % "Deployment" + ADD % (f"/spec/template/spec/containers/{'9' * 300_000}", "1"),
        "object-patch-failed",
    ),
    "many patches": (OWN + "  objectPatches:\n" + "    - {target: {kind: Deployment}, merge: {a: b}}\n" * 65, "schema-maxItems"),
    "many operations": (OWN + HEAD % "Deployment" + ADD % (LABEL, "x") * 257, "schema-maxItems"),
    "an alias in every operation": (
        OWN + HEAD % "Deployment" + ADD % (LABEL, f"&a [{','.join(['x'] * 20_000)}]")
        + ADD % (f"{LABEL}/-", "*a") * 200,
        "too-many-nodes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code"), SPECS.values(), ids=SPECS)
def test_no_patch_makes_more_than_it_says(text, code, command, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": text})
    done = command.run("render", "--format", "json", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert f'"code": "{code}"' in done.out, done.out[:500]


def template(body: str) -> str:
    return f"{API}\nkind: AgentTemplate\nmetadata: {{name: base}}\nspec:\n{body}---\n"


def heirs(count: int) -> str:
    one = f"{API}\nkind: Agent\nmetadata: {{name: h%d}}\nspec: {{extends: base}}\n---\n"
    return "".join(one % number for number in range(count))


VARIABLES = "  env:\n" + f"    - {{name: V%d, value: {'x' * 150}}}\n" * 1_000
TEMPLATES = {
    "variables": template(
        "  container: {image: {repository: a/b, tag: '1'}}\n" + VARIABLES % tuple(range(1_000))
    ),
    "a prompt": template(AGENT.partition("spec:\n")[2].replace("You help.", "word " * 100_000)),
}


@pytest.mark.parametrize("base", TEMPLATES.values(), ids=TEMPLATES)
def test_a_large_template_that_many_extend_is_refused(base, command, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": base, "agents/b.yaml": heirs(400)})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "spec.extends: what templates add to the fleet is more than 8 times" in done.err
    assert "hint: move what most of them share" in done.err
    assert done.err.count("error:") == 1


def test_a_small_template_that_many_extend_is_not(command, tmp_path):
    base = template(AGENT.partition("spec:\n")[2])
    write(tmp_path, {**GOOD, "agents/a.yaml": base, "agents/b.yaml": heirs(400)})
    assert command.run("render", cwd=tmp_path).code == 0


SHARED = f"{API}\nkind: %s\nmetadata: {{name: shared%s}}\nspec:\n"
TOOL = (
    SHARED % ("Tool", "")
    + "  type: api\n  description: It helps.\n  api: {endpoint: 'https://a.example.com/x', method: POST}\n"
)
FIELDS = ", ".join(f"p{number}: {{type: string, description: word}}" for number in range(3_000))
BODY = ", ".join(f"k{number}: value" for number in range(6_000))
MODEL = (
    SHARED % ("ModelConfig", "") + "  provider: openai\n  name: x\n  extraBody: {" + BODY + "}\n"
)
SERVER = SHARED % ("MCPServer", ", namespace: default") + (
    "  transport: stdio\n  container: {image: {repository: a/b, tag: '1'}, command: [a]}\n"
    + VARIABLES % tuple(range(1_000))
)
PEER = f"{API}\nkind: Agent\nmetadata: {{name: a%d}}\nspec:\n  container: {{image: {{repository: a/b, tag: '1'}}, ports: [{{name: http, containerPort: 80}}]}}\n"
EVERYONE = "  peers: [" + ", ".join(f"a{number}" for number in range(300)) + "]\n"
REFERRED = {
    "a tool": (TOOL + "  output: {type: object, properties: {" + FIELDS + "}}\n", "  tools: [{name: shared}]\n"),
    "a model": (MODEL, "  models: [shared]\n"),
    "a server beside": (SERVER, "  tools: [{name: shared}]\n"),
}  # fmt: skip


@pytest.mark.parametrize(("shared", "use"), REFERRED.values(), ids=REFERRED)
def test_a_large_document_that_many_refer_to_is_refused(shared, use, command, tmp_path):
    users = "---\n".join(
        AGENT.replace("name: helper", f"name: h{number}") + use for number in range(300)
    )
    write(tmp_path, {**GOOD, "agents/a.yaml": shared, "agents/b.yaml": users})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "error: spec." in done.err
    assert "what specs refer to, each time anew, is more than 8 times as much" in done.err
    assert done.err.count("error:") == 1


def test_a_large_fleet_in_which_everyone_calls_everyone_is_refused(command, tmp_path):
    fleet = "---\n".join(PEER % number + EVERYONE for number in range(300))
    write(tmp_path, {**GOOD, "agents/a.yaml": fleet})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert "spec.peers[" in done.err
    assert "what specs refer to, each time anew, is more than 8 times as much" in done.err


def test_a_tool_of_usual_size_may_be_everybodys(command, tmp_path):
    users = "---\n".join(
        AGENT.replace("name: helper", f"name: h{number}") + "  tools: [{name: shared}]\n"
        for number in range(300)
    )
    parameters = "  parameters:\n" + "    - {name: p%d, type: string, description: A value.}\n" * 40
    write(
        tmp_path,
        {**GOOD, "agents/a.yaml": TOOL + parameters % tuple(range(40)), "agents/b.yaml": users},
    )
    assert command.run("render", cwd=tmp_path).code == 0


LISTS = {
    "volumes": "  volumes:\n" + "".join(f"    - {{name: v{i}, mountPath: /m/{i}, emptyDir: 1Gi}}\n" for i in range(4_000)),
    "ranges": "  network:\n    allowTo:\n" + "".join(f"      - {{cidr: {20 + i // 256}.{i % 256}.0.0/16, ports: [443]}}\n" for i in range(4_000)),
    "unknown names": "  tools:\n" + "".join(f"    - {{name: helpe{i}r}}\n" for i in range(10_000)),
}  # fmt: skip


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS)
def test_a_long_list_takes_time_in_proportion(body, command, tmp_path):
    others = "".join(
        f"{API}\nkind: Tool\nmetadata: {{name: helper{number}}}\nspec: {{type: human}}\n---\n"
        for number in range(300)
    )
    write(tmp_path, {**GOOD, "agents/a.yaml": PEER % 1 + body, "agents/b.yaml": others})
    command.run("render", cwd=tmp_path).within_bounds()


TEXTS = ("a", " ", "A1b2", "password: ", "http://", "a@", "x=", "-", "a.", "$(", "{{", "-----BEGIN ", "eyJ.", "://@")  # fmt: skip


@pytest.mark.parametrize("word", TEXTS)
def test_a_long_text_is_scanned_in_bounds(word, command, tmp_path):
    text = word * (900_000 // len(word))
    write(tmp_path, {**GOOD, "agents/a.yaml": AGENT.replace("You help.", f'"{text}"')})
    command.run("render", cwd=tmp_path).within_bounds()


LISTS = {
    "ranges": ("network.allowTo", "  network:\n    allowTo: [%s]\n", "{cidr: 10.%d.0.0/16}"),
    "names": ("tools", "  tools: [%s]\n", "{name: unknown-%d}"),
    "peers": ("peers", "  peers: [%s]\n", "unknown-%d"),
    "rules": (
        "rbac.rules",
        "  rbac: {rules: [%s]}\n",
        '{apiGroups: [""], resources: [r%d], verbs: [get]}',
    ),
    "files": ("volumes", "  volumes: [%s]\n", "{name: v%d, mountPath: /v, emptyDir: 1Mi}"),
}


@pytest.mark.parametrize(("path", "field", "item"), LISTS.values(), ids=LISTS)
def test_a_list_is_no_longer_than_anything_in_a_cluster(path, field, item, command, tmp_path):
    items = ", ".join(item % (number % 256) for number in range(10_000))
    write(tmp_path, {**GOOD, "agents/a.yaml": AGENT + field % items})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert f"error: spec.{path}: a list has 10000 items\n  hint: at most 1000 items" in done.err
