"""Invisible and bidirectional characters: they make a reviewer read something else than what is there."""

from __future__ import annotations

HIDDEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u202a-\u202e\u2060-\u206f\u3164\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Ranges for a character class. No script needs these characters."""
DIRECTIONS = "\u061c\u200e\u200f"
"""Directional marks at the ends of right-to-left texts."""
MISPLACED = (
    "[\u200c\u200d\ufe00-\ufe0e](?<![^\x00-\x7f](?s:.))|\ufe0f(?<![^\x00-\x7f](?s:.))(?!\u20e3)"
    "|[\u200c\u200d](?<=[\u200c\u200d](?s:.))|[\ufe00-\ufe0f](?<=[\u200c\u200d\ufe00-\ufe0f](?s:.))"
)
"""Joiners and variation selectors where no script or emoji needs them: after ASCII, or after each other."""


def escape(character: str) -> str:
    """Return a character as YAML writes it in double quotes."""
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
