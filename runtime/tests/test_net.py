"""The one way out: bounds, deadlines, proxies, redirects, encodings, tokens, the trace's context."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.messages import Assistant, ToolCall
from fleetform_runtime.models.build import build
from fleetform_runtime.net import NetError, TooLargeError
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.client import Client, traceparent
from fleetform_runtime.net.pauses import pause, retry_after
from fleetform_runtime.net.proxies import proxy_of
from fleetform_runtime.net.shared import Shared
from fleetform_runtime.net.texts import text_of
from runtime.tests.harness import Told, serving
from runtime.tests.test_tools import result, tool
from runtime.tests.upstreams import answers, completion, delta, streamed, upstream

pytestmark = pytest.mark.anyio
PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def remote(url: str, **fields: Any) -> dict[str, Any]:
    return {"provider": "openai-compatible", "name": "m", "endpoint": f"{url}/v1"} | fields


# -- pauses ------------------------------------------------------------------------------------------


def date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "3"}, 3, 3),
    ],
)
def test_a_wish_to_wait_is_read_in_every_form(headers, low, high):
    assert low <= (retry_after(headers) or 0) <= high


def test_a_date_is_a_wish_too():
    assert 55 <= (retry_after({"Retry-After": date(60)}) or 0) <= 61
    assert retry_after({"Retry-After": date(-60)}) == 0


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "1e9", "Wed, 99 Foo 2026"])
def test_a_wish_that_makes_no_sense_is_none(value):
    assert retry_after({"Retry-After": value}) is None


def test_pauses_grow_to_a_bound_and_a_longer_wish_ends_the_tries():
    assert 0.125 <= (pause(0, None) or 0) <= 0.25
    assert 5 <= (pause(30, None, 10) or 0) <= 10
    assert 3 <= (pause(0, 3) or 0) <= 3.1
    assert pause(0, 21) is None


# -- proxies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("", "api.example.org", False),
        ("*", "api.example.org", True),
        ("example.org", "api.example.org", True),
        (".example.org", "api.example.org", True),
        ("*.example.org", "api.example.org", True),
        ("ample.org", "api.example.org", False),
        ("a.b, .svc ,c", "tools.ns.svc", True),
        (".svc", "tools.ns.svc.example.org", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "fd12::1", True),
        ("[fd12::1]:443", "fd12::1", True),
        ("api.example.org:443", "api.example.org", True),
        ("api.example.org:8443", "api.example.org", False),
        ("EXAMPLE.ORG", "example.org", True),
        (",,", "example.org", False),
        ("", "localhost", True),
        ("", "127.0.0.1", False),
    ],
)
def test_exceptions_from_the_proxy_are_those_that_people_write(
    monkeypatch, exceptions, host, direct
):
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert proxy_of("https", host, 443) == (None if direct else "http://proxy:3128")
    assert proxy_of("http", host, 80) is None


async def test_every_kind_of_request_goes_through_the_proxy(monkeypatch):
    """Models, tools and agents of a host that only the proxy can reach."""
    seen = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, request.headers.get("Proxy-Authorization")))
        if "chat/completions" in request.raw_path:
            is_second = b'"role":"tool"' in await request.read()
            calls = None if is_second else [("c1", "t", "{}"), ("c2", "peer", '{"message": "x"}')]
            return web.json_response(completion("done", calls))
        return web.json_response({"output": "peer says"})

    async with upstream(proxy) as server:
        monkeypatch.setenv("http_proxy", server.url.replace("://", "://me:pw@"))
        tools = [
            tool("http://api.nowhere.invalid/x"),
            {"type": "agent", "name": "peer", "description": "Asks.", "url": "http://a.b.svc"},
        ]
        async with serving(
            make=build, model=remote("http://llm.nowhere.invalid"), tools=tools
        ) as client:
            answer = (await client.post("/chat", {"message": "hi"})).json
    assert answer["output"] == "done"
    assert {path for _, path, _ in seen} == {
        "http://llm.nowhere.invalid/v1/chat/completions",
        "http://api.nowhere.invalid/x",
        "http://a.b.svc/a2a",
    }
    assert {auth for _, _, auth in seen} == {"Basic bWU6cHc="}


# -- texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "media", "charset", "text"),
    [
        ("Grüße".encode("latin-1"), "text/plain", "iso-8859-1", "Grüße"),
        ("日本".encode("shift_jis"), "text/html", "Shift_JIS", "日本"),
        ("한국".encode("euc-kr"), "application/json", "euc-kr", "한국"),
        ("Grüße".encode("utf-16"), "text/plain", "utf-16", "Grüße"),
        ("Grüße".encode("utf-16"), "text/plain", None, "Grüße"),
        (b"\xef\xbb\xbfhi", "text/plain", None, "hi"),
        ("Grüße".encode(), "", None, "Grüße"),
        (b"a,b", "application/octet-stream", None, "a,b"),
        (b"<svg/>", "image/svg+xml", None, "<svg/>"),
        (b"{}", "application/problem+json", None, "{}"),
        (b"hi", "text/plain", "no-such-charset", "hi"),
        (b"hi", "text/plain", "hex", "hi"),
        (b"hi", "text/plain", "undefined", "hi"),
        (b"..x\xff", "text/plain", "idna", "..x�"),
        (b"..x\xff", "text/plain", "punycode", "..x�"),
        (b"caf\xe9", "text/plain", None, "caf�"),
        (b"\x89PNG\r\n\x1a\n\0\0", "image/png", None, None),
        (b"\x89PNG\r\n\x1a\n\0\0", "text/plain", None, None),
        (b"%PDF-1.7", "application/pdf", None, None),
        (b"PK\3\4\xff\xfe\0", "application/octet-stream", None, None),
    ],
)
def test_what_is_text_is_read_in_its_encoding(raw, media, charset, text):
    assert text_of(raw, media, charset) == text


async def test_a_service_that_answers_with_a_picture_puts_no_bytes_into_the_prompt():
    png = (200, b"\x89PNG\r\n\x1a\n\0\0\0", {"Content-Type": "image/png"})
    async with upstream(answers(png)) as server, serving(tools=[tool(server.url)]) as client:
        content = (await result(client, {}))["content"]
    assert content == "[image/png, 11 bytes: not text]"


# -- bounds, deadlines, addresses --------------------------------------------------------------------


async def test_an_answer_is_read_to_its_end_within_its_bound():
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with upstream(endless) as server:
        client = Client(server.url)
        with pytest.raises(TooLargeError) as caught:
            await client.send("GET", server.url, seconds=20, most=100_000)
        assert len(caught.value.start) == 100_000
        await client.close()


async def test_a_deadline_is_one_for_the_whole_answer():
    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    async with upstream(drips) as server:
        client = Client(server.url)
        with pytest.raises(NetError) as caught:
            await client.send("GET", server.url, seconds=0.3, most=100_000)
        assert caught.value.why == "timeout"
        await client.close()


async def test_what_a_library_of_a_provider_sends_is_guarded_too():
    import httpx2

    from fleetform_runtime.net.library import LibraryTransport

    async with httpx2.AsyncClient(transport=LibraryTransport(None, 5), timeout=None) as client:
        with pytest.raises(httpx2.TransportError, match="not allowed"):
            await client.get("http://169.254.169.254/latest")
        async with upstream(
            answers((200, "x" * 200_000, {"Content-Encoding": "identity"}))
        ) as server:
            answer = await client.post(server.url, json={"a": "ä"})
            assert answer.text == "x" * 200_000
            assert server.bodies == [{"a": "ä"}]
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://127.0.0.1:1/")


# -- redirects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("http://a.example/x", "http://a.example/y", True),
        ("http://a.example/x", "https://a.example/x", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("http://a.example:8080/x", "https://a.example/x", False),
        ("http://a.example/x", "https://a.example:8443/x", False),
        ("http://a.example/x", "https://b.example/x", False),
    ],
)
def test_the_way_to_https_is_the_only_one_away_from_an_origin(before, after, same):
    start = origin(before)
    assert (origin(after) in (start, start.secured())) is same


def elsewhere(status: int, place: str):
    """Redirect the first request, then answer by what is asked there."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path != place:
            return web.Response(status=status, headers={"Location": place})
        if (await request.json()).get("stream"):
            return await streamed(delta(content="moved"), delta("stop"))(request)
        return web.json_response(completion("moved"))

    return handler


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [307, 308])
async def test_a_model_behind_a_redirect_answers(status, stream):
    async with upstream(elsewhere(status, "/v2/chat/completions")) as server:
        async with serving(make=build, model=remote(server.url)) as client:
            answer = (await client.post("/chat", {"message": "hi"})).json
    assert answer["output"] == "moved"
    assert [r["path"] for r in server.requests] == ["/v1/chat/completions", "/v2/chat/completions"]
    assert server.bodies[0] == server.bodies[1]


async def test_a_model_that_redirects_elsewhere_is_refused_once():
    async with upstream(answers((307, "", {"Location": "http://127.0.0.1:1/"}))) as server:
        async with serving(make=build, model=remote(server.url)) as client:
            answer = await client.post("/chat", {"message": "hi"})
    assert answer.json["code"] == "model_refused"
    assert len(server.requests) == 1


# -- tokens ------------------------------------------------------------------------------------------


async def test_a_refused_token_is_fetched_once_for_all_who_were_refused():
    issued = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/token":
            await asyncio.sleep(0.05)
            issued.append(1)
            return web.json_response({"access_token": f"token-{len(issued)}", "expires_in": 300})
        is_fresh = request.headers.get("Authorization") == "Bearer token-2"
        return web.Response(status=200 if is_fresh else 401, text="fine")

    async with upstream(handler) as server:
        auth = {
            "type": "oauth2ClientCredentials",
            "tokenUrl": f"{server.url}/token",
            "clientId": "me",
            "clientSecret": {"env": "S"},
        }
        tools = [tool(f"{server.url}/api", auth=auth)]
        calls = [ToolCall(f"c{n}", "t", "{}") for n in range(5)]
        told = Told(Assistant("", calls=calls), Assistant("ok"))
        async with serving(make=told, tools=tools, environment={"S": "long-secret"}) as client:
            answer = (await client.post("/chat", {"message": "x"})).json
    assert [call["ok"] for call in answer["tool_calls"]] == [True] * 5
    assert len(issued) == 2


async def test_shared_work_is_done_once_and_its_failure_is_everybodys():
    count = 0

    async def work() -> int:
        nonlocal count
        count += 1
        await asyncio.sleep(0)
        if count == 1:
            raise ValueError("first")
        return count

    shared = Shared(work)
    found = await asyncio.gather(*(shared.result() for _ in range(5)), return_exceptions=True)
    assert [str(one) for one in found] == ["first"] * 5
    assert await shared.result() == 2


# -- the trace's context -----------------------------------------------------------------------------


async def test_the_trace_goes_on_at_models_and_tools_even_if_we_export_nothing():
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/api":
            return web.Response(text="fine")
        is_second = b'"role":"tool"' in await request.read()
        return web.json_response(completion("ok", None if is_second else [("c1", "t", "{}")]))

    async with upstream(handler) as server:
        tools = [tool(f"{server.url}/api")]
        async with serving(make=build, model=remote(server.url), tools=tools) as client:
            await client.post("/chat", {"message": "x"}, headers={"traceparent": PARENT})
            await client.post("/chat", {"message": "x"}, headers={"traceparent": "not one"})
    sent = [request["headers"].get("traceparent") for request in server.requests]
    assert sent == [PARENT] * 3 + [None] * 3
    assert traceparent.get() is None


# -- what only connections can do --------------------------------------------------------------------


async def test_a_body_above_the_bound_in_pieces_is_sent_whole():
    body = json.dumps({"text": "x" * 3_000_000}).encode()
    async with upstream(answers({"ok": 1})) as server:
        client = Client(server.url)
        answer = await client.send("POST", server.url, seconds=30, most=1_000, body=body)
        await client.close()
    assert (answer.status, len(server.requests[0]["raw"])) == (200, len(body))
