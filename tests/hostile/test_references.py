"""Schemas that lead away, and patterns that explode: nobody follows the ones or runs the others."""

import json
import os
import socket
import timeit
from collections.abc import Iterator

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.rules.regexes import SIZE_LIMIT, fault
from tests.fleet import AGENT, GOOD, snapshot, write
from tests.tools import run

TOOL = """apiVersion: fleetform.dev/v1alpha1
kind: Tool
metadata: {name: t}
spec:
  type: api
  description: Asks.
  api: {endpoint: "https://api.example.com/x", method: GET}
"""
KEYS = ("$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id")
PLACES = {
    "the result": "  output: {}\n",
    "deep in the result": '  output: {{"properties": {{"a": {{"items": {}}}}}}}\n',
    "a parameter's items": "  parameters: [{{name: a, type: array, items: {}}}]\n",
    "a parameter's property": "  parameters: [{{name: a, type: object, properties: {{b: {}}}}}]\n",
}


class Listener:
    """A server that nobody may call, and a file that nobody may open: a reader would wait on it."""

    def __init__(self, folder: str) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.fifo = f"{folder}/schema.json"
        os.mkfifo(self.fifo)

    def is_untouched(self) -> bool:
        try:
            self.socket.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def targets(self) -> Iterator[str]:
        here = f"127.0.0.1:{self.port}"
        yield from (
            f"http://{here}/s.json",
            f"https://{here}/s",
            f"http://{here}/s.json#/x",
            f"//{here}/s",
        )
        yield from (f"file://{self.fifo}", self.fifo, "schema.json", "../schema.json#/$defs/x")
        yield from (f"ftp://{here}/x", "urn:example:x", "data:application/json,{}")


@pytest.fixture
def listener(tmp_path) -> Iterator[Listener]:
    (tmp_path / "outside").mkdir()
    made = Listener(str(tmp_path / "outside"))
    yield made
    made.socket.close()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_no_reference_is_followed(key, place, command, listener, tmp_path):
    root = write(tmp_path / "repo", {**GOOD, "agents/a.yaml": AGENT + "  tools: [{name: t}]\n"})
    for target in listener.targets():
        write(root, {"agents/t.yaml": TOOL + place.format(json.dumps({key: target}))})
        before = snapshot(root)
        done = command.run("render", cwd=root)
        done.within_bounds()
        assert done.code == 1, (target, done)
        assert "agents/t.yaml:8:" in done.err
        assert not any(name.startswith(str(tmp_path / "outside")) for name in done.opened)
        assert snapshot(root) == before
    assert listener.is_untouched()


@pytest.mark.parametrize("key", ["$ref", "$schema", "$include", "$merge"])
def test_a_reference_in_a_spec_is_a_field_that_nobody_knows(key, command, listener, tmp_path):
    for target in listener.targets():
        write(tmp_path, {**GOOD, "agents/b.yaml": AGENT + f"  {key}: {json.dumps(target)}\n"})
        done = command.run("validate", "agents", cwd=tmp_path)
        done.within_bounds()
        assert done.code == 1
        assert f"unknown field `{key}`" in done.err
    assert listener.is_untouched()


def test_a_reference_within_the_schema_is_fine(command, tmp_path):
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"x": {"type": "string"}},
        "properties": {"a": {"$ref": "#/$defs/x"}},
    }
    tool = TOOL + f"  output: {json.dumps(schema)}\n"
    used = AGENT + "  tools: [{name: t}]\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": used, "agents/t.yaml": tool})
    assert command.run("render", cwd=tmp_path).code == 0


LOST = (
    "#/x", "#/$defs/y", "#/$defs/x/type", "#x", "#/properties/b", "#/$defs/x/", "#//", "#/%", "#/$defs/~2",
    "#/allOf/1", "#/allOf/-1", "#/allOf/x", f"#/allOf/{'9' * 5000}", "#/$defs/X", "#/a" * 1000,
)  # fmt: skip
FOUND = ("#", "#/$defs/x", "#/$defs/a~1b", "#/%24defs/x", "#/allOf/0", "#here", "#/properties/a")


def with_local(text: str, kind: str) -> str:
    schema = {
        "$defs": {"x": {"type": "string"}, "a/b": True, "y z": {"$anchor": "here"}},
        "allOf": [{}],
        "properties": {"a": {kind: text}},
    }
    return TOOL + f"  output: {json.dumps(schema)}\n"


@pytest.mark.parametrize("kind", ["$ref", "$dynamicRef"])
def test_a_reference_to_nothing_is_refused_where_it_stands(kind, command, tmp_path):
    used = {**GOOD, "agents/a.yaml": AGENT + "  tools: [{name: t}]\n"}
    for text in LOST:
        spec = with_local(text, kind)
        write(tmp_path, {**used, "agents/t.yaml": spec})
        column = spec.splitlines()[7].rindex(json.dumps(text)) + 1
        done = command.run("render", cwd=tmp_path)
        done.within_bounds()
        assert done.code == 1, text
        assert f"agents/t.yaml:8:{column}: error: spec.output.properties.a.{kind}: `#" in done.err
        assert not (tmp_path / "rendered").exists()
    for text in FOUND:
        write(tmp_path, {**used, "agents/t.yaml": with_local(text, kind)})
        done = command.run("validate", "agents", "--env", "prod", cwd=tmp_path)
        assert done.code == 0, (text, done.err)


def test_references_of_parameters_start_at_all_of_them(command, tmp_path):
    form = '  parameters: [{{name: a, type: array, items: {{type: string}}}}, {{name: b, type: object, properties: {{c: {{$ref: "{}"}}}}}}]\n'
    used = {**GOOD, "agents/a.yaml": AGENT + "  tools: [{name: t}]\n"}
    for text, code in (("#/properties/a/items", 0), ("#/a/items", 1), ("#/$defs/x", 1)):
        write(tmp_path, {**used, "agents/t.yaml": TOOL + form.format(text)})
        assert command.run("validate", "agents", "--env", "prod", cwd=tmp_path).code == code, text


# -- patterns ------------------------------------------------------------------------------------

REFUSED = (
    r"(?=a)b", r"(?!a)b", r"(?<=a)b", r"(?<!a)b", r"(a)\1", r"(?P<n>a)(?P=n)", r"(?>a)b", r"a++b", r"a*+b", r"a?+b",
    r"a{1001}", r"a{0,1001}", r"a{99999999999999999999}", r"(a{1000}){1000}", r"((a{100}){100}){100}", r"(x", r"x)",
    r"[a", r"a**", r"*a", r"\Ka", r"\p{L}", r"[[:alpha:]]", r"(?<n>a)", r"\Qa\E", r"\Z", r"(?a)b", r"(?u)b", r"(?(1)a|b)",
    r"[z-a]", r"a{2,1}", "(" * 300 + "a" + ")" * 299,
)  # fmt: skip
SLOW_ELSEWHERE = (
    r"(a+)+$", r"(a|a)*b", r"(a*)*b", r"(.*a){12}", r"(a|aa)+$", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"([a-zA-Z]+)*!x",
    r"(x+x+)+y", r".*.*.*=.*", r"(a?){30}a{30}", r"(\d+)*$x", r"^(a?a?a?)*$",
)  # fmt: skip
"""What a backtracking engine never finishes; RE2 does, so it is accepted."""


def go(patterns: list[str]) -> dict[str, bool]:
    """Return which of them Go's RE2 takes."""
    text = "".join(json.dumps(pattern) + "\n" for pattern in patterns)
    done = run("yaml2json", "-pattern", text=text)
    assert done.returncode == 0, done.stderr
    return dict(zip(patterns, map(json.loads, done.stdout.splitlines()), strict=True))


def milliseconds(pattern: str) -> float:
    """Return what a pattern takes over 10 kB in an engine without backtracking, at worst.

    The best of three counts: what else the machine does is not the pattern's fault.
    """
    options = jsonschema_rs.RegexOptions(size_limit=SIZE_LIMIT)
    judge = jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    worst = 0.0
    for letters in ("a", "ab", "x", "a-", "1", "01", " ", "x="):
        for end in ("", "!"):
            text = letters * (10_000 // len(letters)) + end
            worst = max(
                worst, min(timeit.repeat(lambda t=text: judge.is_valid(t), number=1, repeat=3))
            )  # type: ignore[misc]
    return worst * 1000


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_explodes_or_is_none_is_refused(pattern, command, tmp_path):
    parameters = f"  parameters: [{{name: a, pattern: {json.dumps(pattern)}}}]\n"
    used = AGENT + "  tools: [{name: t}]\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": used, "agents/t.yaml": TOOL + parameters})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "agents/t.yaml:8:35: error: spec.parameters[0].pattern: " in done.err
    assert "Warning" not in done.err


@pytest.mark.parametrize("place", [*PLACES.values()][:2], ids=[*PLACES][:2])
def test_a_pattern_in_a_schema_is_looked_at_too(place, command, tmp_path):
    used = AGENT + "  tools: [{name: t}]\n"
    schema = json.dumps({"type": "string", "pattern": "(?=a)b"})
    write(tmp_path, {**GOOD, "agents/a.yaml": used, "agents/t.yaml": TOOL + place.format(schema)})
    done = command.run("render", cwd=tmp_path)
    assert done.code == 1
    assert "lookaround" in done.err


@pytest.mark.parametrize("schema", [
    {"patternProperties": {"(?=a)b": {}}}, {"patternProperties": {"(a)\\1": True}}, {"items": {"patternProperties": {"a++": {"type": "string"}}}},
    {"propertyNames": {"pattern": "(?<!a)b"}}, {"pattern": "a" * 10_000}, {"pattern": "(a|b)*" * 2_000}, {"not": {"pattern": "(?>a)"}},
    {"patternProperties": {"[" * 500: {}}}, {"pattern": "((a{100}){100}){100}"}, {"pattern": "(" * 10_000},
])  # fmt: skip
def test_no_part_of_a_schema_hides_a_pattern(schema, command, tmp_path):
    used = AGENT + "  tools: [{name: t}]\n"
    tool = TOOL + f"  output: {json.dumps(schema)}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": used, "agents/t.yaml": tool})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "agents/t.yaml:8:" in done.err
    assert "the pattern" in done.err
    assert not (tmp_path / "rendered").exists()


@pytest.mark.parametrize("pattern", SLOW_ELSEWHERE)
def test_what_is_accepted_ends(pattern):
    assert fault(pattern) is None
    assert milliseconds(pattern) > 0  # an engine that backtracks would not come back


@pytest.mark.timed
@pytest.mark.parametrize("pattern", SLOW_ELSEWHERE)
def test_what_is_accepted_ends_at_once(pattern):
    assert milliseconds(pattern) <= 5


PATTERNS = st.text(st.sampled_from("ab.*+?()[]{}|^$\\-,1023dwsPi<>=!:"), max_size=12)


@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(st.lists(PATTERNS, min_size=200, max_size=200))
def test_every_pattern_that_is_accepted_is_one_to_re2(patterns):
    accepted = [pattern for pattern in patterns if fault(pattern) is None]
    assert [pattern for pattern, is_one in go(accepted).items() if not is_one] == []


@pytest.mark.timed
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(st.lists(PATTERNS, min_size=200, max_size=200))
def test_every_pattern_that_is_accepted_ends_at_once(patterns):
    for pattern in [pattern for pattern in patterns if fault(pattern) is None][:20]:
        assert milliseconds(pattern) <= 5, pattern
