"""TLS contexts of outgoing connections: built from files, rebuilt when the files change."""

import ssl
from pathlib import Path

from fleetform_runtime.sections.base import Tls


class TlsFiles:
    """The TLS context of one upstream; `None` means the system's authorities."""

    def __init__(self, tls: Tls | None) -> None:
        self._tls = tls
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return the context; during an incomplete rotation, the last working one."""
        if self._tls is None:
            return None
        try:
            stamp = self._stamps()
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = build(self._tls), stamp
        except (OSError, ssl.SSLError):
            if self._context is None:
                raise
        return self._context

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple(
            (status.st_ino, status.st_mtime_ns) for status in map(Path.stat, self._files())
        )

    def _files(self) -> list[Path]:
        tls = self._tls
        names = (tls.ca_file, tls.cert_file, tls.key_file) if tls else ()
        return [Path(name) for name in names if name]


def build(tls: Tls) -> ssl.SSLContext:
    """Build a context; only the field for that purpose turns verification off."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
