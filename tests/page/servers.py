"""What a browser talks to in tests: real agents, one model for them, and what may stand between a page and its agent."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from runtime.tests.process import COMMAND, FleetRuntime, Runtime, WorkflowRuntime
from runtime.tests.test_access import RSA, jwk, token
from tests.ports import free_port
from tests.tools import ROOT

HOSTILE: list[str] = json.loads((ROOT / "ui/test/hostile.json").read_text("utf-8"))
FLOOD, PER_SECOND = 5000, 500
KEY = "right-key-of-the-page"
PIECE = 7
"""Characters of a hostile text that a model says at once: it is cut in every place sooner or later."""
PLANS = """There are two plans, and both can be cancelled **every month**:

| plan | agents | USD a month |
|---|--:|--:|
| team | 5 | 49 |
| fleet | unlimited | 290 |

A first agent is a file and one command:

```sh
fleetform init my-fleet
```
"""
"""An answer for pictures."""
STEP = re.compile(r"Perform the step `(\w+)` .*")
"""What an agent is asked in a step of a workflow."""
STEPS = [
    {
        "name": "research",
        "agent": "writer",
        "input": {"topic": "{{ .input.topic }}"},
        "output": [{"name": "facts", "path": ".result.facts"}],
    },
    {
        "name": "buy",
        "agent": "writer",
        "dependsOn": ["research"],
        "input": {"facts": "{{ .steps.research.output.facts }}", "topic": "{{ .input.topic }}"},
        "output": [{"name": "paid", "path": ".result"}],
    },
    {
        "name": "write",
        "agent": "writer",
        "dependsOn": ["buy"],
        "input": {"topic": "{{ .input.topic }}"},
        "output": [{"name": "text", "path": ".result.document"}],
    },
]
WORKFLOW = {
    "workflow": {
        "name": "report",
        "namespace": "acme",
        "displayName": "Reports",
        "description": "Finds facts, buys <b>sources</b>, and writes a report.",
    },
    "definition": {
        "input": [
            {
                "name": "topic",
                "type": "string",
                "required": True,
                "description": "What it is about.",
            },
            {"name": "depth", "type": "string", "enum": ["quick", "deep"], "default": "quick"},
            {"name": "pages", "type": "integer", "default": 2},
            {"name": "sources", "type": "array", "items": {"type": "string"}},
        ],
        "steps": STEPS,
        "output": {
            "report": "{{ .steps.write.output.text }}",
            "facts": "{{ .steps.research.output.facts }}",
        },
    },
    "concurrency": {"maxConcurrent": 100},
}
REPORT = """## Plans

Both can be cancelled **every month**:

| plan | USD a month |
|---|--:|
| team | 49 |
| fleet | 290 |
"""
THOUGHT = "Let me <b>see</b>."
FAILED: set[str] = set()
"""Topics whose report has failed once: it succeeds when the run begins again."""
CORS = {"Access-Control-Allow-Origin": "*"}
HOPS = frozenset(("connection", "content-length", "host", "keep-alive", "transfer-encoding"))


async def _text(asked: str) -> AsyncIterator[str]:
    if step := STEP.match(asked):
        yield json.dumps(_step(step[1], asked))
    elif asked.startswith("hostile "):
        text = HOSTILE[int(asked.split()[1])]
        for at in range(0, len(text), max(PIECE, len(text) // 200)):
            yield text[at : at + max(PIECE, len(text) // 200)]
            await asyncio.sleep(0.002)
    elif asked == "flood":
        began = asyncio.get_running_loop().time()
        for number in range(FLOOD):
            yield f"token{number} " if number % 40 else f"\n\n## token{number}\n\n"
            ahead = began + number / PER_SECOND - asyncio.get_running_loop().time()
            if ahead > 0:
                await asyncio.sleep(ahead)
    elif asked.startswith("Which plans"):
        yield PLANS
    else:
        yield f"echo {asked}"


async def _complete(request: web.Request) -> web.StreamResponse:
    """Answer as OpenAI's API does."""
    body = await request.json()
    roles = [message["role"] for message in body["messages"]]
    said = body["messages"][len(roles) - 1 - roles[::-1].index("user")]["content"]
    asked = said if isinstance(said, str) else said[0].get("text", "")
    done = roles[::-1].index("user")  # messages since then
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if (wanted := _call(asked)) and (not done or ("pays twice" in asked and done < 4)):
        return await _calling(request, wanted, usage)
    if not body.get("stream"):
        text = "".join([part async for part in _text(asked)])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        return web.json_response({"choices": [choice | {"finish_reason": "stop"}], "usage": usage})
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)

    async def say(chunk: dict[str, Any]) -> None:
        await answer.write(f"data: {json.dumps(chunk)}\n\n".encode())

    if asked.startswith("think"):
        await say({"choices": [{"index": 0, "delta": {"reasoning_content": THOUGHT}}]})
    async for part in _text(asked):
        await say({"choices": [{"index": 0, "delta": {"content": part}}]})
    await say({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
    await answer.write(b"data: [DONE]\n\n")
    return answer


def _step(name: str, asked: str) -> dict[str, Any]:
    """Return what an agent answers in a step, by the topic among the data of the message."""
    if name == "research":
        return {"result": {"facts": ["There are two plans.", "Both can be cancelled."]}}
    if name == "write" and "trouble" in asked and asked not in FAILED:
        FAILED.add(asked)
        return {"error": "no report"}
    return {"result": {"document": "\n\n".join(HOSTILE) if "hostile" in asked else REPORT}}


def _call(asked: str) -> dict[str, str] | None:
    """Return the call that a message such as `call NAME {…}` asks for."""
    if (step := STEP.match(asked)) and step[1] == "buy" and "gratis" not in asked:
        return {"name": "pay", "arguments": '{"amount": 5}'}
    if not asked.startswith("call "):
        return None
    _, name, arguments = asked.split(" ", 2)
    return {"name": name, "arguments": arguments}


async def _calling(
    request: web.Request, wanted: dict[str, str], usage: dict[str, int]
) -> web.StreamResponse:
    """Answer with a call of a tool, as a stream has it."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    call = {"index": 0, "id": "call_1", "type": "function", "function": wanted}
    chunks: tuple[dict[str, Any], ...] = (
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": usage},
    )
    for chunk in chunks:
        await answer.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await answer.write(b"data: [DONE]\n\n")
    return answer


async def _look_up(request: web.Request) -> web.Response:
    return web.json_response({"id": request.query.get("id", ""), "tier": "gold"})


async def _pay(request: web.Request) -> web.Response:
    return web.json_response({"paid": (await request.json())["amount"]})


async def _away(_: web.Request) -> web.Response:
    """Answer as a gateway does whose backend has no pods."""
    return web.Response(status=503)


class Between:
    """A gateway: agents below prefixes, headers taken away, connections cut."""

    def __init__(
        self, agents: Mapping[str, str], *, without: str = "", cut_after: int = 0, cuts: int = 0
    ) -> None:
        self._agents = agents
        self._without = without
        self._cut_after = cut_after
        self._cuts = cuts

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on to the agent of its prefix."""
        prefix = next((p for p in self._agents if request.path.startswith(p)), None)
        if prefix is None:
            raise web.HTTPNotFound
        path = "/" + request.raw_path[len(prefix) :]
        sent = {name: value for name, value in request.headers.items() if name.lower() not in HOPS}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self._agents[prefix] + path,
                headers=sent,
                data=await request.read(),
                allow_redirects=False,
            ) as found,
        ):
            kept = {
                name: value
                for name, value in found.headers.items()
                if name.lower() not in HOPS and name != self._without
            }
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            told = 0
            streams = found.headers.get("Content-Type", "").startswith("text/event-stream")
            async for chunk in found.content.iter_any():
                await answer.write(chunk)
                told += len(chunk)
                if streams and self._cuts and told > self._cut_after:
                    self._cuts -= 1
                    assert request.transport is not None
                    request.transport.abort()
                    return answer
            return answer


class Issuer:
    """An OpenID Connect issuer at which somebody is signed in already: code flow with PKCE for a public client."""

    def __init__(self) -> None:
        self.url = ""
        self._codes: dict[str, Mapping[str, str]] = {}

    def routes(self) -> tuple[tuple[str, str, "Handler"], ...]:
        """Return what it answers."""
        return (
            ("GET", "/.well-known/openid-configuration", self._facts),
            ("GET", "/keys", self._keys),
            ("GET", "/authorize", self._authorize),
            ("POST", "/token", self._token),
        )

    async def _facts(self, _: web.Request) -> web.Response:
        places = {"authorization": "authorize", "token": "token"}
        facts = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in places.items()}
        body = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **facts}
        return web.json_response(body, headers=CORS)

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk(RSA, "k1", alg="RS256")]})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = uuid.uuid4().hex
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"]}
        if asked["scope"] == "refused":
            answer = {"error": "access_denied", "state": asked["state"]}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._codes.pop(str(form["code"]), {})
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        given = {name: form[name] for name in ("client_id", "redirect_uri")}
        if challenge != asked.get("code_challenge") or not given.items() <= asked.items():
            return web.json_response({"error": "invalid_grant"}, status=400, headers=CORS)
        return web.json_response({"access_token": token(iss=self.url)}, headers=CORS)


Handler = Callable[[web.Request], Any]


class Loop:
    """Servers of a test, on a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._runners: list[web.AppRunner] = []

    def serve(self, *routes: tuple[str, str, Handler]) -> str:
        """Start a server; return its address without a slash at the end."""
        application = web.Application(client_max_size=2**26)
        for method, path, handler in routes:
            application.router.add_route(method, path, handler)
        port = free_port()

        async def begin() -> None:
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self._runners.append(runner)

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(30)
        return f"http://127.0.0.1:{port}"

    def __enter__(self) -> "Loop":
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            for runner in self._runners:
                await runner.cleanup()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _tools(url: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "api",
            "name": "look_up",
            "description": "Looks a customer up.",
            "endpoint": f"{url}/customers",
            "method": "GET",
            "parameters": [{"name": "id", "in": "query", "type": "string", "required": True}],
        },
        {
            "type": "api",
            "name": "pay",
            "description": "Pays an amount.",
            "endpoint": f"{url}/payments",
            "method": "POST",
            "requiresApproval": True,
            "parameters": [{"name": "amount", "in": "body", "type": "number", "required": True}],
        },
        {
            "type": "human",
            "name": "ask_lead",
            "description": "Asks the lead.",
            "parameters": [{"name": "question", "type": "string", "required": True}],
        },
    ]


def _reading(folder: Path) -> Runtime:
    """Return an agent that searches a handbook, before it has started."""
    search = {
        "type": "retrieval",
        "name": "handbook",
        "description": "Searches the handbook.",
        "knowledge": {
            "store": {"type": "embedded", "path": str(folder / "documents"), "collection": "docs"},
            "search": {"mode": "keyword"},
        },
        "parameters": [{"name": "query", "type": "string", "required": True}],
    }
    memory = {"type": "filesystem", "path": str(folder / "sessions")}
    made = Runtime(
        folder, "--model", "scripted", server={"ui": True}, tools=[search], memory=memory
    )
    document = folder / "refunds.md"
    document.write_text("# Refunds\n\nMoney is paid back within 14 days.")
    words = ["ingest", "--config", str(made.config), str(document)]
    subprocess.run([*COMMAND, *words], check=True, capture_output=True)
    return made


@contextmanager
def agents(folder: Path) -> Iterator[dict[str, str]]:
    """Run every agent that the browser's tests name; yield their addresses, each with a slash at the end."""
    (folder / "key").parent.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text(KEY)
    with Loop() as loop, contextlib.ExitStack() as running:
        model = loop.serve(
            ("POST", "/v1/chat/completions", _complete),
            ("GET", "/customers", _look_up),
            ("POST", "/payments", _pay),
        )

        def agent(name: str, *options: str, **changes: Any) -> str:
            server = {"ui": True, **changes.pop("server", {})}
            place = folder / name
            settings = {
                "agent": {"name": "helper", "namespace": "demo", "description": "Helps."},
                "memory": {"type": "filesystem", "path": str(place / "sessions")},
                **changes,
            }
            return running.enter_context(Runtime(place, *options, server=server, **settings)).url

        scripted = ("--model", "scripted")
        price = {"pricing": {"inputPerMillion": 2.5, "outputPerMillion": 10}}
        asked = {"provider": "openai-compatible", "name": "m", "endpoint": f"{model}/v1", "apiKey": {"file": str(folder / "key")}}  # fmt: skip
        keys = {"type": "apiKey", "keys": [{"name": "ann", "secret": {"file": str(folder / "key")}}]}  # fmt: skip
        plain = agent(
            "plain",
            *scripted,
            model={"provider": "openai", "name": "gpt", **price},
            models=[{"provider": "openai", "name": "small"}],
            tools=_tools(model),
        )
        remembering = agent(
            "remembering", *scripted, longTermMemory={"user": "me", "idleSeconds": 1}
        )
        reading = running.enter_context(_reading(folder / "reading"))
        mortal = Runtime(
            folder / "mortal",
            *scripted,
            server={"ui": True},
            memory={"type": "filesystem", "path": str(folder / "mortal/sessions")},
        )
        running.enter_context(mortal)
        hostile = agent("hostile", model=asked)
        flood = agent("flood", model=asked)
        named = {
            "name": "support",
            "namespace": "acme",
            "displayName": "Customer support",
            "description": "Answers questions of customers, and pays them back.",
        }
        pictures = agent("pictures", agent=named, model=asked | price, tools=_tools(model))
        writer = agent("writer", model=asked, tools=_tools(model))
        report = WORKFLOW | {"agents": [{"name": "writer", "url": f"{writer}/a2a"}]}
        flows = {
            name: running.enter_context(
                WorkflowRuntime(folder / name, server={"ui": True}, **report | changes)
            ).url
            for name, changes in (("flow", {}), ("flowKeyed", {"auth": keys}))
        }
        issuer = Issuer()
        issuer.url = loop.serve(*issuer.routes())
        signed = {"type": "oidc", "issuer": issuer.url, "audience": "agents", "clientId": "page"}
        people = agent("people", *scripted, auth=signed)
        refused = agent("refused", *scripted, auth=signed | {"scopes": ["refused"]})
        keyed = {name: agent(name, *scripted, auth=keys) for name in ("keyed", "a", "b")}
        cut = Between({"/": plain}, cut_after=900, cuts=2)
        bare = Between({"/": hostile}, without="Content-Security-Policy")
        prefixed = Between({"/agents/a/": keyed["a"], "/agents/b/": keyed["b"]})
        _fill(flood)
        alone = FleetRuntime(folder / "alone", agents=_listed("own"))
        signed_in = FleetRuntime(
            folder / "fleet",
            page={"name": "fleet-page", "namespace": "demo", "title": "Agents of Acme"},
            agents=_listed("shared"),
            auth=signed,
        )
        behind = {
            "/agents/plain/": plain,
            "/agents/keyed/": keyed["keyed"],
            "/agents/people/": people,
            "/agents/gone/": loop.serve(("*", "/{path:.*}", _away)),
        }
        hosts = [
            Between({**behind, "/": running.enter_context(page).url}) for page in (alone, signed_in)
        ]

        async def die(_: web.Request) -> web.Response:
            """End a process as the kernel does, and start it again."""
            mortal.signal(signal.SIGKILL)
            await asyncio.to_thread(mortal.wait)
            await asyncio.to_thread(mortal.start)
            return web.Response(headers=CORS)

        doors = {
            name: loop.serve(("*", "/{path:.*}", one.handle))
            for name, one in (
                ("cut", cut),
                ("bare", bare),
                ("prefixed", prefixed),
                ("alone", hosts[0]),
                ("fleet", hosts[1]),
            )
        }
        yield {
            "plain": f"{plain}/",
            "cut": f"{doors['cut']}/",
            "keyed": f"{keyed['keyed']}/",
            "keyedA": f"{doors['prefixed']}/agents/a/",
            "keyedB": f"{doors['prefixed']}/agents/b/",
            "alone": f"{doors['alone']}/",
            "fleet": f"{doors['fleet']}/",
            "hostile": f"{hostile}/",
            "hostileBare": f"{doors['bare']}/",
            "flood": f"{flood}/",
            "pictures": f"{pictures}/",
            "people": f"{people}/",
            "refused": f"{refused}/",
            "issuer": issuer.url,
            "remembering": f"{remembering}/",
            "reading": f"{reading.url}/",
            **{name: f"{url}/" for name, url in flows.items()},
            "mortal": f"{mortal.url}/",
            "undertaker": loop.serve(("POST", "/die", die)),
        }


def _listed(people: str) -> list[dict[str, Any]]:
    """Return the agents of a fleet: of every way to sign in, one that is away, one elsewhere, and enough for a search."""
    rows = {"plain": "none", "keyed": "own", "people": people, "gone": "own"}
    here = [{"name": name, "path": f"/agents/{name}/", "signIn": way} for name, way in rows.items()]
    names = ("elsewhere", "tickets", "invoices", "returns")
    others = [{"name": name, "path": f"https://{name}.example/"} for name in names]
    return [
        {"namespace": "demo", "title": row["name"].title(), "description": "Does <b>things</b>."}
        | row
        for row in (*here, *others)
    ]


def _fill(url: str) -> None:
    """Give an agent more than a hundred conversations, one of them of 220 messages."""

    async def fill() -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(105):
                await session.post(f"{url}/sessions", json={"title": f"Conversation {number}"})
            made = await session.post(f"{url}/sessions", json={"title": "Long"})
            name = (await made.json())["session_id"]
            for number in range(110):
                body = {"message": f"turn {number}", "session_id": name}
                async with session.post(f"{url}/chat", json=body) as answer:
                    assert answer.status == 200, await answer.text()

    asyncio.run(fill())
