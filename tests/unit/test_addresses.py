"""Which addresses and hosts stay closed, in every way to write them."""

from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from fleetform import addresses

METADATA = ("169.254.169.254", "169.254.170.2", "169.254.0.23", "100.100.100.200", "168.63.129.16", "192.0.0.192")  # fmt: skip


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "025177524776",
        "169.254.43518",
        "169.16689662",
        "0xa9.254.0251.254",
        "[::ffff:a9fe:a9fe]",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "fe80::a9fe:a9fe%eth0",
        "fd00:ec2::254",
        "FD00:EC2:0:0::254",
        "fd20:ce::254",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "169.254.169.254.nip.io",
        "www-169-254-169-254.sslip.io",
        "a9fea9fe.nip.io",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_metadata_servers_are_closed_however_they_are_written(host):
    assert addresses.closed_host(host)


@pytest.mark.parametrize(
    "host",
    ["api.example.com", "10.0.0.1", "93.184.216.34", "2606:2800:220:1::1", "fd12::1", "64:ff9b::808:808", "redis.data.svc", "1.2.3", "v1.2.3.4.example", "cafe0001.example", "metadata.data.svc", "::1", "127.0.0.1", "256.1.1.1", "1.2.3.4.5", "0x.example", ""],
)  # fmt: skip
def test_other_hosts_are_open(host):
    assert not addresses.closed_host(host)


@pytest.mark.parametrize("host", ["10.1", "010.0.0.1", "0x0a.0.0.1", "167772161"])
def test_other_notations_are_not_canonical(host):
    assert not addresses.is_canonical(host)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True), ("a.localhost", True), ("127.1", True), ("2130706433", True), ("0.0.0.0", True),
        ("::1", True), ("::", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("prometheus.data.svc", False),
    ],
)  # fmt: skip
def test_the_one_who_asks_is_known(host, own):
    assert addresses.is_self(host) is own


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("http://a.b:80/x?y=http://c", ["a.b"]),
        ("a:6379,b:6380", ["a", "b"]),
        ("[::1]:80", ["::1"]),
        ("http://[broken", []),
        ("amqp://h:1/v", ["h"]),
    ],
)
def test_hosts_of_settings_are_found(value, hosts):
    assert [*addresses.hosts_in(value)] == hosts


def test_nat64_leads_to_the_address_in_its_last_bits():
    assert addresses.through_nat64(ip_network("10.0.0.0/8")) == ip_network("64:ff9b::a00:0/104")
    assert IPv6Address("64:ff9b::a9fe:a9fe") in addresses.through_nat64(
        ip_network("169.254.0.0/16")
    )
    assert ip_address("64:ff9b::a9fe:a9fe").version == 6
