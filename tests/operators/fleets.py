"""Fleets for the operators: the examples, every kind of trigger, and every kind of store for secrets."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.cluster import fleet
from tests.cluster.plane import Object
from tests.fleet import API, fleetform, write

Spec = dict[str, Any]
NAMES = (*fleet.ENVIRONMENTS, "triggers", "stores")
BASE: Spec = {
    "systemPrompt": "You help.",
    "model": {"provider": "ollama", "name": "qwen3", "endpoint": "https://models.example/v1"},
    "auth": {"type": "none"},
    "memory": {"type": "redis", "redis": {"host": "redis.example.com"}},
}
LOOPBACK, STAND_IN = "127.0.0.1", "backends.test.svc"
"""Where the backends listen, and what specs say instead: they may not send an operator to itself."""
NOBODY = f"{LOOPBACK}:1"
"""Where nothing listens."""
CAPABILITIES = ["external-secrets", "keda", "prometheus-operator"]
PASSWORD = "a password"


class Servers(NamedTuple):
    """Where the backends of triggers listen, as host:port."""

    http: str
    redis: str
    postgres: str


def objects(name: str, folder: Path, servers: Servers) -> tuple[Object, ...]:
    """Return the rendered objects of a fleet, namespaces first."""
    if name in fleet.ENVIRONMENTS:
        return fleet.objects(name)
    return tuple(_triggers(folder, servers) if name == "triggers" else _stores(folder, servers))


def render(
    folder: Path, agents: Mapping[str, Spec], space: str, **environment: Any
) -> list[Object]:
    """Render agents into a namespace of their own."""
    documents = [_document("Agent", name, spec) for name, spec in agents.items()]
    settings = {
        "images": {"pins": {"fleetform/agent-runtime": {"tag": "1.0.0"}}},
        "capabilities": CAPABILITIES,
        "namespaces": {"create": True, "map": {"default": space}},
        **environment,
    }
    files = {
        "agents/a.yaml": "---\n".join(documents),
        "environments/prod.yaml": _document("Environment", "prod", settings),
    }
    write(folder, files)
    outcome = fleetform("render", "--target", "manifests", cwd=folder)
    assert outcome.code == 0, outcome.err
    place = folder / "rendered/prod"
    order = yaml.safe_load((place / "kustomization.yaml").read_text("utf-8"))["resources"]
    found = [item for name in order for item in _read(place / name)]
    return sorted(found, key=lambda item: item["kind"] != "Namespace")


def _document(kind: str, name: str, spec: Spec) -> str:
    head = f"{API}\nkind: {kind}\nmetadata: {{name: {name}}}\n"
    return head + yaml.safe_dump({"spec": spec}).replace(LOOPBACK, STAND_IN)


def _read(place: Path) -> Iterator[Object]:
    for file in sorted(place.rglob("*.yaml")):
        for item in yaml.safe_load_all(file.read_text("utf-8").replace(STAND_IN, LOOPBACK)):
            if item["kind"] != "Kustomization":
                yield item


# -- triggers --------------------------------------------------------------------------------------


def trigger(kind: str, sign_in: Mapping[str, str] | None = None, **metadata: str) -> Spec:
    """Return a trigger; its secrets are keys of the Secret `backends`."""
    signing = {
        "authentication": [
            {"parameter": parameter, "secretRef": {"name": "backends", "key": key}}
            for parameter, key in (sign_in or {}).items()
        ]
    }
    return {"type": kind, "metadata": metadata, **(signing if sign_in else {})}


def scaled(*triggers: Spec, low: int = 1, high: int = 4, **scaling: Any) -> Spec:
    """Return an agent that KEDA scales; what is not of the scaling's own is of KEDA."""
    own = {key: scaling.pop(key) for key in ("metrics", "behavior") if key in scaling}
    keda = {"enabled": True, "triggers": list(triggers), **scaling}
    return {**BASE, "scaling": {"minReplicas": low, "maxReplicas": high, "keda": keda, **own}}


def _resource(name: str, **target: Any) -> Spec:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


CRON = trigger("cron", timezone="UTC", start="0 8 * * 1-5", end="0 18 * * 1-5", desiredReplicas="2")


def _agents(servers: Servers) -> dict[str, Spec]:
    """Return one agent per kind of trigger, and one per way to scale."""
    http, redis = f"http://{servers.http}", {"address": servers.redis}
    host, _, port = servers.postgres.rpartition(":")
    database = {"host": host, "port": port, "dbName": "postgres", "userName": "agent"}
    asked = trigger(
        "prometheus",
        serverAddress="http://prometheus.observability.svc:9090",
        query="sum(agent_active_sessions)",
        threshold="2.5",
    )
    slow = {"type": "Pods", "value": 1, "periodSeconds": 120}
    return {
        "prometheus": scaled(asked, low=0, pollingInterval=5, cooldownPeriod=0),
        "cron": scaled(CRON, low=0),
        "cpu": scaled({**trigger("cpu", value="60"), "metricType": "Utilization"}),
        "container": scaled(
            {**trigger("cpu", value="250m", containerName="agent"), "metricType": "AverageValue"}
        ),
        "memory": scaled({**trigger("memory", value="300Mi"), "metricType": "AverageValue"}),
        "redis": scaled(
            trigger("redis", {"password": "redis"}, **redis, listName="jobs", listLength="5")
        ),
        "streams": scaled(
            trigger(
                "redis-streams", {"password": "redis"}, **redis, stream="events", streamLength="7"
            )
        ),
        "rabbitmq": scaled(
            trigger(
                "rabbitmq", {"host": "rabbitmq"}, queueName="jobs", mode="QueueLength", value="20"
            )
        ),
        "sqs": scaled(
            trigger(
                "aws-sqs-queue",
                {"awsAccessKeyID": "access", "awsSecretAccessKey": "secret"},
                queueURL=f"{http}/123456789012/jobs",
                awsRegion="eu-central-1",
                awsEndpoint=http,
                queueLength="10",
            )
        ),
        "pubsub": scaled(
            trigger(
                "gcp-pubsub",
                {"GoogleApplicationCredentials": "google"},
                subscriptionName="jobs",
                mode="SubscriptionSize",
                value="15",
            )
        ),
        "kafka": scaled(
            trigger(
                "kafka",
                bootstrapServers=NOBODY,
                consumerGroup="workers",
                topic="jobs",
                lagThreshold="30",
            )
        ),
        "postgresql": scaled(
            trigger(
                "postgresql",
                {"password": "postgres"},
                **database,
                sslmode="disable",
                query="SELECT 3",
                targetQueryValue="2.5",
            )
        ),
        "metrics-api": scaled(
            trigger(
                "metrics-api", url=f"{http}/depth", valueLocation="queue.depth", targetValue="8"
            )
        ),
        "nats": scaled(
            trigger(
                "nats-jetstream",
                natsServerMonitoringEndpoint=servers.http,
                account="$G",
                stream="jobs",
                consumer="workers",
                lagThreshold="40",
            )
        ),
        "workload": scaled(trigger("kubernetes-workload", podSelector="app=fixed", value="2")),
        "everything": scaled(
            {**asked, "name": "sessions", "metricType": "Value"},
            {**CRON, "name": "hours"},
            low=2,
            high=9,
            fallbackReplicas=3,
            pollingInterval=7,
            cooldownPeriod=90,
            metrics=[
                _resource("cpu", type="Utilization", averageUtilization=55),
                _resource("memory", type="AverageValue", averageValue="1500Mi"),
            ],
            behavior={
                "scaleUp": {
                    "stabilizationWindowSeconds": 30,
                    "selectPolicy": "Min",
                    "policies": [slow],
                },
                "scaleDown": {"selectPolicy": "Disabled", "tolerance": "0.05"},
            },
        ),
        "stateful": {**scaled(CRON), "stateful": True},
        "fixed": scaled(CRON, low=3, high=3),
    }


def _triggers(folder: Path, servers: Servers) -> list[Object]:
    found = render(folder, _agents(servers), "triggers")
    values = {
        "redis": PASSWORD,
        "postgres": PASSWORD,
        "rabbitmq": f"http://guest:guest@{servers.http}/vhost",
        "access": "AKIDEXAMPLE",
        "secret": PASSWORD,
        "google": json.dumps(_account(servers)),
    }
    metadata = {"name": "backends", "namespace": "triggers"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    return [found[0], secret, *found[1:]]


def _account(servers: Servers) -> Spec:
    """Return credentials of a Google account, with a key that nobody knows."""
    done = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True, text=True)
    return {
        "type": "service_account",
        "project_id": "acme",
        "client_email": "keda@acme.iam.gserviceaccount.com",
        "private_key": done.stdout,
        "token_uri": f"http://{servers.http}/token",
    }


# -- stores ----------------------------------------------------------------------------------------

CLOUDS: dict[str, Spec] = {
    "aws": {
        "aws": {"region": "eu-central-1"},
        "serviceAccount": "store",
        "identity": {"awsRoleArn": "arn:aws:iam::123456789012:role/{namespace}"},
    },
    "gcp": {
        "gcp": {"projectId": "acme", "clusterName": "main", "clusterLocation": "europe-west1"},
        "serviceAccount": "store",
    },
    "azure": {
        "azure": {"vaultUrl": "https://acme.vault.azure.net"},
        "identity": {"azureClientId": "12345678-1234-1234-1234-123456789012"},
    },
    "vault": {"vault": {"server": "https://vault.example:8200", "role": "agents"}},
}
KEYS = {"aws": "{environment}/{namespace}/{name}", "vault": "{namespace}/{name}"}
"""How a secret is called in a store; the others allow no slash."""
MORE: dict[str, Spec] = {
    "gcp": {
        "layout": "plain",
        "remoteKey": "{namespace}_{name}_{key}",
        "items": {
            "models": {
                "keys": {"api.key": {"remoteKey": "openai"}, "other": {"remoteKey": "other"}}
            },
            "licence": {"layout": "json", "remoteKey": "licence"},
        },
    },
    "vault": {"items": {"registry": {"keys": {".dockerconfigjson": {"property": "config"}}}}},
}
"""In GCP each key is a secret of its own, but for names that it does not have and what is mounted as a whole; of Vault's
secrets the stand-in takes no property that begins with a dot."""
IMAGE = {"repository": "example/relay", "tag": "1.0.0"}


def _stores(folder: Path, servers: Servers) -> Iterator[Object]:
    uses = [
        (provider, provider, {"name": f"own-{provider}", **store})
        for provider, store in CLOUDS.items()
    ]
    shared = {"name": "shared", "kind": "ClusterSecretStore", "create": False}
    uses += [("cluster", "aws", shared), ("existing", "gcp", {"name": "existing", "create": False})]
    for space, provider, store in uses:
        secrets = {"provider": provider, "store": store}
        secrets["remoteKey"] = KEYS.get(provider, "{namespace}-{name}")
        secrets |= MORE.get(space, {})
        yield from render(folder / space, _readers(servers), space, secrets=secrets)


def _readers(servers: Servers) -> dict[str, Spec]:
    """Return agents that read secrets in every way that specs have."""
    url = f"http://{servers.http}/depth"
    depth = {"url": url, "valueLocation": "queue.depth", "targetValue": "8", "authMode": "bearer"}
    reader = scaled(trigger("metrics-api", {"token": "token"}, **depth))
    reader |= {
        "model": {
            "provider": "openai",
            "name": "gpt-5",
            "apiKeySecretRef": {"name": "models", "key": "api.key"},
        },
        "auth": {
            "type": "apiKey",
            "apiKey": {"keys": [{"name": "web", "secretRef": {"name": "callers", "key": "web"}}]},
        },
        "memory": {
            "type": "redis",
            "redis": {
                "host": "redis.example.com",
                "tls": {"enabled": True},
                "auth": {"secretRef": {"name": "memory", "key": "password"}},
            },
        },
        "volumes": [{"name": "licence", "mountPath": "/licence", "secret": "licence"}],
        "podTemplate": {
            "sidecars": [{"name": "relay", "image": IMAGE, "env": [_variable("sidecar", "token")]}],
            "imagePullSecrets": ["registry"],
        },
    }
    again = {**BASE, "env": [_variable("models", "other")]}
    return {"reader": reader, "again": again}


def _variable(secret: str, key: str) -> Spec:
    return {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
