"""One side alone opens no other workload's door: what is declared, what is said, what is rendered."""

from pathlib import Path

import pytest

from tests.fleet import API, ENVIRONMENT, fleetform, read_yaml, write
from tests.network.evaluator import Policies, pods


def agent(name: str, namespace: str, extra: str = "") -> str:
    return f"""{API}
kind: Agent
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  container:
    image: {{repository: acme/{name}, tag: 1.0.0}}
    ports: [{{name: http, containerPort: 8000}}, {{name: admin, containerPort: 9000}}]
  healthCheck: {{path: /healthz}}
{extra}"""


WAYS = {
    "peers": "  peers: [a/victim]\n",
    "agent": "  network: {allowTo: [{agent: a/victim, ports: [8000]}]}\n",
    "host": "  network: {allowTo: [{host: victim.a.svc, ports: [8000]}]}\n",
    "short host": "  network: {allowTo: [{host: victim.a, ports: [8000]}]}\n",
    "tool": "  tools: [{name: victim, namespace: a, kind: Agent}]\n",
    "endpoint": "  tools: [{name: x, endpoint: 'http://victim.a.svc:8000/mcp'}]\n",
}
"""How a caller may open the way to another namespace."""
CONSENTS = {
    "agent": "  network: {allowFrom: [{agent: b/caller, ports: [8000, 9000]}]}\n",
    "namespace": "  network: {allowFrom: [{namespace: b, ports: [8000, 9000]}]}\n",
    "peer": "  peers: [b/caller]\n",
}


def rendered(folder: Path, *documents: str) -> tuple[int, str, list]:
    files = {f"agents/{number}.yaml": text for number, text in enumerate(documents)}
    done = fleetform(
        "render",
        "--env",
        "prod",
        cwd=write(folder, {**files, "environments/prod.yaml": ENVIRONMENT}),
    )
    texts = (path.read_text("utf-8") for path in sorted((folder / "rendered").rglob("*.yaml")))
    return (
        done.code,
        done.err,
        [item for text in texts for item in read_yaml(text) if item],
    )


def is_open(objects: list, sender: str, receiver: str, port: int) -> bool:
    rules = Policies(item for item in objects if item["kind"] == "NetworkPolicy")
    ends = dict(pods(objects))
    return rules.allows(ends[sender], ends[receiver], port)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_into_another_namespace_needs_a_word_from_there(tmp_path, way):
    code, said, _ = rendered(tmp_path, agent("victim", "a"), agent("caller", "b", WAYS[way]))
    assert code == 1
    assert "Agent `a/victim` (agents/0.yaml) does not admit `b/caller`" in said
    assert "agents/1.yaml:" in said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("consent", CONSENTS)
def test_what_both_sides_say_is_open(tmp_path, way, consent):
    victim = agent("victim", "a", CONSENTS[consent])
    code, said, objects = rendered(tmp_path, victim, agent("caller", "b", WAYS[way]))
    if (way == "peers") is not (consent == "peer") and "peers" in (way, f"{consent}s"):
        return  # peers talk both ways: the other side must admit that, too
    assert code == 0, said
    assert "no-consent" not in said
    assert is_open(objects, "b/caller", "a/victim", 8000)


@pytest.mark.parametrize("port", [9000])
def test_a_port_that_was_not_meant_stays_closed(tmp_path, port):
    victim = agent("victim", "a", "  network: {allowFrom: [{agent: b/caller}]}\n")
    caller = agent(
        "caller", "b", f"  network: {{allowTo: [{{agent: a/victim, ports: [{port}]}}]}}\n"
    )
    code, said, _ = rendered(tmp_path, victim, caller)
    assert code == 1
    assert f"does not admit `b/caller` at {port}" in said


def test_who_is_admitted_and_does_not_call_gets_no_new_way_out(tmp_path):
    code, said, objects = rendered(
        tmp_path, agent("victim", "a", CONSENTS["agent"]), agent("caller", "b")
    )
    assert code == 0
    assert "does not call `a/victim`: nothing is opened yet" in said
    assert not is_open(objects, "b/caller", "a/victim", 8000)


def test_within_a_namespace_one_side_is_enough_and_is_said(tmp_path):
    caller = agent("caller", "a", "  peers: [victim]\n")
    code, said, objects = rendered(tmp_path, agent("victim", "a"), caller)
    assert code == 0
    assert "warning: spec.peers: Agent `a/victim` (agents/0.yaml) does not admit `a/caller`" in said
    assert is_open(objects, "a/caller", "a/victim", 9000)


def test_within_a_namespace_a_tool_needs_no_more_words(tmp_path):
    caller = agent("caller", "a", "  tools: [{name: victim, kind: Agent}]\n")
    code, said, objects = rendered(tmp_path, agent("victim", "a"), caller)
    assert code == 0
    assert "does not admit" not in said
    assert is_open(objects, "a/caller", "a/victim", 8000)
    assert not is_open(objects, "a/caller", "a/victim", 9000)
