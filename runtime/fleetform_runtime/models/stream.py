"""Assembles a streamed answer from server-sent events."""

from typing import Any

from fleetform_runtime import jsons
from fleetform_runtime.messages import Assistant, ToolCall, Usage
from fleetform_runtime.models import Listener, ModelError, failures, history, wire
from fleetform_runtime.net.lines import Lines

LONGEST_LINE = 8 * 1024 * 1024
MOST_CALLS = 256
MOST_ITEMS = 1_024
"""Items of a list that is kept for a provider."""
_OPEN, _CLOSE = "<think>", "</think>"
_TEXT = frozenset(("role", "content"))
"""Members of most pieces of an answer."""
_JOINED = ("text", "summary", "data", "content", "thinking", "signature", "reasoning")
"""Members of reasoning that come in pieces."""


class _Call:
    """A call that is still arriving."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.state: dict[str, Any] = {}

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete, so that more of them belong to another call."""
        text = "".join(self.pieces)
        return bool(text.strip()) and history.object_of(text) is not None

    def made(self, number: int) -> ToolCall:
        """Return the call."""
        if not self.name:
            raise ModelError("invalid", "a tool call has no name")
        arguments = wire.arguments("".join(self.pieces)) or "{}"
        return ToolCall(self.id or f"call_{number}", self.name, arguments, self.state or None)


class StreamedAnswer:
    """Collects the chunks of one answer and passes new text to a listener, once per read.

    Tokens that arrive together are passed on together: the listener is called once per network read
    rather than once per token, which keeps fifty streams on a fifth of a core.
    """

    def __init__(self, key: str, listener: Listener, source: str = "") -> None:
        self._key = key
        self._source = source
        self.listener = listener
        self._lines = Lines()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._state: dict[str, Any] | None = {}
        self._fresh: list[str] = []
        self._fresh_thinking: list[str] = []
        self._usage = Usage()
        self._finish: str | None = None
        self._tagged: bool | None = None
        self._closed = False
        self._held = ""
        self._name = ""
        self._event = b""
        self.done = False
        self.told = False

    @property
    def began(self) -> bool:
        """Whether any of the answer has arrived."""
        return bool(self._text or self._thinking or self._calls or self._finish or self._refusal)

    def feed(self, data: bytes) -> None:
        """Process bytes read from the network."""
        lines = self._lines.feed(data)
        if self._lines.held > LONGEST_LINE:
            raise ModelError("invalid", "an event of the stream is too long")
        for line in lines:
            self._line(line)
        self.flush()

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._payload(line[5:].strip())
        elif line.startswith(b"event:"):
            self._event = line[6:].strip()
        elif not line:
            self._event = b""

    def end(self) -> None:
        """Process what stands behind the last end of a line: some servers send none there."""
        self._line(self._lines.end())
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
        if not self.began and not self._held:
            raise ModelError("invalid", "the stream has no answer")
        if self._held:
            (self._thinking if self._tagged else self._text).append(self._held)
            self._held = ""
        calls = [call.made(number) for number, call in enumerate(self._calls)]
        text, thinking = "".join(self._text), "".join(self._thinking)
        if self._closed:
            thinking = thinking.rstrip()
        elif self._tagged is not True and _CLOSE in text:  # told as text, but meant as reasoning
            text, more = wire.split_thinking(text)
            thinking += more
        finish = "tool_calls" if calls else self._finish or "stop"
        made = Assistant(text, thinking, calls, self._usage, self._key, finish, source=self._source)
        made.name = self._name
        if self._state and len(jsons.write(self._state)) <= wire.LARGEST_STATE:
            made.state = self._state
        made = wire.whole(made, "".join(self._refusal))
        if made.text and not text:  # a refusal: only at its end is it known to be all there is
            self._fresh.append(made.text)
            self.flush()
        return made

    def _payload(self, payload: bytes) -> None:
        if payload == b"[DONE]":
            self.done = True
            return
        if not payload or self.done or payload.startswith(b":"):  # some send comments as data
            return
        if self._event == b"error":
            raise failures.inside(payload, "in the stream")
        chunk = wire.read(payload, "an event of the stream", "in the stream")
        try:
            self._chunk(chunk)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelError("invalid", "an event of the stream has an unknown format") from None

    def _chunk(self, chunk: dict[str, Any]) -> None:
        groq = chunk.get("x_groq")
        told = chunk.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
        if told:
            self._usage = wire.usage(told)
        self._name = self._name or wire.name_of(chunk)
        choices = chunk.get("choices")
        if not choices:
            return
        choice = choices[0]
        if choice.get("index"):  # another answer than the first, which is all that was asked for
            return
        # Some servers send a whole message at the end of a stream, or instead of one.
        delta = choice.get("delta") or ({} if self.began else choice.get("message")) or {}
        if delta.keys() <= _TEXT and isinstance(text := delta.get("content"), str):
            self._add_text(text)
        else:
            self._add(delta)
        if reason := choice.get("finish_reason"):
            wire.check_end(reason, started=self.told)
            self._finish = wire.finish(reason, bool(self._calls))

    def _add(self, delta: dict[str, Any]) -> None:
        """Add a piece of an answer, whatever it has."""
        if thinking := wire.reasoning(delta):
            self._add_thinking(thinking)
        if text := delta.get("content"):
            self._add_text(wire.plain(text))
        if refusal := wire.refused(delta):
            self._refusal.append(refusal)
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        if isinstance(legacy := delta.get("function_call"), dict):
            self._add_call({"index": 0, "function": legacy})
        if self._state is not None and not delta.keys() <= wire.READ:
            self._keep(self._state, wire.kept(delta) or {})

    def _keep(self, state: dict[str, Any], members: dict[str, Any]) -> None:
        """Add to what the provider wants back; give it up once it is too large, before it is copied on."""
        for name, value in members.items():
            held = state.get(name)
            if isinstance(held, str) and isinstance(value, str):
                state[name] = held + value
            elif isinstance(held, list) and isinstance(value, list):
                for item in value:
                    _join(held, item)
            else:
                state[name] = list(value) if isinstance(value, list) else value
            if _is_large(state[name]):
                self._state = None
                return

    def _add_text(self, text: str) -> None:
        if self._tagged is not False:
            text = self._untag(text)
        if self._closed and not self._text:  # newlines between the reasoning and the answer
            text = text.lstrip("\n")
        if text:
            self._text.append(text)
            self._fresh.append(text)

    def _untag(self, text: str) -> str:
        """Move the contents of a leading <think> to the thinking; return the rest of the text."""
        if self._tagged is None:
            self._held += text
            start = self._held.lstrip()
            if len(start) < len(_OPEN) and _OPEN.startswith(start):
                return ""
            is_tagged = start.startswith(_OPEN)
            text, self._held = start.removeprefix(_OPEN) if is_tagged else self._held, ""
            self._tagged = is_tagged
            if not is_tagged:
                return text
        text = self._held + text
        thinking, closed, rest = text.partition(_CLOSE)
        if closed:
            self._tagged, self._held, self._closed = False, "", True
            self._add_thinking(thinking)
            return rest
        keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:n])), 0)
        self._held = text[len(text) - keep :] if keep else ""
        self._add_thinking(text[: len(text) - keep])
        return ""

    def _add_thinking(self, text: str) -> None:
        if self._tagged is not None and not self._thinking:
            text = text.lstrip()
        if text:
            self._thinking.append(text)
            self._fresh_thinking.append(text)

    def _add_call(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        name = wire.called(function.get("name"))
        call = self._call_of(piece, name)
        call.id = call.id or str(piece.get("id") or "")
        call.name = call.name or name
        for part, members in (wire.kept_of_call(piece) or {}).items():
            call.state[part] = {**call.state.get(part, {}), **members}
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.pieces.append(arguments)
        elif arguments is not None:
            call.pieces.append(jsons.write(arguments).decode())

    def _call_of(self, piece: dict[str, Any], name: str) -> _Call:
        """Return the call that a piece belongs to.

        Its index says so; but some servers give every call the same, or none. Then a new identifier
        with a name begins another call, and so does a name behind complete arguments.
        """
        index, identifier = piece.get("index"), str(piece.get("id") or "")
        if isinstance(index, int):
            fitting = [call for call in self._calls if call.index == index]
        else:
            fitting = [c for c in self._calls if identifier and c.id == identifier] or self._calls
            index = len(self._calls)
        held = fitting[-1] if fitting else None
        if held is not None:
            is_other = identifier and held.id and identifier != held.id
            begins = bool(name) and (is_other or (not identifier and held.is_whole))
            if not (held.name and begins):
                return held
        if len(self._calls) >= MOST_CALLS:
            raise ModelError("invalid", f"an answer has more than {MOST_CALLS} calls")
        made = _Call(index)
        self._calls.append(made)
        return made


def _is_large(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) > MOST_ITEMS
    return isinstance(value, str) and len(value) > wire.LARGEST_STATE


def _join(held: list[Any], item: Any) -> None:
    """Add a piece of a list to that which it continues: of the same index and type."""
    if isinstance(item, dict) and "index" in item:
        for one in held:
            if isinstance(one, dict) and all(one.get(n) == item.get(n) for n in ("index", "type")):
                for name, value in item.items():
                    before = one.get(name)
                    is_joined = (
                        name in _JOINED and isinstance(before, str) and isinstance(value, str)
                    )
                    one[name] = (
                        before + value if is_joined else (before if value is None else value)
                    )
                return
    held.append(item)
