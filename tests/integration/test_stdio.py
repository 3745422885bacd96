"""An MCP server over stdio answers an agent, started by what its container runs, and on a laptop only if its user agrees."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet import AGENT, API, GOOD, fleetform, read_yaml, write
from tests.integration.test_laptop import run
from tests.ports import free_port
from tests.tools import ROOT

SCRIPT = ROOT / "runtime/tests/mcp_server.py"
USER = AGENT + "  tools: [{name: things}]\n"
PATIENCE = 300


def server(*words: str, more: str = "") -> str:
    return f"""{API}
kind: MCPServer
metadata: {{name: things, namespace: default}}
spec:
  transport: stdio
  container:
    image: {{repository: acme/things, tag: 1.2.3}}
    command: {json.dumps(words)}
{more}"""


def rendered(folder: Path, *words: str, more: str = ""):
    """Return the agent's pod and its agent.json."""
    write(folder, GOOD | {"agents/a.yaml": USER, "agents/s.yaml": server(*words, more=more)})
    done = fleetform("render", "--env", "prod", cwd=folder)
    assert done.code == 0, done.err
    found = read_yaml((folder / "rendered/prod/default/helper.yaml").read_text())
    objects = {item["kind"]: item for item in found}
    document = json.loads(objects["ConfigMap"]["data"]["agent.json"])
    return objects["Deployment"]["spec"]["template"]["spec"], document


def beside(pod):
    (container,) = pod["initContainers"]
    return container


@contextmanager
def started(command: list[str], **options):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def asked(url: str, body: dict | None = None):
    """Return an answer, once somebody gives one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_the_container_that_is_rendered_serves_the_agent_beside_it(tmp_path):
    pod, document = rendered(tmp_path, sys.executable, str(SCRIPT), "stdio")
    (folder,) = {entry["directory"] for entry in document["mcpServers"]}
    pipes = tmp_path / "pipes"
    pipes.mkdir()
    container = beside(pod)
    words = [*container["command"], *container["args"]]
    assert words.count(folder) == 1
    words[words.index(folder)] = document["mcpServers"][0]["directory"] = str(pipes)
    config, port = tmp_path / "agent.json", free_port()
    config.write_text(json.dumps(document))
    config.with_name(document["prompt"]["system"]["file"]).write_text("hi")
    command = [sys.executable, "-m", "fleetform_runtime", "serve", "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--metrics-port", "0"]
    with started(words), started([*command, "--model", "scripted"], cwd=ROOT):
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + PATIENCE
        while not asked(f"{url}/info")["mcp_servers"]["things"]["up"]:
            assert time.monotonic() < until
            asked(f"{url}/chat", {"message": "hello"})
        answer = asked(f"{url}/chat", {"message": 'call add {"a": 2, "b": 3}'})
    assert [call["content"] for call in answer["tool_calls"]] == ["5"]


def test_it_has_its_own_variables_and_folders_and_cannot_replace_the_pipes(tmp_path):
    more = """    args: ["$(A) $$b"]
    workingDir: /app
  env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: things, key: token}}}]
  envFrom: [{configMapRef: {name: whole}}]
  resources: {limits: {memory: 64Mi}}
  network: {allowTo: [{cidr: 203.0.113.0/24, ports: [8443]}]}
"""
    pod, _ = rendered(tmp_path, "node", "index.js", more=more)
    container, main = beside(pod), pod["containers"][0]
    assert (container["name"], container["restartPolicy"]) == ("mcp-things", "Always")
    assert container["args"] == ["node", "index.js", "$$(A) $$$b"]
    assert container["workingDir"] == "/app"
    assert [item["name"] for item in container["env"]] == ["TOKEN"]
    assert container["envFrom"] == [{"configMapRef": {"name": "whole"}}]
    assert container["resources"]["limits"]["memory"] == "64Mi"
    assert "TOKEN" not in json.dumps(main)
    mounts = {item["mountPath"]: item for item in container["volumeMounts"]}
    assert {*mounts} == {"/run/fleetform/mcp/things", "/tmp"}
    assert mounts["/run/fleetform/mcp/things"]["readOnly"] is True
    theirs = {item["name"] for item in main["volumeMounts"]} & {
        item["name"] for item in container["volumeMounts"]
    }
    assert theirs == {"mcp-things"}
    policy = (tmp_path / "rendered/prod/default/helper.yaml").read_text()
    assert "203.0.113.0/24" in policy


@pytest.fixture
def elsewhere(tmp_path):
    """Return where the server of a fleet leaves a mark, and how a chat is started there."""
    mark = tmp_path / "started"
    words = ("sh", "-c", f"echo $TOKEN > {mark}; exec {sys.executable} {SCRIPT} stdio")
    more = "  env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: things, key: token}}}]\n"
    files = {"agents/a.yaml": USER, "agents/s.yaml": server(*words, more=more)}
    fleet = write(tmp_path / "fleet", GOOD | files)
    given = {"THINGS_TOKEN": "mine", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def chat(*options: str):
        return run("chat", "helper", "--env", "prod", "-m", "hello", *options, cwd=fleet, **given)

    return mark, chat


def test_on_a_laptop_it_is_started_only_after_the_user_agreed(elsewhere):
    mark, chat = elsewhere
    done = chat()
    assert done.returncode == 1
    assert "or starts programs on it" in done.stderr
    assert "  starts sh -c 'echo $TOKEN" in done.stderr
    assert "  THINGS_TOKEN to sh -c" in done.stderr
    assert not mark.exists()
    program = done.stderr.partition("  starts ")[2].splitlines()[0]
    chat("--trust", program)
    assert mark.read_text() == "mine\n"


def test_with_the_scripted_model_it_is_not_started(elsewhere):
    mark, chat = elsewhere
    done = chat("--model", "scripted")
    assert done.returncode == 0, done.stderr
    assert "note: things: left out, it is a program that could connect anywhere" in done.stderr
    assert not mark.exists()
