"""Whose requests are ours when nobody signs in: those that call this machine by a name of its own.

A web page may let its own name lead to 127.0.0.1 (DNS rebinding): the browser then takes an agent on a laptop
for a part of the page, and only the Host header tells that it is not.
"""

from collections.abc import Callable
from ipaddress import ip_address

from fleetform_runtime.sections.access import Auth
from fleetform_runtime.sections.serving import Server


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def hostname(header: str) -> str:
    """Return the host of a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def check_of(auth: Auth, server: Server) -> Callable[[str], bool] | None:
    """Return what tells whether a Host header is ours; None where anybody may call, or everybody signs in."""
    if auth.type != "none" or not _is_loopback(server.host):
        return None
    return lambda header: _is_loopback(hostname(header))
