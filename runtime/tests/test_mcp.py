"""MCP servers of every version are used, by the official SDK's servers as the other side."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.messages import Assistant, ToolCall
from runtime.tests.harness import Told, serving, until
from runtime.tests.servers import Server
from runtime.tests.test_tools import result
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio
SCRIPT = str(Path(__file__).with_name("mcp_server.py"))


class McpProcess(Server):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.command = [sys.executable, SCRIPT, kind, str(self.port)]

    def __enter__(self) -> "McpProcess":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def section(self, **fields: Any) -> dict[str, Any]:
        path = "/sse" if self.kind == "sse" else "/mcp"
        transport = "sse" if self.kind == "sse" else "streamable-http"
        url = f"http://127.0.0.1:{self.port}{path}"
        return {"name": "things", "transport": transport, "url": url} | fields


def stdio(**fields: Any) -> dict[str, Any]:
    command = [sys.executable, SCRIPT, "stdio"]
    return {"name": "things", "transport": "stdio", "command": command} | fields


async def use(client) -> None:
    call = await result(client, {"a": 2, "b": 3}, name="add")
    assert (call["ok"], call["content"]) == (True, "5")
    failed = await result(client, {}, name="fail")
    assert (failed["ok"], failed["content"]) == (False, "Error executing tool fail")
    wrong = await result(client, {"a": "x"}, name="add")
    assert wrong["ok"] is False
    assert "arguments are invalid" in wrong["content"]
    assert await client.metric("agent_mcp_server_up", server="things") == 1
    assert await client.metric("agent_tool_calls_total", type="mcp", outcome="ok") == 1


@pytest.mark.parametrize(
    ("kind", "version"),
    [("http", "2026-07-28"), ("legacy", "2025-11-25"), ("sse", "2025-11-25")],
)
async def test_servers_of_every_transport_are_used_and_come_back(kind, version):
    with McpProcess(kind) as server:
        async with serving(mcpServers=[server.section()]) as client:
            await use(client)
            info = (await client.get("/info")).json["mcp_servers"]["things"]
            assert info == {"up": True, "protocol": version}
            server.kill()
            down = await result(client, {"a": 1, "b": 1}, name="add")
            assert "cannot be reached at the moment" in down["content"]
            ready = await client.get("/health/ready")
            assert (ready.status, ready.json["unreachable"]) == (200, ["things"])
            server.start()
            call = await result(client, {"a": 1, "b": 1}, name="add")
            assert (call["ok"], call["content"]) == (True, "2"), call


async def test_a_child_process_is_used_and_started_again():
    async with serving(mcpServers=[stdio()]) as client:
        await until(lambda: client.application.tools.servers.unreachable() == [])
        await use(client)
        process = client.application.tools.servers._servers[0]._transport._channel._process
        process.kill()
        await process.wait()
        assert (await result(client, {"a": 1, "b": 1}, name="add"))["content"] == "2"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, {"add", "note", "wipe", "book", "fail", "slow"}),
        ({"tools": ["add", "wipe", "gone"]}, {"add", "wipe"}),
        ({"tools": []}, set()),
        ({"capabilities": ["read"]}, {"add", "fail", "slow"}),
        ({"capabilities": ["query", "write"]}, {"add", "fail", "slow", "note"}),
        ({"capabilities": ["destructive"]}, {"add", "note", "wipe", "book", "fail", "slow"}),
        ({"tools": ["note", "wipe"], "capabilities": ["read", "write"]}, {"note"}),
        ({"toolPrefix": "x_", "tools": ["add"]}, {"x_add"}),
    ],
)
async def test_only_allowed_tools_are_listed_and_called(fields, names, mcp):
    async with serving(mcpServers=[mcp.section(**fields)]) as client:
        tools = await client.application.tools.servers.tools()
        assert {tool.name for tool in tools} == names
        if "wipe" not in names:
            assert (await result(client, {}, name="wipe"))["ok"] is False


@pytest.fixture(scope="module")
def mcp():
    with McpProcess("http") as server:
        yield server


def limited(client, **timeouts: float) -> None:
    """Change how long a server is waited for from now on."""
    (server,) = client.application.tools.servers._servers
    changed = type(server._settings.timeouts).model_validate_json(json.dumps(timeouts))
    server._settings = server._settings.model_copy(update={"timeouts": changed})


async def test_a_call_that_takes_too_long_is_a_result(mcp):
    async with serving(mcpServers=[mcp.section()]) as client:
        assert (await result(client, {"a": 1, "b": 1}, name="add"))["ok"]
        limited(client, requestSeconds=0.05)
        call = await result(client, {"seconds": 3600}, name="slow")
        assert (call["ok"], call["content"]) == (False, "The tool did not answer in time.")
        assert await client.metric("agent_tool_calls_total", outcome="timeout") == 1


async def test_calls_wait_for_approval_where_the_specification_says(mcp):
    async with serving(mcpServers=[mcp.section(requiresApproval=["wipe"])]) as client:
        assert (await result(client, {"a": 1, "b": 1}, name="add"))["ok"]
        answer = await client.chat("call wipe {}")
    assert answer["finish_reason"] == "approval_required"
    assert answer["pending"]["calls"][0]["name"] == "wipe"


class Lists:
    """A server that lists what it is told to, and answers with its own name."""

    def __init__(self, name: str, *tools: str) -> None:
        self.name, self.tools, self.called = name, list(tools), []

    async def __call__(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["method"] == "tools/list":
            listed = [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]
            answer = {"tools": listed, "ttlMs": 0}
        else:
            self.called.append(body["params"]["name"])
            answer = {"content": [{"type": "text", "text": f"by {self.name}"}]}
        return web.json_response({"jsonrpc": "2.0", "id": body.get("id"), "result": answer})


def listing(name: str, url: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "transport": "streamable-http", "url": url} | fields


@pytest.mark.parametrize(
    ("asked", "prefix"),
    [("file.delete", ""), ("file_delete", ""), ("x_file_delete", "x_"), ("fle.delete", "")],
)
async def test_approval_is_asked_by_either_name_and_of_every_tool_if_one_is_unknown(asked, prefix):
    server = Lists("s", "file.delete", "other")
    async with upstream(server) as there:
        section = listing("s", there.url, requiresApproval=[asked], toolPrefix=prefix)
        async with serving(mcpServers=[section]) as client:
            answer = await client.chat(f"call {prefix}file_delete {{}}")
            assert answer["finish_reason"] == "approval_required"
            assert answer["pending"]["calls"][0]["server"] == "s"
            ready = (await client.get("/health/ready")).json
            is_known = asked != "fle.delete"
            assert (await client.chat(f"call {prefix}other {{}}"))["finish_reason"] == (
                "stop" if is_known else "approval_required"
            )
    assert server.called == (["other"] if is_known else [])
    assert ready["status"] == ("ok" if is_known else "degraded")


async def test_a_name_of_two_servers_is_neithers_and_approvals_stay():
    bad, bank = Lists("bad", "transfer"), Lists("bank", "transfer", "balance")
    async with upstream(bad) as one, upstream(bank) as other:
        servers = [
            listing("bad", one.url),
            listing("bank", other.url, requiresApproval=["transfer"]),
        ]
        async with serving(mcpServers=servers) as client:
            refused = (await client.chat("call transfer {}"))["tool_calls"][0]
            assert "Tools: bad_transfer, balance, bank_transfer" in refused["content"]
            assert (await result(client, {}, name="balance"))["content"] == "by bank"
            waiting = await client.chat("call bank_transfer {}")
            assert waiting["finish_reason"] == "approval_required"
            assert (await client.get("/health/ready")).json["problems"] == [
                "several tools are called transfer"
            ]
    assert bad.called == []


async def test_what_a_person_approved_is_not_called_on_another_server(monkeypatch):
    """The server is gone for a moment, and another one lists a tool of that name."""
    monkeypatch.setattr("fleetform_runtime.tools.mcp.server.AGAIN_SECONDS", 0)
    bad, bank = Lists("bad"), Lists("bank", "transfer")
    async with upstream(bad) as one, upstream(bank) as other:
        servers = [listing("bad", one.url), listing("bank", other.url, requiresApproval=True)]
        async with serving(mcpServers=servers) as client:
            waiting = await client.chat("call transfer {}")
            (call,) = waiting["pending"]["calls"]
            bad.tools, bank.tools = ["transfer"], []
            for server in client.application.tools.servers._servers:
                await server.refresh()
            decided = {"id": call["id"], "approved": True, "digest": call["digest"]}
            answer = await client.post(
                f"/runs/{waiting['run_id']}/approvals", {"decisions": [decided]}
            )
    assert answer.status == 200
    assert "The tool is no longer available." in answer.body.decode()
    assert (bad.called, bank.called) == ([], [])


async def test_a_server_that_comes_up_later_is_there_for_the_next_chat(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.tools.mcp.server.AGAIN_SECONDS", 0)
    monkeypatch.setattr("fleetform_runtime.tools.mcp.server.SLOW_SECONDS", 3600)
    server = McpProcess("http")
    async with serving(mcpServers=[server.section()]) as client:
        assert (await result(client, {"a": 1, "b": 1}, name="add"))["ok"] is False
        limited(client, connectSeconds=3600, requestSeconds=3600)
        with server:
            assert (await result(client, {"a": 1, "b": 1}, name="add"))["content"] == "2"


async def test_the_first_call_behind_a_restart_under_load_succeeds(mcp):
    with McpProcess("http") as server:
        async with serving(mcpServers=[server.section()]) as client:
            stop, back = asyncio.Event(), asyncio.Event()
            before: list[bool] = []
            after: list[bool] = []

            async def load() -> None:
                while not stop.is_set():
                    # A call that is under way when the server comes back may still have met the dead one.
                    outcomes = after if back.is_set() else before
                    outcomes.append((await result(client, {"a": 1, "b": 1}, name="add"))["ok"])

            tasks = [asyncio.create_task(load()) for _ in range(6)]
            await until(lambda: len(before) > 10)
            await asyncio.to_thread(server.kill)
            await until(lambda: False in before)
            await asyncio.to_thread(server.start)
            back.set()
            await until(lambda: len(after) > 10)
            stop.set()
            await asyncio.gather(*tasks)
    assert all(after)


async def test_credentials_are_sent_to_the_server(mcp):
    async with upstream(answers((401, {"error": "no"}, {}))) as server:
        section = {
            "name": "s",
            "transport": "streamable-http",
            "url": server.url,
            "auth": {"type": "bearer", "token": {"env": "TOKEN"}},
        }
        async with serving(mcpServers=[section], environment={"TOKEN": "secret-token"}) as client:
            assert (await client.chat("hi"))["output"]
    assert {item["headers"]["Authorization"] for item in server.requests} == {"Bearer secret-token"}
    first = server.requests[0]
    assert first["headers"]["Mcp-Method"] == "tools/list"
    assert first["headers"]["MCP-Protocol-Version"] == "2026-07-28"
    assert (
        first["json"]["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    )


async def test_a_server_that_never_answers_holds_up_one_chat_at_most(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.tools.mcp.server.AGAIN_SECONDS", 0)
    monkeypatch.setattr("fleetform_runtime.tools.mcp.server.SLOW_SECONDS", 0)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async with upstream(hang) as server:
        section = {"name": "s", "transport": "streamable-http", "url": server.url}
        section["timeouts"] = {"connectSeconds": 0.2, "requestSeconds": 0.1}
        async with serving(mcpServers=[section]) as client:
            await client.chat("first")
            (own,) = client.application.tools.servers._servers
            await until(lambda: own._is_slow)
            # From here on, whoever waits for the server waits for ever.
            limited(client, connectSeconds=3600, requestSeconds=3600)
            async with asyncio.timeout(120):
                for _ in range(3):
                    await client.chat("again")


ODD = [
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": "x"}},
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": [1, {}, {"name": 5}, {"name": ""}]}},
    {"jsonrpc": "2.0", "id": 1, "result": []},
    {"jsonrpc": "2.0", "id": 1},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": "x"}},
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": [], "nextCursor": "for ever"}},
    [],
    "nonsense",
    5,
]


@pytest.mark.parametrize("reply", ODD)
async def test_odd_servers_hurt_nobody(reply):
    async with upstream(
        answers((200, json.dumps(reply), {"Content-Type": "application/json"}))
    ) as s:
        section = {"name": "s", "transport": "streamable-http", "url": s.url}
        async with serving(mcpServers=[section]) as client:
            assert (await client.chat("hi"))["output"] == "You said: hi (turn 1)"
        assert len(s.requests) < 120


async def test_odd_schemas_and_names_are_taken_as_they_can_be():
    tools = [
        {"name": "a.b/c", "inputSchema": {"type": "nonsense"}},
        {"name": "d", "inputSchema": {"$ref": "http://127.0.0.1:1/x"}},
        {"name": "e", "inputSchema": 5, "description": None},
    ]

    async def reply(request: web.Request) -> web.Response:
        body = await request.json()
        if body["method"] == "tools/list":
            return web.json_response(
                {"jsonrpc": "2.0", "id": body["id"], "result": {"tools": tools}}
            )
        text = [
            {"type": "text", "text": "yes"},
            {"type": "image", "data": "AA", "mimeType": "image/png"},
        ]
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": {"content": text}})

    async with upstream(reply) as server:
        section = {"name": "s", "transport": "streamable-http", "url": server.url}
        async with serving(mcpServers=[section]) as client:
            for name in ("a_b_c", "d", "e"):
                call = await result(client, {}, name=name)
                assert call["content"] == "yes\n[image image/png, 2 characters]"
    assert server.bodies[1]["params"]["name"] == "a.b/c"


def session_server(handle):
    """Serve protocol 2025-11-25 with a session; `handle` answers calls of the tool `t`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return await handle(request, None)
        body = await request.json()
        if request.headers.get("MCP-Protocol-Version") == "2026-07-28":
            return web.Response(status=400)
        method, number = body.get("method"), body.get("id")
        if method == "tools/call" or "result" in body or "error" in body:
            return await handle(request, body)
        if number is None:
            return web.Response(status=202)
        listed = {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {}}
        found = {"initialize": hello, "tools/list": listed}[method]
        return web.json_response(
            {"jsonrpc": "2.0", "id": number, "result": found}, headers={"Mcp-Session-Id": "s1"}
        )

    return handler


def text(number: Any, words: str) -> dict[str, Any]:
    content = [{"type": "text", "text": words}]
    return {"jsonrpc": "2.0", "id": number, "result": {"content": content}}


async def called(handler: Any, **fields: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Call the tool `t` of a server once; return the call and what the server was asked."""
    async with upstream(handler) as server:
        servers = [
            {"name": "s", "transport": "streamable-http", "url": server.url + "/mcp", **fields}
        ]
        told = Told(Assistant("", calls=[ToolCall("c1", "t", "{}")]), Assistant("ok"))
        async with serving(make=told, mcpServers=servers) as client:
            answer = (await client.post("/chat", {"message": "x"})).json
    return answer["tool_calls"][0], server.requests


def event(body: Any = None, **fields: Any) -> bytes:
    lines = [f"{name}: {value}" for name, value in fields.items()]
    lines += [f"data: {json.dumps(body)}"] if body is not None else ["data:"]
    return ("\n".join(lines) + "\n\n").encode()


async def in_events(request: web.Request, *events: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for one in events:
        await response.write(one)
    return response


@pytest.mark.parametrize("number", ["p", 2**70], ids=["text", "long"])
async def test_a_server_that_pings_in_a_stream_gets_its_answer_before_it_goes_on(number: Any):
    answered = asyncio.Event()

    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        if "result" in body and body["id"] == number:
            answered.set()
            return web.Response(status=202)
        ping = {"jsonrpc": "2.0", "id": number, "method": "ping"}
        response = await in_events(request, event(ping))
        await answered.wait()
        await response.write(event(text(body["id"], "after the ping")))
        return response

    call, _ = await called(session_server(handle))
    assert call["content"] == "after the ping"


async def test_a_stream_that_ends_behind_an_event_is_read_on_from_there():
    places = []

    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        if body is not None:
            places.append(body["id"])
            return await in_events(request, event(id="e1", retry=1))
        places.append(request.headers["Last-Event-ID"])
        if places[-1] == "e1":
            return await in_events(request, event(id="e2", retry=1))
        return await in_events(request, event(text(places[0], "the rest")))

    call, _ = await called(session_server(handle))
    assert (call["content"], places[1:]) == ("the rest", ["e1", "e2"])


async def test_answers_in_a_batch_and_with_half_a_character_are_read():
    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        raw = json.dumps([note, text(body["id"], "cut \ud83d")])
        return web.Response(text=raw, content_type="application/json")

    call, _ = await called(session_server(handle))
    assert (call["ok"], call["content"]) == (True, "cut �")


@pytest.mark.parametrize("status", [307, 308])
async def test_a_server_that_moves_on_its_own_host_is_found(status):
    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response(text(body["id"], "here"))

    inner = session_server(handle)

    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/mcp":
            return web.Response(status=status, headers={"Location": "/mcp/"})
        return await inner(request)

    call, _ = await called(moved)
    assert call["content"] == "here"


async def test_a_server_that_is_replaced_by_an_older_one_and_back_is_served_at_the_first_call():
    now = {"modern": True}

    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response(text(body["id"], "elder"))

    elder = session_server(handle)

    async def handler(request: web.Request) -> web.StreamResponse:
        is_asked = request.headers.get("MCP-Protocol-Version") == "2026-07-28"
        if not now["modern"]:
            return await elder(request)
        body = await request.json()
        if not is_asked:
            error = {"code": -32022, "message": "unsupported protocol version"}
            return web.json_response(
                {"jsonrpc": "2.0", "id": body.get("id"), "error": error}, status=400
            )
        if body["method"] == "tools/list":
            tools = {"tools": [{"name": "t", "inputSchema": {"type": "object"}}], "ttlMs": 3600000}
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": tools})
        return web.json_response(text(body["id"], "modern"))

    async with upstream(handler) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url + "/mcp"}]
        turns = (True, False, True, False)
        told = [Assistant("", calls=[ToolCall("c", "t", "{}")]), Assistant("ok")] * len(turns)
        async with serving(make=Told(*told), mcpServers=servers) as client:
            heard = []
            for now["modern"] in turns:
                answer = (await client.post("/chat", {"message": "x"})).json
                heard.append(answer["tool_calls"][0]["content"])
    assert heard == ["modern", "elder", "modern", "elder"]


async def test_a_changed_list_is_asked_for_at_once():
    lists = 0

    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        told = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        return await in_events(request, event(told), event(text(body["id"], "done")))

    inner = session_server(handle)

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        lists += b"tools/list" in await request.read()
        return await inner(request)

    async with upstream(counted) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url + "/mcp"}]
        told = Told(Assistant("", calls=[ToolCall("c", "t", "{}")]), Assistant("ok"))
        async with serving(make=told, mcpServers=servers) as client:
            await client.post("/chat", {"message": "x"})
            before = lists
            await client.post("/chat", {"message": "x"})
            await until(lambda: lists > before)


async def test_the_trace_goes_on_at_servers_in_header_and_message():
    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        heard = [request.headers.get("traceparent"), body["params"]["_meta"]["traceparent"]]
        return web.json_response(text(body["id"], json.dumps(heard)))

    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    async with upstream(session_server(handle)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url + "/mcp"}]
        told = Told(Assistant("", calls=[ToolCall("c", "t", "{}")]), Assistant("ok"))
        async with serving(make=told, mcpServers=servers) as client:
            headers = {"traceparent": parent}
            answer = (await client.post("/chat", {"message": "x"}, headers=headers)).json
    assert json.loads(answer["tool_calls"][0]["content"]) == [parent, parent]


def paged(*pages: list[dict[str, Any]]):
    """List tools on several pages, by protocol 2026-07-28."""

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["method"] == "tools/call":
            return web.json_response(text(body["id"], "called"))
        page = int(body["params"].get("cursor", 0))
        found: dict[str, Any] = {"tools": pages[page % len(pages)], "nextCursor": str(page + 1)}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": found})

    return handler


async def test_lists_are_bounded_in_bytes_pages_and_count():
    big = [{"name": f"t{n}", "description": "x" * 300_000} for n in range(4)]
    async with upstream(paged(big)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        async with serving(make=Told(Assistant("ok")), mcpServers=servers) as client:
            await client.chat("x")
            tools = (await client.get("/info")).json["tools"]
    assert [tool["name"] for tool in tools] == ["t0", "t1", "t2", "t3"]
    assert len(server.requests) < 6


async def test_a_page_that_is_too_large_takes_its_server_down_and_nothing_else():
    async with upstream(paged([{"name": "t", "description": "x" * 15_000_000}])) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        async with serving(make=Told(Assistant("ok")), mcpServers=servers) as client:
            assert (await client.chat("x"))["output"] == "ok"
            assert (await client.get("/info")).json["mcp_servers"]["s"]["up"] is False


async def test_all_tools_are_shown_with_their_server_and_those_left_out_with_a_reason():
    odd = {"name": "odd", "inputSchema": {"type": "string"}}
    fine = {"name": "fine", "description": "Does."}
    async with upstream(paged([odd, fine])) as server:
        servers = [
            {
                "name": "s",
                "transport": "streamable-http",
                "url": server.url,
                "requiresApproval": ["fine"],
            }
        ]
        tools = [{"type": "human", "name": "ask", "description": "Asks."}]
        async with serving(make=Told(Assistant("ok")), mcpServers=servers, tools=tools) as client:
            await client.chat("x")
            shown = (await client.get("/info")).json["tools"]
            ready = (await client.get("/health/ready")).json
    assert [(t["name"], t["type"], t["server"], t["requires_approval"]) for t in shown] == [
        ("ask", "human", "", False),
        ("fine", "mcp", "s", True),
    ]
    assert ready["status"] == "degraded"
    assert "s: the tool odd is left out: its arguments are of type string" in str(ready)


async def test_a_wrong_name_is_answered_with_those_most_like_it():
    many = [{"name": f"tool_{n}"} for n in range(300)]
    async with upstream(paged(many)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        told = Told(Assistant("", calls=[ToolCall("c", "tool_1234", "{}")]), Assistant("ok"))
        async with serving(make=told, mcpServers=servers) as client:
            answer = (await client.post("/chat", {"message": "x"})).json
    content = answer["tool_calls"][0]["content"]
    assert "tool_123" in content
    assert len(content) < 400


async def test_the_names_of_a_servers_tools_make_a_bounded_number_of_series(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.telemetry.metrics.MOST_TOOLS", 3)
    many = [{"name": f"t{n}"} for n in range(10)]
    async with upstream(paged(many)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        calls = [ToolCall(f"c{n}", f"t{n}", "{}") for n in range(10)]
        told = Told(Assistant("", calls=calls), Assistant("ok"))
        async with serving(make=told, mcpServers=servers) as client:
            await client.chat("x")
            metrics = (await client.scrape()).splitlines()
    series = [line for line in metrics if line.startswith("agent_tool_calls_total{")]
    assert len(series) == 4
    assert any('tool="other"' in line and line.endswith(" 7.0") for line in series)
