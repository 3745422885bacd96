"""How many tokens a text has at most: an estimate that errs on the safe side without a tokenizer.

Measured with the tokenizers of open models, a token has 5 characters of English prose, but 1.3 of
JSON or YAML and 1 of Korean, Japanese or Chinese: what an agent reads is not prose.
"""

from collections.abc import Sequence
from functools import lru_cache

from fleetform_runtime import jsons
from fleetform_runtime.messages import Assistant, Image, Message, Part, User
from fleetform_runtime.models import ChatRequest, ToolSpec

PROSE = 3.5
"""Characters of a token of prose."""
DENSE = 1.25
"""Characters of a token of JSON, YAML, code, numbers, base64."""
MARKS = 0.06
"""Share of punctuation and digits above which a text is dense."""
LONGEST_WORD = 12
"""Mean letters between two blanks above which a text is none of words."""
IMAGE = 2_000
"""Tokens of a picture; those of providers are between 85 and about 1,600."""
FILE = 20
"""Characters of base64 of a token of a file: a page of 50 KB of a PDF has about 3,000 tokens."""
MESSAGE = 8
"""Tokens that a message or a call costs besides its text."""

_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
_BLANKS = b" \n\t\r"
_ASCII = bytes(range(128))
_CONTINUING = bytes(range(0x80, 0xC0))
_TWO = bytes(range(0xC0, 0xE0))
_THREE = bytes(range(0xE0, 0xF0))


def tokens(text: str) -> int:
    """Return how many tokens a text has at most."""
    if not text:
        return 0
    raw = text.encode("utf-8", "replace")
    foreign = b"" if len(raw) == len(text) else raw.translate(None, _ASCII + _CONTINUING)
    plain = len(text) - len(foreign)
    letters = len(raw) - len(raw.translate(None, _LETTERS))
    blanks = len(raw) - len(raw.translate(None, _BLANKS))
    marks = plain - letters - blanks
    is_dense = marks > MARKS * plain or letters > LONGEST_WORD * (blanks + 1)
    total = (letters + blanks) / (DENSE if is_dense else PROSE) + marks
    if foreign:
        two = len(foreign) - len(foreign.translate(None, _TWO))
        three = len(foreign) - len(foreign.translate(None, _THREE))
        total += two * 1.0 + three * 1.5 + (len(foreign) - two - three) * 3.0
    return int(total) + 1


def of_message(message: Message) -> int:
    """Return how many tokens a message has at most."""
    if isinstance(message, User):
        content = message.content
        parts = [content] if isinstance(content, str) else content
        return MESSAGE + sum(map(_of_part, parts))
    if isinstance(message, Assistant):
        calls = sum(MESSAGE + tokens(call.name) + tokens(call.arguments) for call in message.calls)
        return (
            MESSAGE
            + tokens(message.text)
            + calls
            + (tokens(str(message.state)) if message.state else 0)
        )
    return sum(
        MESSAGE + tokens(result.content) + IMAGE * len(result.images) for result in message.results
    )


def _of_part(part: Part) -> int:
    if isinstance(part, str):
        return tokens(part)
    return IMAGE if isinstance(part, Image) else max(IMAGE, len(part.url) // FILE)


def of_tools(specs: Sequence[ToolSpec]) -> int:
    """Return how many tokens the descriptions and schemas of tools have at most."""
    return sum(_of_tool(spec.name, spec.description, jsons.write(spec.schema)) for spec in specs)


@lru_cache(maxsize=4_096)
def _of_tool(name: str, description: str, schema: bytes) -> int:
    return MESSAGE + tokens(name) + tokens(description) + tokens(schema.decode())


def of_request(request: ChatRequest) -> int:
    """Return how many tokens a request has at most."""
    return (
        tokens(request.system)
        + of_tools(request.tools)
        + sum(of_message(message) for message in request.messages)
    )
