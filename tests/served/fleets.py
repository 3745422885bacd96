"""The fleets in which leaves are turned: agents of both kinds, servers, stores and tools of each type, environments."""

from typing import Any

API = "fleetform.dev/v1alpha1"
Json = Any
Fleet = dict[str, Json]
"""Documents by `Kind name`; an environment named `prod` among them."""


STDIO: Json = {
    "transport": "stdio",
    "container": {
        "image": {"repository": "docker.io/library/stdio", "tag": "1"},
        "command": ["node", "index.js"],
    },
    "env": [{"name": "A", "value": "b"}],
    "network": {"allowTo": [{"host": "api.example", "ports": [8443]}]},
}


def document(kind: str, name: str, spec: Json, namespace: str = "ns", **metadata: Json) -> Json:
    """Return a document; an Environment has no namespace."""
    own = {"name": name, **({} if kind == "Environment" else {"namespace": namespace}), **metadata}
    return {"apiVersion": API, "kind": kind, "metadata": own, "spec": spec}


def fleet(*documents: Json) -> Fleet:
    """Return documents by kind and name."""
    return {f"{item['kind']} {item['metadata']['name']}": item for item in documents}


def secret(name: str, key: str = "key") -> Json:
    """Return a reference to a key of a Secret."""
    return {"name": name, "key": key}


CLOUD = {"provider": "google", "name": "gemini", "project": "acme-test"}
ASKING = {"provider": "anthropic", "name": "claude"}
IMAGE = {"repository": "docker.io/library/own", "tag": "1"}
MODEL = {"provider": "openai", "name": "gpt-4o"}
TWO_KEYS = {
    "type": "apiKey",
    "apiKey": {
        "keys": [
            {"name": "one", "secretRef": secret("keys", "one")},
            {"name": "two", "secretRef": secret("keys", "two")},
        ]
    },
}
WEBHOOK = {"url": "https://hooks.example/x", "secretRef": secret("hook")}
ASKED = [{"name": "remote", "requiresApproval": True}]
PLAIN = {"systemPrompt": "hi", "model": MODEL, "auth": {"type": "none"}}
KEYS = {"type": "apiKey", "apiKey": {"keys": [{"name": "caller", "secretRef": secret("keys")}]}}
TARGET = {"type": "Utilization", "averageUtilization": 70}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": TARGET}}
AVERAGE = {"type": "AverageValue", "averageValue": "5"}
METRICS = [
    CPU,
    {"type": "Pods", "pods": {"metric": {"name": "busy"}, "target": AVERAGE}},
    {
        "type": "Object",
        "object": {
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "x"},
            "metric": {"name": "busy"},
            "target": {"type": "Value", "value": "5"},
        },
    },
    {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
    },
    {"type": "External", "external": {"metric": {"name": "busy"}, "target": AVERAGE}},
]
CRON = {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "2"}
KEDA = {
    "minReplicas": 1,
    "maxReplicas": 3,
    "metrics": [CPU],
    "keda": {
        "enabled": True,
        "triggers": [
            {"type": "cron", "metadata": CRON},
            {
                "type": "redis",
                "metadata": {"address": "r:6379", "listName": "jobs"},
                "authentication": [{"parameter": "password", "secretRef": secret("redis")}],
            },
        ],
    },
}
VOLUMES = [
    {
        "name": "claim",
        "mountPath": "/claim",
        "claim": {"size": "1Gi", "accessMode": "ReadWriteMany"},
    },
    {"name": "scratch", "mountPath": "/scratch", "emptyDir": "1Gi"},
    {"name": "files", "mountPath": "/files", "configMap": "files"},
    {"name": "hidden", "mountPath": "/hidden", "secret": "hidden"},
]
KEPT = {"name": "kept", "mountPath": "/kept", "existingClaim": {"name": "kept"}}
SIDE = {
    "name": "side",
    "image": {"repository": "docker.io/library/side", "tag": "1"},
    "env": [
        {"name": "A", "value": "b"},
        {"name": "B", "valueFrom": {"secretKeyRef": secret("s")}},
        {"name": "C", "valueFrom": {"configMapKeyRef": secret("c")}},
        {"name": "D", "valueFrom": {"fieldRef": "metadata.uid"}},
    ],
    "envFrom": [
        {"prefix": "S_", "secretRef": {"name": "whole"}},
        {"prefix": "C_", "configMapRef": {"name": "whole"}},
    ],
    "ports": [{"name": "side", "containerPort": 7000}],
    "volumeMounts": [{"name": "more", "mountPath": "/more"}],
}
POD = {
    "sidecars": [SIDE],
    "initContainers": [{**SIDE, "name": "init", "ports": []}],
    "volumes": [
        {"name": "more", "emptyDir": "1Gi"},
        {"name": "config-of-side", "configMap": "side"},
        {"name": "secret-of-side", "secret": "side"},
    ],
    "tolerations": [
        {
            "key": "a",
            "operator": "Equal",
            "value": "b",
            "effect": "NoExecute",
            "tolerationSeconds": 5,
        },
        {"key": "c", "operator": "Equal", "effect": "NoSchedule"},
    ],
    "topologySpreadConstraints": [{"topologyKey": "zone"}],
}
PEERS = {
    "allowFrom": [{"agent": "neighbour"}, {"namespace": "others"}, {"cidr": "10.3.0.0/16"}],
    "allowTo": [
        {"agent": "neighbour", "ports": [8080]},
        {"namespace": "others", "ports": [1]},
        {"cidr": "10.3.0.0/16"},
        {"host": "x.example", "ports": [8443]},
    ],
}
ENV = [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
PATCHES = [
    {
        "target": {"kind": "Deployment"},
        "merge": {"metadata": {"labels": {"example.com/x": "y"}}},
    },
    {
        "target": {"kind": "Deployment"},
        "json6902": [
            {"op": "add", "path": "/metadata/annotations/example.com~1z", "value": "1"},
            {"op": "copy", "from": "/metadata/labels/team", "path": "/metadata/labels/squad"},
        ],
    },
]
LABELS = {"labels": {"team": "a"}}

NEIGHBOUR = document("Agent", "neighbour", {**PLAIN, "expose": {"host": "n.example"}})
SECOND = document("ModelConfig", "second", {"provider": "openai", "name": "gpt-4o-mini"})
THIRD = document("ModelConfig", "third", {"provider": "openai", "name": "o3"})
API_TOOL = {
    "type": "api",
    "description": "Pays.",
    "api": {"endpoint": "https://pay.example/charge/{id}", "method": "POST"},
    "parameters": [
        {"name": "amount", "type": "number"},
        {"name": "id", "required": True},
        {"name": "list", "type": "array"},
        {"name": "map", "type": "object"},
    ],
}
SPARE = document("Tool", "spare", API_TOOL)
OTHER_STORE = document(
    "MemoryStore", "other-store", {"type": "redis", "redis": {"host": "o.example"}}
)
SHARED = (
    NEIGHBOUR,
    SECOND,
    THIRD,
    SPARE,
    OTHER_STORE,
    document(
        "AgentTemplate", "other-base", {"podTemplate": {"annotations": {"example.com/o": "b"}}}
    ),
    document("AgentTemplate", "base", {"podTemplate": {"annotations": {"example.com/base": "b"}}}),
    document("Tool", "ask", {"type": "human", "description": "Asks."}),
    document("MCPServer", "remote", {"url": "https://mcp.example/mcp"}),
    document("MCPServer", "bare", {"url": "https://bare.example"}),
    document("MCPServer", "beside", STDIO),
)

GENERIC = {
    "extends": "base",
    "systemPrompt": "hi",
    "modelConfig": "second",
    "models": ["third"],
    "fallbacks": ["third"],
    "variants": [
        {"name": "brief", "weight": 10, "systemPrompt": "hi there", "modelConfig": "third"}
    ],
    "slo": {"availability": 99, "latency": {"seconds": 30, "percent": 95}},
    "auth": KEYS,
    "tools": [
        {"name": "spare"},
        {"name": "ask"},
        {"name": "remote"},
        {"name": "neighbour"},
        {"name": "here", "endpoint": "https://here.example/mcp", "variants": ["brief"]},
    ],
    "memory": {
        "type": "redis",
        "redis": {
            "host": "r.example",
            "tls": {"enabled": True, "secretRef": {"name": "t"}},
            "auth": {"username": "u", "secretRef": secret("r")},
        },
    },
    "observability": {
        "tracing": {
            "enabled": True,
            "endpoint": "https://otlp.example",
            "provider": "langfuse",
            "publicKeySecretRef": secret("p"),
            "secretKeySecretRef": secret("s"),
        }
    },
    "scaling": {
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": METRICS,
        "behavior": {
            "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
        },
    },
    "podTemplate": POD,
    "volumes": VOLUMES,
    "network": PEERS,
    "rbac": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "expose": {},
    "service": {
        "type": "LoadBalancer",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
        "externalTrafficPolicy": "Cluster",
    },
    "env": ENV,
    "rateLimits": {"perUser": {"requestsPerMinute": 5}},
}
BALANCED = {
    "type": "LoadBalancer",
    "loadBalancerSourceRanges": ["203.0.113.0/24"],
    "annotations": {"example.com/tier": "gold"},
}
PORTS = [
    {"name": "http", "containerPort": 8000},
    {"name": "metrics", "containerPort": 9100, "servicePort": 9101, "protocol": "TCP"},
]
OWN = {
    "container": {"image": IMAGE, "ports": PORTS, "configFiles": {"a.conf": "x"}},
    "healthCheck": {"path": "/live", "readinessPath": "/ready"},
    "scaling": KEDA,
    "volumes": [{"name": "data", "mountPath": "/data", "subPath": "a", "claim": {"size": "1Gi"}}],
    "stateful": True,
    "observability": {"metrics": {"enabled": True}},
    "identity": {"awsRoleArn": "arn:aws:iam::123456789012:role/own"},
    "expose": {"host": "own.example", "hosts": ["also.example"], "path": "/own", "port": "http"},
    "podTemplate": POD,
    "network": PEERS,
    "env": [
        {"name": "A", "value": "b"},
        {"name": "B", "valueFrom": {"secretKeyRef": secret("s")}},
        {"name": "C", "valueFrom": {"configMapKeyRef": secret("c")}},
        {"name": "D", "valueFrom": {"fieldRef": "metadata.uid"}},
    ],
    "envFrom": [
        {"prefix": "S_", "secretRef": {"name": "whole"}},
        {"prefix": "C_", "configMapRef": {"name": "whole"}},
    ],
    "rbac": {
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
        "allowDangerous": ["secrets"],
    },
}
SERVER = {
    **OWN,
    "stateful": False,
    "volumes": VOLUMES,
    "tls": {"caSecretRef": secret("ca")},
    "authentication": {"type": "bearer", "secretRef": secret("token")},
    "container": {
        "image": IMAGE,
        "ports": [{"name": "mcp", "containerPort": 3000}, PORTS[1]],
        "configFiles": {"a.conf": "x"},
    },
    "expose": {"host": "server.example", "port": "mcp"},
    "service": BALANCED,
}
OAUTH = {
    "type": "oauth2",
    "secretRef": secret("o"),
    "oauth2": {"tokenUrl": "https://login.example/token", "clientId": "c"},
}


LEARNING = {"longTermMemory": {"enabled": True}}
CLOUDY: Json = {
    "longTermMemory": {
        "enabled": True,
        "embedding": {"provider": "google", "model": "e", "project": "acme-prod", "region": "eu"},
    }
}


def _user(name: str, **spec: Json) -> Json:
    return document("Agent", name, {**PLAIN, **spec})


def _stores() -> Fleet:
    tls = {"enabled": True, "secretRef": {"name": "t"}}
    policy = {
        "sessionTTL": 60,
        "longTermMemory": {
            "enabled": True,
            "embedding": {"provider": "ollama", "model": "e", "endpoint": "https://e.example/v1"},
            "user": "one",
            "vectorStore": {"type": "milvus", "collection": "a"},
        },
        "compression": {
            "enabled": True,
            "threshold": 20,
            "contextThreshold": 0.5,
            "maxContextTokens": 50_000,
            "model": "small",
        },
    }
    kinds: Json = {
        "redis": {"host": "r.example", "tls": tls, "auth": {"secretRef": secret("r")}},
        "postgres": {"host": "p.example", "tls": tls, "passwordSecretRef": secret("p")},
        "filesystem": {"path": "/var/lib/fleetform"},
        "in-memory": {"maxBytes": 2_000_000, "maxSessions": 5},
    }
    table = {
        "vectorStore": {
            "type": "pgvector",
            "host": "pg.example",
            "collection": "a",
            "secretRef": secret("pg"),
            "tls": tls,
        },
        "embedding": {"provider": "ollama", "model": "e", "endpoint": "https://e.example/v1"},
    }
    points = {
        "vectorStore": {"type": "qdrant", "host": "q.example", "collection": "a", "tls": tls},
        "embedding": {"provider": "ollama", "model": "e", "endpoint": "https://e.example/v1"},
    }
    rows = {
        "vectorStore": {
            "type": "milvus",
            "host": "m.example",
            "collection": "a",
            "secretRef": secret("milvus"),
            "tls": tls,
        },
        "embedding": {"provider": "ollama", "model": "e", "endpoint": "https://e.example/v1"},
    }
    clouds = points | {"embedding": CLOUDY["longTermMemory"]["embedding"]}
    documents: list[Json] = [
        document(
            "MemoryStore", "elsewhere", {"type": "redis", "redis": {"host": "cache.data.svc"}}
        ),
        _user(
            "far",
            memory={"store": "elsewhere"},
            scaling={"maxReplicas": 3, "inflightRuns": 20},
        ),
        document(
            "Tool", "table", {"type": "retrieval", "description": "Finds.", "retrieval": table}
        ),
        document(
            "Tool", "points", {"type": "retrieval", "description": "Finds.", "retrieval": points}
        ),
        document(
            "Tool", "others", {"type": "retrieval", "description": "Finds.", "retrieval": points}
        ),
        document("Tool", "rows", {"type": "retrieval", "description": "Finds.", "retrieval": rows}),
        _user("searching", tools=[{"name": "table"}, {"name": "points"}, {"name": "rows"}]),
        _user(
            "informed",
            tools=[{"name": "points"}, {"name": "others"}],
            knowledge={
                "tool": "points",
                "sources": [{"name": "one", "configMap": "a"}, {"name": "two", "claim": "b"}],
            },
        ),
        document("MemoryStore", "learning", {"type": "in-memory", "policy": {}}),
        _user("learning", auth=KEYS, memory={"store": "learning"}),
        _user("learning-alone", auth=KEYS, memory={"type": "in-memory", "policy": LEARNING}),
        document(
            "Tool", "vertex", {"type": "retrieval", "description": "Finds.", "retrieval": clouds}
        ),
        _user("searching-cloudy", tools=[{"name": "vertex"}]),
        document("MemoryStore", "cloudy", {"type": "in-memory", "policy": CLOUDY}),
        _user("cloudy", auth=KEYS, memory={"store": "cloudy"}),
        _user("cloudy-alone", auth=KEYS, memory={"type": "in-memory", "policy": CLOUDY}),
    ]
    for kind, own in kinds.items():
        section = "inMemory" if kind == "in-memory" else kind
        spec = {"type": kind, "policy": policy, section: own}
        mounted = [{"name": "data", "mountPath": "/var/lib/fleetform", "claim": {"size": "1Gi"}}]
        documents += [
            document("MemoryStore", kind, spec),
            _user(
                f"with-{kind}",
                memory={"store": kind},
                volumes=mounted if kind == "filesystem" else [],
            ),
        ]
        mine = [{"name": "own", "mountPath": "/var/lib/fleetform", "claim": {"size": "1Gi"}}]
        documents.append(
            _user(f"own-{kind}", memory=spec, volumes=mine if kind == "filesystem" else [])
        )
    return fleet(*SHARED, *documents)


def _provisioned() -> Fleet:
    extra = {
        "resources": {
            "requests": {"cpu": "1", "memory": "1Gi"},
            "limits": {"cpu": "2", "memory": "2Gi"},
        },
        "podTemplate": POD,
        "network": PEERS,
        "env": OWN["env"],
        "envFrom": OWN["envFrom"],
        "volumes": [*VOLUMES, KEPT],
    }
    documents = [
        document(
            "MemoryStore",
            "cache",
            {
                "type": "redis",
                "redis": {"auth": {"secretRef": secret("r")}},
                "provision": {**extra, "storage": "2Gi"},
            },
        ),
        document(
            "MemoryStore",
            "base",
            {
                "type": "postgres",
                "postgres": {"passwordSecretRef": secret("p")},
                "provision": {},
            },
        ),
        document(
            "MemoryStore",
            "own",
            {
                "type": "redis",
                "redis": {},
                "provision": {
                    "container": {
                        "image": IMAGE,
                        "ports": [{"name": "redis", "containerPort": 6379, "servicePort": 6380}],
                        "configFiles": {"a": "x"},
                    }
                },
            },
        ),
        document(
            "MemoryStore",
            "off",
            {"type": "redis", "redis": {"host": "r.example"}, "provision": {"enabled": False}},
        ),
    ]
    users = [
        _user(f"of-{item['metadata']['name']}", memory={"store": item["metadata"]["name"]})
        for item in documents
    ]
    return fleet(*SHARED, *documents, *users)


def _backed() -> Fleet:
    """Stores with backups in each kind of place, and an agent of theirs: one document has one place."""
    common = {
        "passwordSecretRef": secret("restic"),
        "image": {**IMAGE, "digest": f"sha256:{'0' * 64}"},
        "identity": {"gcpServiceAccount": "backup@acme.iam.gserviceaccount.com"},
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "1Gi"}},
        "drill": {"schedule": "0 5 * * 0"},
        "keep": {"daily": 7},
    }
    keys = {"accessKeySecretRef": secret("s3", "id"), "secretKeySecretRef": secret("s3", "key")}
    places = {
        "in-s3": {"s3": {"bucket": "acme", "region": "eu-central-1", "prefix": "a", **keys}},
        "in-gcs": {"gcs": {"bucket": "acme", "prefix": "a", "credentialsSecretRef": secret("g")}},
        "in-claim": {"pvc": {"name": "backups", "size": "1Gi", "storageClass": "fast"}},
    }
    policy = {"sessionTTL": 8640000}
    stores = [
        document(
            "MemoryStore",
            name,
            {
                "type": "redis",
                "redis": {"host": "r.example"},
                "policy": policy,
                "backup": {"schedule": "15 3 * * *", "timeZone": "Asia/Seoul", "to": to, **common},
            },
        )
        for name, to in places.items()
    ]
    users = [_user(f"of-{name}", memory={"store": name}) for name in places]
    own = {key: value for key, value in common.items() if key != "image"}
    files = {
        "type": "filesystem",
        "filesystem": {"path": "/kept/sessions"},
        "policy": policy,
        "backup": {"schedule": "15 3 * * *", "to": places["in-gcs"], **own},
    }
    volumes = [{"name": "kept", "mountPath": "/kept", "claim": {"size": "1Gi"}}]
    users.append(_user("of-files", memory={"store": "in-files"}, volumes=volumes))
    return fleet(*SHARED, *stores, document("MemoryStore", "in-files", files), *users)


SIGNS: Json = {
    "bearer": {"type": "bearer", "secretRef": secret("b")},
    "basic": {"type": "basic", "username": "u", "secretRef": secret("b")},
    "header": {"type": "header", "header": "X-Key", "secretRef": secret("b")},
    "oauth2": OAUTH,
}
"""Every way to sign in."""


def _tools() -> Fleet:
    api: Json = {**API_TOOL["api"], "headers": {"X-A": "b"}}
    rows: Json = {
        name: {**API_TOOL, "api": {**api, "authentication": sign}} for name, sign in SIGNS.items()
    }
    rows["get"] = {**API_TOOL, "api": {"endpoint": "https://pay.example/{id}", "retries": 2}}
    rows["retry"] = {**API_TOOL, "api": {**api, "retries": 2}}
    rows["human"] = {
        "type": "human",
        "parameters": [{"name": "reason"}],
        "human": {"prompt": "Well?"},
    }
    card = "https://peer.example/card.json"
    for name, sign in SIGNS.items():
        there = {"card": card, "authentication": sign}
        rows["agent" if name == "bearer" else f"agent-{name}"] = {"type": "agent", "agent": there}
    rows["code"] = {"type": "code", "code": {"timeout": "10s", "allowModelCode": True}}
    rows["program"] = {
        "type": "code",
        "code": {"source": "print(1)", "engine": "monty"},
        "parameters": [{"name": "a"}],
    }
    rows["sandbox"] = {
        "type": "code",
        "code": {"source": "print(1)", "engine": "sandbox"},
        "parameters": [{"name": "a"}],
    }
    rows["retrieval"] = {
        "type": "retrieval",
        "retrieval": {
            "vectorStore": {"type": "milvus", "host": "m.example", "collection": "a"},
            "embedding": {"provider": "bedrock", "model": "e", "region": "eu-west-1"},
        },
    }
    rows["vertex"] = {
        "type": "retrieval",
        "retrieval": {
            "vectorStore": {"type": "qdrant", "host": "q.example", "collection": "b"},
            "embedding": {
                "provider": "google",
                "model": "e",
                "project": "acme-it",
                "region": "eu-w4",
            },
        },
    }
    rows["documents"] = {
        "type": "retrieval",
        "retrieval": {
            "vectorStore": {"type": "embedded", "collection": "a"},
            "embedding": {"provider": "ollama", "model": "e", "endpoint": "https://e.example/v1"},
        },
        "parameters": [{"name": "query", "required": True}, {"name": "kind", "field": "k"}],
    }
    servers: Json = {
        f"server-{name}": {"url": "https://mcp.example/mcp", "authentication": sign}
        for name, sign in SIGNS.items()
    }
    inline = [
        {"name": f"in-{name}", "endpoint": "https://in.example/mcp", "authentication": sign}
        for name, sign in SIGNS.items()
    ]
    documents = [document("Tool", name, spec) for name, spec in rows.items()]
    documents += [document("MCPServer", name, spec) for name, spec in servers.items()]
    user = _user(
        "user",
        observability={"tracing": {"enabled": True}},
        volumes=[{"name": "docs", "mountPath": "/var/lib/fleetform-knowledge", "emptyDir": "1Gi"}],
        tools=[*({"name": name} for name in (*rows, *servers)), *inline],
    )
    return fleet(*SHARED, *documents, user)


def _workflow() -> Fleet:
    steps = [
        {"name": "first", "agent": "neighbour", "output": [{"name": "a", "path": ".result.a"}]},
        {"name": "second", "agent": "neighbour", "dependsOn": ["first"]},
    ]
    steps += [
        {"name": name, "agent": "neighbour", "authentication": sign} for name, sign in SIGNS.items()
    ]
    hook = {"type": "slack", "webhook": {"secretRef": secret("c")}}
    flow = {
        "steps": steps,
        "input": [{"name": "topic"}],
        "errorHandling": {
            "onStepFailure": "retry",
            "maxRetries": 1,
            "onWorkflowFailure": "notify",
            "notificationChannel": hook,
        },
        "schedule": {"cron": "@daily"},
        "podTemplate": {"tolerations": POD["tolerations"]},
        "network": {
            "allowTo": [
                *PEERS["allowTo"],
                {"agent": "next-door", "ports": [9]},
                {"host": "proxy.elsewhere.svc", "ports": [3128]},
            ]
        },
    }
    keys = {"apiKey": {"keys": [{"name": "k", "secretRef": secret("d")}]}}
    kept = {"memory": {"store": "kept"}, "schedule": None}
    silent = {"errorHandling": {"onStepFailure": "retry", "notificationChannel": hook}}
    unseen = {"observability": {"tracing": {"endpoint": "https://t.example"}}}
    served = {**kept, **silent, **unseen, "serve": {"auth": {"type": "apiKey", **keys}}}
    oidc = {"issuer": "https://login.example", "audience": "flow"}
    seen = {"observability": {"tracing": {"enabled": True, "endpoint": "https://t.example"}}}
    signed = {**kept, **seen, "serve": {"auth": {"type": "oidc", "oidc": oidc}}}
    return fleet(
        *SHARED,
        _user("next-door"),
        document("MemoryStore", "kept", {"type": "redis", "redis": {"host": "r.example"}}),
        document("Workflow", "flow", flow),
        document("Workflow", "other-flow", flow),
        document("Workflow", "served", {**flow, **served}),
        document("Workflow", "signed", {**flow, **signed}),
        document("WorkflowRun", "run", {"workflowRef": {"name": "flow"}}),
    )


def _left() -> Fleet:
    """Return workflows as Argo Workflows takes them: nothing is served, and every input is there."""
    found = {
        name: item
        for name, item in _workflow().items()
        if name not in ("Workflow served", "Workflow signed", "Workflow other-flow")
    }
    flow = found["Workflow flow"]
    spec = {**flow["spec"], "input": [{"name": "topic", "default": "AI"}]}
    return {**found, "Workflow flow": {**flow, "spec": spec}}


ROOT = document(
    "Environment",
    "root",
    {
        "abstract": True,
        "images": {
            "pins": {"fleetform/agent-runtime": {"tag": "1"}, "example/runtime": {"tag": "1"}}
        },
    },
)
OTHER_ROOT = document(
    "Environment",
    "other-root",
    {"abstract": True, "images": {"pins": {"fleetform/agent-runtime": {"tag": "2"}}}},
)
HOSTS = [{"host": "*.example"}]
TAINT = {"key": "batch", "operator": "Equal", "value": "a", "effect": "NoExecute"}
PLACEMENT = {
    "nodeSelector": {"pool": "batch"},
    "tolerations": [
        {**TAINT, "tolerationSeconds": 60},
        {**TAINT, "effect": "NoSchedule"},
    ],
}
SERVICES = [{"type": "LoadBalancer"}, {"type": "NodePort"}]
FULL = {
    "extends": "root",
    "platform": "eks",
    "capabilities": [
        "keda",
        "prometheus-operator",
        "external-secrets",
        "gateway-api",
        "cert-manager",
        "agent-sandbox",
        "argo-rollouts",
    ],
    "sandboxes": {"runtimeClass": "gvisor"},
    "backups": PLACEMENT,
    "expose": {
        "host": "x.example.org",
        "hosts": HOSTS,
        "services": SERVICES,
        "gateway": {"name": "g", "namespace": "gateways"},
        "page": {
            "namespace": "ns",
            "auth": {
                "type": "oidc",
                "oidc": {"issuer": "https://login.example", "audience": "us", "clientId": "page"},
            },
            "placement": PLACEMENT,
        },
    },
    "images": {"pullSecrets": ["pull"]},
    "network": {
        "apiServer": ["10.0.0.10/32"],
        "defaultDeny": True,
        "gatewayNamespace": "gateways",
        "nodeRanges": ["10.4.0.0/16"],
        "unencrypted": ["p.example"],
    },
    "priorityClasses": ["important"],
    "monitoring": {
        "otlpEndpoint": "https://otlp.example",
        "prometheusUrl": "http://prometheus.watch.svc:9090",
    },
    "secrets": {
        "provider": "aws",
        "items": {"openai": {"keys": {"key": {}}}},
        "store": {
            "identity": {"awsRoleArn": "arn:aws:iam::123456789012:role/{namespace}"},
            "aws": {"region": "eu-central-1"},
            "vault": {"server": "https://vault.example", "role": "r"},
        },
    },
    "tenants": {
        "ns": {
            "groups": {"edit": ["leads"], "view": ["team"]},
            "hard": {"requests.cpu": "10"},
            "defaultRequest": {"cpu": "1"},
            "defaultLimit": {"cpu": "1"},
            "max": {"cpu": "4"},
        }
    },
    "namespaces": {"create": True},
    "targets": ["manifests", "helm", "kustomize", "flux"],
    "defaults": {"Agent": {"podTemplate": {"annotations": {"example.com/d": "e"}}}},
    "patches": [
        {
            "target": {"kind": "Agent", "name": "subject"},
            "spec": {"podTemplate": {"annotations": {"example.com/p": "q"}}},
        }
    ],
    "providers": {
        "openai": {"endpoint": "https://models.example/v1", "apiKeySecretRef": secret("openai")}
    },
}
INGRESS = {
    **{
        key: value for key, value in FULL.items() if key not in ("patches", "defaults", "providers")
    },
    "platform": "gke",
    "expose": {
        "host": "x.example.org",
        "hosts": HOSTS,
        "services": SERVICES,
        "gateway": {"name": "g", "namespace": "gateways"},
        "page": {"namespace": "ns", "auth": KEYS},
        "type": "Ingress",
        "ingressClass": "nginx",
        "issuer": {"name": "letsencrypt"},
    },
    "network": {"apiServer": ["10.0.0.10/32"], "gatewayNamespace": "ingress", "nodeLocalDns": True},
    "secrets": {
        "provider": "gcp",
        "remoteKey": "{namespace}-{name}",
        "store": {
            "serviceAccount": "reader",
            "identity": {"gcpServiceAccount": "reader@acme.iam.gserviceaccount.com"},
            "gcp": {"projectId": "acme", "clusterLocation": "europe-west1", "clusterName": "one"},
        },
    },
    "monitoring": {
        "collector": {
            "image": {"repository": "docker.io/otel/opentelemetry-collector", "tag": "0.150.0"},
            "placement": PLACEMENT,
            "exporters": [
                {"name": "inner", "endpoint": "http://otlp.tracing.svc:4318"},
                {
                    "name": "outer",
                    "endpoint": "https://otlp.example.org/api",
                    "headers": {"X-Team": "a"},
                    "secretHeaders": {"Authorization": secret("backend")},
                    "caSecretRef": secret("ca"),
                },
            ],
        },
        "prometheusUrl": "http://prometheus.watch.svc:9090",
    },
    "targets": ["manifests", "argocd"],
    "gitops": {"tool": "argocd", "source": {"url": "https://git.example/fleet.git"}},
}
RELEASES = {
    **{key: value for key, value in FULL.items() if key not in ("secrets", "patches")},
    "capabilities": [*FULL["capabilities"], "grafana-operator"],
    "secrets": {
        "provider": "vault",
        "store": {"vault": {"server": "https://vault.example", "role": "r"}},
    },
    "images": {"pins": {"docker.io/library/side": {"tag": "2"}}},
    "helm": {
        "charts": "oci://ghcr.io/acme/charts",
        "version": "1.0.0",
        "test": {"image": {"repository": "docker.io/library/other", "tag": "1"}},
    },
    "targets": ["manifests", "helm", "flux"],
    "gitops": {
        "way": "helm",
        "source": {"kind": "OCIRepository", "url": "oci://ghcr.io/acme/fleet"},
    },
}
BARE = {
    "images": {"pins": {"fleetform/agent-runtime": {"tag": "1"}}},
    "capabilities": ["gateway-api"],
    "expose": {
        "host": "x.example.org",
        "hosts": HOSTS,
        "gateway": {"name": "g", "namespace": "gateways"},
    },
}
ARGO = {
    **BARE,
    "capabilities": ["gateway-api", "argo-workflows"],
    "targets": ["manifests", "argo-workflows"],
}
AZURE = {
    **RELEASES,
    "secrets": {
        "provider": "azure",
        "remoteKey": "{namespace}-{name}",
        "store": {
            "identity": {"azureClientId": "12345678-1234-1234-1234-123456789012"},
            "azure": {"vaultUrl": "https://a.vault.example"},
        },
    },
    "images": FULL["images"],
    "helm": {},
    "gitops": {},
    "targets": ["manifests"],
}

COMPOSE = {
    **{key: value for key, value in FULL.items() if key not in ("images", "targets")},
    "images": {"pins": {"fleetform/agent-runtime": {"tag": "1"}}},
    "targets": ["compose"],
    "compose": {"ports": {"ns/subject": 8081}},
}


def environments() -> dict[str, Fleet]:
    """Return environments by name."""
    patches = [
        {
            **patch,
            "target": {
                "kind": "Deployment",
                "name": "subject",
                "namespace": "ns",
                "labels": {"team": "a"},
            },
        }
        for patch in PATCHES
    ]
    patches[1] = {
        **patches[1],
        "json6902": [
            {"op": "add", "path": "/metadata/annotations/example.com~1e", "value": "1"},
            *PATCHES[1]["json6902"][1:],
        ],
    }
    patched = {
        **BARE,
        "objectPatches": patches,
        "patches": [
            {
                "target": {
                    "kind": "Agent",
                    "name": "subject",
                    "namespace": "ns",
                    "labels": {"team": "a"},
                },
                "spec": {"env": ENV},
            }
        ],
    }
    rows = {
        "patched": patched,
        "full": FULL,
        "ingress": INGRESS,
        "releases": RELEASES,
        "azure": AZURE,
        "bare": BARE,
        "argo": ARGO,
        "compose": COMPOSE,
    }
    return {
        name: fleet(ROOT, OTHER_ROOT, document("Environment", "prod", spec))
        for name, spec in rows.items()
    }


def _stepped(kind: str = "Agent") -> Json:
    """Return an agent whose pods are replaced step by step."""
    canary = {
        "steps": [{"weight": 25, "pause": "10m"}, {"weight": 75, "pause": "5m"}],
        "analysis": {"maxP95Seconds": 30},
    }
    scaling = {"minReplicas": 4, "maxReplicas": 8, "metrics": [CPU]}
    alone = {**PLAIN, "memory": {"type": "none"}}
    return document(kind, "subject", {**alone, "scaling": scaling, "delivery": {"canary": canary}})


def fleets() -> dict[str, Fleet]:
    """Return the specs' fleets by name."""
    subject = document("Agent", "subject", GENERIC, **LABELS)
    template = document(
        "AgentTemplate",
        "subject",
        {key: value for key, value in GENERIC.items() if key != "extends"},
    )
    template["spec"]["extends"] = "base"
    rich = {
        **PLAIN,
        "model": {
            **MODEL,
            "pricing": {"inputPerMillion": 1, "outputPerMillion": 1},
            "tls": {"caSecretRef": secret("ca")},
        },
        "observability": {"tracing": {"enabled": True, "endpoint": "https://otlp.example"}},
        "auth": {
            "type": "oidc",
            "oidc": {
                "issuer": "https://login.example",
                "audience": "a",
                "rolesClaim": "roles",
                "clientId": "page",
            },
        },
        "tools": ASKED,
        "approvals": {"approvers": {"roles": ["ops"]}, "webhook": WEBHOOK},
    }
    return {
        "generic": fleet(*SHARED, subject),
        "template": fleet(
            *SHARED, template, document("Agent", "heir", {"extends": "subject"}, **LABELS)
        ),
        "stepped": fleet(*SHARED, _stepped()),
        "stepped-template": fleet(
            *SHARED, _stepped("AgentTemplate"), document("Agent", "heir", {"extends": "subject"})
        ),
        "idle": fleet(*SHARED, document("AgentTemplate", "subject", PLAIN)),
        "scaled": fleet(
            *SHARED,
            document(
                "MCPServer",
                "server",
                {
                    "container": SERVER["container"],
                    "scaling": GENERIC["scaling"],
                    "volumes": OWN["volumes"],
                },
                **LABELS,
            ),
            _user("caller", tools=[{"name": "server"}]),
        ),
        "own": fleet(
            *SHARED,
            document("Agent", "subject", OWN, **LABELS),
            document("MCPServer", "server", SERVER, **LABELS),
            _user("caller", tools=[{"name": "server"}]),
        ),
        "patched": fleet(
            *SHARED,
            document("Agent", "subject", {**PLAIN, "objectPatches": PATCHES}, **LABELS),
            document(
                "MCPServer",
                "server",
                {"container": SERVER["container"], "objectPatches": PATCHES},
                **LABELS,
            ),
        ),
        "plain": fleet(
            *SHARED,
            document("Agent", "subject", PLAIN, **LABELS),
            document("Agent", "rich", rich, **LABELS),
            _user(
                "by-keys", auth=TWO_KEYS, tools=ASKED, approvals={"approvers": {"keys": ["one"]}}
            ),
            document("ModelConfig", "cloud", CLOUD),
            _user("cloudy", model=CLOUD),
            _user("of-cloud", modelConfig="cloud", model={}),
            document("ModelConfig", "asking", ASKING),
            _user("asks", model=ASKING),
            _user("of-asking", modelConfig="asking", model={}),
            document(
                "MCPServer",
                "small",
                {"container": {"image": IMAGE, "ports": [{"name": "mcp", "containerPort": 3000}]}},
            ),
            _user(
                "caller",
                tools=[{"name": "small"}, {"name": "remote"}, {"name": "beside"}],
                modelConfig="third",
                model={},
            ),
            document("Agent", "image", {"container": {"image": IMAGE}}),
        ),
        "stores": _stores(),
        "provisioned": _provisioned(),
        "backed": _backed(),
        "tools": _tools(),
        "workflow": _workflow(),
        "left": _left(),
    }


def on_compose(node: Json) -> Json:
    """Return a fleet without what only a cluster has: existing configuration, facts about a pod."""
    if isinstance(node, list):
        return [on_compose(item) for item in node]
    if not isinstance(node, dict):
        return {"metadata.uid": "metadata.name"}.get(node, node) if isinstance(node, str) else node
    if isinstance(node.get("configMap"), str):
        node = {**node, "emptyDir": "1Mi"}
        del node["configMap"]
    if "configMapKeyRef" in node:
        return {"fieldRef": "metadata.namespace"}
    return {key: on_compose(value) for key, value in node.items() if key != "envFrom"}


ALL = ("",)
MEMORY = ("spec.memory",)
TOOLS = ("spec.tools",)
PATCHED = ("spec.objectPatches", "metadata")
WHERE = ("spec.expose", "spec.service", "spec.identity", "spec.observability")
ACCESS = ("spec.authentication", "spec.path", "spec.tls", "spec.url", "spec.allow", "metadata")

SUBJECTS: dict[str, tuple[tuple[str, str, str, tuple[str, ...]], ...]] = {
    "Agent": (
        ("generic", "azure", "subject", ALL),
        ("own", "azure", "subject", ALL),
        ("generic-compose", "compose", "subject", ALL),
        ("own-compose", "compose", "subject", ALL),
        ("own", "ingress", "subject", WHERE),
        ("plain", "bare", "subject", ALL),
        ("plain", "bare", "image", ALL),
        (
            "plain",
            "bare",
            "rich",
            ("spec.auth", "spec.model", "spec.rateLimits", "spec.observability", "spec.approvals"),
        ),
        ("plain", "bare", "by-keys", ("spec.approvals",)),
        ("plain", "bare", "cloudy", ("spec.model.region", "spec.model.project")),
        ("plain", "bare", "asks", ("spec.model.promptCaching",)),
        ("patched", "bare", "subject", PATCHED),
        ("stepped", "full", "subject", ("spec.delivery",)),
        ("tools", "azure", "user", TOOLS),
        ("stores", "azure", "own-redis", MEMORY),
        ("stores", "azure", "own-postgres", MEMORY),
        ("stores", "azure", "own-filesystem", (*MEMORY, "spec.volumes")),
        ("stores", "azure", "own-in-memory", MEMORY),
        ("stores", "azure", "with-redis", MEMORY),
        ("stores", "azure", "informed", ("spec.knowledge",)),
        ("stores", "azure", "learning-alone", ("spec.memory.policy.longTermMemory",)),
        ("stores", "azure", "cloudy-alone", ("spec.memory.policy.longTermMemory.embedding",)),
    ),
    "AgentTemplate": (
        ("template", "azure", "subject", ALL),
        ("idle", "bare", "subject", ALL),
        ("stepped-template", "full", "subject", ("spec.delivery",)),
    ),
    "MCPServer": (
        ("own", "azure", "server", ALL),
        ("own-compose", "compose", "server", ALL),
        ("own", "ingress", "server", WHERE),
        ("plain", "bare", "small", ALL),
        ("generic", "azure", "remote", ALL),
        ("patched", "bare", "server", PATCHED),
        ("scaled", "azure", "server", ("spec.scaling", "spec.volumes")),
        *(("tools", "azure", f"server-{sign}", ACCESS) for sign in ("basic", "header", "oauth2")),
        ("plain", "bare", "bare", ("spec.path", "metadata")),
        ("plain", "bare", "beside", ALL),
    ),
    "MemoryStore": (
        ("stores", "azure", "redis", ALL),
        ("stores", "azure", "postgres", ALL),
        ("stores", "azure", "filesystem", ("spec.filesystem", "spec.policy", "spec.type")),
        ("stores", "azure", "in-memory", ("spec.inMemory", "spec.policy", "spec.type")),
        ("stores", "azure", "learning", ("spec.policy.longTermMemory",)),
        ("stores", "azure", "cloudy", ("spec.policy.longTermMemory.embedding",)),
        ("provisioned", "azure", "cache", ALL),
        (
            "provisioned",
            "azure",
            "base",
            ("spec.postgres", "spec.provision.env", "spec.provision.network"),
        ),
        ("provisioned", "azure", "own", ("spec.provision.container",)),
        ("provisioned", "azure", "off", ALL),
        ("backed", "azure", "in-s3", ("spec.backup",)),
        ("backed", "ingress", "in-gcs", ("spec.backup.to.gcs", "spec.backup.identity")),
        ("backed", "azure", "in-claim", ("spec.backup.to.pvc",)),
        ("backed", "ingress", "in-files", ("spec.backup", "spec.filesystem")),
    ),
    "ModelConfig": (
        ("generic", "azure", "second", ALL),
        ("plain", "bare", "second", ALL),
        ("plain", "bare", "cloud", ("spec.region", "spec.project")),
        ("plain", "bare", "asking", ("spec.promptCaching",)),
    ),
    "Tool": (
        *(
            ("tools", "azure", name, ALL)
            for name in (
                "bearer",
                "basic",
                "header",
                "oauth2",
                "get",
                "human",
                "agent",
                "agent-basic",
                "agent-header",
                "agent-oauth2",
                "code",
                "program",
                "retrieval",
                "documents",
                "vertex",
                "spare",
            )
        ),
        ("stores", "azure", "table", ALL),
        ("stores", "azure", "vertex", ("spec.retrieval.embedding",)),
        ("stores", "azure", "points", ALL),
        ("stores", "azure", "rows", ALL),
    ),
    "Workflow": (
        ("workflow", "bare", "flow", ALL),
        ("left", "argo", "flow", ALL),
        ("workflow", "bare", "served", ALL),
        ("workflow", "bare", "signed", ("spec.serve", "spec.observability")),
    ),
    "WorkflowRun": (("workflow", "bare", "run", ALL), ("left", "argo", "run", ALL)),
    "Environment": tuple(
        (fleet_name, environment, "prod", ALL)
        for fleet_name, environment in (
            ("generic", "full"),
            ("own", "ingress"),
            ("own", "releases"),
            ("plain", "bare"),
            ("patched", "patched"),
            ("stores", "azure"),
            ("tools", "azure"),
            ("backed", "azure"),
            ("plain", "compose"),
        )
    ),
}
"""By kind: a fleet, an environment, a document of them, and which of its leaves are turned there."""
