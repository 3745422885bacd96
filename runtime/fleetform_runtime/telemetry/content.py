"""What was said, in the shape of OpenTelemetry's conventions for generative AI, within bounds.

The shape is that of the JSON schemas of `gen_ai.input.messages`, `gen_ai.output.messages` and
`gen_ai.system_instructions`: messages with a role and parts.
"""

from typing import Any

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.forms import Redact
from fleetform_runtime.messages import Assistant, File, Image, Message, ToolResults, User

LONGEST_TEXT = 32 * 1024
"""Characters of one part; what is longer is cut, with a note."""
LARGEST_HISTORY = 256 * 1024
"""Characters of all input of one request; older messages are left out, with a note."""


class Content:
    """Writes messages as attributes, with secrets redacted."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def system(self, text: str) -> str:
        """Return the system instructions."""
        return _dumped([self._text(text)])

    def history(self, messages: list[Message]) -> str:
        """Return the input of a request, the newest messages first considered."""
        kept: list[str] = []
        left = LARGEST_HISTORY
        for message in reversed(messages):
            written = _dumped(self._message(message))
            left -= len(written)
            if left < 0 and kept:
                note = f"[{len(messages) - len(kept)} older messages are left out]"
                parts = [{"type": "text", "content": note}]
                kept.append(_dumped({"role": "system", "parts": parts}))
                break
            kept.append(written)
        return f"[{','.join(reversed(kept))}]"

    def output(self, answer: Assistant) -> str:
        """Return a model's answer."""
        return _dumped(
            [{**self._message(answer), "finish_reason": _FINISH.get(answer.finish, answer.finish)}]
        )

    def plain(self, text: str) -> str:
        """Return a text that is an attribute of its own."""
        return self._redact(_cut(text))

    def _message(self, message: Message) -> dict[str, Any]:
        if isinstance(message, User):
            content = message.content
            parts = [content] if isinstance(content, str) else content
            return {
                "role": "user",
                "parts": [
                    self._text(part) if isinstance(part, str) else _seen(part) for part in parts
                ],
            }
        if isinstance(message, ToolResults):
            return {
                "role": "tool",
                "parts": [
                    {
                        "type": "tool_call_response",
                        "id": result.id,
                        "response": self.plain(result.content),
                    }
                    for result in message.results
                ],
            }
        parts_of: list[dict[str, Any]] = []
        if message.thinking:
            parts_of.append({"type": "reasoning", "content": self.plain(message.thinking)})
        if message.text:
            parts_of.append(self._text(message.text))
        parts_of += [
            {
                "type": "tool_call",
                "id": call.id,
                "name": call.name,
                "arguments": self._arguments(call.arguments),
            }
            for call in message.calls
        ]
        return {"role": "assistant", "parts": parts_of}

    def _text(self, text: str) -> dict[str, Any]:
        return {"type": "text", "content": self.plain(text)}

    def _arguments(self, text: str) -> Any:
        shown = self.plain(text)
        try:
            return jsons.read(shown)
        except ValueError:
            return shown


_FINISH = {"tool_calls": "tool_call"}


def _seen(image: Image | File) -> dict[str, Any]:
    """Return where a picture is; what was sent whole is only told of."""
    if isinstance(image, File):
        return {"type": "file", "name": image.name, "characters": len(image.url)}
    if not image.url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": image.url[:2_048]}
    head, _, data = image.url.partition(",")
    kind = head.removeprefix("data:").partition(";")[0]
    return {"type": "image", "modality": "image", "mime_type": kind, "characters": len(data)}


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return (
        f"{text[:LONGEST_TEXT]}\n[cut: {len(text)} characters, the first {LONGEST_TEXT} are shown]"
    )


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()
