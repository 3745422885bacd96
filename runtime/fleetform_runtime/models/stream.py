"""Assembles a streamed answer from server-sent events."""

from typing import Any

import orjson

from fleetform_runtime.messages import Assistant, ToolCall, Usage
from fleetform_runtime.models import Listener, ModelError, wire

LONGEST_LINE = 8 * 1024 * 1024
_OPEN, _CLOSE = "<think>", "</think>"


class StreamedAnswer:
    """Collects the chunks of one answer and passes new text to a listener, once per read.

    Tokens that arrive together are passed on together: the listener is called once per network read
    rather than once per token, which keeps fifty streams on a fifth of a core.
    """

    def __init__(self, key: str, listener: Listener) -> None:
        self._key = key
        self.listener = listener
        self._rest = b""
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._fresh: list[str] = []
        self._fresh_thinking: list[str] = []
        self._usage = Usage()
        self._finish: str | None = None
        self._tagged: bool | None = None
        self._held = ""
        self._name = ""
        self.done = False
        self.told = False

    @property
    def began(self) -> bool:
        """Whether any of the answer has arrived."""
        return bool(self._text or self._thinking or self._calls or self._finish)

    def feed(self, data: bytes) -> None:
        """Process bytes read from the network."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise ModelError("invalid", "an event of the stream is too long")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip())
        self.flush()

    def flush(self) -> None:
        """Pass new text to the listener."""
        if self._fresh_thinking:
            self.told = True
            self.listener(("thinking", "".join(self._fresh_thinking)))
            self._fresh_thinking.clear()
        if self._fresh:
            self.told = True
            self.listener(("text", "".join(self._fresh)))
            self._fresh.clear()

    def answer(self, *, is_stream: bool = True) -> Assistant:
        """Return the whole answer, whether or not the server really sent a stream of events.

        Raises:
            ModelError: the stream ended before the answer did.
        """
        if not is_stream and not self.began:
            raise ModelError("invalid", "the answer is not a stream of events")
        if not self.done and self._finish is None:
            raise ModelError("connection", "the stream ended before the answer", started=self.told)
        if self._held:
            (self._thinking if self._tagged else self._text).append(self._held)
            self._held = ""
        calls = [_call(index, call) for index, call in sorted(self._calls.items())]
        finish = "tool_calls" if calls else self._finish or "stop"
        text, thinking = "".join(self._text), "".join(self._thinking)
        made = Assistant(text, thinking, calls, self._usage, self._key, finish)
        made.name = self._name
        return made

    def _event(self, payload: bytes) -> None:
        if payload == b"[DONE]":
            self.done = True
            return
        if not payload or self.done:
            return
        chunk = wire.read(payload, "an event of the stream", "in the stream")
        try:
            self._chunk(chunk)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelError("invalid", "an event of the stream has an unknown format") from None

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if chunk.get("usage"):
            self._usage = wire.usage(chunk["usage"])
        self._name = self._name or wire.name_of(chunk)
        choices = chunk.get("choices")
        if not choices:
            return
        choice = choices[0]
        delta = choice.get("delta") or {}
        if text := delta.get("content"):
            self._add_text(wire.plain(text))
        if thinking := delta.get("reasoning_content") or delta.get("reasoning"):
            self._add_thinking(wire.plain(thinking))
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        if choice.get("finish_reason"):
            self._finish = wire.finish(choice["finish_reason"], bool(self._calls))

    def _add_text(self, text: str) -> None:
        if self._tagged is not False:
            text = self._untag(text)
        if text:
            self._text.append(text)
            self._fresh.append(text)

    def _untag(self, text: str) -> str:
        """Move the contents of a leading <think> to the thinking; return the rest of the text."""
        if self._tagged is None:
            self._held += text
            if len(self._held) < len(_OPEN) and _OPEN.startswith(self._held):
                return ""
            self._tagged = self._held.startswith(_OPEN)
            text, self._held = self._held.removeprefix(_OPEN) if self._tagged else self._held, ""
            if not self._tagged:
                return text
        text = self._held + text
        thinking, closed, rest = text.partition(_CLOSE)
        if closed:
            self._tagged, self._held = False, ""
            self._add_thinking(thinking)
            return rest.lstrip("\n")
        keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:n])), 0)
        self._held = text[len(text) - keep :] if keep else ""
        self._add_thinking(text[: len(text) - keep])
        return ""

    def _add_thinking(self, text: str) -> None:
        if text:
            self._thinking.append(text)
            self._fresh_thinking.append(text)

    def _add_call(self, call: dict[str, Any]) -> None:
        index = call.get("index")
        function = call.get("function") or {}
        if not isinstance(index, int):  # some servers omit it and send each call whole
            index = len(self._calls) if function.get("name") else max(self._calls, default=0)
        held = self._calls.setdefault(index, {"id": "", "name": "", "arguments": []})
        held["id"] = held["id"] or str(call.get("id") or "")
        held["name"] = held["name"] or str(function.get("name") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = orjson.dumps(arguments).decode()
        if arguments:
            held["arguments"].append(str(arguments))


def _call(index: int, held: dict[str, Any]) -> ToolCall:
    if not held["name"]:
        raise ModelError("invalid", "a tool call has no name")
    return ToolCall(held["id"] or f"call_{index}", held["name"], "".join(held["arguments"]) or "{}")
