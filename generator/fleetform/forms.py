"""Objects that differ in a name alone are written once: their common form, and then the name in its place.

A thousand agents have a thousand Deployments, nearly all alike. Writing one takes several times as long as
looking its form up, which is found by the object's marshalled bytes with a word of the same length in the
place of each name. docs/adr/0016-texts-by-form.md says why the text is the same; where a condition of it
does not hold, the object is written as any other.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from typing import Any

from fleetform.emit import WORDS, emit
from fleetform.lazy import regex
from fleetform.records import NamedTuple

_NAME = regex(r"[a-z][a-z](?:[a-z0-9-]*[a-z0-9])?")
_STARTS = "QZJ"
"""First letters of the words that stand for names; behind them is `X`: none overlaps itself or a name."""
_FORMS: dict[bytes, str] = {}
_MOST_FORMS = 1_024
_LONGEST = 65_535
"""Bytes of an object that has a form: the last two bytes of each length in them are 0."""


class _Pair(NamedTuple):
    """A name and the word that stands for it, as text and as bytes."""

    name: str
    word: str
    name_bytes: bytes
    word_bytes: bytes


def writer(names: Sequence[str]) -> Callable[[Any], str]:
    """Return what writes documents as `emit` does, fast when they differ from others in these names alone.

    There are at most three names, each before those that it contains.
    """
    if len(names) > len(_STARTS) or not all(map(_is_plain, names)):
        return emit
    words = [start + "X" * (len(name) - 1) for start, name in zip(_STARTS, names, strict=False)]
    pairs = [_Pair(n, w, n.encode(), w.encode()) for n, w in zip(names, words, strict=True)]
    return lambda document: _write(document, pairs)


def _is_plain(name: str) -> bool:
    """Whether a name may take another's place: none is a part of what YAML takes for something else."""
    return bool(_NAME.fullmatch(name)) and not any(name in word for word in WORDS)


def _write(document: Any, pairs: Sequence[_Pair]) -> str:
    data = _data(document, pairs)
    if data is None:
        return emit(document)
    key = data
    for pair in pairs:
        key = key.replace(pair.name_bytes, pair.word_bytes)
    form = _FORMS.get(key)
    if form is None:
        text = emit(document)
        _remember(key, data, text, pairs)
        return text
    for pair in pairs:
        form = form.replace(pair.word, pair.name)
    return form


def _data(document: Any, pairs: Sequence[_Pair]) -> bytes | None:
    """Return the marshalled document, None when it has no form."""
    if "data" in document:  # a ConfigMap's: there is no other like it
        return None
    try:
        data = marshal.dumps(document, 2)  # from version 3 on, bytes refer to others
    except ValueError:
        return None
    if len(data) > _LONGEST:
        return None
    for pair in pairs:
        if pair.word_bytes in data:
            return None
    return data


def _remember(key: bytes, data: bytes, text: str, pairs: Sequence[_Pair]) -> None:
    """Keep a form whose names stand in texts only, and in the same number in bytes and in the text."""
    form = text
    for pair in pairs:
        if data.count(pair.name_bytes) != form.count(pair.name):
            return
        data = data.replace(pair.name_bytes, pair.word_bytes)
        form = form.replace(pair.name, pair.word)
    if "\\" in form:  # an escape may look like a part of a name
        return
    if len(_FORMS) >= _MOST_FORMS:
        _FORMS.clear()
    _FORMS[key] = form
