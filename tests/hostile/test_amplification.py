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


VARIABLES = "  env:\n" + "    - {name: V%d, value: x}\n" * 6_000
TEMPLATES = {
    "variables": template(
        "  container: {image: {repository: a/b, tag: '1'}}\n" + VARIABLES % tuple(range(6_000))
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


TEXTS = ("a", " ", "A1b2", "password: ", "http://", "a@", "x=", "-", "a.", "$(", "{{", "-----BEGIN ", "eyJ.", "://@")  # fmt: skip


@pytest.mark.parametrize("word", TEXTS)
def test_a_long_text_is_scanned_in_bounds(word, command, tmp_path):
    text = word * (900_000 // len(word))
    write(tmp_path, {**GOOD, "agents/a.yaml": AGENT.replace("You help.", f'"{text}"')})
    command.run("render", cwd=tmp_path).within_bounds()
