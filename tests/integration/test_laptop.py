"""One command serves an agent of the fleet here, another one talks to it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.fleet import GOOD, write
from tests.ports import free_port
from tests.tools import ROOT

COMMAND = [sys.executable, "-c", "from fleetform.cli import main; main()"]


TOOL = """apiVersion: fleetform.dev/v1alpha1
kind: Tool
metadata: {name: look-up}
spec:
  type: human
  description: Asks a person.
  parameters: [{name: q, type: string, required: true}]
"""


def run(*arguments: str, cwd: Path = ROOT, text: str = "", **environment: str):
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=kept | environment,
    )


def test_a_chat_needs_neither_a_key_nor_a_network():
    done = run("chat", "research-agent", "--model", "scripted", "-m", "say 3 words", "-m", "hello")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "word1 word2 word3\nYou said: hello (turn 2)\n"
    assert "note: memory: in-memory instead of redis" in done.stderr
    assert "note: secret openai-api-key/api-key: a placeholder" in done.stderr


def test_lines_of_a_pipe_are_said_one_after_the_other():
    done = run("chat", "research-agent", "--model", "scripted", text="one\n\ntwo\n")
    assert done.stdout == "You said: one (turn 1)\nYou said: two (turn 2)\n"


def test_calls_of_tools_are_shown_and_people_are_asked(tmp_path):
    agent = GOOD["agents/a.yaml"].replace(
        "  auth:", "  tools: [{kind: Tool, name: look-up}]\n  auth:"
    )
    fleet = write(tmp_path, GOOD | {"agents/a.yaml": agent, "agents/tool.yaml": TOOL})
    text = 'call look-up {"q": "why"}\nbecause\n'
    done = run("chat", "helper", "--env", "prod", "--model", "scripted", cwd=fleet, text=text)
    assert done.returncode == 0, done.stderr + done.stdout
    assert '? look-up {"q": "why"}' in done.stdout
    assert "✓ look-up: because" in done.stdout
    assert done.stdout.endswith("look-up: because\n")


def test_everything_that_is_missing_is_told_at_once(tmp_path):
    done = run("run", "customer-support-agent", "--memory", "in-memory")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: secret openai-api-key, key api-key: set OPENAI_API_KEY or OPENAI_API_KEY_API_KEY",
        "error: secret ticketing-api-token, key token: set TICKETING_API_TOKEN or TICKETING_API_TOKEN_TOKEN",
        "error: secret crm-api-token, key token: set CRM_API_TOKEN or CRM_API_TOKEN_TOKEN",
    ]
    assert "hint: set them in the environment or in .env" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("chat", "reserch-agent", "--model", "scripted"), 1, "did you mean `research-agent`?"),
        (("chat", "x", "--model", "gpt"), 2, "--model must be `scripted` or omitted"),
        (("run", "x", "--memory", "redis"), 2, "--memory must be `in-memory` or omitted"),
        (("chat", "http://127.0.0.1:1", "-m", "x"), 1, "127.0.0.1:1 does not answer"),
        (("chat", "ftp://x", "-m", "x"), 1, "`ftp://x` is not the URL of an agent"),
        (("run", "research-agent", "--env-file", "nowhere"), 1, "nowhere does not exist"),
    ],
)
def test_mistakes_are_told(arguments, code, message):
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_run_serves_until_it_is_told_to_stop():
    port = free_port()
    command = [*COMMAND, "run", "research-agent", "--model", "scripted", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(url + "/health", timeout=300).close()
                break
            except OSError:
                time.sleep(0.05)
        done = run("chat", url, "-m", "hello")
        assert done.stdout == "You said: hello (turn 1)\n"
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert f"talk to it: fleetform chat {url}" in printed
