"""Names that say that their value is a credential: of variables, options, headers, annotations and settings."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal

from fleetform import leaks
from fleetform.lazy import regex

Verdict = Literal["certain", "secret", "telling", "random", ""]
"""What a name says of its value: a credential whatever it is, wherever it stands (`certain`), or where names are free
(`secret`); a credential if it looks like one (`telling`); if it looks like nothing else (`random`)."""

_RUN = regex(r"[A-Za-z]+")
_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HEX = regex(r"(?=.*[0-9])(?=.*[A-Fa-f])[0-9A-Fa-f]{24,}")
_LETTERS = regex(r"(?=(?:[^0-9]{0,99}[0-9]){4})(?=.*[A-Za-z])[A-Za-z0-9+/]{24,}={0,2}")
_MIXED = regex(r"(?=[^A-Z]{0,999}[A-Z])(?=[^a-z]{0,999}[a-z])(?=[^0-9]{0,999}[0-9])\S{10,}")
_RANDOM = regex(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}")
"""What no word and no path is: a name that ends with KEY alone says too little by itself."""
_REFERENCES = ("$(", "${", "{{", "<", "/", "file:", "vault:", "arn:", "projects/", "secretref:")
_NOTHING = frozenset({"true", "false", "none", "null", "~", ""})
LONGEST = 200
"""Names are shorter; what is longer says nothing more."""
_JOINED = 40
"""Letters of the longest word that is taken apart."""


@cache
def _set(name: str) -> frozenset[str]:
    return frozenset(leaks.knowledge()["names"][name])


@lru_cache(maxsize=4_096)
def verdict(name: str) -> Verdict:
    """Return what a name says: numbers and words such as `old` or `base64` at its end say nothing."""
    words = _words(name[:LONGEST].rpartition("/")[2])
    while words and words[-1] in _set("trailing"):
        words.pop()
    words = _without_owner(words)
    if not words:
        return ""
    last, pair = words[-1], " ".join(words[-2:])
    if _is_secret(last) or pair in _set("pairs"):
        return "certain" if last in _set("certain") or pair == "api key" else "secret"
    if last in ("key", "keys"):
        return "" if _set("public").intersection(words) else "random"
    if last == "tokens" and _set("harmless").intersection(words):
        return ""  # they are counted
    pairs = {" ".join(both) for both in pairwise(words)}
    is_one = any(map(_is_secret, words)) or bool(pairs & _set("pairs"))
    telling = last in _set("telling") or (is_one and last not in _set("harmless"))
    return "telling" if telling else ""


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case, taken apart where abbreviations are joined: `PGPASS`, `DBpwd`."""
    found: list[str] = []
    for run in _RUN.findall(name):
        words = [word.lower() for word in _WORD.findall(run)]
        found += words if any(map(_is_secret, words)) else _taken_apart(run.lower()) or words
    return found


def _taken_apart(run: str) -> list[str]:
    """Return the words that a run of letters consists of, none unless one of them is a credential's."""
    secret, known = (
        _set("joined"),
        _set("joined") | _set("owners") | _set("before") | _set("trailing"),
    )
    if len(run) > _JOINED or not any(word in run for word in secret):
        return []
    ways: list[list[str] | None] = [[], *([None] * len(run))]
    for end in range(1, len(run) + 1):
        for start in range(max(0, end - 15), end):
            way, word = ways[start], run[start:end]
            if way is not None and len(word) > 1 and word in known:
                ways[end] = [*way, word]
                break  # the longest word that ends here
    found = ways[-1] or []
    return found if secret.intersection(found) else []


def _without_owner(words: list[str]) -> list[str]:
    """Return the words of a credential without whose it is, if that stands behind it: `PWD_DB`."""
    last = len(words)
    while last and words[last - 1] in _set("owners"):
        last -= 1
    rest = words[:last]
    is_one = bool(rest) and (_is_secret(rest[-1]) or " ".join(rest[-2:]) in _set("pairs"))
    return rest if is_one else words


def _is_secret(word: str) -> bool:
    return word in _set("secret") or word.endswith(tuple(_set("ends")))


def is_credential(name: str, value: str, *, among_names: bool = False) -> bool:
    """Whether a value is a credential by its name, where names are free; `among_names`: where a value may name a Secret."""
    said = verdict(name)
    if not said or is_reference(value):
        return False
    if name.upper().endswith("DSN") and not {"@", "="} & {*value}:
        return False  # an address without credentials
    if said == "certain" or (said == "secret" and not among_names):
        return True
    if said == "random":
        return bool(_RANDOM.fullmatch(value))
    return is_telling(value)


def is_telling(value: str) -> bool:
    """Whether a value looks like no word, path, address or number."""
    if "://" in value or len(value) > 10_000 or value.startswith(("http", "urn:")):
        return False
    return any(pattern.fullmatch(value) for pattern in (_MIXED, _HEX, _LETTERS))


def is_reference(value: str) -> bool:
    """Whether a value says where a secret is, rather than being one."""
    return value.startswith(_REFERENCES) or value.lower() in _NOTHING
