"""How much annotations may hold."""

from __future__ import annotations

from collections.abc import Mapping

MOST = (256 - 4) << 10
"""Bytes of keys and values: an API server takes 256 KiB, and what delivers the objects adds its own."""


def size_of(entries: Mapping[str, str]) -> int:
    """Return the bytes that annotations count for."""
    return sum(len(key.encode()) + len(text.encode()) for key, text in entries.items())
