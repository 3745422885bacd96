"""Images and files reach models that can see, from people and from tools; others are told."""

import base64
from typing import Any

import pytest
from aiohttp import web

from fleetform_runtime.http.content import LARGEST_PART, MOST_PARTS, attached, content_of
from fleetform_runtime.messages import Assistant, File, Image, ToolCall, ToolResults, User
from fleetform_runtime.models.build import build
from fleetform_runtime.problems import HttpProblem
from runtime.tests.harness import Told, serving
from runtime.tests.stores import BACKENDS, memory
from runtime.tests.test_mcp import session_server
from runtime.tests.test_socket import connected
from runtime.tests.test_tools import tool
from runtime.tests.upstreams import answers, completion, upstream

pytestmark = pytest.mark.anyio
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
PNG = f"data:image/png;base64,{PIXEL}"
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7\n\xff\0").decode()
TEXT = "data:text/csv;base64," + base64.b64encode(b"a,b\n1,2").decode()


def image(url: str = PNG) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(data: str, name: str = "a.pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


LOOK = [{"type": "text", "text": "look"}, image(), file(PDF)]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "text", "text": "hi"}, "hi"),
        ({"type": "input_text", "text": "hi"}, "hi"),
        (image(), Image(PNG)),
        (image("https://example.org/a.png"), Image("https://example.org/a.png")),
        ({"type": "input_image", "image_url": PNG, "detail": "low"}, Image(PNG, "low")),
        (file(PDF), File("a.pdf", PDF)),
        ({"type": "input_file", "filename": "b.pdf", "file_data": PDF}, File("b.pdf", PDF)),
        (file(TEXT, "t.csv"), "[file t.csv]\na,b\n1,2"),
        (file(PNG, "p.png"), Image(PNG)),
    ],
)
def test_parts_are_read_as_every_api_of_openai_writes_them(part, found):
    assert content_of([part], "message") == [found]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"type": "input_audio", "input_audio": {}}, "input_audio"),
        ({"type": "image_url"}, "needs a url"),
        (image("http://example.org/a.png"), "not an https URL"),
        (image("file:///etc/passwd"), "not an https URL"),
        (image("data:image/png,plain"), "not an https URL"),
        (image("data:image/tiff;base64,AAAA"), "image/tiff"),
        (image("data:image/png;base64,A*A"), "base64"),
        (image(PNG + "A" * (LARGEST_PART * 2)), "larger than"),
        (file("plain"), "not an https URL"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_data"),
        ("words", "None"),
        (5, "None"),
    ],
)
def test_what_is_not_taken_is_said_with_its_place(part, why):
    with pytest.raises(HttpProblem, match=r"message\.0") as caught:
        content_of([part], "message")
    assert why in caught.value.detail


def test_parts_are_counted_and_their_data_is_measured():
    with pytest.raises(HttpProblem):
        content_of([{"type": "text", "text": "x"}] * (MOST_PARTS + 1), "message")
    assert attached({"message": LOOK}) == len(PNG) + len(PDF)
    assert attached({"message": "data:" + "x" * 10, "n": [1, None]}) == 15


def remote(url: str) -> dict[str, Any]:
    return {"provider": "openai-compatible", "name": "m", "endpoint": url}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_conversation_with_a_picture_is_kept_and_goes_on(backend, request, tmp_path):
    told = Told(Assistant("a pixel"), Assistant("still"))
    async with serving(make=told, memory=memory(backend, request, tmp_path)) as client:
        first = (await client.post("/chat", {"message": LOOK})).json
        session = first["session_id"]
        await client.chat("and now?", session_id=session)
        shown = (await client.get(f"/sessions/{session}/messages")).json["messages"]
    assert told.asked[1].messages[0] == User(
        ["look", Image(PNG), File("a.pdf", PDF)], shown[0]["created_at"]
    )
    assert shown[0]["content"] == LOOK


async def test_a_socket_takes_pictures_too():
    told = Told(Assistant("a pixel"))
    async with serving(make=told) as client, connected(client) as socket:
        await socket.send_json({"type": "message", "message": LOOK})
        while (await socket.receive_json())["type"] != "done":
            pass
    assert told.asked[0].messages[0].content == ["look", Image(PNG), File("a.pdf", PDF)]


async def test_parts_reach_the_model_as_its_protocol_wants_them():
    async with upstream(answers(completion("fine"))) as server:
        async with serving(make=build, model=remote(server.url)) as client:
            await client.post("/chat", {"message": LOOK})
    assert server.bodies[0]["messages"][-1]["content"] == LOOK


async def test_a_model_that_cannot_see_is_told_so_and_asked_once_more():
    async def blind(request: web.Request) -> web.StreamResponse:
        if b"image_url" in await request.read():
            error = {"message": "This model does not support image input."}
            return web.json_response({"error": error}, status=400)
        return web.json_response(completion("I cannot see it."))

    async with upstream(blind) as server:
        async with serving(make=build, model=remote(server.url)) as client:
            message = [{"type": "text", "text": "look"}, image()]
            for _ in range(2):
                assert (await client.post("/chat", {"message": message})).json["output"]
    assert len(server.requests) == 3
    told = server.bodies[-1]["messages"][-1]["content"]
    assert told[1]["type"] == "text"
    assert "cannot read" in told[1]["text"]


async def test_a_picture_that_a_tool_returns_is_seen():
    png = (200, base64.b64decode(PIXEL), {"Content-Type": "image/png"})

    async def model(request: web.Request) -> web.StreamResponse:
        is_second = b'"role":"tool"' in await request.read()
        return web.json_response(completion("seen", None if is_second else [("c1", "t", "{}")]))

    async with upstream(answers(png)) as service, upstream(model) as server:
        async with serving(
            make=build, model=remote(server.url), tools=[tool(service.url)]
        ) as client:
            answer = (await client.post("/chat", {"message": "x"})).json
            shown = (await client.get(f"/sessions/{answer['session_id']}/messages")).json[
                "messages"
            ]
    result, seen = server.bodies[1]["messages"][-2:]
    assert result["content"].startswith("[image/png, 68 bytes")
    assert seen["role"] == "user"
    assert seen["content"][1] == image()
    assert shown[2]["results"][0]["images"] == [image()]


async def test_pictures_of_servers_are_seen_and_too_many_or_odd_ones_are_told_of():
    good = {"type": "image", "mimeType": "image/png", "data": PIXEL}
    items = [
        *[good] * 5,
        {"type": "image", "mimeType": "image/png", "data": "not base64!"},
        {"type": "image", "mimeType": "image/tiff", "data": PIXEL},
        {"type": "resource", "resource": {"uri": "a://b", "mimeType": "image/png", "blob": PIXEL}},
    ]

    async def handle(request: web.Request, body: Any) -> web.StreamResponse:
        result = {"jsonrpc": "2.0", "id": body["id"], "result": {"content": items}}
        return web.json_response(result)

    told = Told(Assistant("", calls=[ToolCall("c1", "t", "{}")]), Assistant("ok"))
    async with upstream(session_server(handle)) as server:
        servers = [{"name": "s", "transport": "streamable-http", "url": server.url}]
        async with serving(make=told, mcpServers=servers) as client:
            await client.chat("x")
    (result,) = next(m for m in told.asked[1].messages if isinstance(m, ToolResults)).results
    assert result.images == (Image(PNG),) * 4
    assert result.content.count("[image image/png") == 6
    assert "image/tiff" in result.content


async def test_text_is_bounded_as_before_and_pictures_have_a_bound_of_their_own():
    limits = {"bodyBytes": 2_000, "attachmentBytes": 10_000}
    big = "data:image/png;base64," + "A" * 8_000
    async with serving(make=Told(Assistant("ok")), limits=limits) as client:
        assert (await client.post("/chat", {"message": [image(big)]})).status == 200
        assert (await client.post("/chat", {"message": "x" * 2_500})).status == 413
        assert (await client.post("/chat", {"message": [image(big), image(big)]})).status == 413
        broken = await client.ask(
            "POST", "/chat", data=b"x" * 5_000, headers={"Content-Type": "application/json"}
        )
        assert broken.status == 413
