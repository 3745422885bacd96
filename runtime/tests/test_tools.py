"""Tools of the specification are called as it says, and whatever goes wrong is a result."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import BasicAuth, web

from fleetform_runtime.a2a import peer
from fleetform_runtime.messages import Assistant, ToolCall, ToolResults, Usage
from fleetform_runtime.net import NetError
from fleetform_runtime.net.addresses import check_host, is_forbidden, literal
from runtime.tests.harness import Told, serving
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio


def tool(endpoint: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "api",
        "name": "t",
        "description": "Does it.",
        "endpoint": endpoint,
        "method": "GET",
    } | fields


async def result(client, arguments: Any, name: str = "t") -> dict[str, Any]:
    """Have the scripted model call a tool; return what came of it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    answer = await client.chat(f"call {name} {text}")
    (call,) = answer["tool_calls"]
    return call


PARAMETERS = [
    {"name": "id", "in": "path", "type": "string", "required": True, "pattern": "^[A-Z. /%]*$"},
    {"name": "q", "in": "query", "type": "array", "items": {"type": "string"}},
    {"name": "flag", "in": "query", "type": "boolean", "default": True},
    {"name": "X-Kind", "in": "header", "type": "string"},
]


async def test_arguments_go_where_the_specification_says():
    async with upstream(answers({"ok": True})) as server:
        tools = [tool(server.url + "/a/{id}/b?x=1", parameters=PARAMETERS)]
        async with serving(tools=tools) as client:
            call = await result(client, {"id": "A/B %", "q": ["x y", "&"], "X-Kind": "k"})
    assert call["ok"] is True
    assert json.loads(call["content"]) == {"ok": True}
    (sent,) = server.requests
    assert sent["path"] == "/a/A%2FB%20%25/b?x=1&q=x%20y&q=%26&flag=true"
    assert sent["headers"]["X-Kind"] == "k"
    assert "Idempotency-Key" not in sent["headers"]


async def test_bodies_credentials_and_keys_are_sent(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("s3cret-token\n")
    fields = {
        "method": "POST",
        "auth": {"type": "bearer", "token": {"file": str(secret)}},
        "headers": {"X-Fixed": "1"},
        "retries": 2,
        "parameters": [
            {"name": "title", "in": "body", "type": "string", "required": True},
            {"name": "priority", "in": "body", "type": "string", "default": "medium"},
        ],
    }
    handler = answers((503, "", {"Retry-After": "0"}), (201, {"id": 1}, {}))
    async with upstream(handler) as server:
        async with serving(tools=[tool(server.url, **fields)]) as client:
            call = await result(client, {"title": "x"})
            assert await client.metric("agent_tool_calls_total", tool="t", outcome="ok") == 1
    assert call["ok"]
    first, second = server.requests
    assert first["json"] == second["json"] == {"title": "x", "priority": "medium"}
    assert first["headers"]["Authorization"] == "Bearer s3cret-token"
    assert first["headers"]["X-Fixed"] == "1"
    assert first["headers"]["Idempotency-Key"] == second["headers"]["Idempotency-Key"]


@pytest.mark.parametrize(("method", "tries"), [("POST", 1), ("PATCH", 1), ("PUT", 3)])
async def test_without_a_key_nothing_is_repeated_that_would_be_done_twice(method, tries):
    fields = {"method": method, "retries": 2, "idempotencyKey": False}
    async with upstream(answers((503, "", {"Retry-After": "0"}))) as server:
        async with serving(tools=[tool(server.url, **fields)]) as client:
            call = await result(client, {})
    assert not call["ok"]
    assert len(server.requests) == tries
    assert all("Idempotency-Key" not in sent["headers"] for sent in server.requests)


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "basic", "username": "u", "password": {"env": "S"}}, "Authorization", "Basic dTpzZWNyZXQ="),
        ({"type": "header", "name": "X-Key", "value": {"env": "S"}}, "X-Key", "secret"),
    ],
)  # fmt: skip
async def test_credentials_come_in_several_forms(auth, header, value):
    async with (
        upstream(answers({})) as server,
        serving(tools=[tool(server.url, auth=auth)], environment={"S": "secret"}) as client,
    ):
        await result(client, {})
    assert server.requests[0]["headers"][header] == value


async def test_tokens_are_fetched_kept_and_renewed_when_refused():
    async def api(request: web.Request) -> web.Response:
        if request.path == "/token":
            form = await request.post()
            assert form["grant_type"] == "client_credentials"
            count = sum("/token" in item["path"] for item in server.requests)
            return web.json_response({"access_token": f"t{count}", "expires_in": 3600})
        status = 401 if request.headers["Authorization"] == "Bearer t1" else 200
        return web.json_response({"ok": 1}, status=status)

    async with upstream(api) as server:
        auth = {
            "type": "oauth2ClientCredentials",
            "tokenUrl": server.url + "/token",
            "clientId": "me",
            "clientSecret": {"env": "S"},
            "scopes": ["a", "b"],
        }
        tools = [tool(server.url + "/x", auth=auth)]
        async with serving(tools=tools, environment={"S": "secret"}) as client:
            assert (await result(client, {}))["ok"]
            assert (await result(client, {}))["ok"]
    assert [item["path"] for item in server.requests] == ["/token", "/x", "/token", "/x", "/x"]


WRONG = [
    ("{nonsense", "not a JSON object"),
    ("[1]", "not a JSON object"),
    ({}, "id"),
    ({"id": "abc"}, "id"),
    ({"id": "A", "other": 1}, "other"),
    ({"id": "A", "q": "x"}, "q"),
    ({"id": ".."}, "cannot be part of the URL"),
    ({"id": "."}, "cannot be part of the URL"),
    ({"id": ""}, "cannot be part of the URL"),
    ({"id": "A", "X-Kind": "a\r\nb: c"}, "printable ASCII"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
async def test_wrong_arguments_never_leave(arguments, message):
    async with upstream(answers({})) as server:
        tools = [tool(server.url + "/{id}", parameters=PARAMETERS)]
        async with serving(tools=tools) as client:
            call = await result(client, arguments)
            assert await client.metric("agent_tool_calls_total", outcome="invalid") == 1
    assert call["ok"] is False
    assert message in call["content"]
    assert server.requests == []


async def test_unknown_tools_are_refused_with_the_names_of_those_there():
    async with upstream(answers({})) as server, serving(tools=[tool(server.url)]) as client:
        call = await result(client, {}, name="other")
    assert call["ok"] is False
    assert "Tools: t" in call["content"]


async def hang(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError


@pytest.mark.parametrize(
    ("reply", "fields", "ok", "message"),
    [
        ((404, "no such customer", {}), {}, False, "404. no such customer"),
        ((500, "x" * 9000, {}), {}, False, "500"),
        ((204, "", {}), {}, True, "204"),
        ((200, "plain words", {}), {}, True, "plain words"),
        (
            (200, "plain words", {}),
            {"output": {"type": "object"}},
            False,
            "did not answer with JSON",
        ),
        ((200, "x" * 9_000_000, {}), {}, False, "too large"),
        ((302, "", {"Location": "/loop"}), {}, False, "loop"),
        ((302, "", {"Location": "http://127.0.0.1:1/"}), {}, False, "another host"),
        ((302, "", {"Location": "/x"}), {"method": "POST"}, False, "side effects"),
        (hang, {"timeoutSeconds": 0.2}, False, "in time"),
    ],
)
async def test_whatever_a_service_does_is_a_result(reply, fields, ok, message):
    async with upstream(answers(reply)) as server:
        async with serving(tools=[tool(server.url, **fields)]) as client:
            call = await result(client, {})
    assert call["ok"] is ok
    assert message in call["content"]


async def test_a_service_that_is_not_there_is_a_result():
    async with serving(tools=[tool("http://127.0.0.1:1/")]) as client:
        assert "cannot be reached" in (await result(client, {}))["content"]


async def test_members_that_the_output_does_not_list_are_left_out():
    answer = {"id": 1, "ssn": "x", "items": [{"a": 1, "b": 2}], "extra": {"c": 1}}
    output = {
        "type": "object",
        "properties": {
            "id": {},
            "items": {"type": "array", "items": {"properties": {"a": {}}}},
            "gone": {},
        },
    }
    async with upstream(answers(answer)) as server:
        async with serving(tools=[tool(server.url, output=output)]) as client:
            call = await result(client, {})
    assert json.loads(call["content"]) == {"id": 1, "items": [{"a": 1}]}


async def test_no_half_of_a_secret_stands_at_the_cut():
    """A service that repeats it makes the text shorter: what follows comes nearer to the cut."""
    secret = "correct-horse-battery-staple"
    async with (
        upstream(lambda request: said(request, f"{secret} " * 5_000)) as server,
        serving(
            tools=[tool(server.url, headers={"X-Key": {"env": "S"}})],
            environment={"S": secret},
            limits={"toolResultBytes": 20_000},
        ) as client,
    ):
        content = (await result(client, {}))["content"]
    assert not any(part in content for part in ("correct", "horse", "battery", "staple"))
    assert "[cut: 145000 bytes" in content


async def said(request: web.Request, text: str) -> web.Response:
    return web.Response(text=text)


async def test_long_results_are_cut_with_a_note():
    async with upstream(answers((200, "ä" * 5000, {}))) as server:
        tools, limits = [tool(server.url)], {"toolResultBytes": 1001}
        async with serving(tools=tools, limits=limits) as client:
            content = (await result(client, {}))["content"]
    assert content.startswith("ä" * 500 + "\n[cut: 10000 bytes")


FORBIDDEN = [
    "169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376", "169.16689662", "169.254.43518", "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[fe80::1]", "[fe80::1%25eth0]",
    "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::a9fe:a9fe]",
    "metadata.google.internal", "METADATA.google.internal.", "metadata", "metadata.goog",
    "100.100.100.200", "0.0.0.0", "[::]", "0", "169.254.169.254.", "192.0.0.192",
    "168.63.129.16", "0x64646464c8"[:4], "instance-data", "[fd20:ce::254]", "0.1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_metadata_is_never_reached_in_any_notation(host):
    with pytest.raises(NetError):
        check_host(host.strip("[]"))
    async with serving(tools=[tool(f"http://{host}/latest/meta-data/")]) as client:
        assert (await result(client, {}))["ok"] is False


PRIVATE = [
    "http://127.0.0.1:{other}/", "http://localhost:{other}/", "http://127.1:{other}/",
    "http://2130706433:{other}/", "http://0x7f000001:{other}/", "http://017700000001:{other}/",
    "http://[::1]:{other}/", "http://[::ffff:127.0.0.1]:{other}/", "http://[::ffff:7f00:1]:{other}/",
    "//127.0.0.1:{other}/", "http://user@127.0.0.1:{other}/", "http://127.0.0.1:{same}@127.0.0.1:{other}/",
    "https://127.0.0.1:{same}/", "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/",
    "http://169.254.169.254/", "http://127.0.0.2:{same}/", "http://0.0.0.0:{same}/", "file:///etc/passwd",
    "gopher://127.0.0.1:{other}/", "ftp://127.0.0.1/", "http:////127.0.0.1:{other}/",
    "http://127.0.0.1.:{other}/", "http://127。0。0。1:{other}/", "http://①②⑦.0.0.1:{other}/",
    "http://[64:ff9b::7f00:1]:{other}/", "http://localhost.:{other}/", "data:text/plain,x",
    "http://127.0.0.1:{same}#@127.0.0.1:{other}/x",
]  # fmt: skip


@pytest.mark.parametrize("location", PRIVATE)
async def test_redirects_never_leave_the_host_and_port(location):
    hits = []

    async def other(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response(text="secret")

    async with upstream(other) as victim:
        port = victim.url.rsplit(":", 1)[1]

        async def redirect(request: web.Request) -> web.Response:
            same = request.host.rsplit(":", 1)[1]
            target = location.replace("{other}", port).replace("{same}", same)
            if len(server.requests) > 5:
                return web.Response(text="stayed")
            return web.Response(status=302, headers={"Location": target})

        async with upstream(redirect) as server:
            async with serving(tools=[tool(server.url)]) as client:
                call = await result(client, {})
    assert hits == []
    assert "secret" not in call["content"]


def test_ordinary_addresses_are_no_metadata():
    for host in ("127.0.0.1", "10.1.2.3", "8.8.8.8", "::1", "2606:4700::1111", "fd12::1"):
        assert not is_forbidden(literal(host))
        check_host(host)
    assert literal("example.org") is None


def in_pieces(body: dict[str, Any], status: int = 200):
    """Answer byte by byte, each in a packet of its own."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for byte in json.dumps(body).encode():
            await response.write(bytes([byte]))
            await asyncio.sleep(0)
        return response

    return answer


async def test_an_answer_that_comes_in_pieces_is_one():
    """What has arrived so far is not the answer: of an agent, a token, an API."""
    auth = {"type": "oauth2ClientCredentials", "clientId": "me", "clientSecret": {"env": "S"}}
    status = {"state": "TASK_STATE_COMPLETED"}
    artifacts = [{"artifactId": "a", "parts": [{"text": "all of it"}]}]
    task = {"id": "t", "contextId": "c", "status": status, "artifacts": artifacts}
    body = {"result": {"task": task}, "output": "all of it", "access_token": "t"}
    async with (
        upstream(in_pieces(body)) as server,
        serving(
            tools=[
                {"type": "agent", "name": "r", "description": "Asks.", "url": server.url},
                tool(server.url, auth=auth | {"tokenUrl": server.url}),
            ],
            environment={"S": "secret"},
        ) as client,
    ):
        assert (await result(client, {"message": "who"}, name="r"))["content"] == "all of it"
        assert json.loads((await result(client, {}))["content"])["output"] == "all of it"
    assert server.requests[-1]["headers"]["Authorization"] == "Bearer t"


async def test_an_agent_that_answers_without_end_is_a_result(monkeypatch):
    monkeypatch.setattr(peer, "LARGEST_ANSWER", 10)
    async with (
        upstream(answers({"output": "x" * 100})) as server,
        serving(
            tools=[{"type": "agent", "name": "r", "description": "Asks.", "url": server.url}]
        ) as client,
    ):
        call = await result(client, {"message": "who"}, name="r")
    assert (call["ok"], call["content"]) == (
        False,
        "The other agent sent an answer that is too large.",
    )


@pytest.mark.parametrize("takes", ["form", "header"])
async def test_a_token_is_asked_for_in_the_way_that_the_server_takes(takes):
    async def api(request: web.Request) -> web.Response:
        if request.path != "/token":
            return web.json_response({"ok": 1})
        form = await request.post()
        in_header = BasicAuth.decode(request.headers["Authorization"]) if "Authorization" in request.headers else None  # fmt: skip
        given = {"form": form.get("client_secret"), "header": in_header and in_header.password}
        assert None in given.values()
        if given[takes] is None:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": "t", "expires_in": 0})

    async with upstream(api) as server:
        auth = {
            "type": "oauth2ClientCredentials",
            "tokenUrl": server.url + "/token",
            "clientId": "me",
            "clientSecret": {"env": "S"},
        }
        tools = [tool(server.url + "/x", auth=auth)]
        async with serving(tools=tools, environment={"S": "p:ä%+ss"}) as client:
            assert (await result(client, {}))["ok"]


async def test_another_agent_is_asked_over_a2a():
    async with serving() as other:
        tools = [{"type": "agent", "name": "r", "description": "Asks.", "url": other.url}]
        async with serving(tools=tools) as client:
            call = await result(client, {"message": "who"}, name="r")
            assert call["content"] == "You said: who (turn 1)"
            assert (await result(client, {"message": ""}, name="r"))["ok"] is False
        assert await other.metric("agent_request_total", route="/a2a") == 1


async def test_a_run_ends_when_it_takes_too_many_steps_or_calls():
    async with upstream(answers({})) as server:
        tools = [tool(server.url)]
        async with serving(tools=tools, limits={"maxToolCalls": 2}) as client:
            refused = await client.post("/chat", {"message": "call t {}\ncall t {}\ncall t {}"})
            assert (await client.get("/sessions")).json["total"] == 1
        assert server.requests == []
        async with serving(tools=tools, limits={"maxSteps": 1}) as client:
            second = await client.post("/chat", {"message": "call t {}"})
    assert (refused.status, refused.json["code"]) == (422, "steps_exceeded")
    assert (second.status, second.json["code"]) == (422, "steps_exceeded")


async def test_agents_that_call_each_other_in_a_circle_stop():
    asked = []

    async def relay(request: web.Request) -> web.Response:
        """Play every agent of the circle: pass each call on to the one that is tested."""
        names = ("Fleetform-Hops", "Fleetform-Path")
        headers = {name: request.headers[name] for name in names}
        asked.append(tuple(headers.values()))
        body = json.loads((await request.read()).replace(b"SendStreamingMessage", b"SendMessage"))
        reply = await client.post("/a2a", body, headers=headers)
        return web.json_response(reply.json, status=reply.status)

    async with upstream(relay) as server:
        tools = [{"type": "agent", "name": "peer", "description": "Asks.", "url": server.url}]
        calls = [ToolCall("c1", "peer", '{"message": "again"}')]

        class Circle(Told):
            async def respond(self, request, listener):
                done = isinstance(request.messages[-1], ToolResults)
                text = request.messages[-1].results[0].content if done else ""
                return Assistant(text, calls=[] if done else list(calls), usage=Usage(1, 1))

        async with serving(make=Circle(Assistant("")), tools=tools) as client:
            answer = (await client.post("/chat", {"message": "x"})).json
    assert asked == [(str(n), ",".join(["greeter"] * n)) for n in range(1, 6)]
    assert "more than 5 agents would have called each other: greeter → greeter" in answer["output"]
