"""SHA-256: by CPython's own code as long as there is little to hash, since loading OpenSSL takes longer than that.

docs/adr/0032-imports-in-part.md says what it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_OWN = ("_sha2", "_sha256")
"""Where CPython has it: from 3.12 on, and before. A build without them has OpenSSL's alone."""
_LITTLE = 1 << 19
"""Bytes that are hashed before OpenSSL is loaded: about as many as take its time."""


class _Hash:
    """Which implementation there is, and for how many bytes it is used."""

    def __init__(self) -> None:
        self._left = _LITTLE
        self._make = self._own() or self._fast()

    def digest(self, data: bytes) -> str:
        """Return the hash of bytes in 64 hex digits."""
        if self._left > 0:
            self._left -= len(data)
            if self._left <= 0:
                self._make = self._fast()
        return str(self._make(data).hexdigest())

    @staticmethod
    def _own() -> Callable[[bytes], Any] | None:
        for name in _OWN:
            try:
                return import_module(name).sha256  # type: ignore[no-any-return]
            except (ImportError, AttributeError):
                continue
        return None

    @staticmethod
    def _fast() -> Callable[[bytes], Any]:
        import hashlib  # noqa: PLC0415 - it loads OpenSSL

        return hashlib.sha256


sha256 = _Hash().digest
"""Return the hash of bytes in 64 hex digits."""
