"""Names as pure functions of the spec: never too long, never the same for two things."""

from __future__ import annotations

from fleetform.hashes import sha256

LABEL = 63


def fit(name: str, suffix: str = "", limit: int = LABEL) -> str:
    """Return `name + suffix`; if longer than `limit`, shortened to a prefix plus 8 hex digits of a hash."""
    whole = name + suffix
    if len(whole) <= limit:
        return whole
    digest = sha256(whole.encode())[:8]
    prefix = name[: limit - len(suffix) - 9].rstrip("-.")
    return f"{prefix}-{digest}{suffix}"
