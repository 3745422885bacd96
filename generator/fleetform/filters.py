"""Filters of searches in documents: `category == "faq" and year >= 2024`, read into what every store understands."""

from __future__ import annotations

import json
from typing import Any

from fleetform.lazy import regex

_TOKEN = regex(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<op>==|!=|<=|>=|<|>|&&|\|\||[()\[\],])|(?P<word>[A-Za-z_][A-Za-z0-9_.-]*))"""
)
_WORDS = {"&&": "and", "||": "or", "AND": "and", "OR": "or", "NOT": "not", "IN": "in"}
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")
DEEPEST = 20


class FilterError(Exception):
    """A filter that cannot be read; the message says why, and where."""


def parsed(text: str) -> dict[str, Any]:
    """Return a filter as agent.json has it.

    Raises:
        FilterError: it cannot be read.
    """
    reader = _Reader(text)
    found = reader.either(0)
    if reader.kind:
        raise reader.error("`and` or `or` was expected")
    return found


class _Reader:
    """Reads one token after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self.kind = ""
        self.token = ""
        self.next()

    def next(self) -> None:
        """Read the next token; none at the end."""
        self.place = self._end
        if not self._text[self._end :].strip():
            self.kind = self.token = ""
            return
        found = _TOKEN.match(self._text, self._end)
        if found is None:
            self.kind = self.token = ""
            raise self.error("this cannot be read")
        self._end = found.end()
        self.kind = found.lastgroup or ""
        self.token = found[self.kind]
        if self.kind in ("op", "word") and self.token in _WORDS:
            self.kind, self.token = "word", _WORDS[self.token]

    def error(self, why: str) -> FilterError:
        """Return what is wrong at the current place."""
        rest = self._text[self.place :].strip()[:30]
        return FilterError(f"{why} {f'at `{rest}`' if rest else 'at its end'}")

    def either(self, depth: int) -> dict[str, Any]:
        """Read conditions with `or` between them."""
        found = [self._both(depth)]
        while self.token == "or":  # noqa: S105 - a word of the language
            self.next()
            found.append(self._both(depth))
        return found[0] if len(found) == 1 else {"any": found}

    def _both(self, depth: int) -> dict[str, Any]:
        found = [self._one(depth)]
        while self.token == "and":  # noqa: S105
            self.next()
            found.append(self._one(depth))
        return found[0] if len(found) == 1 else {"all": found}

    def _one(self, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise self.error("it is nested too deeply")
        if self.kind == "word" and self.token == "not":  # noqa: S105
            self.next()
            return {"not": self._one(depth + 1)}
        if self.token == "(":  # noqa: S105
            self.next()
            found = self.either(depth + 1)
            self._take(")")
            return found
        return self._comparison()

    def _comparison(self) -> dict[str, Any]:
        if self.kind != "word" or self.token in ("and", "or", "in"):
            raise self.error("the name of a member of the metadata was expected")
        field = self.token
        self.next()
        if self.kind == "word" and self.token in ("in", "not"):
            return self._among(field)
        if self.token not in _COMPARED:
            raise self.error("one of == != < <= > >= in was expected")
        op = self.token
        self.next()
        return {"field": field, "op": op, "value": self._value()}

    def _among(self, field: str) -> dict[str, Any]:
        is_not = self.token == "not"  # noqa: S105
        if is_not:
            self.next()
        self._take("in")
        self._take("[")
        found = [{"field": field, "op": "==", "value": self._value()}]
        while self.token == ",":  # noqa: S105
            self.next()
            found.append({"field": field, "op": "==", "value": self._value()})
        self._take("]")
        whole = found[0] if len(found) == 1 else {"any": found}
        return {"not": whole} if is_not else whole

    def _take(self, token: str) -> None:
        if self.token != token:
            raise self.error(f"`{token}` was expected")
        self.next()

    def _value(self) -> Any:
        kind, token = self.kind, self.token
        if kind == "text":
            value: Any = _unquoted(token)
        elif kind == "number":
            value = float(token) if "." in token else int(token)
        elif token in ("true", "false"):
            value = token == "true"  # noqa: S105
        else:
            raise self.error("a text in quotes, a number, true or false was expected")
        self.next()
        return value


def _unquoted(token: str) -> str:
    if token[0] == "'":
        token = '"' + token[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    try:
        return str(json.loads(token))
    except ValueError:
        raise FilterError(f"the text {token[:30]} cannot be read") from None
