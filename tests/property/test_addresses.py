"""Addresses by chance: in every notation, and the ranges that stay closed within them."""

from ipaddress import IPv4Address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from fleetform import addresses
from tests.unit.test_addresses import METADATA

NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
).map(lambda pair: ip_network(f"{pair[0]}/{pair[1]}", strict=False))  # fmt: skip


@given(st.sampled_from(METADATA), st.data())
def test_an_address_is_closed_in_every_notation(text, data):
    parts = [*IPv4Address(text).packed]
    kept = data.draw(st.integers(min_value=0, max_value=3))
    numbers = [*parts[:kept], int.from_bytes(bytes(parts[kept:]), "big")]
    forms = (str, hex, lambda number: f"0{number:o}")
    host = ".".join(data.draw(st.sampled_from(forms))(number) for number in numbers)
    assert addresses.closed_host(host)
    assert IPv4Address(text) in addresses.readings(host)


@given(st.ip_addresses(v=4))
def test_the_usual_notation_is_read_one_way(address):
    assert addresses.readings(str(address)) == (address,)
    assert addresses.is_canonical(str(address))


@given(NETWORKS)
def test_exceptions_lie_within_their_range_and_none_within_another(network):
    private = tuple(addresses.networks((*addresses.PRIVATE, *addresses.PRIVATE_V6)))
    found = [ip_network(text) for text in addresses.exceptions(network, private)]
    for part in found:
        assert part != network or addresses.closed_around(network)
        assert addresses.within(part, network)
        assert not any(part != other and addresses.within(part, other) for other in found)
