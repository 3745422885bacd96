"""The HTTP surface answers as it promises, and refuses what it should without a traceback."""

import asyncio
import contextlib
import io
import json
import socket

import aiohttp
import pytest

from fleetform_runtime.http import protocol
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.server import bound
from runtime.tests.harness import Gated, live_run, parse, serving

pytestmark = pytest.mark.anyio
KEY = "alice-key-0123456789"


@pytest.fixture
def keys(tmp_path):
    """Authentication by one key."""
    file = tmp_path / "key"
    file.write_text(KEY)
    return {"type": "apiKey", "keys": [{"name": "alice", "secret": {"file": str(file)}}]}


async def test_a_chat_is_answered_in_json():
    async with serving() as client:
        answer = await client.chat("hello")
    assert answer["output"] == "You said: hello (turn 1)"
    assert answer["finish_reason"] == "stop"
    assert answer["usage"] == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert answer["tool_calls"] == []


async def test_every_route_is_a_label_of_the_metrics():
    server = {"host": "127.0.0.1", "ui": True}
    async with serving(longTermMemory={"user": "me"}, server=server) as client:
        gateway = client.application.gateway
    served = {route.path for route in gateway.router.routes if not route.silent}
    unlabelled = {"/openapi.json"}
    assert served - unlabelled == client.application.metrics.routes - {"/ws", "other"}


async def test_an_answer_in_two_parts_waits_for_no_acknowledgement():
    """Nagle's algorithm is off on every connection that is accepted."""
    delays: list[int] = []
    asked = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = writer.get_extra_info("socket")
        delays.append(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        asked.set()

    listener = bound("127.0.0.1", 0)
    async with await asyncio.start_server(serve, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await asked.wait()
        writer.close()
    assert delays
    assert all(delays)


async def test_a_session_goes_on_and_its_events_tell_of_it():
    async with serving() as client:
        first = await client.chat("hello")
        events = await client.events(
            "/chat", {"message": "again", "session_id": first["session_id"]}
        )
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    kinds = [event.type for event in events]
    assert kinds[0] == "run_start"
    assert set(kinds[1:-2]) == {"token"}
    assert kinds[-2:] == ["usage", "done"]
    text = "".join(event.data["content"] for event in events if event.type == "token")
    assert text == "You said: again (turn 2)" == events[-1].data["output"]
    assert events[0].data["session_id"] == first["session_id"]


async def test_a_stream_is_resumed_behind_an_event():
    async with serving() as client:
        events = await client.events("/chat", {"message": "say 9 words"})
        run = events[0].data["run_id"]
        rest = await client.events(
            f"/runs/{run}/events", method="GET", headers={"Last-Event-ID": "4"}
        )
        state = (await client.get(f"/runs/{run}")).json
    assert rest == events[4:]
    assert state["status"] == "succeeded"
    assert state["output"] == "word1 word2 word3 word4 word5 word6 word7 word8 word9"


async def test_a_second_reader_follows_a_run_that_goes_on():
    model = Gated()
    async with serving(make=model) as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "go"}))
        run = await live_run(client)
        async with client.session.get(client.url + f"/runs/{run}/events") as second:
            first = await second.content.readuntil(b"\n\n")
            model.gate.set()
            assert parse((first + await second.read()).decode()) == await reading


async def test_an_idle_stream_is_kept_open_by_comments():
    model = Gated()
    async with serving(make=model, server={"host": "127.0.0.1", "pingSeconds": 0.05}) as client:
        body = {"message": "x", "stream": True}
        async with client.session.post(client.url + "/chat", json=body) as answer:
            begun = [await answer.content.readuntil(b": ping\n\n") for _ in range(3)]
            model.gate.set()
            text = (b"".join(begun) + await answer.read()).decode()
            assert answer.headers["X-Accel-Buffering"] == "no"
            assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert text.index("run_start") < text.index(": ping") < text.index("token")


async def test_cancelling_ends_a_run_with_an_event():
    async with serving() as client:
        reading = asyncio.create_task(client.events("/chat", {"message": "wait 3600 and go"}))
        run = await live_run(client)
        assert (await client.post(f"/runs/{run}/cancel", {})).status == 202
        last = (await reading)[-1]
        assert (last.type, last.data["code"]) == ("error", "cancelled")
        assert (await client.get(f"/runs/{run}")).json["status"] == "cancelled"
        assert (await client.post(f"/runs/{run}/cancel", {})).status == 409
        assert await client.metric("agent_active_sessions") == 0


async def test_the_alias_answers_for_its_own_name_only():
    async with serving() as client:
        assert (await client.post("/agents/greeter/chat", {"message": "x"})).status == 200
        assert (await client.post("/agents/other/chat", {"message": "x"})).status == 404


async def test_models_are_switched_and_history_stays():
    models = [{"provider": "ollama", "name": "qwen", "endpoint": "http://127.0.0.1:1"}]
    async with serving(models=models) as client:
        first = await client.chat("one")
        second = await client.chat("two", session_id=first["session_id"], model="qwen")
        session = (await client.get(f"/sessions/{first['session_id']}")).json
        listed = (await client.get("/v1/models")).json["data"]
        refused = await client.post("/chat", {"message": "x", "model": "gpt-5"})
    assert second["output"].endswith("(turn 2)")
    assert session["model"] == "qwen"
    assert [item["id"] for item in listed] == ["greeter", "gpt", "qwen"]
    assert refused.status == 404
    assert refused.json["code"] == "model_not_found"


async def test_probes_answer_on_all_paths():
    async with serving(health={"livePath": "/live"}) as client:
        for path in ("/health", "/healthz", "/live", "/health/startup", "/health/ready", "/readyz"):
            assert (await client.get(path)).json == {"status": "ok"}
        assert await client.metric("agent_request_total") == 0


async def test_info_and_the_openapi_document_tell_what_there_is():
    async with serving() as client:
        info = (await client.get("/info")).json
        document = (await client.get("/openapi.json")).json
    assert info["agent"] == "greeter"
    assert len(info["config"]) == 64
    assert "/runs/{id}/approvals" in document["paths"]
    assert document["components"]["schemas"]["ChatBody"]["properties"]["message"]


BAD = [
    (b"{", "application/json", 400, "invalid_json"),
    (b"", "application/json", 422, "invalid_fields"),
    (b"[]", "application/json", 422, "invalid_fields"),
    (b"null", "application/json", 422, "invalid_fields"),
    (b'{"message": "\xff"}', "application/json", 400, "invalid_json"),
    (b'{"message": 1}', "application/json", 422, "invalid_fields"),
    (b'{"message": ""}', "application/json", 422, "invalid_fields"),
    (b'{}', "application/json", 422, "invalid_fields"),
    (b'{"message": "x", "retry_of": "y"}', "application/json", 422, "invalid_fields"),
    (b'{"retry_of": "y"}', "application/json", 404, "run_not_found"),
    (b'{"message": "x", "extra": 1}', "application/json", 422, "invalid_fields"),
    (b'{"message": "x", "session_id": "../x"}', "application/json", 422, "invalid_fields"),
    (b'{"message": "x", "session_id": "nope"}', "application/json", 404, "session_not_found"),
    (b'{"message": "x"}', "text/plain", 415, "unsupported_media_type"),
    (b"[" * 100_000, "application/json", 400, "invalid_json"),
    (b'{"message": "x", "metadata": ' + b'{"a":' * 900 + b"1" + b"}" * 901, "application/json", 422, "invalid_fields"),
    (b'{"message": "x", "metadata": ' + b'{"a":' * 90 + b"1" + b"}" * 91, "application/json", 200, None),
    (b"x" * 1_048_577, "application/json", 413, "body_too_large"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "status", "code"), BAD)
async def test_bad_bodies_are_refused_in_words(body, kind, status, code):
    async with serving() as client:
        reply = await client.ask(
            "POST", "/chat", data=io.BytesIO(body), headers={"Content-Type": kind}
        )
        assert (await client.get("/health")).status == 200
    assert reply.status == status, reply.body
    if code is not None:
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json["code"] == code
        assert reply.json["status"] == status


async def test_a_body_without_a_length_is_bounded_too():
    async def pieces():
        for _ in range(40):
            yield b"x" * 65_536

    async with serving() as client:
        headers = {"Content-Type": "application/json"}
        try:
            reply = await client.ask("POST", "/chat", data=pieces(), headers=headers)
        except aiohttp.ClientError:
            return  # the server closed before all was sent
    assert reply.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/chat", 405),
        ("DELETE", "/runs/x", 405),
        ("GET", "/runs/unknown", 404),
        ("GET", "/runs/unknown/events", 404),
        ("POST", "/runs/unknown/cancel", 404),
        ("GET", "/sessions/unknown", 404),
        ("GET", "/sessions/unknown/messages", 404),
        ("DELETE", "/sessions/unknown", 404),
        ("GET", "/sessions?limit=x", 400),
        ("GET", "/sessions?limit=100000", 400),
    ],
)
async def test_what_is_not_there_is_a_problem(method, path, status):
    async with serving() as client:
        reply = await client.ask(method, path)
    assert reply.status == status
    assert reply.json["status"] == status
    assert reply.headers["Content-Type"] == "application/problem+json"


async def raw(client, data: bytes, wait: float = 120) -> bytes:
    host, port = client.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(wait):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"x" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
    ],
)
async def test_bad_heads_are_refused(data, status):
    async with serving() as client:
        answer = await raw(client, data)
    assert answer.split(b" ")[1] == status
    assert b"application/problem+json" in answer


async def test_a_run_that_is_cancelled_while_its_answer_is_stored_ends(monkeypatch):
    """Nothing of it went on, and it was `running` for whoever asked."""
    storing = asyncio.Event()

    async def end(*arguments):
        storing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Sessions, "end", end)
    async with serving() as client:
        asked = asyncio.create_task(client.post("/chat", {"message": "hello"}))
        await storing.wait()
        run = await live_run(client)
        assert (await client.post(f"/runs/{run}/cancel", {})).status == 202
        assert (await asked).json["code"] == "cancelled"
        assert (await client.get(f"/runs/{run}")).json["status"] == "cancelled"


async def test_slow_heads_and_bodies_run_out_of_time():
    async with serving(server={"host": "127.0.0.1", "readSeconds": 0.2}) as client:
        assert b" 408 " in await raw(client, b"")
        assert b" 408 " in await raw(client, b"POST /chat HTTP/1.1\r\n")
        head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        answer = await raw(client, head + b"Content-Length: 10\r\n\r\n{")
        assert b" 408 " in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"


CHUNKED = b"POST /chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    "endless",
    [
        b"0\r\nX: " + b"a" * 500_000,  # one trailer
        b"0\r\n" + b"X: y\r\n" * 90_000,  # many
        b"1;" + b"e" * 500_000,  # an extension of a chunk
    ],
)
async def test_what_follows_a_body_is_bounded_too(endless, keys):
    """The caller is not even known: nothing of it is kept, and the connection ends."""
    async with serving(auth=keys) as client:
        with contextlib.suppress(ConnectionError):  # it is cut while this side still writes
            await raw(client, CHUNKED + endless)
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize("head", [b"POST /chat HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\n"])
async def test_a_body_that_nobody_waits_for_ends_its_connection(head, keys):
    async with serving(auth=keys) as client:
        rest = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n "
        answer = await raw(client, head + rest)  # until the server closes it
    assert answer.split(b" ")[1] in (b"401", b"200")


async def test_connections_that_ask_nothing_make_room_for_others(monkeypatch):
    monkeypatch.setattr(protocol, "MOST_WAITING", 3)
    async with serving() as client:
        host, port = client.url.removeprefix("http://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(6)]
        assert (await client.post("/chat", {"message": "x"})).status == 200
        async with asyncio.timeout(120):
            assert [await reader.read() for reader, _ in idle[:3]] == [b""] * 3
        for _, writer in idle:
            writer.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8080", 200), ("127.0.0.1:1", 200), ("[::1]:8080", 200), ("127.1.2.3", 200),
        ("evil.example", 421), ("evil.example:8080", 421), ("localhost.evil.example", 421), ("127.0.0.1.nip.example", 421), ("", 421),
    ],
)  # fmt: skip
async def test_a_page_that_names_this_machine_its_own_is_refused(host, status):
    head = (
        f"GET /sessions HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n"
    )
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    async with serving(server={"host": "127.0.0.1"}) as client:
        answer = await raw(client, f"{head}\r\n".encode())
        assert answer.split(b" ")[1] == str(status).encode()
        if status != 200:
            socket = head.replace("/sessions", "/ws").replace("close", "Upgrade") + upgrade
            assert b" 403 " in await raw(client, socket.encode())


@pytest.mark.parametrize(
    ("site", "origins", "status"),
    [
        ("cross-site", (), 403),
        ("cross-site", ("http://evil.example",), 404),  # it has been told that this one may
        ("same-origin", (), 404),
        ("none", (), 404),
        (None, (), 404),
    ],
)
async def test_a_page_of_another_site_changes_nothing_where_nobody_signs_in(site, origins, status):
    """A request without a body is sent across sites unasked, and has done what it does when its answer is withheld."""
    told = f"Origin: http://evil.example\r\nSec-Fetch-Site: {site}\r\n" if site else ""
    head = f"HTTP/1.1\r\nHost: localhost\r\n{told}Content-Length: 0\r\nConnection: close\r\n\r\n"
    async with serving(server={"host": "127.0.0.1", "corsOrigins": [*origins]}) as client:
        answer = await raw(client, f"POST /runs/x/cancel {head}".encode())
        assert answer.split(b" ")[1] == str(status).encode()
        assert b" 200 " in await raw(client, f"GET /sessions {head}".encode())


async def test_whoever_signs_in_may_call_it_by_any_name(keys):
    async with serving(auth=keys) as client:
        head = b"GET /sessions HTTP/1.1\r\nHost: agents.example\r\nX-API-Key: %s\r\nConnection: close\r\n\r\n"
        assert b" 200 " in await raw(client, head % KEY.encode())


async def test_keep_alive_connections_serve_many_requests_after_a_refusal():
    async with serving() as client:
        for _ in range(3):
            assert (await client.post("/chat", {"message": 1})).status == 422
            assert (await client.post("/chat", {"message": "x"})).status == 200


async def test_pages_of_other_origins_call_only_where_they_may():
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    async with serving() as client:
        assert (await client.ask("OPTIONS", "/chat", headers=ask)).status == 403
        reply = await client.post("/chat", {"message": "x"}, headers={"Origin": ask["Origin"]})
        assert "Access-Control-Allow-Origin" not in reply.headers
    server = {"host": "127.0.0.1", "corsOrigins": ["https://a.example"]}
    async with serving(server=server) as client:
        allowed = await client.ask("OPTIONS", "/chat", headers=ask)
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert "Access-Control-Allow-Credentials" not in allowed.headers
        reply = await client.post("/chat", {"message": "x"}, headers={"Origin": ask["Origin"]})
        assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"
        for other in ("https://b.example", "http://a.example", "https://a.example:8443", "null"):
            asked = await client.ask("OPTIONS", "/chat", headers=ask | {"Origin": other})
            assert asked.status == 403
            reply = await client.post("/chat", {"message": "x"}, headers={"Origin": other})
            assert "Access-Control-Allow-Origin" not in reply.headers
            assert reply.headers["Vary"] == "Origin"  # or a cache would show it to the other page
