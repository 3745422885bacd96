"""A ConfigMap with a logging.yaml sets the levels of the agents of its namespace."""

import json
import re

import pytest

from fleetform import pipeline
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.tools import ROOT

SEED = (ROOT / "tests/fixtures/seeds/004/agent-logging-config.yaml").read_text("utf-8")
CONFIG = re.compile(r"^  agent\.json: \|\n((?:    .*\n)+)", re.MULTILINE)


def config(text: str, namespace: str | None = "default", more: str = "") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    body = "".join(f"    {line}\n" for line in text.splitlines())
    head = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: levels{place}}}\n"
    return f"{head}data:\n  logging.yaml: |\n{body}{more}"


def rendered(folder, *documents: str) -> tuple[dict, str]:
    files = {f"agents/{number}.yaml": text for number, text in enumerate(documents)}
    write(folder, {**files, "environments/prod.yaml": ENVIRONMENT})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    text = (folder / "rendered/prod/default/helper.yaml").read_text("utf-8")
    return json.loads(CONFIG.search(text)[1])["observability"].get("logging", {}), done.err


def test_the_seeds_is_taken_for_what_it_is(tmp_path):
    agent = AGENT.replace("name: helper", "name: helper, namespace: ai-agents")
    write(tmp_path, {"agents/a.yaml": agent, "agents/l.yaml": SEED, "environments/prod.yaml": ENVIRONMENT})  # fmt: skip
    done = fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0
    assert "`formatters`, `handlers` are not" in done.err
    text = (tmp_path / "rendered/prod/ai-agents/helper.yaml").read_text("utf-8")
    found = json.loads(CONFIG.search(text)[1])["observability"]["logging"]
    assert found == {"level": "info", "loggers": {"kagent": "info", "langchain": "warning"}}


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("root: {level: DEBUG}", {"level": "debug"}),
        ("version: 1\nroot: {level: WARN}", {"level": "warning"}),
        ("loggers: {a.b: {level: CRITICAL}, c: {propagate: false}}", {"loggers": {"a.b": "error"}}),
    ],
)
def test_levels_of_python_have_names_of_ours(text, levels, tmp_path):
    found, said = rendered(tmp_path, AGENT, config(text))
    assert {name: found.get(name) for name in levels} == levels
    assert said.count("note") == 0


def test_what_a_spec_says_wins_and_explain_says_where_a_level_came_from(tmp_path):
    own = f"{AGENT}  observability: {{logging: {{level: error}}}}\n"
    found, _ = rendered(tmp_path, own, config("root: {level: DEBUG}\nloggers: {x: {level: INFO}}"))
    assert found == {"level": "error", "loggers": {"x": "info"}}
    words = ("explain", "Agent/helper", "observability.logging.loggers", "--env", "prod")
    done = fleetform(*words, cwd=tmp_path)
    assert "agents/1.yaml:5 (logging.yaml of ConfigMap levels)" in done.out


def test_without_a_namespace_it_is_for_all_and_in_another_one_for_nobody_here(tmp_path):
    everywhere, _ = rendered(tmp_path / "a", AGENT, config("root: {level: DEBUG}", None))
    elsewhere, said = rendered(tmp_path / "b", AGENT, config("root: {level: DEBUG}", "other"))
    assert (everywhere["level"], elsewhere.get("level", "info")) == ("debug", "info")
    assert "nothing obeys its levels" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("root: {level: LOUD}", "`LOUD` is no level of logging"),
        ("root: {level: [1]}", "is no level of logging"),
        ("root: [", "is no configuration of logging"),
        ("- 1", "is no configuration of logging"),
        ("version: 1", "sets no level"),
        ("loggers: 5", "sets no level"),
    ],
)
def test_what_is_no_configuration_of_logging_is_said_at_its_place(text, says, tmp_path):
    write(tmp_path, {"agents/l.yaml": config(text)})
    (problem,) = pipeline.read([tmp_path / "agents"]).problems
    assert (problem.severity, problem.code) == ("error", "bad-logging")
    assert says in problem.message
    assert (problem.line, problem.path) == (5, "data.logging.yaml")


@pytest.mark.parametrize("more", ["  other.yaml: x\n", "binaryData: {a: AA==}\n"])
def test_a_config_map_with_anything_else_is_none_of_ours(more, tmp_path):
    write(tmp_path, {"agents/l.yaml": config("root: {level: INFO}", more=more)})
    (problem,) = pipeline.read([tmp_path / "agents"]).problems
    assert problem.code == "foreign-object"
