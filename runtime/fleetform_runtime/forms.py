"""The forms in which a secret comes back: as it is, or as JSON, URLs, HTML, base64 and hex write it."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Minimum length of a form that is looked for: shorter ones would match ordinary words."""
SHORTEST_MIXED = 4
"""The same for a value that is no word, since it has more than letters."""
REDACTED = "[redacted]"

Redact = Callable[[str], str]
_PERCENT = re.compile("%[0-9A-F]{2}")


def is_telling(value: str) -> bool:
    """Whether a text is long enough to be taken for a secret and not for a word."""
    return len(value) >= (SHORTEST_MIXED if not value.isalpha() else SHORTEST)


def forms(value: str) -> Iterator[str]:
    """Yield a value and its usual encodings; of base64 the part that any neighbours leave unchanged."""
    yield value
    for plain in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield plain
        yield plain.replace("/", r"\/")
        yield json.dumps(plain)[1:-1]  # JSON in a text of JSON
    for encoded in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield encoded
        yield _PERCENT.sub(lambda match: match[0].lower(), encoded)
    yield html.escape(value)
    yield html.escape(value).replace("&#x27;", "&#39;")
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):
        bits = 8 * (before + len(raw))
        inner = slice((0, 2, 3)[before], bits // 6)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            part = encode(bytes(before) + raw).decode()[inner]
            if len(part) >= SHORTEST:
                yield part


def redactor(known: Callable[[], tuple[str, ...]]) -> Redact:
    """Return a function that redacts the values of secrets in a text."""

    def redact(text: str) -> str:
        for value in known():
            if value in text:
                text = text.replace(value, REDACTED)
        return text

    return redact
