"""No range that a spec or an environment names opens a metadata address, in IPv4 and IPv6."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetform.addresses import closed_around
from fleetform.platforms.kubernetes.bind.network import _block, private_ranges
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.network.evaluator import Address, Policies, pods
from tests.network.matrix import METADATA

V4 = tuple(text for text in METADATA if ":" not in text)
CARRIED = tuple(
    form
    for number in map(int, map(IPv4Address, V4))
    for form in (
        f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}",
        f"::{number >> 16:x}:{number & 0xFFFF:x}",
        f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
        f"64:ff9b:1::{number >> 16:x}:{number & 0xFFFF:x}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    )
)
CLOSED = (*METADATA, *CARRIED, "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fe80::a9fe:a9fe")
"""Addresses of metadata servers, those in IPv6 that lead to one in IPv4 among them."""
PORTS = (80, 443, 988)


def around(address: str, prefix: int) -> str:
    return str(ip_network(f"{address}/{prefix}", strict=False))


RANGES = st.one_of(
    st.builds(around, st.ip_addresses(v=4).map(str), st.integers(0, 32)),
    st.builds(around, st.ip_addresses(v=6).map(str), st.integers(0, 128)),
    st.builds(around, st.sampled_from(V4), st.integers(0, 32)),
    st.builds(around, st.sampled_from([one for one in CLOSED if ":" in one]), st.integers(0, 128)),
)
"""Ranges at random, and those that hold a metadata address."""


def policy(peer):
    rule = {"to": [peer], "ports": [{"protocol": "TCP", "port": port} for port in PORTS]}
    return {
        "metadata": {"namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]},
    }


def opened(objects):
    """Return the metadata addresses that some workload reaches."""
    rules = Policies(item for item in objects if item["kind"] == "NetworkPolicy")
    return {
        (address, port)
        for _, pod in pods(objects)
        for address in CLOSED
        for port in PORTS
        if rules.allows(pod, Address(address), port)
    }


@settings(max_examples=400)
@given(RANGES, st.lists(RANGES, max_size=3))
def test_a_range_admits_no_metadata_address_unless_a_rule_refuses_it(cidr, private):
    network = ip_network(cidr)
    if closed_around(network) is not None:
        return
    peer = _block(cidr, private_ranges(tuple(private)))
    for address in CLOSED:
        found = ip_address(address)
        inside = found.version == network.version and found in network
        assert not inside or any(found in ip_network(text) for text in peer["ipBlock"]["except"])
    assert not any(":ffff:0" in text for text in (peer["ipBlock"].get("except", ())))  # Go: IPv4
    excluded = [ip_network(text) for text in peer["ipBlock"].get("except", ())]
    assert all(part.prefixlen > network.prefixlen for part in excluded)


def rendered(folder, agent, environment=""):
    files = {"agents/a.yaml": AGENT + agent, "environments/prod.yaml": ENVIRONMENT + environment}
    done = fleetform("render", "--env", "prod", cwd=write(folder, files))
    if done.code:
        return done, []
    texts = (path.read_text("utf-8") for path in sorted((folder / "rendered").rglob("*.yaml")))
    return done, [item for text in texts for item in yaml.safe_load_all(text) if item]


@settings(max_examples=20, deadline=None)
@given(st.lists(RANGES, min_size=1, max_size=12, unique=True))
def test_what_is_rendered_admits_no_metadata_address(tmp_path_factory, ranges):
    families = "  network: {ipFamilies: [IPv4, IPv6]}\n"
    refused = [cidr for cidr in ranges if closed_around(ip_network(cidr)) is not None]
    for tried in (ranges, [cidr for cidr in ranges if cidr not in refused]):
        peers = "".join(f'      - {{cidr: "{cidr}", ports: [80, 443, 988]}}\n' for cidr in tried)
        spec = f"  network:\n    allowTo:\n{peers}" if tried else ""
        done, objects = rendered(tmp_path_factory.mktemp("fleet"), spec, families)
        assert done.err.count("stays closed") == (len(refused) if tried == ranges else 0)
        assert opened(objects) == set()
        assert bool(objects) is (tried != ranges or not refused)


@pytest.mark.parametrize("families", [["IPv4"], ["IPv6"], ["IPv4", "IPv6"]])
def test_the_internet_is_open_in_the_families_of_the_environment(tmp_path, families):
    _, objects = rendered(tmp_path, "", f"  network: {{ipFamilies: [{', '.join(families)}]}}\n")
    (pod,) = [pod for _, pod in pods(objects)]
    rules = Policies(item for item in objects if item["kind"] == "NetworkPolicy")
    for family, address in (("IPv4", "93.184.216.34"), ("IPv6", "2606:2800:220:1::1")):
        assert rules.allows(pod, Address(address), 443) is (family in families)
    for address in ("10.0.0.1", "192.168.1.1", "fd12::1", "fe80::1", "64:ff9b::a00:1", *CLOSED):
        assert not rules.allows(pod, Address(address), 443)
    assert rules.allows(pod, Address("64:ff9b::5db8:d822"), 443) is ("IPv6" in families)


def test_a_dual_stack_environment_names_its_own_ranges(tmp_path):
    environment = '  network: {ipFamilies: [IPv6, IPv4], privateRanges: [10.0.0.0/8, "2001:db8::/32"], apiServer: ["fd12::1/128", 10.0.0.10/32]}\n'
    rights = "  rbac: {rules: [{apiGroups: [apps], resources: [deployments], verbs: [get]}]}\n"
    _, objects = rendered(tmp_path, rights, environment)
    (pod,) = [pod for _, pod in pods(objects)]
    rules = Policies(item for item in objects if item["kind"] == "NetworkPolicy")
    assert not rules.allows(pod, Address("2001:db8::1"), 443)
    assert not rules.allows(pod, Address("fd12::1"), 80)
    assert rules.allows(pod, Address("fd12::1"), 443)
    assert rules.allows(pod, Address("10.0.0.10"), 6443)


@pytest.mark.parametrize(
    ("platform", "identity", "families", "expected"),
    [
        ("eks", "awsRoleArn: arn:aws:iam::123456789012:role/r", "IPv4", {("169.254.170.23", 80)}),
        ("eks", "awsRoleArn: arn:aws:iam::123456789012:role/r", "IPv4, IPv6", {("169.254.170.23", 80), ("fd00:ec2::23", 80)}),
        ("gke", "gcpServiceAccount: a@b.iam.gserviceaccount.com", "IPv4", {("169.254.169.254", 80), ("169.254.169.252", 988)}),
    ],
)  # fmt: skip
def test_an_identity_opens_what_it_needs_and_may_name_it(
    tmp_path, platform, identity, families, expected
):
    host = "metadata.google.internal" if platform == "gke" else "169.254.170.23"
    agent = f"  identity: {{{identity}}}\n  network: {{allowTo: [{{host: {host}, ports: [80]}}]}}\n"
    environment = f"  platform: {platform}\n  network: {{ipFamilies: [{families}]}}\n"
    done, objects = rendered(tmp_path, agent, environment)
    assert done.code == 0, done.err
    rules = Policies(item for item in objects if item["kind"] == "NetworkPolicy")
    (pod,) = [pod for _, pod in pods(objects)]
    tried = {(address, port) for address in (*CLOSED, "fd00:ec2::23") for port in PORTS}
    assert {pair for pair in tried if rules.allows(pod, Address(pair[0]), pair[1])} == expected


@pytest.mark.parametrize("port", [443, 8080])
def test_an_identity_opens_no_other_port(tmp_path, port):
    agent = f"  identity: {{gcpServiceAccount: a@b.iam.gserviceaccount.com}}\n  network: {{allowTo: [{{host: metadata.google.internal, ports: [{port}]}}]}}\n"
    done, _ = rendered(tmp_path, agent, "  platform: gke\n")
    assert done.code == 1
    assert "spec.network.allowTo[0].host" in done.err
