"""The command line refuses what it cannot serve, with the place of every mistake."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime import cli
from runtime.tests.harness import BASE
from runtime.tests.process import COMMAND, Runtime
from runtime.tests.servers import PATIENCE
from runtime.tests.upstreams import completion, upstream


def write(folder, document: Any, prompt: str | bytes | None = "You help.") -> str:
    file = folder / "agent.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    if prompt is not None:
        raw = prompt if isinstance(prompt, bytes) else prompt.encode()
        (folder / "system-prompt.md").write_bytes(raw)
    return str(file)


def test_a_good_configuration_is_fine(tmp_path, capsys):
    config = write(tmp_path, BASE)
    assert cli.main(["check", "--config", config]) == 0
    assert capsys.readouterr().out == f"{config}: fine\n"


KEYS = {"type": "apiKey", "keys": [{"name": "a", "secret": {"env": "SHORT_KEY"}}]}
MISTAKES: list[tuple[Any, str]] = [
    ("{", "$: Invalid JSON"),
    ("", "$: Invalid JSON"),
    ([], "$: Input should be an object"),
    ({k: v for k, v in BASE.items() if k != "auth"}, "$.auth: Field required"),
    (BASE | {"auth": {"type": "magic"}}, "$.auth: Input tag 'magic'"),
    (BASE | {"limits": {"runSeconds": -1}}, "$.limits.runSeconds: Input should be greater than 0"),
    (BASE | {"server": {"corsOrigins": ["*"]}}, "$.server.corsOrigins[0]: String should match"),
    (BASE | {"typo": 1}, "$.typo: Extra inputs are not permitted"),
    (BASE | {"tools": [{"type": "spell", "name": "x"}]}, "$.tools[0]: Input tag 'spell'"),
    (BASE | {"tools": [{"type": "api", "name": "x"}]}, "$.tools[0].endpoint: Field required"),
    (BASE | {"webUi": {}}, "$.webUi: Extra inputs are not permitted"),
    (BASE | {"contract": 2}, "$.contract: Input should be 1"),
    (BASE | {"auth": KEYS}, "$.auth.keys[0].secret: the environment variable SHORT_KEY is not set"),
    (
        BASE | {"model": {"provider": "openai", "name": "x", "apiKey": {"file": "/nowhere/key"}}},
        "$.model.apiKey: /nowhere/key cannot be read: No such file or directory",
    ),
]


@pytest.mark.parametrize(("document", "message"), MISTAKES)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_every_mistake_is_told_with_its_place(document, message, command, tmp_path, capsys):
    config = write(tmp_path, document)
    assert cli.main([command, "--config", config]) == 1
    assert message in capsys.readouterr().err


def test_all_mistakes_are_told_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SHORT_KEY", "short")
    models = [{"provider": "openai", "name": "y", "apiKey": {"env": "NO_SUCH_KEY"}}]
    config = write(tmp_path, BASE | {"auth": KEYS, "models": models}, prompt=None)
    assert cli.main(["check", "--config", config]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("agent.json: ")[1].split(":")[0] for line in lines] == [
        "$.prompt.system.file",
        "$.models[0].apiKey",
        "$.auth.keys[0].secret",
    ]
    assert "fewer than 16" in lines[2]
    assert "short" not in lines[2].replace("SHORT", "")


def test_certificates_are_read_before_anything_starts(tmp_path, capsys):
    (tmp_path / "bad.pem").write_text("no certificate")
    memory = {"type": "redis", "host": "x", "tls": {"caFile": str(tmp_path / "bad.pem")}}
    model = BASE["model"] | {"tls": {"caFile": "/nowhere/ca.pem"}}
    config = write(tmp_path, BASE | {"memory": memory, "model": model})
    assert cli.main(["check", "--config", config]) == 1
    said = capsys.readouterr().err
    assert "$.model.tls: /nowhere/ca.pem cannot be read" in said
    assert "$.memory.tls: its files are not usable for TLS" in said


def test_prompts_are_utf8(tmp_path, capsys):
    config = write(tmp_path, BASE, prompt=b"\xff")
    assert cli.main(["check", "--config", config]) == 1
    assert "is not UTF-8" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(tmp_path, capsys):
    assert cli.main(["check", "--config", str(tmp_path / "x.json")]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_the_scripted_model_needs_no_key(tmp_path):
    model = {"provider": "openai", "name": "x", "apiKey": {"env": "NO_SUCH_KEY"}}
    config = write(tmp_path, BASE | {"model": model})
    assert cli.main(["check", "--config", config, "--model", "scripted"]) == 0


def test_the_schema_is_printed(capsys):
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "agent.json"


def test_wrong_usage_is_told():
    for arguments in ([], ["fly"], ["serve", "--model", "gpt"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2


def test_a_process_serves_and_ends_cleanly(tmp_path):
    with Runtime(tmp_path, "--model", "scripted") as runtime:
        assert runtime.status("/health") == 200
        runtime.signal(signal.SIGTERM)
        assert runtime.wait() == 0
    log = [json.loads(line) for line in runtime.log.read_text().splitlines()]
    assert log[0]["message"].startswith("fleetform-runtime 0.1.0 serves greeter on 127.0.0.1:")
    assert log[-1]["message"] == "draining: 0 runs are still active"


FIRST = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root makes process 1"
)
AS = [(), pytest.param(("unshare", "-pf", "--mount-proc"), marks=FIRST)]
"""As any process, and as process 1, where a signal without a handler is lost."""


def ended(wrapper, words, silent):
    """Start a command, and end it by SIGTERM once it waits for a server that is silent; return its status and errors."""
    command = [*wrapper, *COMMAND, *words]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            silent.settimeout(PATIENCE)
            connection, _ = silent.accept()
            with connection:
                child = f"/proc/{process.pid}/task/{process.pid}/children"
                one = Path(child).read_text().split() if wrapper else [process.pid]
                os.kill(int(one[0]), signal.SIGTERM)
                _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode, said


@pytest.mark.parametrize("wrapper", AS)
def test_a_signal_while_it_waits_for_its_store_ends_it(tmp_path, wrapper):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        memory = {"type": "redis", "host": "127.0.0.1", "port": silent.getsockname()[1]}
        memory["timeouts"] = {"requestSeconds": 600, "connectSeconds": 600}
        config = write(tmp_path, BASE | {"memory": memory})
        words = ["serve", "--config", config, "--port", "0", "--metrics-port", "0"]
        status, _ = ended(wrapper, [*words, "--model", "scripted"], silent)
    assert status == 0


@pytest.mark.parametrize("wrapper", AS)
def test_a_signal_while_documents_are_taken_in_is_no_success(tmp_path, wrapper):
    """A Job whose pod is evicted runs again; an exit code of 0 would end it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        knowledge = {
            "store": {"type": "embedded", "path": str(tmp_path / "db"), "collection": "docs"},
            "embedding": {"provider": "vllm", "name": "m", "endpoint": endpoint},
            "search": {"mode": "hybrid"},
        }
        tool = {"type": "retrieval", "name": "kb", "description": "d", "knowledge": knowledge}
        tool["parameters"] = [{"name": "query", "type": "string", "required": True}]
        config = write(tmp_path, BASE | {"tools": [tool]})
        (tmp_path / "a.md").write_text("# A\n\nText")
        found = ended(wrapper, ["ingest", "--config", config, str(tmp_path / "a.md")], silent)
    said = "error: ended by a signal; what was taken in stays, run it again for the rest\n"
    assert found == (128 + signal.SIGTERM, said)


SIGNALLED = """
import signal, sys
from fleetform_runtime import cli, start
start.read_prompts = lambda *_: signal.raise_signal(signal.SIGTERM)
sys.exit(cli.main())
"""


def test_a_signal_before_its_loop_runs_ends_it_too(tmp_path):
    options = ["--config", write(tmp_path, BASE), "--port", "0", "--metrics-port", "0"]
    command = [sys.executable, "-c", SIGNALLED, "serve", *options, "--model", "scripted"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("form", "start"), [("json", "{"), ("text", "2")])
def test_a_log_has_the_format_of_the_configuration(form, start, tmp_path):
    logging = {"logging": {"format": form}}
    with Runtime(tmp_path, "--model", "scripted", observability=logging) as runtime:
        assert runtime.status("/info") == 200
        runtime.signal(signal.SIGTERM)
        assert runtime.wait() == 0
    lines = runtime.log.read_text().splitlines()
    assert any("GET /info 200" in line for line in lines)
    assert {line[0] for line in lines} == {start}


def test_a_port_that_is_taken_is_told(tmp_path):
    with Runtime(tmp_path / "a", "--model", "scripted") as runtime:
        other = [*COMMAND, "serve", "--config", str(runtime.config), "--model", "scripted"]
        done = subprocess.run(other, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


IMPORTS = """
import sys
import fleetform_runtime.start
heavy = {"pydantic_ai", "opentelemetry", "redis", "asyncpg", "jwt", "boto3", "mcp", "requests"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_start_imports_only_what_the_configuration_needs():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def checked(tmp_path: Path, **changes: Any) -> tuple[int, str]:
    """Run `check --connect` on a document in a process of its own."""
    (tmp_path / "agent.json").write_text(json.dumps(BASE | changes))
    (tmp_path / "system-prompt.md").write_text("You help.")
    command = [sys.executable, "-m", "fleetform_runtime", "check", "--connect", "--config"]
    process = await asyncio.create_subprocess_exec(
        *command,
        str(tmp_path / "agent.json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"KEY": "sk-secret-of-the-test"},
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.anyio
async def test_what_an_agent_needs_is_tried_from_where_it_runs(tmp_path):
    listed = {"tools": [{"name": "t"}]}

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/mcp":
            number = (await request.json())["id"]
            return web.json_response({"jsonrpc": "2.0", "id": number, "result": listed})
        if request.path in ("/embeddings", "/v1/embeddings"):
            return web.json_response({"data": [{"index": 0, "embedding": [0.5, 1.0]}]})
        if not request.path.startswith("/bad"):
            assert request.headers["Authorization"] == "Bearer sk-secret-of-the-test"
            return web.json_response(completion("ok"))
        return web.json_response(
            {"error": {"message": "bad key sk-secret-of-the-test"}}, status=401
        )

    async with upstream(handler) as server:
        model = {"provider": "openai-compatible", "name": "m", "endpoint": server.url}
        servers = [{"name": "files", "transport": "streamable-http", "url": f"{server.url}/mcp"}]
        good = model | {"apiKey": {"env": "KEY"}}
        vectors = {"provider": "ollama", "name": "e", "endpoint": server.url}
        remembers = {"user": "me", "embedding": vectors}
        fields = {"mcpServers": servers, "longTermMemory": remembers}
        code, text = await checked(tmp_path, model=good, **fields)
        assert code == 0, text
        lines = text.splitlines()[1:]
        assert lines[0].startswith(f"ok     model m at {server.url}: m answers")
        assert lines[1].startswith(f"ok     embedding e at {server.url}: vectors of 2 dimensions")
        assert lines[2].startswith("ok     MCP server files: 1 tools")
        assert lines[3].startswith("ok     store in-memory")
        gone = [{"name": "gone", "transport": "streamable-http", "url": "http://127.0.0.1:1/mcp"}]
        memory = {"type": "redis", "host": "127.0.0.1", "port": 1}
        bad = good | {"endpoint": f"{server.url}/bad"}
        remembers = {"user": "me", "embedding": vectors | {"endpoint": f"{server.url}/bad"}}
        fields = {"mcpServers": gone, "memory": memory, "longTermMemory": remembers}
        code, text = await checked(tmp_path, model=bad, **fields)
    assert code == 1
    assert "failed model m" in text
    assert "authentication" in text
    assert "failed embedding e" in text
    assert "failed MCP server gone" in text
    assert "failed store redis" in text
    assert "sk-secret-of-the-test" not in text
