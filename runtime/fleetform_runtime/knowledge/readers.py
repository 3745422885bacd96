"""Reads documents of each format: as text with headings, and what is known about it."""

import csv
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from xml.etree import ElementTree

from fleetform_runtime.knowledge import Scalar

LARGEST = 32 * 1024 * 1024
"""Bytes of a document."""
LARGEST_UNPACKED = 64 * 1024 * 1024
MOST_METADATA = 64
LONGEST_VALUE = 1_000
TITLES = ("title", "question", "heading", "subject", "name")
"""Metadata that says what a text is about; the first one is searched with it."""
CONTENT = ("content", "text", "body", "answer")
"""Members of a record that are its text; the first one counts."""


class UnreadableDocumentError(Exception):
    """A document that cannot be read; the message says why."""


class Part(NamedTuple):
    """A part of a document that is cut into passages of its own."""

    text: str
    metadata: Mapping[str, Scalar] = {}
    markdown: bool = True
    title: str = ""
    """What it is called: it stands above all of its passages."""


def read(name: str, data: bytes) -> list[Part]:
    """Return the parts of a document, by the ending of its name.

    Raises:
        UnreadableDocumentError: it cannot be read.
    """
    if len(data) > LARGEST:
        raise UnreadableDocumentError(f"it has more than {LARGEST} bytes")
    ending = PurePosixPath(name).suffix.lower()
    reader = READERS.get(ending)
    if reader is None:
        raise UnreadableDocumentError(
            f"`{ending or name}` is no format that is read: {', '.join(READERS)}"
        )
    try:
        parts = reader(data)
    except UnreadableDocumentError:
        raise
    except RecursionError:
        raise UnreadableDocumentError("it is nested too deeply") from None
    except Exception as error:  # a library's own way to say that a file is broken
        raise UnreadableDocumentError(f"{type(error).__name__}: {error}"[:300]) from None
    return [_titled(_clean(part)) for part in parts if part.text.strip()]


def _titled(part: Part) -> Part:
    """Return a part with what it is called, unless its text says that."""
    found = (part.metadata.get(name) for name in TITLES)
    title = " ".join(next((one for one in found if isinstance(one, str)), "").split())
    is_said = title.casefold() in " ".join(part.text.split()).casefold()
    return part if is_said else part._replace(title=title)


def _clean(part: Part) -> Part:
    """Return a part without what no store keeps: zero bytes, and halves of characters."""
    metadata = {
        name: _kept(value) if isinstance(value, str) else value
        for name, value in part.metadata.items()
    }
    return part._replace(text=_kept(part.text), metadata=metadata)


def _kept(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise UnreadableDocumentError("it is not UTF-8") from None


def _plain(data: bytes) -> list[Part]:
    return [Part(_text(data), markdown=False)]


# -- Markdown -------------------------------------------------------------------------------------

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_PAIR = re.compile(r"^([A-Za-z_][A-Za-z0-9_.-]{0,127}):[ \t]+(.+?)[ \t]*$")


def _markdown(data: bytes) -> list[Part]:
    """Return the text, and the plain `name: value` lines at its start between two lines of `---`."""
    text = _text(data).replace("\r\n", "\n")
    front = _FRONT.match(text)
    if front is None:
        return [Part(text)]
    pairs = [found for line in front[1].splitlines() if (found := _PAIR.match(line))]
    return [Part(text[front.end() :], tidy({pair[1]: scalar(pair[2]) for pair in pairs}))]


def scalar(text: str) -> Scalar:
    """Return what a word without quotes means: a truth value, a number, or itself."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?(0|[1-9]\d{0,14})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9]\d{0,14})\.\d{1,15}", text) else text


def tidy(found: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return what can be metadata: members with a name and one plain value."""
    kept: dict[str, Scalar] = {}
    for name, value in found.items():
        if len(kept) < MOST_METADATA and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}", name):
            if isinstance(value, str) and value.strip():
                kept[name] = value.strip()[:LONGEST_VALUE]
            elif isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**53):
                kept[name] = value
    return kept


# -- HTML -----------------------------------------------------------------------------------------


class _Html(HTMLParser):
    """Writes what a page says, with its headings as Markdown's."""

    SILENT = frozenset(("script", "style", "template", "noscript", "svg", "nav", "iframe"))
    BLOCKS = frozenset(
        [
            "p",
            "div",
            "section",
            "article",
            "header",
            "footer",
            "main",
            "ul",
            "ol",
            "table",
            "tr",
            "blockquote",
            "figure",
            "dl",
            "dt",
            "dd",
            "form",
            "br",
            "hr",
        ]
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title = ""
        self._silent = 0
        self._pre = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        if tag in self.SILENT:
            self._silent += 1
        elif tag == "title":
            self._in_title = True
        elif re.fullmatch("h[1-6]", tag):
            self.pieces.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag == "pre":
            self._pre += 1
            self.pieces.append("\n\n```\n")
        elif tag == "li":
            self.pieces.append("\n- ")
        elif tag in ("td", "th"):
            self.pieces.append(" | ")
        elif tag in self.BLOCKS:
            self.pieces.append("\n\n" if tag != "br" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "title":
            self._in_title = False
        elif tag == "pre" and self._pre:
            self._pre -= 1
            self.pieces.append("\n```\n\n")
        elif tag in self.BLOCKS or re.fullmatch("h[1-6]", tag):
            self.pieces.append("\n\n" if tag not in ("br", "tr") else "\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._silent:
            self.pieces.append(data if self._pre else re.sub(r"\s+", " ", data))


def _html(data: bytes) -> list[Part]:
    page = _Html()
    page.feed(_text(data))
    page.close()
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", "".join(page.pieces)))
    title = " ".join(page.title.split())
    return [Part(text, tidy({"title": title}))]


# -- records --------------------------------------------------------------------------------------


def _record(found: Mapping[str, Any]) -> Part:
    """Return a record: its text with the rest as metadata, or all its members as lines."""
    own = found.get("metadata")
    rest = {**found, **own} if isinstance(own, dict) else dict(found)
    rest.pop("metadata", None)
    for name in CONTENT:
        if isinstance(found.get(name), str) and found[name].strip():
            return Part(rest.pop(name), tidy(rest))
    lines = [f"{name}: {_shown(value)}" for name, value in found.items() if value not in ("", None)]
    return Part("\n".join(lines), tidy(rest), markdown=False)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(data: bytes) -> list[Part]:
    """Return a part for each item of a list, or each line of JSON Lines."""
    text = _text(data)
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise UnreadableDocumentError(f"it is not JSON: {error}") from None
    items = found if isinstance(found, list) else [found]
    return [
        _record(item if isinstance(item, dict) else {"content": _shown(item)}) for item in items
    ]


def _csv(data: bytes) -> list[Part]:
    """Return a part for each row, whose columns the first row names."""
    text = _text(data)
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)
    csv.field_size_limit(LARGEST)
    rows = csv.DictReader(io.StringIO(text), delimiter=mark)
    return [
        _record({str(name): scalar(value) if name not in CONTENT else value
                 for name, value in row.items() if isinstance(value, str)})
        for row in rows
    ]  # fmt: skip


# -- documents of offices -------------------------------------------------------------------------

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}tab": "\t"}


def _docx(data: bytes) -> list[Part]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("word/document.xml") as file:
        raw = file.read(LARGEST_UNPACKED + 1)
    if len(raw) > LARGEST_UNPACKED:
        raise UnreadableDocumentError(f"it unpacks to more than {LARGEST_UNPACKED} bytes")
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise UnreadableDocumentError("its XML declares entities")
    root = ElementTree.fromstring(raw)  # noqa: S314 - no entities are declared
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag == _FALLBACK:  # the same once more, for old programs
                parent.remove(child)
    return [Part("\n\n".join(_paragraphs(root)))]


def _paragraphs(root: ElementTree.Element) -> Iterator[str]:
    for paragraph in root.iter(f"{_W}p"):
        text = "".join(_texts(paragraph)).strip()
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        level = re.fullmatch(
            r"(?i)heading ?([1-6])", style.get(f"{_W}val", "") if style is not None else ""
        )
        if text:
            yield f"{'#' * int(level[1])} {text}" if level else text


def _texts(node: ElementTree.Element) -> Iterator[str]:
    """Yield what a paragraph says; a text box in it has paragraphs of its own."""
    for child in node:
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in _BREAKS:
            yield _BREAKS[child.tag]
        elif child.tag != f"{_W}p":
            yield from _texts(child)


def _pdf(data: bytes) -> list[Part]:
    try:
        from pypdf import PdfReader  # noqa: PLC0415 - an extra, and a library few need
    except ImportError:
        raise UnreadableDocumentError("PDF needs the extra knowledge of the image") from None
    logging.getLogger("pypdf").setLevel(
        logging.CRITICAL
    )  # what is wrong is said with the file's name
    reader = PdfReader(io.BytesIO(data))
    return [
        Part(page.extract_text(), {"page": number}, markdown=False)
        for number, page in enumerate(reader.pages, 1)
    ]


READERS: dict[str, Callable[[bytes], list[Part]]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
    ".json": _json,
    ".jsonl": _json,
    ".csv": _csv,
    ".pdf": _pdf,
    ".docx": _docx,
}
"""The formats, by the ending of a name."""
