"""How each probe of a workload asks: by its own section or path, else as all of them do, else over HTTP."""

from __future__ import annotations

from typing import Any

from fleetform.records import NamedTuple

FORMS = {"exec": "exec", "tcpSocket": "tcp_socket", "grpc": "grpc"}
"""What a probe may do other than HTTP, as specs and as views call it."""


class Own(NamedTuple):
    """A probe of a `healthCheck`: its section, and the field of its HTTP path, as specs and as views call it."""

    section: str
    path: str
    attribute: str


STARTUP = Own("startup", "startupPath", "startup_path")
READINESS = Own("readiness", "readinessPath", "readiness_path")
LIVENESS = Own("liveness", "path", "path")
PROBES = (STARTUP, READINESS, LIVENESS)


def form(action: Any) -> Any:
    """Return the one form that is set, None if there is none."""
    if action is None:
        return None
    found = (getattr(action, name) for name in FORMS.values())
    return next((item for item in found if item is not None), None)


def action(check: Any, probe: Own) -> Any:
    """Return the form of a probe, None if it asks over HTTP, or just connects."""
    own = form(getattr(check, probe.section))
    if own is not None or getattr(check, probe.attribute):
        return own
    return form(check)
