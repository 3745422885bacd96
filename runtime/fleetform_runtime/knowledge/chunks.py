"""Cuts a text into passages: along its headings, paragraphs and sentences, never inside a short block of code."""

import re
from collections.abc import Iterator
from typing import NamedTuple

SIZE = 800
"""Characters of a passage, without its headings; what was measured best (docs/knowledge.md)."""
OVERLAP = 100
"""Characters of a passage that are repeated at the start of the next one."""
LONGEST_BLOCK = 2_400
"""Characters of a block of code or a table that stays in one piece."""
LONGEST_HEADING = 200
VERSION = 2
"""Raised when the same document would be cut differently: it is embedded again then."""

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n")


class Piece(NamedTuple):
    """A passage: the headings above it, outermost first, and its text."""

    headings: tuple[str, ...]
    text: str

    @property
    def content(self) -> str:
        """Return the text below the path of its headings, which says what it is about."""
        path = " > ".join(self.headings)
        return f"{path}\n\n{self.text}" if path else self.text


class _Block(NamedTuple):
    """A paragraph, or a block that is not cut."""

    headings: tuple[str, ...]
    text: str
    whole: bool = False


def cut(text: str, *, markdown: bool = True, title: str = "") -> list[Piece]:
    """Return the passages of a text, below the headings of each and what the whole is called."""
    found: list[Piece] = []
    held: list[str] = []
    above: tuple[str, ...] = ()
    for block in _blocks(text, markdown, title[:LONGEST_HEADING]):
        for part in _parts(block):
            if held and (block.headings != above or _length(held) + len(part) + 2 > SIZE):
                found.append(Piece(above, "\n\n".join(held)))
                held = _tail(held[-1]) if block.headings == above and not block.whole else []
            above = block.headings
            held.append(part)
    if held:
        found.append(Piece(above, "\n\n".join(held)))
    return found


def _length(parts: list[str]) -> int:
    return sum(map(len, parts)) + 2 * len(parts)


def _tail(text: str) -> list[str]:
    """Return the last words of a passage, which the next one begins with."""
    if len(text) <= OVERLAP or "```" in text or "~~~" in text:
        return []
    end = text[-OVERLAP:]
    start = re.search(r"\s", end)
    return [end[start.end() :] if start else end]


def _blocks(text: str, markdown: bool, title: str) -> Iterator[_Block]:
    """Yield paragraphs and blocks of code with the headings above them."""
    headings: list[tuple[int, str]] = [(0, title)] if title else []
    lines: list[str] = []
    fence, is_bare = "", False

    def path() -> tuple[str, ...]:
        return tuple(title for _, title in headings)

    for line in text.splitlines():
        mark = _FENCE.match(line) if markdown else None
        if fence:
            lines.append(line)
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                yield _Block(path(), "\n".join(lines), whole=True)
                lines, fence = [], ""
            continue
        heading = _HEADING.match(line) if markdown else None
        if (mark or heading or not line.strip()) and lines:
            yield from _paragraph(path(), lines)
            lines = []
        is_bare = is_bare and not mark and not (line.strip() and not heading)
        if mark:
            fence, lines = mark[1], [line]
        elif heading:
            level = len(heading[1])
            if is_bare and headings[-1][0] >= level:
                yield _alone(path())
            is_bare = bool(heading[2])
            headings = [one for one in headings if one[0] < level]
            headings.append((level, heading[2][:LONGEST_HEADING]))
        elif line.strip():
            lines.append(line.rstrip())
    if lines:
        yield from _paragraph(path(), lines, whole=bool(fence))
    if is_bare:
        yield _alone(path())


def _alone(path: tuple[str, ...]) -> _Block:
    """Return a heading that nothing stands below: it is a text itself."""
    return _Block(path[:-1], path[-1])


def _paragraph(path: tuple[str, ...], lines: list[str], whole: bool = False) -> Iterator[_Block]:
    yield _Block(path, "\n".join(lines), whole or all(line.startswith("|") for line in lines))


def _parts(block: _Block) -> Iterator[str]:
    """Yield a block in parts that fit into a passage."""
    if len(block.text) <= (LONGEST_BLOCK if block.whole else SIZE):
        yield block.text
        return
    held = ""
    for sentence in block.text.split("\n") if block.whole else _SENTENCE.split(block.text):
        between = "\n" if block.whole else " "
        if held and len(held) + len(sentence) + 1 > SIZE:
            yield held
            held = ""
        while len(sentence) > SIZE:
            place = sentence.rfind(" ", SIZE // 2, SIZE)
            place = place if place > 0 else SIZE
            yield sentence[:place]
            sentence = sentence[place:].lstrip()  # noqa: PLW2901
        held = f"{held}{between}{sentence}" if held else sentence
    if held.strip():
        yield held
