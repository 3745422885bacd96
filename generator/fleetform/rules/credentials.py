"""Credentials in plain text, wherever they may be: refused, and never repeated in a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import leaks
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import VERBATIM, Map, TreePath, at, entries, leaves, problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?i:password|passwd|pwd|passphrase|pass|pat|pgpassword|secret|token|api[_-]?key|apikey"
    r"|access[_-]?key|secret[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key"
    r"|ssh[_-]?key|license[_-]?key|subscription[_-]?key|functions[_-]?key|app[_-]?key|credentials?"
    r"|auth[_-]?key|client[_-]?secret|connection[_-]?string|dsn|webhook[_-]?url)"
    r"(?i:[_-]?(?:value|base64|b64))?$"
    r"|[a-z](?:Password|Passwd|Secret|Token|ApiKey|AccessKey|SecretKey|PrivateKey)$"
)
_KEY_NAME = re.compile(r"(?:^|[_-])(?i:key)$")
_PUBLIC_NAME = re.compile(r"(?i:public|pub_|partition|sort|primary|foreign|cache)")
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}")
"""What no word and no path is: a name that ends with KEY alone says too little by itself."""
_SECRET_OPTION = re.compile(r"^--?([A-Za-z][A-Za-z0-9_-]*)=(.+)$", re.DOTALL)
_OPTION = re.compile(r"--?([A-Za-z][A-Za-z0-9_-]*)")
_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-amz-security-token",
        "x-auth",
    }
)
_TELLING = frozenset({"value", "headers", "args", "command"})
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
        key in _TELLING or leaks.kind_of(key) or (isinstance(value, str) and leaks.kind_of(value))
        for key, value in entries(tree)
    )


def _kind(tree: Any, path: TreePath, value: str) -> str:
    """Return what kind of credential a value is, or an empty string."""
    kind = leaks.kind_of(value)
    if kind:
        return kind
    if path[-1] == "value" and _is_named(tree, path) and not _is_reference(value):
        return "a credential"
    if len(path) > 1 and path[-2] == "headers" and _is_secret_header(str(path[-1])):
        return "a credential"
    if len(path) > 1 and path[-2] in ("args", "command") and _is_option(tree, path, value):
        return "a credential"
    return ""


def _is_option(tree: Any, path: TreePath, value: str) -> bool:
    """Whether a command-line word is the value of an option whose name suggests a secret."""
    option = _SECRET_OPTION.match(value)
    name, given = option.groups() if option else ("", "")
    number = path[-1]
    if not option and isinstance(number, int) and number and not value.startswith("-"):
        words = at(tree, path[:-1])
        before = _OPTION.fullmatch(str(words[number - 1]))
        name, given = (before[1], value) if before else ("", "")
    return bool(_SECRET_NAME.search(name)) and not _is_reference(given)


def _is_secret_header(name: str) -> bool:
    return name.lower() in _SECRET_HEADERS or bool(_SECRET_NAME.search(name))


def _is_named(tree: Any, path: TreePath) -> bool:
    """Whether the value belongs to a variable whose name suggests a secret."""
    if path[-1] != "value" or not {"env", VERBATIM} & {*path}:
        return False
    name, value = at(tree, (*path[:-1], "name"), ""), str(at(tree, path, ""))
    if not isinstance(name, str) or name.upper().endswith(("_FILE", "_PATH", "_NAME")):
        return False
    if _KEY_NAME.search(name) and not _PUBLIC_NAME.search(name) and _RANDOM.fullmatch(value):
        return True
    if name.upper().endswith("DSN") and not {"@", "="} & {*value}:
        return False  # an address without credentials
    return bool(_SECRET_NAME.search(name))


def _is_reference(value: str) -> bool:
    """Whether a value says where a secret is, rather than being one."""
    return value.startswith(("$(", "${", "/", "file:", "vault:", "arn:")) or value.lower() in (
        "true",
        "false",
        "none",
        "",
    )
