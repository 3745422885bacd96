"""Names that look like others, hide something, differ by case alone, or are as long as they may be."""

import json

import pytest

from tests.fleet import AGENT, ENVIRONMENT, GOOD, snapshot, write
from tests.manifests import _objects as objects

STRANGE = {
    "a Cyrillic a": "h\u0435lper", "a Cyrillic o": "b\u043et", "a Greek omicron": "b\u03bft", "full width": "\uff48elper",
    "a mathematical letter": "\U0001d421elper", "a dotless i": "h\u0131lfe", "a ligature": "\ufb01le", "a circled letter": "\u24d0gent",
    "an Armenian letter": "\u0570elper", "a small capital": "\u029celper", "a combining accent": "he\u0301lper", "a precomposed accent": "h\u00e9lper",
    "a soft hyphen": "hel\u00adper", "another hyphen": "hel\u2010per", "a minus": "hel\u2212per", "a dash": "hel\u2013per",
    "a fraction slash": "hel\u2044per", "a full-width dot": "hel\uff0eper", "an ideographic stop": "hel\u3002per", "Arabic digits": "bot\u0661",
    "a turn of direction": "hel\u202eper", "an isolate": "hel\u2066per", "a right-to-left mark": "hel\u200fper", "Hebrew": "\u05e2\u05d5\u05d6\u05e8",
    "a zero-width space": "hel\u200bper", "a zero-width joiner": "hel\u200dper", "a zero-width non-joiner": "hel\u200cper", "a word joiner": "hel\u2060per",
    "a byte order mark": "hel\ufeffper", "a tag character": "hel\U000e0061per", "a variation selector": "helper\ufe0f", "an emoji": "bot\U0001f916",
    "a no-break space": "hel\u00a0per", "an em space": "hel\u2003per", "a Hangul filler": "hel\u3164per", "a Braille blank": "hel\u2800per",
    "a twin by case": "Helper", "all capitals": "HELPER", "camel case": "myHelper", "an underscore": "my_helper",
    "a dot": "my.helper", "a dash first": "-helper", "a dash last": "helper-", "a space": "my helper", "a space last": "helper ",
    "a slash": "team/helper", "a percent sign": "help%65r", "a digit first": "1helper", "nothing": "", "a line break": "helper\n",
    "a tab": "hel\tper", "an escape": "hel\x1bper", "a colon": "help:er", "a quote": "help'er", "a dollar": "$helper", "only dashes": "---",
}  # fmt: skip


def agent(name: str) -> str:
    """Return an agent whose name is written with YAML's own escapes: a bare one may hide from readers."""
    text = "".join(each if each.isascii() else f"\\U{ord(each):08x}" for each in name)
    quoted = json.dumps(text).replace("\\\\U", "\\U")
    return AGENT.replace("{name: helper}", f"{{name: {quoted}}}")


@pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE)
def test_a_strange_name_is_refused_where_it_stands(name, command, tmp_path):
    write(tmp_path, {**GOOD, "agents/b.yaml": agent(name)})
    before = snapshot(tmp_path)
    for arguments in (("render",), ("validate", "agents", "--env", "prod")):
        done = command.run(*arguments, cwd=tmp_path)
        done.within_bounds()
        assert done.code == 1, done
        assert "agents/b.yaml:3:18: error: " in done.err
        shown = done.err.encode("ascii", "replace").decode() if name.isascii() else done.err
        hidden = "\u202e\u2066\u200b\u200f\x1b\ufeff\u2060\U000e0061"
        assert not set(shown) & set(hidden), shown
    assert snapshot(tmp_path) == before


def test_the_corpus_is_large_enough():
    assert len({*STRANGE.values()}) >= 50


# -- limits --------------------------------------------------------------------------------------

OWN = """apiVersion: fleetform.dev/v1alpha1
kind: MCPServer
metadata: {name: NAME, namespace: SPACE, labels: {LABEL: VALUE}}
spec:
  STATEFUL
  container:
    image: {repository: a/b, tag: "TAG"}
    ports: [{name: PORT, containerPort: 8080}]
  env: [{name: ENV, value: x}]
"""
START = {
    "NAME": "own", "SPACE": "default", "LABEL": "example.com/x", "VALUE": "v", "TAG": "1", "PORT": "http", "ENV": "A",
    "STATEFUL": "",
}  # fmt: skip
LIMITS = {
    "NAME": (63, "{}"),
    "SPACE": (63, "{}"),
    "LABEL": (63, "example.com/{}"),
    "VALUE": (63, "{}"),
    "TAG": (128, "{}"),
    "PORT": (15, "{}"),
    "ENV": (256, "{}"),
}


def own(**changes: str) -> str:
    text = OWN
    for key, value in {**START, **changes}.items():
        text = text.replace(key, value, 1)
    return text


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("field", LIMITS)
def test_a_name_may_be_as_long_as_a_cluster_takes_and_no_longer(field, beyond, command, tmp_path):
    most, form = LIMITS[field]
    name = form.format("a" * (most + beyond))
    write(tmp_path, {"agents/a.yaml": own(**{field: name}), "environments/prod.yaml": ENVIRONMENT})
    done = command.run("render", "--target", "manifests", cwd=tmp_path)
    done.within_bounds()
    assert done.code == (1 if beyond > 0 else 0), done.err
    if beyond > 0:
        assert "agents/a.yaml:" in done.err
        return
    files = (tmp_path / "rendered").rglob("*.yaml")
    for item in objects(file.read_text("utf-8") for file in files):
        metadata = item["metadata"]
        assert len(metadata["name"]) <= (253 if item["kind"] == "ConfigMap" else 63)
        assert all(len(value) <= 63 for value in metadata["labels"].values())


@pytest.mark.parametrize(("length", "code"), [(51, 0), (52, 0), (53, 1)])
def test_the_name_of_a_stateful_set_leaves_room_for_its_revision(length, code, command, tmp_path):
    text = own(NAME="a" * length, STATEFUL="stateful: true")
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": ENVIRONMENT})
    assert command.run("render", cwd=tmp_path).code == code


@pytest.mark.parametrize(("length", "code"), [(57, 0), (58, 0), (59, 1)])
def test_a_namespace_counts_with_what_the_environment_adds(length, code, command, tmp_path):
    environment = f"{ENVIRONMENT}  namespaces: {{suffix: -prod}}\n"
    text = own(SPACE="a" * length)
    write(tmp_path, {"agents/a.yaml": text, "environments/prod.yaml": environment})
    assert command.run("render", cwd=tmp_path).code == code


def test_two_of_one_name_are_refused_wherever_they_stand(command, tmp_path):
    for name, text in (("b", AGENT), ("c", own(NAME="helper"))):
        write(tmp_path, {**GOOD, f"agents/{name}.yaml": text})
        done = command.run("render", cwd=tmp_path)
        assert done.code == 1
        assert "helper" in done.err
        (tmp_path / f"agents/{name}.yaml").unlink()
