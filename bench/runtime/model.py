"""A cheap model: Chat Completions by fixed rules on a bare asyncio protocol.

`model.py PORT`; a message `tokens N RATE` streams N tokens at RATE per second, `tool` calls the
tool `add`, everything else is answered with one short line.
"""

import asyncio
import json
import sys
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BASE = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


def whole(message: dict[str, Any]) -> bytes:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({**BASE, "choices": [choice], "usage": USAGE}).encode()


TEXT = whole({"role": "assistant", "content": "A short answer."})
FUNCTION = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
CALL = whole(
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}],
    }
)


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {**BASE, "object": "chat.completion.chunk", "choices": [choice]}
    line = b"data: " + json.dumps(body).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


TOKEN = chunk({"content": "word "})
LAST = chunk({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Model(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, rest = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        if len(rest) >= length:
            self.data = rest[length:]
            self.answer(json.loads(rest[:length]))

    def answer(self, body: dict[str, Any]) -> None:
        assert self.transport is not None
        last = body["messages"][-1]
        said = last["content"] if isinstance(last["content"], str) else ""
        if body.get("stream"):
            words = said.split()
            count, rate = (int(words[1]), float(words[2])) if words[0] == "tokens" else (5, 0.0)
            asyncio.get_running_loop().create_task(self.stream(count, rate))
        else:
            raw = CALL if last["role"] == "user" and said == "tool" else TEXT
            self.transport.write(HEAD % len(raw) + raw)

    async def stream(self, count: int, rate: float) -> None:
        assert self.transport is not None
        self.transport.write(STREAM)
        for _ in range(count):
            if self.transport.is_closing():
                return
            self.transport.write(TOKEN)
            if rate:
                await asyncio.sleep(1 / rate)
        self.transport.write(LAST)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Model, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
