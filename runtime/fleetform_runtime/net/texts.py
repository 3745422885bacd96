"""Bodies as text: which are text at all, and in which encoding."""

import codecs

_TEXTUAL = (
    "json", "xml", "yaml", "javascript", "ecmascript", "x-www-form-urlencoded", "graphql", "toml",
    "x-ndjson", "jsonlines", "sql", "x-sh", "csv", "problem",
)  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NOT_OF_BODIES = frozenset(
    ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "unicode_escape",
     "raw_unicode_escape")
)  # fmt: skip
"""Encodings of Python for host names and source code; some fail where others put a replacement."""


def text_of(raw: bytes, media: str, charset: str | None) -> str | None:
    """Return a body as text, or None if it is none: an image, an archive, or what looks like one.

    The mark at its start decides, then the declared encoding, then UTF-8. What is not declared as
    text is text if all of it is UTF-8 without NUL.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return raw.decode(name, "replace")
    known = _encoding(charset)
    if known is None and media and not is_textual(media) and media != "application/octet-stream":
        return None
    if known is None and b"\0" in raw:
        return None
    try:
        return raw.decode(known or "utf-8")
    except UnicodeDecodeError:
        if known is not None or is_textual(media):
            return raw.decode(known or "utf-8", "replace")
        return None


def is_textual(media: str) -> bool:
    """Whether a media type is one of text."""
    kind, _, sub = media.lower().partition("/")
    return kind == "text" or sub.rpartition("+")[2] in _TEXTUAL or sub in _TEXTUAL


def _encoding(charset: str | None) -> str | None:
    """Return a declared encoding that Python has and that is one of text, else None."""
    if not charset:
        return None
    try:
        found = codecs.lookup(charset.strip("\"' "))
    except (LookupError, ValueError):
        return None
    is_one = getattr(found, "_is_text_encoding", True) and found.name not in _NOT_OF_BODIES
    return found.name if is_one else None
