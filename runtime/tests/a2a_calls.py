"""A client of A2A as tests have it: one of JSON-RPC that takes nothing away."""

import json
from typing import Any

from runtime.tests.harness import Client, Reply


def said(text: str, name: str = "m1", **fields: Any) -> dict[str, Any]:
    """Return a message of version 1.0."""
    return {"messageId": name, "role": "ROLE_USER", "parts": [{"text": text}]} | fields


def said_before(text: str, name: str = "m1", **fields: Any) -> dict[str, Any]:
    """Return a message of version 0.3."""
    parts = [{"kind": "text", "text": text}]
    return {"kind": "message", "messageId": name, "role": "user", "parts": parts} | fields


async def called(client: Client, method: str, params: Any, **options: Any) -> Reply:
    """Call a method."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return await client.post("/a2a", body, **options)


async def result(client: Client, method: str, params: Any, **options: Any) -> Any:
    """Call a method; return what it returns."""
    reply = await called(client, method, params, **options)
    assert reply.status == 200, reply.body
    assert "result" in reply.json, reply.json
    return reply.json["result"]


async def error(client: Client, method: str, params: Any, **options: Any) -> Any:
    """Call a method; return its error."""
    return (await called(client, method, params, **options)).json["error"]


async def send(client: Client, message: dict[str, Any], **options: Any) -> Any:
    """Send a message; return its task."""
    return (await result(client, "SendMessage", {"message": message}, **options))["task"]


async def streamed(client: Client, method: str, params: Any, **options: Any) -> list[Any]:
    """Call a method that answers with a stream; return what it tells."""
    reply = await called(client, method, params, **options)
    assert reply.headers["Content-Type"].startswith("text/event-stream"), reply.body
    lines = [line for line in reply.body.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines]


def answer(task: dict[str, Any]) -> Any:
    """Return what the only artifact of a task has."""
    (artifact,) = task["artifacts"]
    (part,) = artifact["parts"]
    return part.get("text", part.get("data"))
