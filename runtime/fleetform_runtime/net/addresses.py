"""Addresses that a request may reach: those of the specified host, and never metadata services."""

import asyncio
import ipaddress
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from fleetform_runtime.net import NetError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::/32"),
    ipaddress.ip_network("fd20:ce::/32"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("192.0.0.192/32"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("::/128"),
)
"""Cloud metadata addresses, which no agent needs."""
NAMES = frozenset(("metadata", "metadata.google.internal", "metadata.goog", "instance-data"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_forbidden(address: Address) -> bool:
    """Whether an address is a metadata address, in any notation."""
    return any(
        plain in network for plain in _meanings(address) for network in METADATA
        if plain.version == network.version
    )  # fmt: skip


def _meanings(address: Address) -> list[Address]:
    """Return an address and the IPv4 addresses embedded in it."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            found.append(address.ipv4_mapped)
        if address.sixtofour:
            found.append(address.sixtofour)
        if address.teredo:
            found.extend(address.teredo)
        if address in _NAT64 or (int(address) >> 32 == 0 and not address.is_loopback):
            found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def literal(host: str) -> Address | None:
    """Return the address that a host spells in any notation that resolvers accept, else None."""
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:  # 2130706433, 0x7f.1, 017700000001
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


def check_host(host: str) -> None:
    """Check that a host may be reached.

    Raises:
        NetError: it is a metadata address.
    """
    address = literal(host)
    if host.rstrip(".").lower() in NAMES or (address is not None and is_forbidden(address)):
        raise NetError("address", "the address is not allowed")


class Origin(NamedTuple):
    """Scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    def secured(self) -> "Origin":
        """Return the same host's usual https, if this is its usual http."""
        return Origin("https", self.host, 443) if self[::2] == ("http", 80) else self


def origin(url: str) -> Origin:
    """Return the origin of a URL.

    Raises:
        NetError: it is not a valid URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise NetError("invalid", "the URL is not valid") from None
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise NetError("invalid", "the URL is not valid")
    return Origin(parts.scheme, parts.hostname.lower(), port)


class GuardedResolver(AbstractResolver):
    """Resolves a name once per connection and returns only addresses that may be reached.

    The connection goes to the address that was checked: there is no second lookup that could be
    spoofed.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses."""
        check_host(host)
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        found = [_result(host, info) for info in infos if not is_forbidden(_address(info))]
        if not found:
            raise OSError(f"{host} has no address that may be reached")
        return found

    async def close(self) -> None:
        """Nothing to close."""


def _address(info: Any) -> Address:
    return ipaddress.ip_address(str(info[4][0]).partition("%")[0])


def _result(host: str, info: Any) -> ResolveResult:
    family, _, proto, _, address = info
    return ResolveResult(
        hostname=host,
        host=str(address[0]),
        port=int(address[1]),
        family=family,
        proto=proto,
        flags=int(socket.AI_NUMERICHOST),
    )
