"""What is rendered for Compose is what Compose's own loader reads, and every reference in it leads somewhere."""

import os
import re
import shutil
import stat
from itertools import combinations
from pathlib import Path

import pytest

from fleetform import contract, emit, pipeline
from fleetform.platforms.compose.networks import OUTSIDE
from fleetform.problems import errors
from tests import generated
from tests.compose.reading import VALUE, load, refusal, rendered
from tests.fleet import AGENT, API, ENVIRONMENT, fleetform, write
from tests.parity.plans import TEXTS
from tests.tools import ROOT

SEEDS = range(6)


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The example fleet, rendered for Compose with every secret that it asks for."""
    folder = tmp_path_factory.mktemp("example")
    for name in ("agents", "environments"):
        shutil.copytree(ROOT / name, folder / name)
    wanted = fleetform("secrets", "--env", "dev", cwd=folder).err
    names = re.findall(r"(?:set|or) (\S+)$", wanted, re.MULTILINE)
    assert names
    return rendered(folder, "dev", **dict.fromkeys(names, "x"))


def test_the_example_fleet_is_what_compose_reads(example):
    project = load(example)
    assert project["name"] == "fleetform-dev"
    found, problems = pipeline.judged(
        pipeline.read([ROOT / "agents"]), ROOT / "environments", "dev", ["compose"]
    )
    assert errors(problems) == ()
    names = {f"{item.name}.{item.namespace}" for item in found.plan.workloads}
    assert names <= {*project["services"]}
    agent = project["services"]["research-agent.ai-agents-dev"]
    assert agent["deploy"]["resources"]["limits"] == {"cpus": 1, "memory": "536870912"}
    assert agent["read_only"] is True
    assert agent["cap_drop"] == ["ALL"]
    assert agent["depends_on"].keys() == {"agent-memory-redis.ai-agents-dev"}


def test_the_committed_output_is_what_is_rendered():
    outcome = fleetform("render", "--env", "dev", "--target", "compose", "--check", cwd=ROOT)
    assert outcome.code == 0, outcome.out


def test_every_mounted_folder_and_file_is_there(example):
    for service in load(example)["services"].values():
        for mount in service.get("volumes", []):
            assert mount["type"] != "bind" or Path(mount["source"]).exists(), mount
    for secret in load(example)["secrets"].values():
        assert Path(secret["file"]).is_file()


def test_services_share_a_network_exactly_where_one_calls_the_other(example):
    found, _ = pipeline.judged(
        pipeline.read([ROOT / "agents"]), ROOT / "environments", "dev", ["compose"]
    )
    names = {item.key: f"{item.name}.{item.namespace}" for item in found.plan.workloads}
    linked = {
        frozenset((names[link.caller], names[link.callee]))
        for link in found.plan.links
        if link.caller in names and link.callee in names
    }
    project = load(example)
    inner = {
        name: {*service.get("networks", {})} - {OUTSIDE}
        for name, service in project["services"].items()
    }
    callees = {names[link.callee] for link in found.plan.links if link.callee in names}
    # Callers of one callee see each other: that is what Compose's networks are.
    through = {
        frozenset(pair)
        for callee in callees
        for pair in combinations(
            sorted({callee, *(name for name in inner if f"to.{callee}" in inner[name])}), 2
        )
    }
    shared = {
        frozenset(pair)
        for pair in combinations(sorted(inner), 2)
        if inner[pair[0]] & inner[pair[1]]
    }
    assert {pair for pair in linked if len(pair) == 2} <= shared == through
    assert all(
        network.get("internal") or name == OUTSIDE for name, network in project["networks"].items()
    )
    options = project["networks"][OUTSIDE]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_icc": "false"}


def test_the_loader_refuses_what_leads_nowhere(example, tmp_path):
    """The loader is no rubber stamp: each of these is refused."""
    text = example.read_text("utf-8")
    for old, new, said in (
        ("    - outside\n", "    - outsides\n", "undefined network"),
        ('memory: "512m"', 'memory: "512Mi"', "invalid suffix"),
        ("- source: ai-agents-dev.openai-api-key.api-key", "- source: nobody", "undefined secret"),
        ("      read_only: true\n", "      read_onli: true\n", "not allowed"),
    ):
        assert old in text
        file = example.with_name("broken.yaml")
        file.write_text(text.replace(old, new, 1), "utf-8")
        assert said in refusal(file)
        file.unlink()


def test_a_secret_is_in_no_rendered_file_and_in_files_that_others_cannot_reach(example):
    folder = example.parent
    for file in folder.rglob("*"):
        if file.is_file() and "secrets" not in file.relative_to(folder).parts:
            assert "\nx\n" not in file.read_text("utf-8")
    ignored = (folder / ".gitignore").read_text("utf-8")
    assert "/secrets/" in ignored.split()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("secrets/*/*/*")}
    assert modes == {0o444}
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700


@pytest.mark.parametrize("seed", SEEDS)
def test_any_fleet_made_by_chance_is_read_or_refused_with_a_reason(seed, tmp_path):
    root = write(tmp_path, generated.fleet(seed))
    specs = pipeline.read([root / "agents"])
    found, problems = pipeline.judged(specs, root / "environments", "prod", ["compose"])
    refused = {problem.code for problem in errors(problems)}
    assert refused <= {"not-on-compose"}, [p for p in errors(problems) if p.code not in refused]
    if refused:
        return
    outcome = fleetform("secrets", "--env", "prod", cwd=root)
    names = re.findall(r"set (\S+) or", outcome.err)
    file = rendered(root, "prod", **dict.fromkeys(names, "x"))
    services = load(file)["services"]
    served = found.plan.workloads
    assert {f"{item.name}.{item.namespace}" for item in served} <= {*services}


# What a spec may hold: control characters are refused.
GIVEN = [text for text in TEXTS if "\x7f" not in text]
WORDS = [text for text in GIVEN if text]
OWN = {
    "apiVersion": "fleetform.dev/v1alpha1",
    "kind": "Agent",
    "metadata": {"name": "texts", "namespace": "space"},
    "spec": {
        "container": {
            "image": {"repository": "example/own", "tag": "1"},
            "command": WORDS,
            "args": WORDS,
        },
        "env": [{"name": f"T{n}", "value": text} for n, text in enumerate(GIVEN)],
    },
}


def test_text_reaches_a_container_unchanged(tmp_path):
    root = write(
        tmp_path, {"agents/a.yaml": emit.emit_all([OWN]), "environments/prod.yaml": ENVIRONMENT}
    )
    service = load(rendered(root))["services"]["texts.space"]
    assert service["environment"] == {f"T{n}": text for n, text in enumerate(GIVEN)}
    assert service["command"] == WORDS
    assert service["entrypoint"] == WORDS


BESIDE = f"""{API}
kind: MCPServer
metadata: {{name: things, namespace: default}}
spec:
  transport: stdio
  container: {{image: {{repository: example/things, tag: "1"}}, command: [node, index.js]}}
"""


def test_the_shell_of_a_server_over_stdio_and_its_volume_reach_compose_unchanged(tmp_path):
    agent = AGENT + "  tools: [{name: things}]\n"
    files = {"agents/a.yaml": agent, "agents/b.yaml": BESIDE, "environments/prod.yaml": ENVIRONMENT}
    project = load(rendered(write(tmp_path, files)))
    side = project["services"]["helper.default.mcp-things"]
    assert side["entrypoint"] == [*contract.BESIDE, f"{contract.PIPES}/things"]
    assert side["command"] == ["node", "index.js"]
    made = {name: item for name, item in project["volumes"].items() if "mcp-things" in name}
    assert {item["driver_opts"]["type"] for item in made.values()} == {"tmpfs"}
    assert len(made) == 2


SIGNED = f"""{API}
kind: Agent
metadata: {{name: signed, namespace: space}}
spec:
  container: {{image: {{repository: example/own, tag: "1"}}}}
  env:
    - {{name: TOKEN, valueFrom: {{secretKeyRef: {{name: tokens, key: one}}}}}}
"""


def test_a_secret_variable_reaches_a_container_unchanged_and_stands_in_no_compose_file(tmp_path):
    root = write(tmp_path, {"agents/a.yaml": SIGNED, "environments/prod.yaml": ENVIRONMENT})
    (root / "all.env").write_text("")
    os.environ["TOKENS_ONE"] = VALUE
    try:
        file = rendered(root)
    finally:
        del os.environ["TOKENS_ONE"]
    assert VALUE not in file.read_text("utf-8")
    assert load(file)["services"]["signed.space"]["environment"] == {"TOKEN": VALUE}
