"""Fleets made by chance from a seed: many workloads with every option on or off, in three namespaces."""

import json
import random
from collections.abc import Iterator
from typing import Any

from tests.fleet import API

NAMESPACES = ("one", "two", "a-rather-long-namespace-name")
CAPABILITIES = [
    "argo-rollouts",
    "cert-manager",
    "external-secrets",
    "gateway-api",
    "keda",
    "prometheus-operator",
]

Json = Any


def fleet(seed: int, count: int = 24, longest: int = 63) -> dict[str, str]:
    """Return the files of a fleet; the same seed makes the same fleet."""
    chance = random.Random(seed)
    names = _names(chance, count, longest)
    documents = [_environment(chance)]
    for number, name in enumerate(names):
        space = chance.choice(NAMESPACES)
        kind = chance.choice(["Agent", "Agent", "Agent", "MCPServer", "MemoryStore"])
        spec = {"Agent": _agent, "MCPServer": _server, "MemoryStore": _store}[kind](chance, name)
        documents.append(_document(kind, name, space, spec, number))
    _connect(chance, documents)
    _inform(random.Random(f"{seed} knowledge"), documents)
    _watch(random.Random(f"{seed} watching"), documents)
    _step(random.Random(f"{seed} steps"), documents)
    environment, *others = documents
    text = "---\n".join(json.dumps(document, ensure_ascii=False) + "\n" for document in others)
    return {"agents/all.yaml": text, "environments/prod.yaml": json.dumps(environment) + "\n"}


def layered(seed: int, count: int = 12) -> dict[str, str]:
    """Return the files of a fleet whose environment builds on an abstract one, and differs in much."""
    chance = random.Random(seed)
    files = fleet(seed, count)
    prod = json.loads(files["environments/prod.yaml"])
    whole = prod["spec"]
    kinds = [
        kind for kind in ("Agent", "MCPServer") if f'"kind": "{kind}"' in files["agents/all.yaml"]
    ]
    given = chance.sample(CAPABILITIES, chance.randint(0, len(CAPABILITIES)))
    shared = {key: whole[key] for key in whole if chance.random() < 0.5}
    shared |= {"abstract": True, "images": whole["images"], "capabilities": given}
    base = {**prod, "metadata": {"name": "base"}, "spec": shared}
    prod["spec"] = {**whole, "extends": "base", "patches": [*_patches(chance, kinds)]}
    if chance.random() < 0.5:
        prod["spec"]["labels"] = {"example.com/stage": chance.choice(["prod", "1e3"])}
    if chance.random() < 0.5:
        pin = chance.choice([{"tag": "2.0.0"}, {"tag": "2.0.0", "digest": f"sha256:{'a' * 64}"}])
        prod["spec"]["images"] = {
            "registry": chance.choice(["ghcr.io/acme", "registry.example:5000/x"]),
            "pins": {
                chance.choice(["fleetform/agent-runtime", "example/own", "example/side"]): pin
            },
        }
    if chance.random() < 0.5:
        prod["spec"]["namespaces"] = {"create": True, "suffix": "-prod"}
    return {
        **files,
        "environments/base.yaml": json.dumps(base, ensure_ascii=False) + "\n",
        "environments/prod.yaml": json.dumps(prod, ensure_ascii=False) + "\n",
    }


def _patches(chance: random.Random, kinds: list[str]) -> Iterator[Json]:
    """Yield patches that set and remove, with texts that tools like to change."""
    pieces: list[Json] = [
        {"env": [{"name": "ADDED", "value": chance.choice(TEXTS)}]},
        {"env": [{"name": "A", "value": chance.choice(TEXTS)}, {"name": "B", "value": "b"}]},
        {"scaling": None},
        {"scaling": {"minReplicas": 2, "maxReplicas": 2, "keda": None}},
        {"resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}}},
        {"podTemplate": {"annotations": {"example.com/text": chance.choice(TEXTS)}}},
        {"podTemplate": {"nodeSelector": {"disk": chance.choice(["ssd", "true"])}}},
        {"network": {"allowFrom": [{"namespace": "elsewhere"}]}},
    ]
    for piece in chance.sample(pieces, chance.randint(0, 4)) if kinds else ():
        kind = chance.choice(kinds)
        # Steps of a canary are shares of replicas that would not be there.
        alone = kind == "Agent" and piece.get("scaling", {}) is None
        yield {"target": {"kind": kind}, "spec": {**piece, "delivery": None} if alone else piece}


TEXTS = (
    *(
        "",
        " ",
        "true",
        "1",
        "1000000",
        "0.1",
        "1e-7",
        "null",
        "{{ .Values.x }}",
        "${VAR}",
        "$(VAR)",
    ),
    *("two\nlines\n", "ends\n\n", " lead\nand more", "\ttab", "\ttab\nand more", "a\n\tb"),
    *("a: b", "- a", "#a", "tail  ", "naïve 😀", "---\na\n..."),
)
"""Texts that some reader or writer of YAML takes for something else."""
ONE_LINE = tuple(text for text in TEXTS if "\n" not in text)


def _document(kind: str, name: str, namespace: str, spec: Json, number: int) -> Json:
    metadata = {"name": name, "namespace": namespace, "labels": {"example.com/row": f"r{number}"}}
    return {"apiVersion": API.split()[1], "kind": kind, "metadata": metadata, "spec": spec}


def _names(chance: random.Random, count: int, longest: int) -> list[str]:
    """Names that begin alike, end like our own suffixes, and are as long as they may be."""
    stems = ["a", "ab", "a-b", "support", "s" * 40, "s" * 63, "x" * 62 + "y"]
    ends = ["", "-b", "-config", "-tls", "-trigger-0", "-data", "-1"]
    names = {(stem + end)[:longest].strip("-") for stem in stems for end in ends}
    return chance.sample(sorted(names), min(count, len(names)))


def _environment(chance: random.Random) -> Json:
    provider = chance.choice(["kubernetes", "aws", "gcp", "azure", "vault"])
    stores = {
        "aws": {"region": "eu-central-1"},
        "gcp": {"projectId": "acme"},
        "azure": {"vaultUrl": "https://acme.vault.example"},
        "vault": {"server": "https://vault.example", "role": "agents"},
    }
    identities = {
        "aws": {"awsRoleArn": "arn:aws:iam::123456789012:role/{namespace}"},
        "azure": {"azureClientId": "12345678-1234-1234-1234-123456789012"},
    }
    spec: Json = {
        "platform": chance.choice(["eks", "gke", "generic"]),
        "capabilities": CAPABILITIES,
        "images": {"pins": {"fleetform/agent-runtime": {"tag": "1.0.0"}}},
        "namespaces": {"create": True, "suffix": chance.choice(["", "-prod"])},
        "expose": {
            "host": "agents.example.com",
            "hosts": [{"host": "*.example.com"}],
            "services": [{"type": "NodePort"}, {"type": "LoadBalancer"}],
            "gateway": {"name": "public", "namespace": "gateways"},
            "issuer": {"name": "letsencrypt"},
        },
        "network": {
            "unencrypted": ["9.9.9.9", "10.1.2.3", "10.1.2.4"],
            "gatewayNamespace": "gateways",
            "nodeLocalDns": chance.random() < 0.5,
            "nodeRanges": ["10.4.0.0/16"],
        },
        "gitops": {"tool": chance.choice(["none", "flux", "argocd"])},
        "monitoring": {"otlpEndpoint": "https://otlp.example:4318"},
    }
    if provider != "kubernetes":
        key = "{environment}-{namespace}-{name}"
        store = {provider: stores[provider], "identity": identities.get(provider, {})}
        spec["secrets"] = {"provider": provider, "remoteKey": key, "store": store}
    metadata = {"name": "prod"}
    return {
        "apiVersion": API.split()[1],
        "kind": "Environment",
        "metadata": metadata,
        "spec": spec,
    }


def _secret(chance: random.Random) -> Json:
    return {"name": chance.choice(["alpha", "beta", "gamma"]), "key": chance.choice(["k", "l.m"])}


def _container(chance: random.Random) -> Json:
    numbers = chance.sample(range(1024, 9999), 3)
    ports = [{"name": f"p{n}", "containerPort": n} for n in numbers[: chance.randint(1, 3)]]
    ports[0]["name"] = "http"
    if chance.random() < 0.5:
        ports[0]["servicePort"] = 80
    if len(ports) > 1:
        ports[1]["protocol"] = "UDP"
    body: Json = {"image": {"repository": "example/own", "tag": "1.2.3"}, "ports": ports}
    if chance.random() < 0.4:
        body["configFiles"] = {"app.yaml": "x: ${Y} {{ z }}\n"}
    return body


def _workload(chance: random.Random, name: str) -> Iterator[tuple[str, Json]]:
    if chance.random() < 0.5:
        yield "scaling", _scaling(chance)
    if chance.random() < 0.4:
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
        scope = chance.choice(["cluster", "namespace"])
        confirmed = {"allowDangerous": ["pods"]} if scope == "cluster" else {}
        yield "rbac", {"scope": scope, "rules": [rule], **confirmed}
    if chance.random() < 0.3:
        mode = {"accessMode": "ReadWriteMany"}
        claim = {"name": "shared", "mountPath": "/shared", "claim": {"size": "1Gi", **mode}}
        yield "volumes", [claim, {"name": "scratch", "mountPath": "/scratch", "emptyDir": "1Gi"}]
    if chance.random() < 0.3:
        yield (
            "expose",
            {
                "hosts": [f"h{chance.getrandbits(40)}.example.com" for _ in range(2)],
                "type": chance.choice(TYPES),
            },
        )
    if chance.random() < 0.3:
        yield "service", _service(chance)
    if chance.random() < 0.3:
        yield "identity", IDENTITY
    if chance.random() < 0.2 and len(name) <= 52:
        yield "stateful", True
    if chance.random() < 0.3:
        side = {"name": "side", "image": {"repository": "example/side", "tag": "1"}}
        yield "podTemplate", {"sidecars": [side], "initContainers": [{**side, "name": "init"}]}


def _service(chance: random.Random) -> Json:
    kind = chance.choice(["ClusterIP", "NodePort", "LoadBalancer"])
    body: Json = {"type": kind, "annotations": {"example.com/text": chance.choice(ONE_LINE)}}
    if kind == "LoadBalancer":
        body["loadBalancerSourceRanges"] = ["203.0.113.0/24", "2001:db8::/32"]
    if kind == "NodePort" or (kind == "LoadBalancer" and chance.random() < 0.5):
        body["externalTrafficPolicy"] = "Cluster"
    return body


TYPES = ["HTTPRoute", "Ingress"]
IDENTITY = {
    "awsRoleArn": "arn:aws:iam::123456789012:role/x",
    "gcpServiceAccount": "x@acme.iam.gserviceaccount.com",
}


def _scaling(chance: random.Random) -> Json:
    body: Json = {"minReplicas": chance.randint(1, 3), "maxReplicas": chance.randint(3, 9)}
    if chance.random() < 0.4:
        metadata = {"address": "redis.example:6379", "listName": "jobs", "listLength": "5"}
        sign_in = [{"parameter": "password", "secretRef": _secret(chance)}]
        trigger = {"type": "redis", "metadata": metadata, "authentication": sign_in}
        body["keda"] = {"enabled": True, "triggers": [trigger]}
    return body


def _agent(chance: random.Random, name: str) -> Json:
    spec = dict(_workload(chance, name))
    if chance.random() < 0.3:
        return {**spec, "container": _container(chance)}
    oidc = {"type": "oidc", "oidc": {"issuer": "https://id.example:8443", "audience": "x"}}
    key = {"type": "apiKey", "apiKey": {"keys": [{"name": "k", "secretRef": _secret(chance)}]}}
    model = {"provider": "openai", "name": "gpt", "apiKeySecretRef": _secret(chance)}
    redis = {"host": "10.1.2.3", "port": 6380, "auth": {"secretRef": _secret(chance)}}
    variants = [{"name": "other", "weight": 10, "systemPrompt": "Be brief. {{ y }} ${X}\n"}]
    return {
        **spec,
        **({"variants": variants} if chance.random() < 0.4 else {}),
        "systemPrompt": "You help. ${X} {{ y }}",
        "model": {**model, "endpoint": chance.choice(["https://api.example/v1", "http://9.9.9.9"])},
        "auth": chance.choice([oidc, key]),
        "memory": {"type": "redis", "redis": redis},
        "observability": {
            "tracing": {"enabled": chance.random() < 0.5},
            "alertThresholds": {"errorRatio": chance.choice([0.05, 0.1, 0.25])},
        },
    }


def _server(chance: random.Random, name: str) -> Json:
    if chance.random() < 0.3:
        variable = {"name": "KEY", "valueFrom": {"secretKeyRef": _secret(chance)}}
        container = {
            "image": {"repository": "example/beside", "tag": "1"},
            "command": ["node", chance.choice(ONE_LINE)],
        }
        return {"transport": "stdio", "container": container, "env": [variable]}
    return {**dict(_workload(chance, name)), "container": _container(chance)}


def _store(chance: random.Random, name: str) -> Json:
    del name
    storage = {"storage": "1Gi"} if chance.random() < 0.5 else {}
    if chance.random() < 0.5:
        redis = {"auth": {"secretRef": _secret(chance)}}
        return {"type": "redis", "redis": redis, "provision": storage}
    postgres = {"passwordSecretRef": _secret(chance)}
    return {"type": "postgres", "postgres": postgres, "provision": storage}


def _inform(chance: random.Random, documents: list[Json]) -> None:
    """Let some agents search documents that they take in, on a server or on a claim of their own."""
    for number, agent in enumerate([item for item in documents if item["kind"] == "Agent"]):
        spec = agent["spec"]
        if "container" in spec or chance.random() < 0.6:
            continue
        store: Json = {"type": "embedded", "collection": "docs"}
        mount = {"name": f"kept-{number}", "mountPath": "/var/lib/fleetform-knowledge"}
        if spec.get("stateful") or chance.random() < 0.5:
            store = {"type": "pgvector", "host": "10.1.2.4", "secretRef": _secret(chance)}
            store["collection"] = f"public.docs_{number}"
        else:
            claim = {"size": "1Gi", "accessMode": "ReadWriteMany"}
            spec["volumes"] = [*spec.get("volumes", ()), {**mount, "claim": claim}]
        name = f"search-{number}"
        tool = {"type": "retrieval", "description": "Finds.", "retrieval": {"vectorStore": store}}
        documents.append(_document("Tool", name, agent["metadata"]["namespace"], tool, number))
        spec["tools"] = [*spec.get("tools", ()), {"name": name}]
        sources = [{"name": "one", "configMap": "texts"}, {"name": "two", "claim": "texts"}]
        spec["knowledge"] = {"sources": sources, "prune": chance.random() < 0.5}
        if chance.random() < 0.5:
            spec["knowledge"]["schedule"] = chance.choice(["0 3 * * *", "*/5 8-18 * jan mon-fri"])


def _watch(chance: random.Random, documents: list[Json]) -> None:
    """Let an environment have dashboards and words of its own for alerts, and some agents objectives."""
    monitoring = documents[0]["spec"]["monitoring"]
    if chance.random() < 0.5:
        monitoring["dashboards"] = chance.choice(
            [{}, {"folder": "Agents of ACME"}, {"labels": {"x/board": "1e3"}}]
        )
        if chance.random() < 0.5:
            environment = documents[0]["spec"]
            environment["capabilities"] = [*environment["capabilities"], "grafana-operator"]
            if chance.random() < 0.5:
                monitoring["dashboards"]["instanceSelector"] = {"x/grafana": "1e3"}
    if chance.random() < 0.5:
        monitoring["severities"] = {"page": "p1"}
        monitoring["runbooks"] = chance.choice(
            ["https://x.example/{alert}", "https://x.example/a.md"]
        )
    if chance.random() < 0.5 and monitoring.pop("otlpEndpoint", ""):
        exporter = {
            "name": "a",
            "endpoint": "https://otlp.example.org/x",
            "headers": {"X-A": "$1e3"},
        }
        exporter["secretHeaders"] = {"Authorization": _secret(chance)}
        space = chance.choice(["telemetry", NAMESPACES[0]])
        monitoring["collector"] = {"namespace": space, "exporters": [exporter], "replicas": 2}
    for agent in documents:
        if agent["kind"] == "Agent" and "container" not in agent["spec"] and chance.random() < 0.3:
            latency = {
                "seconds": chance.choice([0.25, 2.5, 30]),
                "percent": chance.choice([95, 99.5]),
            }
            agent["spec"]["slo"] = {
                **({"availability": chance.choice([99, 99.95])} if chance.random() < 0.7 else {}),
                **({"latency": latency} if chance.random() < 0.5 else {}),
                "window": chance.choice(["28d", "31d"]),
            }


def _step(chance: random.Random, documents: list[Json]) -> None:
    """Let some agents have canaries of two replicas and more, judged by a Prometheus where there is one."""
    monitoring = documents[0]["spec"]["monitoring"]
    if chance.random() < 0.7:
        monitoring["prometheusUrl"] = "http://prometheus.watch.svc:9090"
    for agent in documents:
        spec = agent["spec"]
        if agent["kind"] != "Agent" or spec.get("stateful") or chance.random() < 0.6:
            continue
        scaling = spec.get("scaling", {})
        spec["scaling"] = {**scaling, "minReplicas": chance.choice([2, 3])}
        canary: Json = {"steps": [{"weight": 50, "pause": "10m"}, {"weight": 75}]}
        if (
            "prometheusUrl" in monitoring
            and len(agent["metadata"]["name"]) <= 46
            and chance.random() < 0.7
        ):
            canary["analysis"] = {"maxErrorRate": chance.choice([0, 0.05, 0.001])}
            if "container" in spec:
                spec["observability"] = {"metrics": {"enabled": True, "port": 9100}}
                spec["container"]["ports"].append({"name": "metrics", "containerPort": 9100})
            elif chance.random() < 0.5:
                canary["analysis"] |= {"maxP95Seconds": chance.choice([30, 2.5])}
        if chance.random() < 0.4:
            canary["moving"] = chance.choice(["in", "out"])
        spec["delivery"] = {"canary": canary}


def _connect(chance: random.Random, documents: list[Json]) -> None:
    """Let agents use servers, stores and agents of their namespace; agents only ones that come later."""
    agents = [item for item in documents if item["kind"] == "Agent"]
    for number, agent in enumerate(agents):
        space = agent["metadata"]["namespace"]
        near = [item for item in documents if item["metadata"].get("namespace") == space]
        names = {
            kind: [item["metadata"]["name"] for item in near if item["kind"] == kind]
            for kind in ("MCPServer", "MemoryStore")
        }
        if "container" in agent["spec"]:  # only the runtime speaks over pipes
            beside = [item for item in near if item["spec"].get("transport") == "stdio"]
            known = {item["metadata"]["name"] for item in beside}
            names["MCPServer"] = [name for name in names["MCPServer"] if name not in known]
        later = [
            item["metadata"]["name"]
            for item in agents[number + 1 :]
            if item["metadata"]["namespace"] == space
        ]
        servers = chance.sample(names["MCPServer"], min(2, len(names["MCPServer"])))
        sign_in = {"type": "bearer", "secretRef": _secret(chance)}
        asked = [{"name": name, "authentication": sign_in} for name in later[:1]]
        agent["spec"]["tools"] = [*({"name": name} for name in servers), *asked]
        if names["MemoryStore"] and "container" not in agent["spec"]:
            agent["spec"]["memory"] = {"store": chance.choice(names["MemoryStore"])}
        if later and chance.random() < 0.3:
            agent["spec"]["peers"] = [chance.choice(later)]
