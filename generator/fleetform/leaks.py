"""What credentials look like, and how to mention a text without repeating one.

The forms are data, in credentials.json: each with a source, an example and a counterexample.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from fleetform.records import NamedTuple


class Form(NamedTuple):
    """What a credential is called, texts in lower case of which one must occur, and a pattern.

    No pattern may look far from where it starts: whatever a text contains, searching it takes linear time.
    The required texts are searched first: patterns are slow to compile and to try one by one.
    """

    kind: str
    needs: tuple[str, ...]
    pattern: str


@cache
def knowledge() -> dict[str, Any]:
    """Return what is known of credentials, as data: forms, their sources, names, and the date of all that."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("credentials.json").read_bytes())
    return found


@cache
def forms() -> tuple[Form, ...]:
    """Return the forms in order; the first that fits says what a text is."""
    rows = knowledge()["forms"]
    return tuple(Form(row["kind"], tuple(row["needs"]), row["pattern"]) for row in rows)


SHORTEST = 8
"""Length of the shortest text that can be recognised as a credential."""
LONG = 2_000
"""Length from which searching for each text separately is faster than for all at once."""
ENCODED = 20
"""Length of the shortest text in base64 that is decoded."""
DEEPEST = 3
"""How often a text is decoded: base64 in base64 is what a Secret of a kubeconfig holds."""
_RUN = re.compile(
    rf"(?<![A-Za-z0-9+/_-])([A-Za-z0-9+/_-]{{{ENCODED},}})(?:\r?\n[ \t]{{0,40}}[A-Za-z0-9+/_-]{{4,}}(?![A-Za-z0-9+/_-]|\s{{0,9}}:))*"
)
_PAIR = re.compile(
    r"(?i)[a-z0-9._@+-]{2,64}:(?=[^\s:]{0,99}[0-9])(?=[^\s:]{0,99}[a-z])[^\s:]{8,200}\s?"
)
"""User and password, as they are encoded for basic authentication."""
_PAIR_KIND = "a basic authentication password"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


@cache
def _hint() -> re.Pattern[str]:
    """Return a pattern that finds any of the needs, branched by first letter, since most texts are short."""
    needs = sorted({need for form in forms() for need in form.needs if need != "."})
    groups = groupby(needs, key=itemgetter(0))
    return re.compile(
        "|".join(f"{re.escape(k)}(?:{'|'.join(re.escape(w[1:]) for w in g)})" for k, g in groups)
    )


@cache
def _with_dots() -> tuple[Form, ...]:
    return tuple(form for form in forms() if "." in form.needs)


def _likely(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if len(text) < SHORTEST:
        return
    small = text.lower()
    likely = forms()
    if len(text) < LONG and not _hint().search(small):
        likely = _with_dots() if text.count(".") > 1 else ()
    for kind, needs, pattern in likely:
        if any(need in small for need in needs):
            yield kind, _pattern(pattern)


@lru_cache(maxsize=4_096)
def kind_of(text: str) -> str:
    """Return what kind of credential a text contains, plain or in base64, or an empty string."""
    return _plain(text) or next((kind for _, kind in _encoded(text)), "")


def masked(text: str) -> str:
    """Return a text with every credential replaced with asterisks."""
    for run, _ in [*_encoded(text)]:
        text = text.replace(run, "***")
    for _, pattern in _likely(text):
        text = pattern.sub("***", text)
    return text


def _plain(text: str) -> str:
    return next((kind for kind, pattern in _likely(text) if pattern.search(text)), "")


def _encoded(text: str, depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield each part in base64 that hides a credential, and its kind. A decoded text is shorter: time stays linear."""
    if len(text) < ENCODED or max(map(len, text.split()), default=0) < ENCODED:
        return
    for found in _RUN.finditer(text):
        # What follows on the next lines may be another text.
        for run in dict.fromkeys((found[0], found[1])):
            kind = _hidden(_decoded(run), depth)
            if kind:
                yield run, kind
                break


def _hidden(plain: str, depth: int) -> str:
    kind = _plain(plain) or (_PAIR_KIND if _PAIR.fullmatch(plain) else "")
    if not kind and depth < DEEPEST:
        kind = next((kind for _, kind in _encoded(plain, depth + 1)), "")
    return kind


def _decoded(run: str) -> str:
    """Return the text that base64 stands for, empty if it stands for none."""
    run = "".join(run.split()).replace("-", "+").replace("_", "/")
    # A rest of one character is cut: it holds no byte.
    run = run[: len(run) - (len(run) % 4 == 1)]
    content = a2b_base64(run + "=" * (-len(run) % 4))
    if content.count(0) * 3 > len(content):  # UTF-16, as PowerShell encodes
        content = content.replace(b"\0", b"")
    try:
        found = content.decode()
    except UnicodeDecodeError:
        return ""
    return "" if _CONTROLS.search(found) else found


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
