"""The words of a text, as searches compare them: in small letters, without accents and English endings.

Scripts that put no space between words, such as Chinese, Japanese and Thai, and Korean, which adds
particles to them, are cut into overlapping pairs of characters.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import PurePosixPath

LONGEST = 64
"""Characters of a word that count; what is longer is hardly one."""
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Marks belong to the letters before them: the vowels of Thai and of the scripts of India are some.
_RUN = re.compile(
    rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[^\W_])(?:(?![{_UNSPACED}])(?:[^\W_]|[\u0900-\u0dff]))*"
)
_ASCII_RUN = re.compile("[a-z0-9]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ACCENTS = re.compile("[\u0300-\u036f]")
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
_VOWEL = re.compile("[aeiouy]")


def indexed(text: str) -> list[str]:
    """Return the words by which a text is found, in order, with repetitions."""
    return [word for run in _runs(text) for word in _words(run, alone=True)]


def of_passage(document: str, content: str) -> list[str]:
    """Return the words by which a passage is found: those of its document's name are some."""
    return indexed(f"{PurePosixPath(document).stem} {content}")


def asked(text: str) -> list[str]:
    """Return the words that a question looks for, each once; common ones only if there are no others."""
    runs = _runs(text)
    telling = [run for run in runs if run not in _COMMON] or runs
    return list(dict.fromkeys(word for run in telling for word in _words(run, alone=False)))


def _runs(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_RUN.findall(text.lower())  # five times as fast
    spelt = unicodedata.normalize("NFKD", text)
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", spelt))
    return _RUN.findall(plain.casefold())


def _words(run: str, *, alone: bool) -> list[str]:
    """Return the words of a run of one kind of script; `alone`: with its single characters, if Chinese."""
    if run.isascii() or not _IS_UNSPACED.match(run):
        return [stem(run[:LONGEST])]
    pairs = [run[place : place + 2] for place in range(len(run) - 1)]
    if not pairs:
        return [run]
    return pairs + [mark for mark in run if "\u3400" <= mark <= "\u9fff"] if alone else pairs


@lru_cache(8_192)
def stem(word: str) -> str:
    """Return an English word without its ending; others hardly change, and each always in the same way."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        start = word.removesuffix(ending)
        if start != word and len(start) > 2 and _VOWEL.search(start):
            word = start[:-1] if start[-1] == start[-2] and start[-1] not in "lsz" else start
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
