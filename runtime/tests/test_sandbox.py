"""Programs in pods of agent-sandbox: claims as its definition wants them, one pod per run, nothing weaker in its place.

Kubernetes is a server with TLS that holds each claim against the definition of agent-sandbox's own module, and
plays its controller: a pod is a real process of the image's command `sandbox`, at an address of its own.
"""

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from asyncio.selector_events import _SelectorTransport
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer

import jsonschema_rs
import pytest

from fleetform_runtime.check import problems
from fleetform_runtime.code import CodeError, Limits, engines, inside, runner, sandbox
from fleetform_runtime.code.sandbox import Sandboxes
from fleetform_runtime.secrets import Secrets
from runtime.tests.certificates import issue
from runtime.tests.harness import serving, settings
from runtime.tests.json_server import JsonHandler
from runtime.tests.servers import PATIENCE
from tests.ports import free_port
from tests.tools import tool

pytestmark = pytest.mark.anyio

CLAIMS = "/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/shop/sandboxclaims"
SERVE = "import sys; from fleetform_runtime.code.inside import serve; serve(int(sys.argv[2]), sys.argv[1])"
LIMITS = Limits(100, 2**27, 10_000)
"""Only what never ends is told to in time; all else has what a busy machine needs."""


class Quiet(ThreadingHTTPServer):
    """A server that says nothing of clients that left, or that do not trust it."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Secure(Quiet):
    """A server with TLS, each of whose connections shakes hands in a thread of its own."""

    context = None

    def finish_request(self, request, client_address):
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


class Cluster:
    """What Kubernetes and the controller of agent-sandbox do with claims."""

    def __init__(self, folder):
        (folder / "token").write_text("the-token\n")
        (folder / "namespace").write_text("shop")
        schema = tool("schemas") / "extensions.agents.x-k8s.io/sandboxclaim_v1beta1.json"
        self.schema = jsonschema_rs.validator_for(json.loads(schema.read_bytes()))
        self.claims, self.asked, self.gone, self.wrong = {}, [], [], []
        self.pods = {}
        self.port = free_port()
        self.refuses = 0
        self.ready = True
        self.late = 0.0
        self.waits = 0.0
        self.answer = None
        cluster = self

        class Handler(JsonHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                cluster.take(self, self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self):  # noqa: N802
                cluster.show(self)

            def do_DELETE(self):  # noqa: N802
                cluster.end(self)

        self.server = Secure(("127.0.0.1", 0), Handler)
        self.server.context = issue(folder)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def may(self, request):
        if request.headers.get("Authorization") != "Bearer the-token":
            request.write(401, {"kind": "Status", "message": "who?"})
        elif self.refuses:
            request.write(self.refuses, {"kind": "Status", "message": "a-word-of-the-api"})
        else:
            return True
        return False

    def take(self, request, body):
        claim = json.loads(body)
        self.asked.append(claim)
        self.wrong += [error.message for error in self.schema.iter_errors(claim)]
        if not self.may(request):
            return
        if request.path != CLAIMS:
            self.wrong.append(request.path)
        number = len(self.claims) + 2
        name = claim["metadata"]["name"]
        self.claims[name] = claim
        if self.ready:
            self.pods[name] = self.pod(f"127.0.0.{number}")
        time.sleep(self.waits)
        request.write(201, claim)

    def pod(self, address):
        if self.answer is not None:
            answer = self.answer

            class Pod(JsonHandler):
                def do_POST(self):  # noqa: N802
                    status, body = answer
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            server = Quiet((address, self.port), Pod)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return address, server
        command = [sys.executable, "-c", SERVE, address, str(self.port)]
        if self.late:
            command[2] = f"import time; time.sleep({self.late}); {SERVE}"
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if not self.late:
            process.stdout.readline()
        return address, process

    def show(self, request):
        if not self.may(request):
            return
        name = request.path.removeprefix(CLAIMS + "/")
        if name not in self.claims:
            request.write(404, {"kind": "Status"})
            return
        status = {"conditions": [{"type": "Ready", "status": "False", "message": "no node"}]}
        if name in self.pods:
            status = {
                "conditions": [{"type": "Ready", "status": "True"}],
                "sandbox": {"name": name, "podIPs": [self.pods[name][0]]},
            }
        request.write(200, self.claims[name] | {"status": status})

    def end(self, request):
        if not self.may(request):
            return
        name = request.path.removeprefix(CLAIMS + "/")
        if name not in self.claims:
            request.write(404, {"kind": "Status"})
            return
        self.gone.append(name)
        self.claims.get(name, {})["gone"] = True
        self.stop(name)
        request.write(200, {"kind": "Status", "status": "Success"})

    def stop(self, name):
        _, pod = self.pods.pop(name, (None, None))
        if isinstance(pod, subprocess.Popen):
            pod.kill()
            pod.wait()
            pod.stdout.close()
        elif pod is not None:
            pod.shutdown()
            pod.server_close()

    def close(self):
        for name in [*self.pods]:
            self.stop(name)
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    folder = tmp_path / "account"
    folder.mkdir()
    found = Cluster(folder)
    monkeypatch.setattr(sandbox, "ACCOUNT", folder)
    monkeypatch.setattr(sandbox, "PORT", found.port)
    for name in ("CALL_SECONDS", "START_SECONDS", "REACHED_SECONDS"):
        monkeypatch.setattr(sandbox, name, float(PATIENCE))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT_HTTPS", str(found.server.server_port))
    yield found
    found.close()
    assert found.wrong == []
    assert not found.pods, "a pod is left"


async def ended(it):
    """Close, and wait for connections that were broken off: TLS takes leave of the other side first."""
    await it.close()
    loop, until = asyncio.get_running_loop(), time.monotonic() + PATIENCE
    while any(
        isinstance(item, _SelectorTransport) and item._loop is loop and item._sock is not None
        for item in gc.get_objects()
    ):
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def ran(program, inputs=None, limits=LIMITS):
    it = Sandboxes(limits, "hello")
    try:
        return await it.run(program, inputs or {})
    finally:
        await ended(it)


async def failed(program, limits=LIMITS):
    with pytest.raises(CodeError) as caught:
        await ran(program, limits=limits)
    return str(caught.value)


# -- a run ------------------------------------------------------------------------------------------


async def test_a_run_claims_a_pod_and_gives_it_back(cluster):
    began = datetime.now(UTC)
    assert await ran("print(sum(inputs['numbers']), '환불 ✓')", {"numbers": [1, 2]}) == "3 환불 ✓\n"
    (claim,) = cluster.asked
    assert claim["spec"]["warmPoolRef"] == {"name": "hello"}
    assert claim["metadata"]["name"].startswith("hello-")
    lifecycle = claim["spec"]["lifecycle"]
    assert lifecycle["shutdownPolicy"] == "Delete", "what nobody deletes ends by itself"
    end = datetime.fromisoformat(lifecycle["shutdownTime"])
    assert timedelta(seconds=LIMITS.seconds) < end - began < timedelta(minutes=10)
    assert len(cluster.gone) == 1


async def test_each_run_has_a_pod_of_its_own_and_several_run_at_once(cluster):
    it = Sandboxes(LIMITS, "hello")
    program = "import os, time; time.sleep(0.5); print(os.getppid())"
    pids = await asyncio.gather(*(it.run(program, {}) for _ in range(3)))
    await ended(it)
    assert len({*pids}) == 3
    assert len({*cluster.gone}) == 3


async def test_a_pool_with_a_long_name_makes_names_that_kubernetes_takes(cluster):
    it = Sandboxes(LIMITS, "a" * 63)
    await it.run("print(1)", {})
    await ended(it)
    assert len(cluster.asked[0]["metadata"]["name"]) <= 63


STOPPED = {
    "an error": ("print('so far')\n1 / 0", "ZeroDivisionError: division by zero"),
    "what it printed": ("print('so far')\n1 / 0", "It printed until then:\nso far"),
    "a mistake": ("def", "SyntaxError"),
    "a flood": ("while True: print('x' * 1000)", "printed more than 10000 bytes"),
    "memory": ("x = bytearray(10**9)", "MemoryError"),
    "an end of the sandbox": (
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        "its sandbox ended",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
async def test_what_fails_is_told_and_its_pod_given_back(cluster, name):
    program, words = STOPPED[name]
    assert words in await failed(program)
    assert len(cluster.gone) == 1


async def test_what_takes_too_long_is_stopped(cluster):
    assert "longer than 1 s" in await failed(
        "import time; time.sleep(60)", LIMITS._replace(seconds=1)
    )
    assert len(cluster.gone) == 1


async def test_what_does_not_even_answer_is_given_up(cluster, monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE", 0.0)
    program = "import os, signal, time; os.kill(os.getppid(), signal.SIGSTOP); time.sleep(60)"
    assert "longer than 1 s" in await failed(program, LIMITS._replace(seconds=1))
    assert len(cluster.gone) == 1


async def test_a_cancelled_run_gives_its_pod_back(cluster):
    it = Sandboxes(LIMITS, "hello")
    run = asyncio.create_task(it.run("import time; time.sleep(60)", {}))
    until = time.monotonic() + PATIENCE
    while not cluster.pods and time.monotonic() < until:
        await asyncio.sleep(0.02)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    while not cluster.gone and time.monotonic() < until:
        await asyncio.sleep(0.02)
    await ended(it)
    assert len(cluster.gone) == 1


async def test_a_pod_that_is_reached_a_little_later_gets_the_code_once(cluster):
    cluster.late = 1.0
    assert await ran("print('there')") == "there\n"
    assert len(cluster.asked) == 1


async def test_a_claim_that_nobody_heard_of_is_given_back(cluster, monkeypatch):
    """Kubernetes has made it, and its answer did not come in time."""
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 1.0)
    cluster.waits = 1.5
    with pytest.raises(CodeError, match="Kubernetes does not answer"):
        await ran("print(1)")
    assert len(cluster.gone) == 1


# -- no sandbox -------------------------------------------------------------------------------------


@pytest.fixture
def nothing_else(monkeypatch):
    """No other engine may run what no sandbox runs."""

    async def refuse(*_):
        raise AssertionError("the code ran beside the agent")

    monkeypatch.setattr(runner.Runner, "run", refuse)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "refuses with the status 403"),
        (404, "the cluster has no agent-sandbox"),
        (422, "refuses with the status 422"),
        (500, "refuses with the status 500"),
    ],
)
async def test_where_kubernetes_refuses_nothing_runs(cluster, nothing_else, status, words):
    cluster.refuses = status
    said = await failed("print('it ran')")
    assert "The code did not run" in said
    assert words in said
    assert "a-word-of-the-api" not in said, "its words are for logs"


async def test_where_kubernetes_is_away_nothing_runs(cluster, nothing_else, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT_HTTPS", str(free_port()))
    assert "Kubernetes does not answer" in await failed("print('it ran')")


async def test_another_authority_is_not_trusted(cluster, nothing_else, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    issue(tmp_path / "other")
    (tmp_path / "account/ca.crt").write_bytes((tmp_path / "other/ca.crt").read_bytes())
    assert "Kubernetes does not answer" in await failed("print('it ran')")
    assert cluster.asked == [], "the token went to nobody"


async def test_a_pod_that_does_not_come_is_given_up_and_the_claim_given_back(
    cluster, nothing_else, monkeypatch
):
    cluster.ready = False
    monkeypatch.setattr(sandbox, "START_SECONDS", 0.4)
    assert "none was ready within 0.4 s" in await failed("print('it ran')")
    assert len(cluster.gone) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"not json"),
        (200, b"[1]"),
        (200, b'{"output": 3}'),
        (200, b'{"output": ' + b"[" * 100_000),
        (500, b"{}"),
        (200, json.dumps({"output": "x" * 10_001}).encode()),
        (200, b" " * 3_000_000),
        (302, b""),
    ],
    ids=["no JSON", "a list", "a number", "depth", "a status", "long", "too long", "a redirect"],
)
async def test_an_answer_that_a_program_forged_is_nothing_but_an_error(cluster, answer):
    cluster.answer = answer
    assert "The code was stopped" in await failed("print(1)")


async def test_neither_kubernetes_nor_a_pod_is_asked_through_a_proxy(cluster, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert await ran("print(1)") == "1\n"


# -- inside -----------------------------------------------------------------------------------------


@pytest.fixture
def pod():
    port = free_port()
    command = [sys.executable, "-c", SERVE, "127.0.0.1", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def asked(url, body=None, **headers):
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_sandbox_runs_one_program_and_no_other(pod):
    whole = {"code": "print(inputs)", "inputs": {"a": 1}, **LIMITS._asdict()}
    assert asked(pod + "/health") == (200, {})
    assert asked(pod + "/other")[0] == 404
    for wrong in (b"", b"{", b"[]", b"{}", json.dumps(whole | {"inputs": 3}).encode()):
        assert asked(pod + "/run", wrong)[0] == 400
    assert asked(pod + "/run", b"{}", **{"Content-Length": "9" * 12})[0] == 413
    assert asked(pod + "/run", json.dumps(whole).encode()) == (200, {"output": "{'a': 1}\n"})
    assert asked(pod + "/run", json.dumps(whole).encode())[0] == 409
    assert asked(pod + "/health") == (200, {})


def test_the_image_has_the_command(monkeypatch):
    from fleetform_runtime import cli

    served = []
    monkeypatch.setattr(inside, "serve", lambda: served.append(1) or 0)
    assert cli.main(["sandbox"]) == 0
    assert served == [1]


# -- an agent ---------------------------------------------------------------------------------------

TOOL = {
    "type": "code",
    "name": "python",
    "description": "Computes.",
    "allowModelCode": True,
    "engine": "sandbox",
    "pool": "greeter",
}


async def test_an_agent_runs_what_a_model_writes(cluster):
    async with serving(tools=[TOOL]) as client:
        answer = await client.chat('call python {"code": "import asyncio; print(6 * 7)"}')
        assert "42" in answer["output"]
        answer = await client.chat('call python {"code": "print(6 * x)"}')
        assert "NameError: name 'x' is not defined" in answer["output"]
    assert len(cluster.gone) == 2


def test_it_is_taken_only_where_it_is_asked_for(monkeypatch, tmp_path):
    """`auto` runs nothing in a sandbox, and what asks for one runs nowhere else."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(runner, "obstacle", lambda: "not here")
    no = {name: way._replace(obstacle=lambda: "no") for name, way in engines.WAYS.items()}
    yes = no | {"sandbox": no["sandbox"]._replace(obstacle=lambda: "")}
    monkeypatch.setattr(engines, "WAYS", yes)
    assert engines.chosen("auto") == "python"
    assert engines.obstacle("auto") == "python: no; monty: no"
    assert engines.chosen("sandbox") == "sandbox"
    possible = {name: way._replace(obstacle=lambda: "") for name, way in no.items()}
    possible["sandbox"] = possible["sandbox"]._replace(obstacle=sandbox.obstacle)
    monkeypatch.setattr(engines, "WAYS", possible)
    assert "a pod of a cluster" in engines.obstacle("sandbox")
    (tmp_path / "system-prompt.md").write_text("hi")
    found = problems(settings(tools=[TOOL]), tmp_path, Secrets())
    assert any("tools[0]: code cannot be locked in here: a sandbox is a pod" in line for line in found)  # fmt: skip


@pytest.mark.parametrize(("lacking", "changes"), [("pool", {}), ("", {"engine": "auto"})])
def test_a_pool_and_the_engine_belong_together(lacking, changes):
    given = {name: value for name, value in (TOOL | changes).items() if name != lacking}
    with pytest.raises(ValueError, match="a `pool` with the engine sandbox"):
        settings(tools=[given])
