"""Credentials in plain text, wherever they may be: refused, and never repeated in a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from fleetform import leaks
from fleetform.credential_names import is_credential, is_reference, is_telling, verdict
from fleetform.lazy import regex
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import VERBATIM, Map, TreePath, at, entries, leaves, problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

_ASSIGNMENT = regex(
    r"""(?:^|[\s?;&|"'{,])-{0,2}([A-Za-z_][A-Za-z0-9_.-]{1,99})\\{0,3}["']?[ \t]{0,9}([:=])[ \t]{0,9}\\{0,3}["']?([^\s"'\\;&|,]{1,999})""",
    re.MULTILINE,
)
"""A setting in a file, a command, a query or JSON: a name and its value, the value without what follows it."""
_SPACED = regex(
    r"""(?:^|\s)--?([A-Za-z][A-Za-z0-9_-]{1,99})()[ \t]{1,9}["']?([^\s"'\\;&|-][^\s"'\\;&|]{0,998})""",
    re.MULTILINE,
)
"""An option in a command, and the word after it."""
_ELEMENT = regex(r"<([A-Za-z_][A-Za-z0-9_.:-]{1,99})()>([^<>\s][^<>]{0,998})</")
"""An element of XML that holds nothing but text."""
_OPTION = regex(r"--?([A-Za-z][A-Za-z0-9_-]*)")
_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-amz-security-token",
        "x-auth",
    }
)
_VALUES = ("value", "default", "const", "example")
"""Keys of a value next to a `name`, below a property's name, or next to the `path` of a patch's operation."""
_WORDS = ("args", "command")
_MAPS = frozenset({"annotations", "labels", "stringData"})
"""Maps whose keys are names that people choose, and whose values may name a Secret."""
_TEXTS = ("annotations", "stringData")
"""Those of them whose values may be settings; a label's is a word."""
_TELLING = frozenset(
    {*_VALUES, *_WORDS, *_TEXTS, "headers", "configFiles", "triggers", "input", VERBATIM}
)
"""Keys below which a text may be a credential because of what stands beside or above it."""
CODE = "plaintext-credential"
_HINT = "put it in a Secret and refer to it, then rotate it, since it was in a file"


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield every plaintext credential of the fleet's specs."""
    del uses
    for kind in sorted(fleet.specs):
        for resolved in fleet.of(kind):
            for path, said in _leaks(resolved.tree):
                yield resolved.problem(path, CODE, said, hint=_HINT)
    # What an environment adds to specs is found there; this covers the environment itself.
    tree = fleet.environment_tree
    for path, said in _leaks(tree):
        if path[:2] not in (("spec", "defaults"), ("spec", "patches")):
            yield problem_at(tree, path, CODE, said, hint=_HINT)


def leaked(tree: Map) -> Iterator[Problem]:
    """Yield the plaintext credentials of one document, whatever else is wrong with it."""
    for path, said in _leaks(tree):
        yield problem_at(tree, path, CODE, said, hint=_HINT)


def _leaks(tree: Map) -> Iterator[tuple[TreePath, str]]:
    """Yield the place of each credential, and a message that does not repeat it."""
    if _is_clean(tree):
        return
    for path, value in leaves(tree):
        if isinstance(value, str) and value:
            kind = _kind(tree, path, value)
            if kind:
                yield path, f"this looks like {kind} in plain text (value not shown)"
        if isinstance(path[-1], str) and (kind := leaks.kind_of(path[-1])):
            yield path, f"the key looks like {kind} in plain text (not shown)"


def _is_clean(tree: Map) -> bool:
    """Whether no text looks like a credential, and no key could make one of what stands below it."""
    return not any(
        key in _TELLING
        or leaks.kind_of(key)
        or (isinstance(value, str) and (leaks.kind_of(value) or (key not in _OWN and verdict(key))))
        for key, value in entries(tree)
    )


_OWN = frozenset({"secret", "key", "keys", "auth", "session", "token"})
"""Fields of specs whose values are names: most documents have one."""


def _kind(tree: Any, path: TreePath, value: str) -> str:
    """Return what kind of credential a value is, or an empty string."""
    kind = leaks.kind_of(value)
    if kind:
        return kind
    return "a credential" if _is_named(tree, path, value) else ""


def _is_named(tree: Any, path: TreePath, value: str) -> bool:
    """Whether a value is a credential by what it is called, wherever names are free."""
    key, above = str(path[-1]), path[-2] if len(path) > 1 else ""
    if key in _VALUES and is_credential(_name_beside(tree, path), value):
        return True
    is_text = key in _VALUES or above in _TEXTS
    if is_text and _is_assigned(value, in_words=value.startswith("-")):
        return True
    if above == "headers":
        is_secret = key.lower() in _SECRET_HEADERS
        return (is_secret and not is_reference(value)) or is_credential(key, value)
    if above in _WORDS:
        return _is_option(tree, path, value) or _is_assigned(value, in_words=True)
    if above == "configFiles":
        return _is_assigned(value)
    is_free = (
        above in _MAPS
        or _is_patched_map(tree, path)
        or "input" in path
        or (above == "metadata" and "triggers" in path)
    )
    in_patch = VERBATIM in path and key not in ("path", "from") and is_telling(value)
    return (is_free or in_patch) and is_credential(key, value, among_names=True)


def _is_patched_map(tree: Any, path: TreePath) -> bool:
    """Whether a value stands in a map of free names that an operation of a patch sets as a whole."""
    if VERBATIM not in path or path[-2:-1] != ("value",):
        return False
    operation = at(tree, path[:-2])
    pointer = operation.get("path") if isinstance(operation, dict) else None
    return str(pointer).rpartition("/")[2] in _MAPS


def _name_beside(tree: Any, path: TreePath) -> str:
    """Return the name that stands next to a value, or the last step of an operation's pointer."""
    holder = at(tree, path[:-1])
    if not isinstance(holder, dict):
        return ""
    name = holder.get("name")
    if name is None and len(path) > 2 and path[-3] == "properties":
        return str(path[-2])
    if name is None and VERBATIM in path:
        pointer = str(holder.get("path", "")).rpartition("/")
        # A variable's value in a list has no name here.
        name = pointer[2].replace("~1", "/").replace("~0", "~")
    return name if isinstance(name, str) else ""


def _is_option(tree: Any, path: TreePath, value: str) -> bool:
    """Whether a command-line word is the value of an option before it whose name suggests a secret."""
    number = path[-1]
    if not isinstance(number, int) or not number or value.startswith("-"):
        return False
    before = _OPTION.fullmatch(str(at(tree, path[:-1])[number - 1]))
    return bool(before) and is_credential(before[1] if before else "", value)


def _is_assigned(text: str, *, in_words: bool = False) -> bool:
    """Whether a text sets something that is called like a secret; in prose, to what looks like one."""
    settings = (pattern.finditer(text) for pattern in (_ASSIGNMENT, _SPACED, _ELEMENT))
    for found in chain.from_iterable(settings):
        name, sign, value = found[1], found[2], found[3].rstrip(")}]")
        if not value or value[0] in _NO_TEXT or _CALL.match(value):
            continue
        if not is_credential(name, value):
            continue
        is_set = sign == "=" if in_words and sign else verdict(name) == "certain"
        if is_telling(value) or (is_set and (sign == "=" or not _ONE_WORD.fullmatch(value))):
            return True
    return False


_NO_TEXT = frozenset("!&*{[<>$%|@(#-")
"""How references, anchors, tags, expressions and placeholders begin."""
_CALL = regex(r"[A-Za-z_.]{1,99}[(\[]")
_ONE_WORD = regex(r"[A-Za-z]+[.!?]?")
