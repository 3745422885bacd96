"""What pods need beyond image and ports: each field in the objects, on Compose, or a Problem that says why not."""

import pytest

from fleetform.problems import errors
from tests.fleet import AGENT, GOOD, fleetform, read_yaml, write
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
    return [item for text in texts for item in read_yaml(text) if item], problems


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


COMMAND = {"exec": {"command": ["/bin/check", "$(x)"]}}
TCP = {"tcpSocket": {"port": 5432}}
GRPC = {"grpc": {"port": 50051}}
ASKED = {"port": 50051, "service": ""}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
NO_PORTS = {"container": {"image": IMAGE}}


def asked(check, **more):
    """Return what each probe of an agent does."""
    main = pod(agent(healthCheck=check, **more))["containers"][0]
    actions = ("httpGet", "exec", "tcpSocket", "grpc")
    return [
        next(((name, main[probe][name]) for name in actions if name in main[probe]), None)
        if probe in main
        else None
        for probe in PROBES
    ]


HTTP = {"port": "http"}


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (COMMAND, [("exec", COMMAND["exec"])] * 3),
        (TCP, [("tcpSocket", TCP["tcpSocket"])] * 3),
        (GRPC, [("grpc", ASKED)] * 3),
        ({"path": "/a"}, [("httpGet", {"path": "/a", **HTTP})] * 3),
        ({}, [("tcpSocket", HTTP)] * 3),
        (
            {**COMMAND, "path": "/a"},
            [*[("exec", COMMAND["exec"])] * 2, ("httpGet", {"path": "/a", **HTTP})],
        ),
        (
            {"path": "/a", "readiness": GRPC},
            [
                ("httpGet", {"path": "/a", **HTTP}),
                ("grpc", ASKED),
                ("httpGet", {"path": "/a", **HTTP}),
            ],
        ),
        (
            {**TCP, "startup": COMMAND, "readinessPath": "/r"},
            [
                ("exec", COMMAND["exec"]),
                ("httpGet", {"path": "/r", **HTTP}),
                ("tcpSocket", TCP["tcpSocket"]),
            ],
        ),
    ],
)
def test_a_probe_asks_in_its_own_way_or_as_all_of_them_do(check, expected):
    assert asked(check) == expected


def test_a_container_without_ports_may_have_probes_that_need_none():
    assert asked({"readiness": COMMAND}, **NO_PORTS) == [None, ("exec", COMMAND["exec"]), None]
    _, problems = rendered(agent(NO_PORTS, healthCheck={"readiness": COMMAND, "path": "/a"}))
    assert {item.path for item in problems if item.path.startswith("spec.healthCheck")} == {
        "spec.healthCheck.path"
    }


@pytest.mark.parametrize(
    ("check", "idle"),
    [
        ({**COMMAND, "port": 9}, {"port"}),
        ({**COMMAND, "startup": TCP, "readiness": TCP, "path": "/a"}, {"exec"}),
        ({**COMMAND, "enabled": False}, {"exec"}),
    ],
)
def test_what_no_probe_reads_is_said(check, idle):
    _, problems = rendered(agent(healthCheck=check))
    assert {item.path for item in problems if item.path.startswith("spec.healthCheck")} == {
        f"spec.healthCheck.{name}" for name in idle
    }


def test_the_generic_runtime_may_be_asked_in_another_way_too():
    spec = {
        "systemPrompt": "hi",
        "model": {"provider": "openai", "name": "x"},
        "auth": {"type": "none"},
    }
    main = pod(document("Agent", "own", {**spec, "healthCheck": {"liveness": TCP}}))["containers"][
        0
    ]
    assert "httpGet" in main["readinessProbe"]
    assert main["livenessProbe"]["tcpSocket"] == {"port": 5432}


def test_compose_runs_the_command_and_says_that_it_has_no_grpc():
    found, problems = services(agent(healthCheck=COMMAND))
    assert found["own.ns"]["healthcheck"]["test"] == ["CMD", "/bin/check", "$$(x)"]
    assert not [item for item in problems if item.code == "not-on-compose"]
    found, problems = services(agent(healthCheck=GRPC))
    assert "127.0.0.1 50051" in found["own.ns"]["healthcheck"]["test"][1]
    assert [item.path for item in problems if item.code == "not-on-compose"] == [
        "spec.healthCheck.grpc"
    ]


def test_docker_has_one_check():
    found, problems = services(agent(healthCheck={"liveness": COMMAND, "readiness": TCP}))
    assert "127.0.0.1 5432" in found["own.ns"]["healthcheck"]["test"][1]
    assert [item.path for item in problems if item.code == "not-on-compose"] == [
        "spec.healthCheck.liveness.exec"
    ]


def volume(**source):
    return {"name": "v", "mountPath": "/v", **source}


EXISTS = {"existingClaim": {"name": "models", "accessMode": "ReadWriteMany"}}
ONE_NODE = {"existingClaim": {"name": "models"}}


def test_a_volume_may_be_kept_in_memory():
    shm = {"name": "shm", "mountPath": "/dev/shm", "emptyDir": "1Gi", "medium": "Memory"}
    found = pod(agent(volumes=[shm]))
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in found["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in found["containers"][0]["volumeMounts"]
    (mount,) = services(agent(volumes=[shm]))[0]["own.ns"]["volumes"]
    assert mount["type"] == "tmpfs"
    assert mount["target"] == "/dev/shm"


def test_memory_that_several_containers_share_is_memory_on_compose():
    extra = [{**MESH, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]
    spec = {
        "volumes": [volume(emptyDir="1Gi", medium="Memory")],
        "podTemplate": {"sidecars": extra},
    }
    found, problems = services(agent(spec))
    assert found["own.ns"]["volumes"][0]["type"] == "volume"
    assert [item for item in problems if item.code == "not-on-compose"] == []


def test_a_claim_that_exists_is_mounted_and_not_made():
    objects, _ = rendered(agent(volumes=[volume(**EXISTS)]))
    assert "PersistentVolumeClaim" not in {item["kind"] for item in objects}
    found = pod(agent(volumes=[volume(**EXISTS)]))["volumes"]
    assert {"name": "v", "persistentVolumeClaim": {"claimName": "models"}} in found
    stateful = workload(agent(stateful=True, volumes=[volume(**EXISTS)]))["spec"]
    assert "volumeClaimTemplates" not in stateful


@pytest.mark.parametrize(
    ("given", "strategy"),
    [
        (volume(**ONE_NODE), "Recreate"),
        (volume(**ONE_NODE, readOnly=True), "RollingUpdate"),
        (volume(**EXISTS), "RollingUpdate"),
    ],
)
def test_pods_are_replaced_first_where_one_node_writes_the_claim(given, strategy):
    assert workload(agent(volumes=[given]))["spec"]["strategy"]["type"] == strategy


@pytest.mark.parametrize("stateful", [True, False])
def test_a_claim_of_one_node_that_exists_is_not_for_several_pods(stateful):
    spec = {"stateful": stateful, "scaling": {"minReplicas": 2}, "volumes": [volume(**ONE_NODE)]}
    assert refused(agent(spec)) == [("single-writer", "spec.volumes")]


STORE = {"type": "redis", "provision": {"storage": "1Gi"}}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("data", agent(volumes=[{**volume(claim={"size": "1Gi"}), "name": "data"}])),
        (
            "data-own-0",
            agent(stateful=True, volumes=[{**volume(claim={"size": "1Gi"}), "name": "data"}]),
        ),
        ("cache-data", document("MemoryStore", "cache", STORE)),
    ],
)
def test_a_claim_that_the_fleet_makes_is_nobody_elses(name, other):
    thief = document("Agent", "thief", {**OWN, "volumes": [volume(existingClaim={"name": name})]})
    assert refused(thief, other) == [("owned-elsewhere", "spec.volumes[0].existingClaim.name")]
    _, problems = rendered(thief)
    assert not errors(problems)


def test_a_claim_that_exists_is_refused_on_compose():
    assert refused(agent(volumes=[volume(**EXISTS)]), environment=LOCAL) == [
        ("not-on-compose", "spec.volumes")
    ]


@pytest.mark.parametrize("side", ["requests", "limits"])
def test_a_device_is_requested_and_limited_alike(side):
    found = pod(agent(resources={side: {"nvidia.com/gpu": 1}}))["containers"][0]["resources"]
    assert found["requests"]["nvidia.com/gpu"] == found["limits"]["nvidia.com/gpu"] == "1"


def test_huge_pages_are_bytes_and_so_is_their_request():
    spec = {"resources": {"limits": {"hugepages-2Mi": "64Mi"}}}
    found = pod(agent(spec))["containers"][0]["resources"]
    assert found["requests"]["hugepages-2Mi"] == found["limits"]["hugepages-2Mi"] == "64Mi"


def test_an_extra_container_may_have_devices():
    extra = {**MESH, "resources": {"limits": {"example.com/nic": "2"}}}
    found = pod(agent(podTemplate={"sidecars": [extra]}))["containers"][1]["resources"]
    assert found["requests"]["example.com/nic"] == "2"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"cpus": "1"}, "schema-propertyNames"),
        ({"gpu": 1}, "schema-propertyNames"),
        ({"hugepages": "2Mi"}, "schema-propertyNames"),
        ({"nvidia.com/": 1}, "schema-propertyNames"),
        ({"Nvidia.com/gpu": 1}, "schema-propertyNames"),
        ({"nvidia.com/gpu": "half"}, "schema-pattern"),
        ({"nvidia.com/gpu": 0.5}, "schema-multipleOf"),
        ({"nvidia.com/gpu": "500m"}, "schema-format"),
        ({"nvidia.com/gpu": [1]}, "schema-type"),
        ({"kubernetes.io/gpu": 1}, "bad-resource"),
        ({"x.kubernetes.io/gpu": 1}, "bad-resource"),
        ({"requests.nvidia.com/gpu": 1}, "bad-resource"),
        ({"hugepages-2Mi": "3Mi"}, "bad-resource"),
        ({"hugepages-1Gi": "2Mi"}, "bad-resource"),
        ({"hugepages-0Mi": "2Mi"}, "bad-resource"),
    ],
)
def test_what_is_no_device_is_refused(limits, code):
    ((found, path),) = refused(agent(resources={"limits": limits}))
    assert (found, path) == (code, f"spec.resources.limits.{next(iter(limits))}")


def test_compose_reserves_gpus_of_nvidia_and_says_that_it_has_no_others():
    found, problems = services(agent(resources={"limits": {"nvidia.com/gpu": 2}}))
    reserved = found["own.ns"]["deploy"]["resources"]["reservations"]
    assert reserved["devices"] == [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]
    assert not [item for item in problems if item.code == "not-on-compose"]
    _, problems = services(agent(resources={"limits": {"amd.com/gpu": 2, "hugepages-2Mi": "2Mi"}}))
    assert [item.severity for item in problems if item.code == "not-on-compose"] in (
        ["warning", "note"],
        ["note", "warning"],
    )


@pytest.mark.parametrize("name", ["requests.nvidia.com/gpu", "requests.hugepages-2Mi"])
def test_quotas_of_devices_are_compared_with_what_workloads_need(name):
    need = 4 << 20  # two huge pages
    spec = {"resources": {"limits": {name.removeprefix("requests."): need}}}
    for hard, said in ((need, False), (need - 1, True)):
        tenants = {**BARE, "tenants": {"ns": {"hard": {name: hard}}}}
        _, problems = rendered(agent(spec), environment=tenants)
        assert any(item.code == "quota-too-small" for item in problems) is said


@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("count/deployments.apps", 1),
        ("services", 1),
        ("count/services", 1),
        ("count/pods", 2),
        ("configmaps", 1),  # that of the cluster
        ("count/configmaps", 1),
        ("count/serviceaccounts", 2),
        ("count/networkpolicies.networking.k8s.io", 1),
        ("count/poddisruptionbudgets.policy", 1),
        ("count/replicasets.apps", 1),
        ("resourcequotas", 1),
        ("requests.ephemeral-storage", "2Gi"),
        ("limits.ephemeral-storage", "2Gi"),
        ("ephemeral-storage", "2Gi"),
    ],
)
def test_quotas_of_objects_and_disks_are_compared_with_what_workloads_need(name, need):
    disk = {"ephemeral-storage": "1Gi"}
    spec = {"resources": {"requests": disk, "limits": disk}, "scaling": {"minReplicas": 2}}
    for hard, said in ((need, False), (0, True)):
        tenants = {**BARE, "tenants": {"ns": {"hard": {name: hard}}}}
        _, problems = rendered(agent(spec), environment=tenants)
        assert any(item.code == "quota-too-small" for item in problems) is said


@pytest.mark.parametrize(
    ("name", "need"), [("secrets", 2), ("count/secrets", 2), ("count/externalsecrets.external-secrets.io", 2)]
)  # fmt: skip
def test_quotas_of_secrets_count_those_that_an_operator_makes(name, need):
    store = {"operatorIdentity": True, "aws": {"region": "eu-west-1"}}
    secrets = {"capabilities": ["external-secrets"], "secrets": {"provider": "aws", "store": store}}
    env = [
        {"name": key.upper(), "valueFrom": {"secretKeyRef": {"name": key, "key": "k"}}}
        for key in ("one", "two")
    ]
    for hard in (need, need - 1):
        tenants = {**BARE, **secrets, "tenants": {"ns": {"hard": {name: hard}}}}
        _, problems = rendered(agent({"env": env}), environment=tenants)
        assert any(item.code == "quota-too-small" for item in problems) is (hard < need)


@pytest.mark.parametrize(
    ("service", "name", "need"),
    [
        ("NodePort", "services.nodeports", 1),
        ("NodePort", "services.loadbalancers", 0),
        ("LoadBalancer", "services.loadbalancers", 1),
    ],
)
def test_quotas_of_services_count_them_by_type(service, name, need):
    granted = {
        "expose": {"services": [{"type": service}]},
        "network": {"gatewayRanges": ["10.4.0.0/16"]},
    }
    for hard in {need, max(need - 1, 0)}:
        tenants = {**BARE, **granted, "tenants": {"ns": {"hard": {name: hard}}}}
        balanced = {"loadBalancerSourceRanges": ["203.0.113.0/24"]}
        own = {"type": service, **(balanced if service == "LoadBalancer" else {})}
        _, problems = rendered(agent({"service": own}), environment=tenants)
        assert any(item.code == "quota-too-small" for item in problems) is (hard < need)


def test_null_takes_a_device_away_that_a_template_gives():
    template = document("AgentTemplate", "t", {"resources": {"limits": {"nvidia.com/gpu": 1}}})
    heir = agent({"extends": "t", "resources": {"limits": {"nvidia.com/gpu": None}}})
    assert "nvidia.com/gpu" not in pod(template, heir)["containers"][0]["resources"]["limits"]


WHOLE = [
    {"prefix": "DB_", "secretRef": {"name": "database"}},
    {"configMapRef": {"name": "cluster"}},
]
VAULT = {
    **BARE,
    "capabilities": ["gateway-api", "external-secrets"],
    "secrets": {
        "provider": "vault",
        "store": {"vault": {"server": "https://vault.example", "role": "r"}},
    },
}


@pytest.mark.parametrize("place", ["main", "sidecars", "initContainers"])
def test_whole_secrets_are_variables_and_come_from_the_store_as_a_whole(place):
    extra = {**MESH, "envFrom": WHOLE}
    spec = {"envFrom": WHOLE} if place == "main" else {"podTemplate": {place: [extra]}}
    objects, problems = rendered(agent(spec), environment=VAULT)
    (holder,) = [item for item in objects if item["kind"] == "Deployment"]
    inside = holder["spec"]["template"]["spec"]
    containers = [*inside["containers"], *inside.get("initContainers", ())]
    assert [item["envFrom"] for item in containers if "envFrom" in item] == [WHOLE]
    (external,) = [item for item in objects if item["kind"] == "ExternalSecret"]
    assert external["metadata"]["name"] == "database"
    assert "dataFrom" in external["spec"]
    assert not errors(problems)


def test_variables_of_another_workloads_configuration_are_refused():
    spec = {"envFrom": [{"configMapRef": {"name": "other-config-0123abcd"}}]}
    assert refused(agent(spec)) == [("owned-elsewhere", "spec.envFrom[0].configMapRef.name")]
    spec = {"envFrom": [{"secretRef": {"name": "sh.helm.release.v1.x.v1"}}]}
    assert refused(agent(spec)) == [("owned-elsewhere", "spec.envFrom[0].secretRef.name")]


def test_the_generic_runtime_reads_few_variables():
    spec = {"systemPrompt": "hi", "auth": {"type": "none"}, "envFrom": WHOLE}
    for provider, said in (("openai", True), ("bedrock", False)):
        model = {"provider": provider, "name": "x"}
        _, problems = outcome(
            fleet(document("Agent", "own", {**spec, "model": model})),
            fleet(document("Environment", "prod", BARE)),
        )
        paths = {item.path for item in problems if item.code == "not-used"}
        assert ("spec.envFrom" in paths) is said


def test_a_whole_secret_is_refused_on_compose():
    assert refused(agent(envFrom=WHOLE[:1]), environment=LOCAL) == [
        ("not-on-compose", "spec.envFrom")
    ]


SHM = "{name: shm, mountPath: /dev/shm, emptyDir: SIZE, medium: Memory}"
SIDE = """  podTemplate:
    volumes: [{name: side, emptyDir: 128Mi, medium: Memory}]
    sidecars:
      - {name: proxy, image: {repository: acme/proxy, tag: 1.0.0}, volumeMounts: [{name: side, mountPath: /side}]}
"""


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("  volumes: [SHM]\n".replace("SHM", SHM.replace("SIZE", "512Mi")), "of its container may take 512Mi"),
        ("  volumes: [SHM]\n".replace("SHM", SHM.replace("SIZE", "256Mi")), ""),
        (f"  volumes: [{SHM.replace('SIZE', '1Gi')}]\n  resources: {{limits: {{memory: 2Gi}}}}\n", ""),
        (
            f"  volumes: [{SHM.replace('SIZE', '300Mi')}, {{name: b, mountPath: /b, emptyDir: 300Mi, medium: Memory}}]\n",
            "of its container may take 600Mi",
        ),
        (f"  volumes: [{SHM.replace('SIZE', '300Mi')}, {{name: b, mountPath: /b, emptyDir: 9Gi}}]\n", ""),
        (SIDE, "of `proxy` may take 128Mi"),
        (SIDE.replace("mountPath: /side", "mountPath: /side, readOnly: true"), ""),
        (SIDE.replace("128Mi", "32Mi"), ""),
    ],
)  # fmt: skip
def test_volumes_in_memory_leave_room_below_the_limit(more, warned, tmp_path):
    write(tmp_path, {**GOOD, "agents/a.yaml": AGENT + more})
    done = fleetform("validate", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    assert ("volumes in memory" in done.err) is bool(warned)
    assert warned in done.err
