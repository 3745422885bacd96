"""Addresses that no workload may reach, however they are written: cloud metadata, and IPv6 ranges that carry IPv4."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from urllib.parse import urlsplit

from fleetform.lazy import regex

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

METADATA = ("100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.0/24")
"""Where clouds hand out credentials and settings: Alibaba, Azure, most others, Oracle. No range opens them."""
METADATA_V6 = ("fd00:42::42/128", "fd00:c1::/32", "fd00:ec2::/32", "fd20:ce::254/128", "fe80::/10")
"""The same in IPv6: Scaleway, Oracle, AWS, Google, and link-local addresses as OpenStack uses them."""
CARRIERS = ("::/64", "64:ff9b:1::/48", "2001::/32", "2002::/16")
"""IPv6 ranges whose addresses hold IPv4 ones: compatible, mapped and translated, local NAT64, Teredo, 6to4.

`::/64` is wider than the first three: Go, and so Kubernetes, reads `::ffff:0:0/96` as all of IPv4.
"""
NAT64 = IPv6Network("64:ff9b::/96")
"""How clusters with IPv6 alone reach IPv4 hosts; of it, only what holds a closed address is closed."""
HOSTS = frozenset(
    {
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
    }
)
"""Names of metadata servers."""
SHORT_HOSTS = frozenset({"instance-data", "metadata"})
"""The same where a cloud's search domains complete them."""
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
"""Ranges that are not part of the internet."""
PRIVATE_V6 = ("fc00::/7", "fe80::/10")


def networks(texts: Iterable[str]) -> Iterator[Network]:
    """Yield ranges; what is not one is left out, since a rule reports it."""
    for text in texts:
        try:
            yield ip_network(text)
        except ValueError:
            continue


def through_nat64(network: IPv4Network) -> IPv6Network:
    """Return the NAT64 range that leads to a range of IPv4 addresses."""
    first = int(NAT64.network_address) + int(network.network_address)
    return IPv6Network((first, NAT64.prefixlen + network.prefixlen))


@cache
def closed(version: int) -> tuple[Network, ...]:
    """Return the ranges that stay closed in IPv4 or IPv6."""
    if version == 4:
        return tuple(networks(METADATA))
    carried = (through_nat64(IPv4Network(text)) for text in METADATA)
    return (*networks((*METADATA_V6, *CARRIERS)), *carried)


def within(inner: Network, outer: Network) -> bool:
    """Tell whether a range is part of another, or equal to it."""
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def closed_around(network: Network) -> Network | None:
    """Return the closed range that contains another, None if it is not within one."""
    return next((part for part in closed(network.version) if within(network, part)), None)


def exceptions(network: Network, private: Iterable[Network] = ()) -> list[str]:
    """Return what must be excluded from a range: the closed and private ones inside it, none twice."""
    inside = (part for part in closed(network.version) if within(part, network))
    outermost = _outermost(frozenset(private))
    wide = (part for part in outermost if part != network and within(part, network))
    return sorted(str(part) for part in _outermost(frozenset((*inside, *wide))))


@cache
def _outermost(found: frozenset[Network]) -> frozenset[Network]:
    """Leave out ranges that are part of another."""
    return frozenset(
        part for part in found if not any(part != other and within(part, other) for other in found)
    )


# -- hosts ---------------------------------------------------------------------------------------

_NUMBER = regex(r"0[xX][0-9a-fA-F]+|[0-9]+")
_QUAD = regex(r"(?<![0-9])([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})(?![0-9])")
_HEX = regex(r"(?<![0-9a-z])[0-9a-f]{8}(?![0-9a-z])")


@lru_cache(maxsize=4_096)
def readings(host: str) -> tuple[Address, ...]:
    """Return the addresses that a host may be read as, none for a name.

    Programs disagree on `0300.1`, `0xa9fea9fe` and `2852039166`: parts may be decimal, octal or hexadecimal,
    and the last of fewer than four fills the rest.
    """
    text = host.strip("[]").rstrip(".").partition("%")[0]
    if ":" in text:
        try:
            return (IPv6Address(text),)
        except ValueError:
            return ()
    parts = text.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return ()
    found = (_address([_number(part, octal=octal) for part in parts]) for octal in (False, True))
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _number(part: str, *, octal: bool) -> int:
    if part[:2] in ("0x", "0X"):
        return int(part, 16)
    if octal and part.startswith("0") and not {*part} & {"8", "9"}:
        return int(part, 8)
    return int(part)


def _address(parts: list[int]) -> IPv4Address | None:
    *head, last = parts
    room = 4 - len(head)
    if any(part > 255 for part in head) or last >= 256**room:
        return None
    return IPv4Address(sum(part << 8 * (3 - place) for place, part in enumerate(head)) + last)


def address(host: str) -> Address | None:
    """Return the address that a host is, None for a name."""
    return next(iter(readings(host)), None)


def is_canonical(host: str) -> bool:
    """Tell whether everybody reads a host alike: a name, four decimal numbers, or an IPv6 address."""
    found = readings(host)
    return not found or found[0].version == 6 or [str(item) for item in found] == [host]


@lru_cache(maxsize=4_096)
def closed_host(host: str) -> str:
    """Return the metadata server or closed range that a host is or spells, an empty string for any other."""
    name = host.rstrip(".").lower()
    if name in HOSTS:
        return name
    for found in (*readings(host), *_spelt(name)):
        around = closed_around(ip_network(found))
        if around is not None and not found.is_loopback:
            return str(around)
    return ""


def _spelt(name: str) -> Iterator[IPv4Address]:
    """Yield addresses within a name, which some public domains resolve to: 169-254-169-254.example.com."""
    for quad in _QUAD.finditer(name):
        numbers = [int(part) for part in quad.groups()]
        if max(numbers) < 256:
            yield IPv4Address(bytes(numbers))
    yield from (IPv4Address(int(text, 16)) for text in _HEX.findall(name))


@lru_cache(maxsize=4_096)
def is_self(host: str) -> bool:
    """Tell whether a host is the machine or pod that asks."""
    name = host.rstrip(".").lower()
    return (
        name == "localhost"
        or name.endswith(".localhost")
        or any(_is_own(found) for found in readings(host))
    )


PRIVATE_ENDS = frozenset(
    {
        "corp", "domain", "home", "internal", "intra", "intranet", "lan", "local", "localdomain", "mail", "priv", "private",
    }
)  # fmt: skip
"""Last labels of names that only a network of its own resolves: kept free for that, or taken for it by habit."""


def is_private_name(host: str) -> bool:
    """Tell whether a host is a name that the internet does not know, and that leads to an address of no public range."""
    labels = host.rstrip(".").lower().split(".")
    known = labels[-1] in PRIVATE_ENDS or labels[-2:] == ["home", "arpa"]
    return len(labels) > 1 and known and not readings(host)


def _is_own(found: Address) -> bool:
    carried = getattr(found, "ipv4_mapped", None) or found
    return bool(
        carried.is_loopback or carried.is_unspecified or carried in IPv4Network("0.0.0.0/8")
    )


def hosts_in(value: str) -> Iterator[str]:
    """Yield the hosts of a setting that holds URLs or `host:port`, separated by commas."""
    for part in re.split(r"[,\s]+", value):
        try:
            host = urlsplit(part if "://" in part else f"//{part}").hostname
        except ValueError:
            continue
        if host:
            yield host
