"""One command serves an agent of the fleet here, another one talks to it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


HANDBOOK = {
    "docs/refunds.md": "---\ncategory: faq\n---\n# Refunds\n\nA refund takes five days. 환불은 5일 걸립니다.\n",
    "docs/shipping/parcels.html": "<h1>Parcels</h1><p>They ship on Mondays.</p>",
}


def asks(folder: Path, question: str, **more: str):
    """Ask the example fleet's support agent in a folder, whose spec names a server that is not here."""
    call = json.dumps({"query": question, **more}, ensure_ascii=False)
    fleet = ("--agents", str(ROOT / "agents"), "--environments", str(ROOT / "environments"))
    message = f"call search-knowledge-base {call}"
    return run(
        "chat", "customer-support-agent", *fleet, "--model", "scripted",
        "--documents", "docs", "-m", message, cwd=folder,
    )  # fmt: skip


def test_an_agent_answers_from_a_folder_with_neither_a_key_nor_a_network(tmp_path):
    write(tmp_path, HANDBOOK)
    done = asks(tmp_path, "how long do refunds take?")
    assert done.returncode == 0, done.stderr
    assert '"source":"refunds.md"' in done.stdout
    assert "2 added" in done.stderr
    done = asks(tmp_path, "환불")
    assert '"source":"refunds.md"' in done.stdout
    assert "2 unchanged" in done.stderr
    assert "No passage matches." in asks(tmp_path, "refund", category="policy").stdout
    (tmp_path / "docs/refunds.md").unlink()
    assert "No passage matches." in asks(tmp_path, "refund").stdout


def test_documents_that_cannot_be_read_are_named_and_nothing_starts(tmp_path):
    write(tmp_path, {**HANDBOOK, "docs/a.pdf": b"%PDF no"})
    done = asks(tmp_path, "refund")
    assert done.returncode == 1
    assert "error: a.pdf: " in done.stderr
    assert "hint: mend or remove what is named above" in done.stderr
    assert "Traceback" not in done.stderr


def test_documents_are_refused_by_an_agent_that_searches_none(tmp_path):
    done = run("run", "research-agent", "--model", "scripted", "--documents", str(tmp_path))
    assert done.returncode == 1
    assert "error: research-agent has no retrieval tool, which --documents is for" in done.stderr


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


REMOTE = """  tools:
    - {name: docs, endpoint: "http://127.0.0.1:PORT/mcp", authentication: {type: bearer, secretRef: {name: github-token, key: api-key}}}
    - {name: far, endpoint: "https://mcp.example.com/mcp"}
"""


@pytest.fixture
def listener():
    """Yield a port of this machine, and the Authorization headers that it receives."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers.get("Authorization"))
            self.send_error(401)

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, seen
    server.shutdown()
    thread.join()
    server.server_close()


def chat_with_a_secret(folder: Path, port: int, *options: str, **environment: str):
    spec = GOOD["agents/a.yaml"] + REMOTE.replace("PORT", str(port))
    fleet = write(folder / "fleet", GOOD | {"agents/a.yaml": spec})
    command = ("chat", "helper", "--env", "prod", "--memory", "in-memory", "-m", "hello", *options)
    given = {"GITHUB_TOKEN": "mine", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return run(*command, cwd=fleet, **given, **environment)


def test_nothing_leaves_the_machine_with_the_scripted_model(tmp_path, listener):
    port, seen = listener
    done = chat_with_a_secret(tmp_path, port, "--model", "scripted")
    assert done.returncode == 0, done.stderr
    assert "note: far: left out, it is on another machine" in done.stderr
    assert "Bearer mine" not in seen
    assert seen  # this machine's own server was asked, with a placeholder


def test_a_secret_is_sent_only_where_its_owner_agreed_to(tmp_path, listener):
    port, seen = listener
    done = chat_with_a_secret(tmp_path, port)
    assert done.returncode == 1
    assert f"  GITHUB_TOKEN to http://127.0.0.1:{port}" in done.stderr
    assert f"or add --trust http://127.0.0.1:{port}; --model scripted" in done.stderr
    assert seen == []
    chat_with_a_secret(tmp_path, port, "--trust", f"http://127.0.0.1:{port}")
    assert "Bearer mine" in seen


def test_a_port_that_is_taken_is_told_before_anything_starts(listener):
    port, _ = listener
    done = run("run", "research-agent", "--model", "scripted", "--port", str(port))
    assert done.returncode == 1
    assert f"error: port {port}: Address already in use" in done.stderr
    assert "talk to it" not in done.stderr


@pytest.mark.parametrize("port", ["70000", "-1", "0"])
@pytest.mark.parametrize("command", [("run", "research-agent"), ("workflow", "serve", "x")])
def test_a_port_is_one(command, port):
    done = run(*command, "--model", "scripted", f"--port={port}")
    assert done.returncode == 2
    assert "1<=x<=65535" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_workflow_that_is_told_to_stop_while_it_starts_stops(signal_):
    """Agents are up by then or not, whichever is quicker: nothing is left of them."""
    words = ["workflow", "serve", "research-report-workflow", "--env", "dev", "--model", "scripted"]
    process = subprocess.Popen(
        [*COMMAND, *words, "--port", str(free_port())],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "note: " in process.stderr.readline()  # it has begun to start what it serves
    process.send_signal(signal_)
    _, printed = process.communicate(timeout=300)
    assert (process.returncode, "Traceback" in printed) == (0, False), printed


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
        with urllib.request.urlopen(url + "/", timeout=300) as page:
            assert page.headers["Content-Type"].startswith("text/html")
        stranger = urllib.request.Request(url + "/", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="421"):
            urllib.request.urlopen(stranger, timeout=300)
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert f"talk to it: fleetform chat {url}" in printed
    assert f"its page: {url}/" in printed
