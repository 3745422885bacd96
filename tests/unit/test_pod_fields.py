"""What pods need beyond image and ports: each field in the objects, on Compose, or a Problem that says why not."""

import pytest
import yaml

from fleetform.problems import errors
from tests.served.fleets import BARE, document, fleet
from tests.served.rendering import outcome

IMAGE = {"repository": "docker.io/library/own", "tag": "1"}
OWN = {"container": {"image": IMAGE, "ports": [{"name": "http", "containerPort": 8000}]}}
LOCAL = {**BARE, "targets": ["compose"]}


def rendered(*documents, environment=BARE):
    """Return the objects, or the services, of a fleet and all Problems."""
    output, problems = outcome(
        fleet(*documents), fleet(document("Environment", "prod", environment)), whole=True
    )
    assert output is not None, errors(problems)
    texts = [text for part in output.values() for text in part.values()]
    return [item for text in texts for item in yaml.safe_load_all(text) if item], problems


def agent(spec=None, **more):
    return document("Agent", "own", {**OWN, **(spec or {}), **more})


def workload(*documents, environment=BARE):
    """Return the Deployment of a fleet."""
    objects, _ = rendered(*documents, environment=environment)
    (found,) = [item for item in objects if item.get("kind") in ("Deployment", "StatefulSet")]
    return found


def pod(*documents, environment=BARE):
    """Return the pod of a fleet."""
    return workload(*documents, environment=environment)["spec"]["template"]["spec"]


def services(*documents):
    """Return what Compose runs of a fleet, and all Problems."""
    objects, problems = rendered(*documents, environment=LOCAL)
    (found,) = [item["services"] for item in objects if "services" in item]
    return found, problems


def refused(*documents, environment=BARE):
    """Return the codes and paths of the errors of a fleet."""
    output, problems = outcome(
        fleet(*documents), fleet(document("Environment", "prod", environment)), whole=True
    )
    assert output is None
    return sorted((item.code, item.path) for item in errors(problems))


ALIASES = {"hostAliases": [{"ip": "10.1.2.3", "hostnames": ["a.example", "b"]}]}


def test_aliases_of_hosts_are_in_the_pod_and_on_compose():
    assert pod(agent(podTemplate=ALIASES))["hostAliases"] == ALIASES["hostAliases"]
    found, problems = services(agent(podTemplate=ALIASES))
    assert found["own.ns"]["extra_hosts"] == ["a.example=10.1.2.3", "b=10.1.2.3"]
    assert not [item for item in problems if item.code == "not-on-compose"]


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        *(
            (ip, "bad-address")
            for ip in ("1.2.3", "010.1.2.3", "host", "1.2.3.4/8", "fe80::1%eth0")
        ),
        *(
            (ip, "closed-address")
            for ip in ("169.254.169.254", "fd00:ec2::254", "::ffff:a9fe:a9fe")
        ),
    ],
)
def test_an_alias_is_an_address_that_pods_may_reach(ip, code):
    template = {"hostAliases": [{"ip": ip, "hostnames": ["a.example"]}]}
    assert refused(agent(podTemplate=template)) == [(code, "spec.podTemplate.hostAliases[0].ip")]


@pytest.mark.parametrize("stateful", [True, False])
def test_a_pod_is_ready_for_a_while_before_a_rollout_goes_on(stateful):
    spec = {"stateful": stateful, "podTemplate": {"minReadySeconds": 7}}
    assert workload(agent(spec))["spec"]["minReadySeconds"] == 7
    assert "minReadySeconds" not in workload(agent())["spec"]


MESH = {"name": "mesh", "image": {"repository": "docker.io/library/mesh", "tag": "1"}}
STAYS = {**MESH, "restartPolicy": "Always", "ports": [{"name": "mesh", "containerPort": 15001}]}
FIRST = {**MESH, "name": "first"}


def test_a_native_sidecar_is_an_init_container_that_stays():
    found = pod(agent(podTemplate={"initContainers": [STAYS, FIRST]}))["initContainers"]
    assert [item.get("restartPolicy") for item in found] == ["Always", None]
    assert found[0]["securityContext"] == found[1]["securityContext"]


def test_on_compose_a_native_sidecar_shares_the_network_of_the_main_container():
    found, problems = services(agent(podTemplate={"initContainers": [FIRST, STAYS]}))
    assert found["own.ns.mesh"]["network_mode"] == "service:own.ns"
    assert found["own.ns.mesh"]["restart"] == "unless-stopped"
    assert [*found["own.ns"]["depends_on"]] == ["own.ns.first"]
    said = [item.path for item in problems if item.code == "not-on-compose"]
    assert said == ["spec.podTemplate.initContainers[1].restartPolicy"]


def test_ports_of_a_native_sidecar_are_those_of_the_pod():
    ports = [{"name": "http", "containerPort": 15001}]
    spec = {"podTemplate": {"initContainers": [{**STAYS, "ports": ports}]}}
    assert refused(agent(spec)) == [
        ("duplicate-name", "spec.podTemplate.initContainers[0].ports[0].name")
    ]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ((("Always", "100m"), (None, "50m")), "210m"),
        ((("Always", "100m"), (None, "900m")), "1"),
        (((None, "900m"), ("Always", "100m")), "900m"),
    ],
)
def test_a_quota_counts_native_sidecars_with_what_runs(amounts, expected):
    extra = [
        {
            **MESH,
            "name": f"c{number}",
            **({"restartPolicy": policy} if policy else {}),
            "resources": {"requests": {"cpu": cpu}},
        }
        for number, (policy, cpu) in enumerate(amounts)
    ]
    spec = {"resources": {"requests": {"cpu": "110m"}}, "podTemplate": {"initContainers": extra}}
    for hard, said in ((expected, set()), ("200m", {"quota-too-small"})):
        tenants = {**BARE, "tenants": {"ns": {"hard": {"requests.cpu": hard}}}}
        _, problems = rendered(agent(spec), environment=tenants)
        assert {item.code for item in problems if item.code == "quota-too-small"} == said
