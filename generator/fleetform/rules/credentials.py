"""Credentials in clear text, wherever people put them: refused, and never repeated in a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path, leaves

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

# Tokens whose form gives them away. Most values have none of the text that they begin with or hold:
# that is looked for first, since these patterns are slow to build and to try one by one.
_HINT_OF_TOKEN = re.compile(
    r"sk-|A[KS]IA|gh[pousr]_|github_pat_|glpat-|xox|hooks\.slack\.com|AIza|ya29\.|k_live_|k_test_|hf_"
    r"|k-lf-|SG\.|npm_|pypi-|eyJ|PRIVATE KEY|hvs\.|AccountKey=|@|earer|EARER"
)
_TOKENS: tuple[tuple[str, str], ...] = (
    ("an OpenAI or Anthropic key", r"\bsk-(?:ant-|proj-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a Slack webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Google OAuth token", r"\bya29\.[A-Za-z0-9_-]{20,}"),
    ("a Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("a Langfuse key", r"\b[sp]k-lf-[0-9a-f-]{36}"),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("a JWT", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    ("a private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"),
    ("a Vault token", r"\bhvs\.[A-Za-z0-9_-]{20,}"),
    ("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}"),
    ("a password in a URL", r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}$]*:(?!\$[({])[^/\s:@{}]+@[^\s/]+"),
    ("a bearer token", r"(?i)\bbearer\s+(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{24,}=*"),
)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credentials?|auth[_-]?key|client[_-]?secret|connection[_-]?string|dsn|webhook[_-]?url)(?:$|[_-]?(?:value|base64|b64)?$)"
)
_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-auth-token",
        "cookie",
        "x-access-token",
        "private-token",
        "x-vault-token",
    }
)
_HINT = "put it in a Secret and refer to it; then change it, since it has been in a file"


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield every plaintext credential of the fleet's specs."""
    del uses
    for kind in sorted(fleet.specs):
        for resolved in fleet.of(kind):
            yield from _document(resolved)


def _document(resolved: Resolved) -> Iterator[Problem]:
    for path, value in leaves(resolved.tree):
        if isinstance(value, str) and value:
            kind = _kind(resolved.tree, path, value)
            if kind:
                yield resolved.problem(
                    path,
                    "plaintext-credential",
                    f"this looks like {kind} in clear text (value not shown)",
                    hint=_HINT,
                )


def _kind(tree: Any, path: Path, value: str) -> str:
    """Return what kind of credential a value is, empty when it is none."""
    if _HINT_OF_TOKEN.search(value):
        for kind, pattern in _TOKENS:
            if re.search(pattern, value):
                return kind
    if path[-1] == "value" and _is_named(tree, path) and not _is_reference(value):
        return "a credential"
    if len(path) > 1 and path[-2] == "headers" and str(path[-1]).lower() in _SECRET_HEADERS:
        return "a credential"
    return ""


def _is_named(tree: Any, path: Path) -> bool:
    """Whether the value belongs to a variable that is named like a secret."""
    if path[-1] != "value" or "env" not in path:
        return False
    node = tree
    for step in path[:-1]:
        node = node[step]
    name = node.get("name", "")
    return bool(_SECRET_NAME.search(name)) and not name.upper().endswith(
        ("_FILE", "_PATH", "_NAME")
    )


def _is_reference(value: str) -> bool:
    """Whether a value names where a secret is, rather than being one."""
    return value.startswith(("$(", "${", "/", "file:", "vault:", "arn:")) or value.lower() in (
        "true",
        "false",
        "none",
        "",
    )
